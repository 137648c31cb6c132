"""What the journal finds again after power losses, torn writes and damage."""

import random

import pytest

from payhub_engines.consensus.errors import JournalDamagedError
from payhub_engines.consensus.journal import Journal
from payhub_engines.consensus.recovery import segment_name, segments_on
from payhub_engines.consensus.simulated_disk import PowerLossError, SimulatedDisk

SMALL_SEGMENT = 200


def fill(journal: Journal, count: int, term: int = 1) -> None:
    """Add entries and sync each of them."""
    for _ in range(count):
        index = journal.last_index + 1
        journal.add(b"entry-%d" % index, index, term)
        journal.sync()


def commands(journal: Journal) -> list[bytes]:
    return [journal.command(index) for index in range(journal.first_index, journal.last_index + 1)]


def content(disk: SimulatedDisk, name: str) -> bytes:
    return disk.read(name, 0, disk.size(name))


def copy_of(disk: SimulatedDisk) -> SimulatedDisk:
    copy = SimulatedDisk()
    for name in disk.names():
        copy.put(name, content(disk, name))
    return copy


def test_an_empty_disk_is_an_empty_journal():
    journal = Journal(SimulatedDisk())
    assert (journal.first_index, journal.last_index, journal.last_term) == (1, 0, 0)
    assert (journal.getCurrentTerm(), journal.getVotedForNodeId(), journal.getRaftCommitIndex()) == (
        0,
        None,
        1,
    )


def test_everything_synced_is_found_again():
    disk = SimulatedDisk()
    journal = Journal(disk, segment_bytes=SMALL_SEGMENT)
    journal.setCurrentTerm(7, "n1")
    fill(journal, 20, term=7)
    journal.setRaftCommitIndex(19)
    journal.close()
    again = Journal(disk, segment_bytes=SMALL_SEGMENT)
    assert commands(again) == [b"entry-%d" % index for index in range(1, 21)]
    assert (again.getCurrentTerm(), again.getVotedForNodeId(), again.getRaftCommitIndex()) == (7, "n1", 19)
    assert len(segments_on(disk)) > 3


def test_a_tail_torn_at_any_byte_costs_only_what_was_not_synced():
    disk = SimulatedDisk()
    journal = Journal(disk)
    fill(journal, 5)
    [name] = disk.names()
    synced = disk.size(name)
    for index in (6, 7, 8):
        journal.add(b"entry-%d" % index, index, 1)
    journal.sync()
    whole = content(disk, name)
    for length in range(synced, len(whole)):
        for torn in (whole[:length], whole[:length] + bytes(len(whole) - length)):
            found = SimulatedDisk()
            found.put(name, torn)
            again = Journal(found)
            assert commands(again) == [b"entry-%d" % index for index in range(1, 6)]
            fill(again, 2, term=2)
            assert commands(Journal(copy_of(found)))[5:] == [b"entry-6", b"entry-7"]


def test_a_bit_flipped_before_the_last_sync_is_never_taken_for_a_torn_tail():
    disk = SimulatedDisk()
    journal = Journal(disk)
    fill(journal, 3)
    [name] = disk.names()
    synced = disk.size(name)
    fill(journal, 1)
    for offset in range(synced):
        damaged = copy_of(disk)
        damaged.flip_bit(name, offset, bit=offset % 8)
        with pytest.raises(JournalDamagedError, match="restore") as refused:
            Journal(damaged)
        assert refused.value.name == name
        assert refused.value.offset <= offset


def test_damage_in_an_older_segment_is_refused():
    disk = SimulatedDisk()
    fill(Journal(disk, segment_bytes=SMALL_SEGMENT), 20)
    oldest = segment_name(segments_on(disk)[0])
    for change in (lambda d: d.truncate(oldest, d.size(oldest) - 1), lambda d: d.flip_bit(oldest, 60)):
        damaged = copy_of(disk)
        change(damaged)
        with pytest.raises(JournalDamagedError):
            Journal(damaged)


def test_a_missing_segment_is_refused():
    disk = SimulatedDisk()
    fill(Journal(disk, segment_bytes=SMALL_SEGMENT), 20)
    for number in segments_on(disk)[:-1]:
        damaged = copy_of(disk)
        damaged.remove(segment_name(number))
        with pytest.raises(JournalDamagedError, match="missing"):
            Journal(damaged)


def test_after_a_trim_the_only_segment_left_is_not_taken_for_a_new_one():
    disk = SimulatedDisk()
    journal = Journal(disk, segment_bytes=1)
    fill(journal, 5)
    journal.trim(5)
    journal.sync()
    journal.sync()
    left = segments_on(disk)
    for number in left[1:]:
        disk.remove(segment_name(number))
    disk.flip_bit(segment_name(left[0]), 3)
    with pytest.raises(JournalDamagedError):
        Journal(disk)


