"""G12, G13 and G14: each committed entry is applied once, or the replica stops and says why."""

import pickle

import pytest
from unit.engines.consensus.gaps.ours import Group
from unit.engines.consensus.gaps.stock import StockReplica, acknowledged

from payhub_engines.consensus.errors import ApplyFailedError, UnexpectedMessageError
from payhub_engines.consensus.overlay import RaftCore

TICKS = 10
VERSION = 3  # a command type of pysyncobj
MEMBERSHIP = 2
LEAK = "ignore::ResourceWarning"  # the stock journal leaves its meta file open


# G12: an entry that cannot be applied is tried for ever, and nothing else happens meanwhile.


def test_g12_stock_tries_a_poison_entry_for_ever_and_forgets_its_caller(stock):
    group = stock("a")
    group.elect("a")
    acks = []
    group["a"].fail(callback=lambda result, reason: acks.append((result, reason)))
    acks += group.put("a", "after")
    group.tick("a")
    for _ in range(TICKS):
        with pytest.raises(ValueError, match="poison"):
            group.tick("a")
    assert group["a"].applied == ["tried"] * TICKS
    assert acks == []


def test_g12_stock_falls_silent_as_leader(stock):
    group = stock("ab")
    group.elect("a")
    group.settle()
    group["a"].fail()
    group.tick("a")
    group.tick("a")
    group.deliver("a", "b")
    group.deliver("b", "a")
    with pytest.raises(ValueError, match="poison"):
        group.tick("a")
    group.queue("a", "b").clear()
    for _ in range(TICKS):
        with pytest.raises(ValueError, match="poison"):
            group.tick("a")
    assert list(group.queue("a", "b")) == []  # it leads, and sends no heartbeat


def _refuse_poison(_index: int, data: bytes) -> None:
    if data == b"poison":
        raise ValueError(data)


def test_g12_ours_stops_at_once_and_names_the_entry():
    group = Group("ab")
    group.elect("a")
    group.settle()
    group["b"].core._on_entry = _refuse_poison
    ((index, _),) = group.put("a", b"poison")
    with pytest.raises(ApplyFailedError) as failure:
        group.heartbeats()
    assert failure.value.index == index
    assert group["b"].core.applied_index == index - 1


# G13: a command of an unknown code version is skipped without being counted.


def test_g13_stock_applies_the_next_entry_twice(stock):
    group = stock("a")
    group.elect("a")
    group["a"]._applyCommand(pickle.dumps(99), None, VERSION)
    acks = group.put("a", "once")
    for _ in range(4):
        group.tick("a")
    assert acknowledged(acks) == ["once"]
    assert group["a"].applied == ["once", "once"]


@pytest.mark.parametrize("command_type", [VERSION, MEMBERSHIP, 200])
def test_g13_ours_knows_neither_versions_nor_membership(command_type):
    group = Group("a")
    group.elect("a")
    core, journal = group["a"].core, group["a"].journal
    journal.add(bytes([command_type]) + pickle.dumps(99), journal.last_index + 1, core.term)
    with pytest.raises(UnexpectedMessageError, match=f"type {command_type}"):
        group.settle()


def test_g13_ours_has_no_code_version_to_switch_to():
    assert not [name for name in dir(RaftCore) if getattr(getattr(RaftCore, name), "replicated", False)]
    with pytest.raises(Exception, match="current version is 0"):
        Group("a")["a"].core.setCodeVersion(1)


# G14: after a start everything is applied from the first entry on.


@pytest.mark.filterwarnings(LEAK)
def test_g14_stock_applies_again_what_a_durable_state_holds(stock, tmp_path):
    durable: list[str] = []

    class Durable(StockReplica):
        @property
        def applied(self):
            return durable

        @applied.setter
        def applied(self, _):
            """Stay with what is on disk."""

    group = stock("a", Durable, journalFile=str(tmp_path / "journal"))
    group.elect("a")
    group.put("a", "once")
    group.settle()
    assert durable == ["once"]
    group.restart("a")
    group.elect("a")
    assert durable == ["once", "once"]


@pytest.mark.parametrize("flushed", range(5))
def test_g14_ours_goes_on_after_what_the_state_holds(flushed):
    group = Group("abc")
    group.elect("a")
    group.settle()
    indices = [index for index, _ in group.put("a", *(b"%d" % number for number in range(5)))]
    group.settle()
    a = group["a"]
    a.flushed_index = indices[flushed]
    a.crash()
    a.start()
    assert [index for index, _ in a.state][-1] == indices[flushed]
    group.join("a")
    group.wait_for_election("abc")
    group.check_end()  # the simulated state refuses to apply an entry twice
