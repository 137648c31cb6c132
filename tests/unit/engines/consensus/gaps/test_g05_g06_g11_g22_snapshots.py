"""G5, G6, G11 and G22: compaction and snapshots, which payhub does without pysyncobj."""

import asyncio
import os

import pytest
from pysyncobj.journal import FileJournal
from pysyncobj.node import Node
from simulation.virtual_time import run_virtual
from unit.engines.consensus.gaps.ours import Group
from unit.engines.consensus.gaps.stock import acknowledged
from unit.engines.consensus.gaps.whole_logs import COUNT, follower_behind
from unit.engines.consensus.raft_kit import Applied
from unit.engines.consensus.raft_kit import Group as WholeGroup

from payhub_engines.consensus.errors import UnexpectedMessageError
from payhub_engines.consensus.journal import Journal
from payhub_engines.consensus.messages import Appended, Chunk, decode, encode
from payhub_engines.consensus.simulated_disk import PowerLossError, SimulatedDisk

ENTRIES = 100
TRIM_BELOW = 51
LEAK = "ignore::ResourceWarning"  # the stock journal leaves its meta file open


class KilledError(Exception):
    """The process died here."""


# G5: compaction rewrites the journal in place.


def test_g05_stock_killed_while_it_compacts_has_lost_most_entries(tmp_path, monkeypatch):
    journal = FileJournal(str(tmp_path / "journal"))
    for index in range(1, ENTRIES + 1):
        journal.add(b"\x00command", index, 1)
    add, added = FileJournal.add, []

    def killed_at_the_tenth(self, *entry):
        if len(added) == 9:
            raise KilledError
        added.append(entry)
        add(self, *entry)

    monkeypatch.setattr(FileJournal, "add", killed_at_the_tenth)
    with pytest.raises(KilledError):
        journal.deleteEntriesTo(TRIM_BELOW - 1)
    journal._destroy()
    again = FileJournal(str(tmp_path / "journal"))
    assert [index for _, index, _ in again[:]] == list(range(TRIM_BELOW, TRIM_BELOW + 9))
    again._destroy()


def test_g05_ours_killed_at_any_step_of_a_trim_keeps_every_entry_above_it():
    def full() -> tuple[SimulatedDisk, Journal]:
        disk = SimulatedDisk()
        journal = Journal(disk, segment_bytes=500)
        for index in range(1, ENTRIES + 1):
            journal.add(b"\x00command", index, 1)
            journal.sync()
        return disk, journal

    disk, journal = full()
    begin = disk.steps
    journal.trim(TRIM_BELOW)
    journal.sync()
    for step in range(disk.steps - begin):
        killed, journal = full()
        killed.power_loss_after = killed.steps + step
        journal.trim(TRIM_BELOW)
        with pytest.raises(PowerLossError):
            journal.sync()
        killed.power_loss_after = None
        again = Journal(killed, segment_bytes=500)  # killed, not unplugged: what was written is there
        assert again.last_index == ENTRIES
        assert again.first_index in (1, TRIM_BELOW)


# G6: between a snapshot and the trim of the log, a restart clears the log.


def _file_options(tmp_path, name):
    return {
        "journalFile": str(tmp_path / f"{name}.journal"),
        "fullDumpFile": str(tmp_path / f"{name}.dump"),
        "useFork": False,
    }


@pytest.mark.filterwarnings(LEAK)
def test_g06_stock_killed_between_snapshot_and_trim_forgets_what_it_acknowledged(stock, tmp_path):
    group = stock("ab")
    group.cut("a")
    options = _file_options(tmp_path, "b")
    group.start("b", **options)
    group.join("a")
    group.elect("a")
    group.put("a", *range(10))
    group.settle()
    group["b"].forceLogCompaction()
    acks = group.put("a", *range(100, 110))
    group.tick("a")
    group.tick("a")
    group.deliver("a", "b")
    group["b"].private("tryLogCompaction")()  # the snapshot is there; the trim comes with the next tick
    group.deliver("b", "a")
    group.tick("a")
    assert acknowledged(acks) == list(range(100, 110))
    held = group["b"].last_index
    group.cut("a")
    group.restart("b", **options)
    group.tick("b")
    assert group["b"].last_index <= held - 10


def test_g06_ours_goes_on_where_state_and_journal_were_whatever_was_trimmed():
    group = Group("ab")
    group.elect("a")
    group.put("a", *(b"%d" % number for number in range(10)))
    group.heartbeats()
    b = group["b"]
    b.flushed_index = b.core.applied_index  # what a checkpoint holds
    group.put("a", *(b"%d" % number for number in range(100, 110)))
    group.deliver("a", "b")
    held = b.journal.last_index
    b.trim(b.flushed_index)
    b.crash()  # before the trim was synced, and before it knew that these are committed
    b.start()
    assert b.journal.last_index == held
    group.join("b")
    group.check_end()


