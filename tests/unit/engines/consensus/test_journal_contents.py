"""The journal as pysyncobj and payhub use it while it is open."""

import pytest

from payhub_engines.consensus.disk import FileDisk
from payhub_engines.consensus.errors import JournalDamagedError, JournalOrderError, JournalWriteError
from payhub_engines.consensus.journal import Journal
from payhub_engines.consensus.recovery import segment_name
from payhub_engines.consensus.simulated_disk import SimulatedDisk


@pytest.fixture
def disk():
    return SimulatedDisk()


@pytest.fixture
def journal(disk):
    made = Journal(disk, segment_bytes=1000, cache_bytes=500)
    for index in range(1, 41):
        made.add(b"%04d" % index * 10, index, 1 + index // 10)
        made.sync()
    return made


def test_it_is_a_sequence_of_command_index_term(journal):
    assert len(journal) == 40
    assert journal[0] == (b"0001" * 10, 1, 1)
    assert journal[-1] == (b"0040" * 10, 40, 5)
    assert [entry[1] for entry in journal[5:8]] == [6, 7, 8]
    assert journal[100:] == []
    with pytest.raises(IndexError):
        journal[40]


def test_memory_is_bounded_and_older_entries_come_from_the_file(journal):
    assert journal._cache.size <= 500
    assert journal._cache.get(1) is None
    assert journal.command(1) == b"0001" * 10


def test_what_is_not_durable_is_never_evicted(journal):
    for index in range(41, 81):
        journal.add(b"%04d" % index * 10, index, 5)
    assert journal._cache.size > 1600
    assert journal.durable_index == 40
    journal.sync()
    assert journal._cache.size <= 500
    assert journal.durable_index == 80


def test_reading_is_bounded_by_count_and_bytes(journal):
    assert [entry[1] for entry in journal.read(3, 2, None)] == [3, 4]
    assert [entry[1] for entry in journal.read(39, 10, None)] == [39, 40]
    assert [entry[1] for entry in journal.read(3, None, 80)] == [3, 4]
    assert journal.read(0, 5, None) == []


def test_an_entry_damaged_on_disk_is_not_returned(disk, journal):
    place = journal._places.place(2)
    disk.flip_bit(segment_name(place.segment), place.offset + place.length - 1)
    with pytest.raises(JournalDamagedError, match="Entry 2"):
        journal.command(2)


def test_entries_must_follow_one_another(journal):
    with pytest.raises(JournalOrderError):
        journal.add(b"x", 42, 5)


def test_committed_entries_are_never_replaced(journal):
    journal.setRaftCommitIndex(30)
    with pytest.raises(JournalOrderError):
        journal.deleteEntriesFrom(29)
    journal.deleteEntriesFrom(30)
    assert journal.last_index == 30


def test_only_durable_entries_can_be_trimmed(journal):
    journal.add(b"x", 41, 5)
    with pytest.raises(JournalOrderError):
        journal.trim(41)
    journal.deleteEntriesTo(9)
    assert journal.first_index == 10
    journal.trim(5)
    assert journal.first_index == 10


def test_a_sync_of_nothing_writes_nothing(disk, journal):
    steps = disk.steps
    journal.setRaftCommitIndex(40)
    journal.sync()
    assert disk.steps == steps
    journal.close()
    assert Journal(disk).getRaftCommitIndex() == 40


def test_term_and_vote_are_durable_after_a_sync(disk, journal):
    journal.setCurrentTerm(9, "n3")
    assert journal.is_dirty
    journal.sync()
    again = Journal(disk.after_power_loss(1))
    assert (again.getCurrentTerm(), again.getVotedForNodeId()) == (9, "n3")


def test_a_cleared_journal_begins_anywhere(disk, journal):
    journal.clear()
    journal.add(b"a", 90, 7)
    journal.add(b"b", 91, 7)
    journal.sync()
    again = Journal(disk, segment_bytes=1000)
    assert again[:] == [(b"a", 90, 7), (b"b", 91, 7)]
    assert (again.first_index, again.durable_index) == (90, 91)


def test_a_clear_alone_leaves_an_empty_journal(disk, journal):
    journal.clear()
    journal.sync()
    again = Journal(disk)
    assert (again.first_index, again.last_index) == (1, 0)
    again.add(b"a", 1, 1)


def test_after_a_failed_write_nothing_more_is_written(disk, journal):
    journal.add(b"x", 41, 5)
    disk.full = True
    with pytest.raises(JournalWriteError, match="No space left"):
        journal.sync()
    disk.full = False
    with pytest.raises(JournalWriteError):
        journal.add(b"y", 42, 5)
    with pytest.raises(JournalWriteError):
        journal.take()
    assert journal.durable_index == 40
    assert Journal(disk.after_power_loss(3)).last_index == 40


def test_nothing_may_be_added_between_take_and_done(journal):
    journal.add(b"x", 41, 5)
    batch = journal.take()
    with pytest.raises(JournalOrderError):
        journal.add(b"y", 42, 5)
    journal.write(batch)
    assert journal.durable_index == 40
    journal.done(batch)
    assert journal.durable_index == 41


def test_a_trim_during_a_write_is_kept(disk, journal):
    journal.add(b"x", 41, 5)
    batch = journal.take()
    journal.trim(40)
    journal.write(batch)
    journal.done(batch)
    assert journal.is_dirty
    journal.sync()
    assert Journal(disk).first_index == 40


def test_more_than_a_frame_takes_several_syncs(disk):
    journal = Journal(disk)
    for index in range(1, 7):
        journal.add(bytes(4 * 1024 * 1024), index, 1)
    journal.write(batch := journal.take())
    journal.done(batch)
    assert journal.durable_index == 3
    journal.sync()
    assert Journal(disk).last_index == 6


def test_a_command_above_the_limit_is_refused(journal):
    with pytest.raises(JournalOrderError, match="too large"):
        journal.add(bytes(4 * 1024 * 1024 + 2), 41, 5)


def test_real_files_hold_the_same(tmp_path):
    disk = FileDisk(tmp_path / "journal")
    journal = Journal(disk, segment_bytes=300, cache_bytes=10)
    for index in range(1, 21):
        journal.add(b"%d" % index, index, 1)
        journal.sync()
    journal.trim(10)
    journal.sync()
    journal.add(b"21", 21, 1)
    journal.close()
    disk.truncate(disk.names()[-1], disk.size(disk.names()[-1]) - 1)
    again = Journal(disk, segment_bytes=300, cache_bytes=10)
    assert [entry[0] for entry in again[:]] == [b"%d" % index for index in range(10, 21)]
    again.close()
    disk.close()
