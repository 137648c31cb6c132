"""G8, G9, G10 and G15: what a replica still knows after the machine lost power."""

import mmap
import os
import struct

import pytest
from pysyncobj.journal import FIRST_RECORD_OFFSET, LAST_RECORD_OFFSET_OFFSET, FileJournal
from unit.engines.consensus.gaps.ours import Group
from unit.engines.consensus.gaps.stock import acknowledged

from payhub_engines.consensus.errors import JournalDamagedError
from payhub_engines.consensus.journal import Journal
from payhub_engines.consensus.messages import Appended, RequestVote, Vote
from payhub_engines.consensus.overlay import NO_OP, REGULAR
from payhub_engines.consensus.simulated_disk import SimulatedDisk

LEAK = "ignore::ResourceWarning"  # the stock journal leaves its meta file open
SEEDS = range(10)
VALUES = [b"1", b"2", b"3"]


@pytest.fixture
def syncs(monkeypatch):
    """Every way in which the stock journal could make something durable, as it is called."""
    seen: list[str] = []
    for name in ("fsync", "fdatasync", "sync"):
        monkeypatch.setattr(os, name, lambda *_, name=name: seen.append(name))

    class Map(mmap.mmap):
        def flush(self, *_):
            seen.append("msync")

    monkeypatch.setattr("pysyncobj.journal.mmap.mmap", Map)
    return seen


# G8: nothing is synced before it is acknowledged, or ever.


@pytest.mark.filterwarnings(LEAK)
def test_g08_stock_acknowledges_what_no_disk_holds(stock, tmp_path, syncs):
    group = stock("abc")
    for name in "abc":
        group.cut(name)
        group.start(name, journalFile=str(tmp_path / name))
    for name in "abc":
        group.join(name)
    group.elect("a")
    acks = group.put("a", *VALUES)
    group.settle()
    assert acknowledged(acks) == VALUES
    assert syncs == []


@pytest.mark.parametrize("seed", SEEDS)
def test_g08_ours_has_it_on_a_majority_of_disks_whatever_the_power_takes(seed):
    group = Group("abc")
    group.elect("a")
    group.settle()
    group.cut("c")
    group.put("a", *VALUES)
    group.settle("ab")
    assert group.acknowledged() == VALUES
    for name in "ab":
        journal = Journal(group[name].disk.after_power_loss(seed))
        commands = [command for command, _, _ in journal[:]]
        assert [REGULAR + value for value in VALUES] == commands[-3:]


@pytest.mark.parametrize("seed", SEEDS)
def test_g08_ours_acknowledges_to_its_leader_after_the_sync(seed):
    group = Group("abc")
    group.elect("a")
    group.settle()
    group.put("a", *VALUES)
    group["b"].inbox.extend(("a", data) for data in group.queue("a", "b"))
    group["b"].step([])
    (answer,) = group.in_flight("b", "a")
    assert isinstance(answer, Appended)
    assert answer.next_index == group["a"].journal.last_index + 1
    assert Journal(group["b"].disk.after_power_loss(seed)).last_index == answer.next_index - 1


# G9: the file has no checksums, and its header may reach the disk before the records do.


@pytest.mark.filterwarnings(LEAK)
def test_g09_stock_takes_damaged_bytes_for_a_command(tmp_path):
    path = tmp_path / "journal"
    journal = FileJournal(str(path))
    for index in range(1, 6):
        journal.add(b"\x00pay 100", index, 1)
    journal._destroy()
    path.write_bytes(path.read_bytes().replace(b"pay 100", b"pay 900", 1))
    again = FileJournal(str(path))
    assert [command for command, _, _ in again[:2]] == [b"\x00pay 900", b"\x00pay 100"]
    again._destroy()


@pytest.mark.filterwarnings(LEAK)
def test_g09_stock_cannot_read_a_header_that_came_before_its_records(tmp_path):
    path = tmp_path / "journal"
    journal = FileJournal(str(path))
    journal.add(b"\x00pay 100", 1, 1)
    end = struct.unpack_from("<I", path.read_bytes(), LAST_RECORD_OFFSET_OFFSET)[0]
    assert end > FIRST_RECORD_OFFSET
    journal._destroy()
    content = bytearray(path.read_bytes())
    content[FIRST_RECORD_OFFSET:end] = bytes(end - FIRST_RECORD_OFFSET)
    path.write_bytes(content)
    with pytest.raises(struct.error):
        FileJournal(str(path))


