"""G16 and G17: who may act as leader, and who may disturb one."""

from unit.engines.consensus.gaps.ours import Group

from payhub_engines.consensus.messages import AppendEntries, RequestVote, TimeoutNow
from payhub_engines.consensus.timers import ELECTION_MAX_MS, HEARTBEAT_MS, LEADER_FALLBACK_MS

LONG_MS = 20_000
STEP_MS = 50
STOCK_TIMES = {"raftMinTimeout": 0.4, "raftMaxTimeout": 1.4, "appendEntriesPeriod": 0.1}


def _pass_time(group, ms, deaf=""):
    for _ in range(ms // STEP_MS):
        group.clock.now_ms += STEP_MS
        group.settle(rounds=1, deaf=deaf)


# G16: a leader that was replaced goes on, and answers reads from an old state.


def test_g16_stock_has_two_leaders_for_half_a_minute_and_one_answers_old_reads(stock):
    group = stock("abc", **STOCK_TIMES | {"leaderFallbackTimeout": 30.0})
    group.elect("a")
    group.put("a", "old")
    group.settle(rounds=100)
    group.cut("a")
    _pass_time(group, 5_000)
    (new,) = [name for name in "bc" if group[name]._isLeader()]
    group.put(new, "new")
    _pass_time(group, LONG_MS)
    assert group["a"]._isLeader()
    assert group[new]._isLeader()
    assert (group["a"].applied, group[new].applied) == (["old"], ["old", "new"])


def test_g16_ours_gives_up_leading_and_its_barrier_never_passes():
    group = Group("abc")
    group.elect("a")
    group.put("a", b"old")
    group.heartbeats()
    group.cut("a")
    group.ask_barrier("a")
    group.elect("b", "bc")
    group.put("b", b"new")
    group.settle("bc")
    assert group.leaders == ["a", "b"]  # for a moment, hence the barrier
    group.tick("a")
    assert group.barriers_passed == 0
    group.tick("a", after_ms=LEADER_FALLBACK_MS)
    assert "a" not in group.leaders
    group.join("a")
    group.wait_for_election("abc")
    group.check_end()
    assert group.barriers_passed == 0


def test_g16_ours_answers_a_read_once_the_barrier_has_passed():
    group = Group("abc")
    group.elect("a")
    group.put("a", b"old")
    group.ask_barrier("a")
    assert group.barriers_passed == 0
    group.heartbeats()
    assert group.barriers_passed == 1
    assert group.values("a") == [b"old"]


# G17: a replica that hears nobody calls one election after the other, and unseats the leader each time.


def test_g17_stock_is_disturbed_by_one_that_is_deaf(stock):
    group = stock("abc", **STOCK_TIMES)
    group.elect("a")
    group.settle(rounds=100)
    term = group["a"]._getTerm()
    _pass_time(group, LONG_MS, deaf="c")
    assert {replica._getTerm() > term + 5 for replica in group.replicas.values()} == {True}


def test_g17_ours_keeps_its_leader_and_its_term():
    group = Group("abc")
    group.elect("a")
    group.heartbeats()
    term = group["a"].core.term
    for _ in range(LONG_MS // STEP_MS):
        group.settle(rounds=1, round_ms=STEP_MS, deaf="c")
        assert group.leaders == ["a"]
    assert {replica.core.term for replica in group.replicas.values()} == {term}
    group.check_end()


def test_g17_ours_keeps_them_when_one_link_is_cut():
    group = Group("abc")
    group.elect("a")
    group.heartbeats()
    group.cut("c", "a")
    term = group["a"].core.term
    for _ in range(LONG_MS // STEP_MS):
        group.settle(rounds=1, round_ms=STEP_MS)
        assert group.leaders == ["a"]
    assert {replica.core.term for replica in group.replicas.values()} == {term}
    group.join("c", "a")
    group.check_end()


# Found beside the gaps: pysyncobj ends a hand-over with the election that it asks for, and not otherwise.


def test_a_hand_over_that_another_election_overtook_does_not_outlive_its_term():
    group = Group("abc")
    group.elect("a")
    group.heartbeats()
    b = group["b"].core
    last = group["b"].journal
    b.receive("a", TimeoutNow(b.term))
    b.receive("c", RequestVote(b.term + 1, last.last_index, last.last_term))  # before the next tick
    term = b.term
    for _ in range(3 * ELECTION_MAX_MS // HEARTBEAT_MS):
        heartbeat = AppendEntries(term, b.commit_index, 1, last.last_index, last.last_term, [])
        b.receive("c", heartbeat)
        group.tick("b", after_ms=HEARTBEAT_MS)
        assert b.leader == "c"  # heard just now: there is nothing to elect, and no reason to forget it
