"""The last frame of a journal: torn, damaged, doubtful, only in memory, or of a newer release."""

import struct
import zlib

import pytest

from payhub_engines.consensus import records
from payhub_engines.consensus.errors import (
    JournalDamagedError,
    JournalDoubtfulError,
    JournalVersionError,
    JournalWriteError,
)
from payhub_engines.consensus.journal import Journal
from payhub_engines.consensus.records import FRAME_HEADER_BYTES, Kind, Record
from payhub_engines.consensus.simulated_disk import BLOCK_BYTES, SimulatedDisk


def journal_of(*commands: bytes) -> tuple[SimulatedDisk, str, int]:
    """Return a disk with one frame for each command, its only file, and where the last frame begins."""
    disk = SimulatedDisk()
    journal = Journal(disk)
    begin = 0
    for index, command in enumerate(commands, 1):
        begin = sum(disk.size(name) for name in disk.names())
        journal.add(command, index, 1)
        journal.sync()
    [name] = disk.names()
    return disk, name, begin


def whole(disk: SimulatedDisk, name: str) -> bytes:
    return disk.read(name, 0, disk.size(name))


def disk_with(name: str, data: bytes) -> SimulatedDisk:
    disk = SimulatedDisk()
    disk.put(name, data)
    return disk


def test_a_bit_flipped_anywhere_in_the_last_frame_is_never_taken_for_a_torn_write():
    disk, name, begin = journal_of(b"first", b"last, and then zeros" + bytes(30))
    data = whole(disk, name)
    for offset in range(begin, len(data)):
        for bit in range(8):
            damaged = disk_with(name, data)
            damaged.flip_bit(name, offset, bit)
            with pytest.raises(JournalDoubtfulError, match="restore a backup") as doubt:
                Journal(damaged)
            assert (doubt.value.name, doubt.value.offset) == (name, begin)
            damaged.flip_bit(name, offset, bit)
            assert whole(damaged, name) == data


def test_a_last_frame_with_a_block_that_was_not_written_is_in_doubt():
    disk, name, begin = journal_of(b"first", bytes(range(1, 250)))
    data = bytearray(whole(disk, name))
    data[begin + BLOCK_BYTES : begin + 2 * BLOCK_BYTES] = bytes(BLOCK_BYTES)
    with pytest.raises(JournalDoubtfulError, match="cut the file to this length"):
        Journal(disk_with(name, bytes(data)))


def test_a_last_frame_in_doubt_is_cut_only_after_who_decides_has_agreed():
    disk, name, begin = journal_of(b"first", b"last")
    disk.flip_bit(name, begin + 40)
    data, asked = whole(disk, name), []

    def agree(doubt):
        assert whole(disk, name) == data
        asked.append(doubt.offset)

    assert Journal(disk, on_doubt=agree).last_index == 1
    assert asked == [begin]
    assert disk.size(name) == begin
    assert Journal(disk).last_index == 1  # nobody is asked twice


def test_a_frame_that_has_another_one_begun_behind_it_was_durable():
    disk, name, begin = journal_of(b"first", b"last")
    disk.flip_bit(name, begin + 40)
    for behind in (b"PHJ1", bytes(8)):
        with pytest.raises(JournalDamagedError, match="follows it"):
            Journal(disk_with(name, whole(disk, name) + behind), on_doubt=lambda _: None)


def test_the_first_frame_of_all_in_doubt_leaves_no_file():
    disk, name, _ = journal_of(b"first")
    disk.flip_bit(name, 50)
    with pytest.raises(JournalDoubtfulError, match="remove the file"):
        Journal(disk)
    assert Journal(disk, on_doubt=lambda _: None).last_index == 0
    assert disk.names() == []


def test_a_term_and_its_vote_outlive_the_last_frame():
    disk, name, _ = journal_of(b"first")
    journal = Journal(disk)
    journal.setCurrentTerm(5, "b")
    journal.sync()
    disk.flip_bit(name, disk.size(name) - 1)
    again = Journal(disk, on_doubt=lambda _: None)
    assert (again.getCurrentTerm(), again.getVotedForNodeId()) == (5, "b")