def test_g09_ours_refuses_damage_and_names_file_and_byte():
    disk = SimulatedDisk()
    journal = Journal(disk)
    for index in range(1, 6):
        journal.add(b"\x00pay 100", index, 1)
        journal.sync()
    [name] = disk.names()
    content = disk.read(name, 0, disk.size(name))
    disk.put(name, content.replace(b"pay 100", b"pay 900", 1))
    with pytest.raises(JournalDamagedError, match="restore") as refused:
        Journal(disk)
    assert (refused.value.name, refused.value.offset) == (name, 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_g09_ours_repairs_what_was_being_written(seed):
    disk = SimulatedDisk()
    journal = Journal(disk)
    for index in range(1, 6):
        journal.add(b"\x00pay 100", index, 1)
        journal.sync()
    journal.add(b"\x00pay 200", 6, 1)
    journal._active.append(journal.take().frame.parts)  # written, not synced
    again = Journal(disk.after_power_loss(seed))
    assert again.last_index in (5, 6)
    assert again.durable_index == again.last_index


# G10: term and vote are renamed into place without a sync, and an unreadable file means "none".


@pytest.mark.filterwarnings(LEAK)
def test_g10_stock_votes_twice_in_a_term_after_its_vote_was_torn(stock, tmp_path, syncs):
    path = tmp_path / "journal"
    group = stock("abc")
    group.cut("a")
    group.start("a", journalFile=str(path))
    group.join("a")
    ask = {"type": "request_vote", "term": 5, "last_log_index": 9, "last_log_term": 4}
    group["a"].wire.take("b:1", ask)
    assert group.queue("a", "b")[-1] == {"type": "response_vote", "term": 5}
    assert syncs == []
    (tmp_path / "journal.meta").write_bytes(b"")  # as a file is that was renamed before it was written
    group.restart("a", journalFile=str(path))
    group["a"].wire.take("c:1", ask)
    assert group.queue("a", "c")[-1] == {"type": "response_vote", "term": 5}


@pytest.mark.parametrize("seed", SEEDS)
def test_g10_ours_votes_once_whatever_the_power_takes(seed):
    group = Group("abc")
    group.elect("b")
    group.heartbeats()
    voter = group["a"]
    group.queue("a", "b").clear()
    voter.core.receive("b", RequestVote(5, 9, 4))
    group.tick("a")
    assert group.in_flight("a", "b") == [Vote(5)]
    voter.disk = voter.disk.after_power_loss(seed)
    voter.crash()
    voter.start()
    assert voter.core.term == 5
    voter.core.receive("c", RequestVote(5, 9, 4))
    group.tick("a")
    assert group.in_flight("a", "c") == []


# G15: a commit index beyond the end of the log survives, and lets a leader commit alone.


@pytest.mark.filterwarnings(LEAK)
def test_g15_stock_commits_alone_after_its_log_lost_its_tail(stock, tmp_path):
    path = tmp_path / "journal"
    group = stock("abc")
    journal = FileJournal(str(path))
    journal.add(NO_OP, 1, 0)
    journal.setRaftCommitIndex(50)  # was saved; entries 2 to 50 were not
    journal.onOneSecondTimer()
    journal._destroy()
    group.cut("a")
    group.start("a", journalFile=str(path))
    group.join("a")
    group.elect("a")
    group.cut("a")
    acks = group.put("a", *VALUES)
    group.tick("a")
    group.tick("a")
    assert acknowledged(acks) == VALUES
    assert group["b"].applied == group["c"].applied == []


def test_g15_ours_commits_with_a_majority_only_whatever_commit_index_it_finds():
    group = Group("abc")
    group["a"].journal.setRaftCommitIndex(50)
    group["a"].journal.close()  # which writes it
    group["a"].crash()
    group["a"].start()
    assert group["a"].core.commit_index == 1
    group.join("a")
    group.elect("a")
    group.cut("a")
    group.put("a", *VALUES)
    group.tick("a")
    assert group.acknowledged() == []
    group.join("a")
    group.check_end()
    assert group.acknowledged() == VALUES
