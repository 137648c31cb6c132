"""G7 and G21: who is told what became of a command."""

import pytest
from pysyncobj import FAIL_REASON
from simulation.virtual_time import run_virtual
from unit.engines.consensus.gaps.ours import Group
from unit.engines.consensus.gaps.whole_logs import overtaken_leader

from payhub_engines.consensus.errors import EntriesTrimmedError, NotLeaderError, OutcomeUnknownError
from payhub_engines.consensus.overlay import Outcome

# G7: forwarded commands are numbered from 0 after each start.


def test_g07_stock_acknowledges_another_command_after_a_restart(stock):
    group = stock("abc")
    group.elect("a")
    group.put("b", "first")
    group.tick("b")
    group.deliver("b", "a")  # the leader has the command, and has not looked at it
    group.restart("b")
    group.settle("b", rounds=1)
    group["b"].set_private("raftLeader", group["b"].wire.nodes["a:1"])
    acks = group.put("b", "second")
    group.tick("b")
    group.queue("b", "a").clear()  # the second command never arrives
    group.settle(rounds=12)
    assert acks == [("first", FAIL_REASON.SUCCESS)]
    assert "second" not in group["a"].applied


def test_g07_ours_takes_commands_at_the_leader_only_and_forwards_nothing():
    group = Group("abc")
    group.elect("a")
    sent = len(group.queue("b", "a"))
    with pytest.raises(NotLeaderError):
        group["b"].core.propose(b"first")
    group.tick("b")
    assert len(group.queue("b", "a")) == sent
    assert group["b"].core._SyncObj__commandsLocalCounter != group["c"].core._SyncObj__commandsLocalCounter


# G21: a caller whose entry a snapshot skips is never answered.


def test_g21_stock_never_answers_a_caller_whose_entry_a_snapshot_skipped(stock):
    group = stock("abc")
    group.elect("a")
    acks = group.put("b", "mine")
    group.tick("b")
    group.deliver("b", "a")
    group.tick("a")
    responses = [m for m in group.queue("a", "b") if m["type"] == "apply_command_response"]
    group["b"].wire.take("a:1", responses[0])  # B knows the index and waits for it
    group.cut("b")
    group.put("a", *range(50))
    group.settle("ac")
    group["a"].forceLogCompaction()
    group.settle("ac")
    group.join("b")
    group.settle(rounds=40)
    assert "mine" in group["b"].state
    assert group["b"].last_index == group["a"].last_index
    assert acks == []


def test_g21_ours_answers_each_caller_committed_lost_or_gone():
    group = Group("abc")
    group.elect("a")
    first = group.put("a", b"first")
    group.settle()
    group.cut("a")
    second = group.put("a", b"second")
    assert group.outcomes("a", first + second) == [Outcome.COMMITTED, Outcome.PENDING]
    group.elect("b", "bc")
    group.put("b", *(b"%d" % number for number in range(5)))
    group.settle("bc")
    group.join("a")
    group.heartbeats()
    assert group.outcomes("a", first + second) == [Outcome.COMMITTED, Outcome.LOST]
    group["a"].trim(group["a"].core.applied_index)
    with pytest.raises(EntriesTrimmedError):
        group.outcomes("a", first)
    group.check_end()


def test_g21_ours_answers_callers_before_another_state_skips_their_entries(tmp_path):
    old, told, _ = run_virtual(overtaken_leader(tmp_path))
    assert old.machine.installed == 1
    assert [type(answer) for answer in told] == [OutcomeUnknownError] * 3
    assert old.roles == [True, False]