@pytest.mark.parametrize("step", ["machine", "journal"])
def test_g06_ours_killed_between_state_and_journal_takes_over_both_or_neither(tmp_path, monkeypatch, step):
    owner, name = {"machine": (Applied, "install"), "journal": (Journal, "restart")}[step]

    def killed(*_):
        raise KilledError

    async def run() -> None:
        async with WholeGroup(tmp_path) as group:
            away = await follower_behind(group)
            await away.start()
            with monkeypatch.context() as patch:
                patch.setattr(owner, name, killed)
                with pytest.raises(KilledError):
                    await away.log.wait_stopped()
            assert away.machine.installed == (step == "journal")
            await away.start()
            assert len(await group.equal()) == COUNT
            assert away.machine.installed == 1
            assert away.machine.applied_index <= away.journal.last_index

    run_virtual(run())


# G11: a snapshot that cannot be read is logged, and acknowledged.


def test_g11_stock_acknowledges_a_snapshot_that_it_could_not_load(stock):
    group = stock("ab")
    follower = group["b"]
    torn = {"type": "append_entries", "term": 1, "commit_index": 50}
    follower.wire.take("a:1", torn | {"serialized": (b"half a snapshot", True, False)})
    follower.wire.take("a:1", torn | {"serialized": (b"", False, True)})
    answer = group.queue("b", "a")[-1]
    assert (answer["type"], answer["success"]) == ("next_node_idx", True)
    assert follower.applied == []


@pytest.mark.filterwarnings(LEAK)
def test_g11_stock_starts_empty_when_its_snapshot_is_torn(stock, tmp_path):
    options = _file_options(tmp_path, "a")
    group = stock("a", **options)
    group.elect("a")
    group.put("a", *range(10))
    group.settle()
    group["a"].forceLogCompaction()
    group.settle()
    assert len(group["a"].entries) < 5
    dump = tmp_path / "a.dump"
    dump.write_bytes(dump.read_bytes()[:20])  # renamed before it was synced
    again = group.restart("a", **options)
    group.elect("a")
    assert again.state == []  # and it leads


def test_g11_ours_neither_sends_nor_loads_a_snapshot_of_pysyncobj():
    group = Group("ab")
    message = {"type": "append_entries", "term": 1, "commit_index": 50, "serialized": (b"", True, True)}
    with pytest.raises(UnexpectedMessageError):
        group["a"].core.post("b", message)
    with pytest.raises(UnexpectedMessageError):
        group["b"].core._SyncObj__loadDumpFile(clearJournal=True)
    with pytest.raises(UnexpectedMessageError):
        group["b"].core._SyncObj__onMessageReceived(Node("a"), message)


def test_g11_ours_neither_installs_nor_acknowledges_a_torn_state(tmp_path):
    async def run() -> None:
        async with WholeGroup(tmp_path) as group:
            away = await follower_behind(group)
            before = away.machine.applied_index
            deliver = group.hub.deliver

            def tearing(sender, receiver, data):
                message = decode(data)
                if isinstance(message, Chunk):
                    torn = message.data[:-1] + b"?"
                    message = Chunk(message.snapshot, message.file, message.offset, torn)
                deliver(sender, receiver, encode(message))

            group.hub.deliver = tearing
            group.hub.sent.clear()
            await away.start()
            await asyncio.sleep(5)
            assert (away.machine.installed, away.machine.applied_index) == (0, before)
            said = [message for name, _, message in group.hub.sent if name == away.name]
            assert not any(isinstance(each, Appended) and each.is_success for each in said)
            await away.stop()
            await away.start()  # nor does it start from what it has of it
            assert (away.machine.installed, away.machine.applied_index) == (0, before)
            group.hub.deliver = deliver
            assert len(await group.equal()) == COUNT

    run_virtual(run())


# G22: a snapshot is written by a forked copy of a process that has threads.


@pytest.fixture
def forks(monkeypatch):
    made = []

    def fork():
        made.append(1)
        return 4_000_000  # a parent's answer: the id of a child, of which there is none

    monkeypatch.setattr(os, "fork", fork)
    return made


def test_g22_stock_forks(stock, tmp_path, forks):
    group = stock("a", fullDumpFile=str(tmp_path / "dump"))
    group.elect("a")
    group.put("a", 1, 2, 3)
    group.settle()
    group["a"].forceLogCompaction()
    group.tick("a")
    assert forks == [1]


def test_g22_ours_never_forks_or_compacts_by_itself(forks):
    group = Group("abc")
    group.elect("a")
    for replica in group.replicas.values():
        replica.core.forceLogCompaction()
    group.put("a", b"1", b"2", b"3")
    first = group["a"].journal.first_index
    group.heartbeats()
    assert forks == []
    assert group["a"].journal.first_index == first