def test_trim_removes_whole_segments_and_is_found_again():
    disk = SimulatedDisk()
    journal = Journal(disk, segment_bytes=SMALL_SEGMENT)
    journal.setCurrentTerm(3, "n2")
    fill(journal, 30, term=3)
    before = len(segments_on(disk))
    journal.trim(25)
    journal.sync()
    assert len(segments_on(disk)) < before / 2
    again = Journal(disk, segment_bytes=SMALL_SEGMENT)
    assert (again.first_index, again.last_index) == (25, 30)
    assert commands(again) == [b"entry-%d" % index for index in range(25, 31)]
    assert (again.getCurrentTerm(), again.getVotedForNodeId()) == (3, "n2")


def test_a_trim_cut_off_at_any_step_loses_nothing_it_should_keep():
    def prepared() -> tuple[SimulatedDisk, Journal]:
        disk = SimulatedDisk()
        journal = Journal(disk, segment_bytes=SMALL_SEGMENT)
        fill(journal, 30)
        return disk, journal

    disk, journal = prepared()
    begin = disk.steps
    journal.trim(25)
    journal.sync()
    steps = disk.steps - begin
    assert steps > 8
    for step in range(steps + 1):
        for seed in range(8):
            disk, journal = prepared()
            disk.power_loss_after = disk.steps + step
            journal.trim(25)
            if step < steps:
                with pytest.raises(PowerLossError):
                    journal.sync()
            else:
                journal.sync()
            again = Journal(disk.after_power_loss(seed), segment_bytes=SMALL_SEGMENT)
            assert again.first_index in (1, 25)
            assert again.last_index == 30
            assert commands(again) == [b"entry-%d" % index for index in range(again.first_index, 31)]


def test_truncation_across_segments_is_found_again():
    disk = SimulatedDisk()
    journal = Journal(disk, segment_bytes=SMALL_SEGMENT)
    fill(journal, 20)
    journal.setRaftCommitIndex(4)
    journal.deleteEntriesFrom(4)
    assert (journal.last_index, journal.durable_index) == (4, 4)
    journal.add(b"other", 5, 2)
    journal.sync()
    again = Journal(disk, segment_bytes=SMALL_SEGMENT)
    assert commands(again) == [b"entry-1", b"entry-2", b"entry-3", b"entry-4", b"other"]
    assert (again.last_term, again.durable_index) == (2, 5)


@pytest.mark.parametrize("seed", range(60))
def test_power_losses_at_random_steps_never_cost_a_synced_entry(seed):
    """Work, lose power at any disk operation, start again: what was synced is there, in order."""
    chooser = random.Random(seed)
    disk = SimulatedDisk()
    durable: dict[int, bytes] = {}
    first_index, vote = 1, (0, None)
    for life in range(12):
        journal = Journal(disk, segment_bytes=SMALL_SEGMENT, cache_bytes=64)
        assert journal.first_index <= first_index
        for index, command in durable.items():
            if index >= first_index:
                assert journal.command(index) == command
        assert (journal.getCurrentTerm(), journal.getVotedForNodeId()) >= vote
        durable = {i: journal.command(i) for i in range(journal.first_index, journal.last_index + 1)}
        first_index = journal.first_index
        disk.power_loss_after = disk.steps + chooser.randint(1, 60)
        try:
            while True:
                vote_next = (journal.getCurrentTerm() + 1, "n")
                if chooser.random() < 0.1:
                    journal.setCurrentTerm(*vote_next)
                    journal.sync()
                    vote = vote_next
                added = {}
                for _ in range(chooser.randint(1, 4)):
                    index = journal.last_index + 1
                    added[index] = b"%d-%d-%d" % (seed, life, index) + bytes(chooser.randint(0, 40))
                    journal.add(added[index], index, journal.getCurrentTerm())
                journal.setRaftCommitIndex(journal.durable_index)
                journal.sync()
                durable |= added
                assert journal.durable_index == max(durable)
                if chooser.random() < 0.1:
                    first_index = chooser.randint(journal.first_index, journal.durable_index)
                    journal.trim(first_index)
        except PowerLossError:
            disk = disk.after_power_loss(chooser.randrange(1 << 30))


def test_no_segment_is_removed_before_the_trim_itself_is_durable():
    disk = SimulatedDisk()
    journal = Journal(disk, segment_bytes=1)
    fill(journal, 5)
    for index in range(6, 10):
        journal.add(bytes(4 * 1024 * 1024), index, 1)
    journal.trim(5)
    journal.write(batch := journal.take())
    journal.done(batch)
    assert journal.is_dirty  # the trim comes behind what one frame holds
    assert commands(Journal(disk.after_power_loss(1)))[:5] == [b"entry-%d" % index for index in range(1, 6)]
    journal.sync()
    assert Journal(disk.after_power_loss(1)).first_index == 5