@pytest.mark.parametrize("is_cleared", [False, True])
def test_entries_that_were_replaced_do_not_come_back_with_the_loss_of_the_last_frame(is_cleared):
    disk, name, _ = journal_of(b"kept", b"replaced", b"replaced")
    journal = Journal(disk)
    if is_cleared:
        journal.clear()
    else:
        journal.deleteEntriesFrom(1)
    journal.add(b"new", 2, 2)
    journal.sync()
    disk.flip_bit(name, disk.size(name) - 1)
    again = Journal(disk, on_doubt=lambda _: None)
    assert again.last_index == (0 if is_cleared else 1)


@pytest.mark.parametrize("seed", range(20))
def test_what_a_failed_sync_left_in_the_page_cache_is_not_taken_for_durable(seed):
    disk = SimulatedDisk()
    journal = Journal(disk)
    journal.add(b"durable", 1, 1)
    journal.sync()
    journal.add(b"only in memory", 2, 1)
    disk.fail_next_sync = True
    with pytest.raises(JournalWriteError):
        journal.sync()
    lost = disk.after_power_loss(seed)
    assert Journal(lost).last_index == 1
    again = Journal(disk)  # the process was started again, the machine was not
    assert again.durable_index == 2
    assert Journal(disk.after_power_loss(seed)).last_index == 2


@pytest.mark.parametrize("seed", range(10))
def test_what_a_failed_sync_left_stays_lost_where_nobody_writes_it_again(seed):
    disk = SimulatedDisk()
    file = disk.create("file")
    disk.sync_directory()
    file.append([b"a", b"b"])
    file.sync()
    file.append([b"lost"])
    disk.fail_next_sync = True
    with pytest.raises(OSError, match="Input/output"):
        file.sync()
    file.sync()
    assert disk.after_power_loss(seed).read("file", 0, 9) == b"ab"
    file.append([b"c"])
    file.sync()
    assert disk.read("file", 0, 9) == b"ablostc"
    assert disk.after_power_loss(seed).read("file", 0, 9) == b"ab\0\0\0\0c"
    disk.rewrite("file", 2)
    assert disk.after_power_loss(seed).read("file", 0, 9) == b"ablostc"


def test_a_journal_that_was_cleared_is_read_back_after_its_older_segments_are_gone():
    disk = SimulatedDisk()
    journal = Journal(disk, segment_bytes=1)
    for index in range(1, 5):
        journal.add(b"old", index, 1)
        journal.sync()
    journal.clear()
    journal.sync()
    for index in (90, 91, 92):
        journal.add(b"new", index, 7)
        journal.sync()
        again = Journal(disk, segment_bytes=1)
        assert (again.first_index, again.last_index) == (90, index)


def test_a_whole_frame_of_a_newer_release_is_not_cut_off_as_torn():
    disk, name, _ = journal_of(b"old")
    record = bytearray(records.encode_record(Record(Kind.ENTRY, 2, 1, b"new")))
    record[8] = 99  # a kind that this release does not know, under a checksum that holds
    record[4:8] = struct.pack("<I", zlib.crc32(bytes(record[8:])))
    data = whole(disk, name) + records.encode_frame(2, bytes(record))
    disk.put(name, data)
    with pytest.raises(JournalVersionError, match="newer release"):
        Journal(disk, on_doubt=lambda _: None)
    assert whole(disk, name) == data


@pytest.mark.parametrize("lost", [1, 50, 100])
def test_bytes_of_a_tenant_that_look_like_a_frame_do_not_stop_a_torn_tail_from_being_repaired(lost):
    disk, name, _ = journal_of(b"durable")
    journal = Journal(disk)
    forged = records.encode_frame(9, b"")
    assert len(forged) == FRAME_HEADER_BYTES
    journal.add(forged + bytes(100), 2, 1)
    frame = b"".join(journal.take().frame.parts)
    disk.put(name, whole(disk, name) + frame[:-lost])
    assert Journal(disk).last_index == 1


def test_frames_of_an_older_release_without_their_end_are_read():
    disk, name, _ = journal_of(b"durable")
    record = records.encode_record(Record(Kind.ENTRY, 2, 1, b"old"))
    disk.put(name, whole(disk, name) + records.encode_frame(2, record))
    assert Journal(disk).command(2) == b"old"
