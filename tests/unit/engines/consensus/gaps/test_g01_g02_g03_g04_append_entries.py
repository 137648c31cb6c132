"""G1 to G4: what a follower believes of a leader's messages, and a leader of a follower's answers."""

from collections import deque

from simulation.virtual_time import run_virtual
from unit.engines.consensus.gaps import whole_logs
from unit.engines.consensus.gaps.ours import Group
from unit.engines.consensus.gaps.stock import acknowledged
from unit.engines.consensus.gaps.whole_logs import COUNT, overtaken_leader

from payhub_engines.consensus.errors import OutcomeUnknownError
from payhub_engines.consensus.messages import Appended, AppendEntries
from payhub_engines.consensus.overlay import Outcome
from payhub_engines.consensus.timers import HEARTBEAT_MS

LOST = [b"lost-0", b"lost-1", b"lost-2"]
OLD = [b"old-%d" % number for number in range(10)]


# G1: a snapshot's messages move the commit index over entries that nobody compared.


def test_g01_stock_acknowledges_what_its_snapshot_then_wipes(stock):
    group = stock("abc", logCompactionBatchSize=16)
    group.elect("a")
    group.put("a", "base")
    group.settle()
    group.cut("a")
    acks = group.put("a", *LOST)
    group.tick("a")
    group.tick("a")
    group.elect("b", "bc")
    group.put("b", *range(50))
    group.settle("bc")
    group["b"].forceLogCompaction()
    group.settle("bc")
    assert group["b"].entries[0][0] > group["a"].last_index
    assert acks == []
    group.join("a", "b")
    for _ in range(12):
        group.tick("b")
        group.deliver("b", "a", 1)
        group.tick("a")
        group.deliver("a", "b")
    assert acknowledged(acks) == LOST
    group.settle("ab", rounds=20)
    assert group["a"].state == group["b"].state
    assert [value for value in group["b"].applied if value in LOST] == []


def _isolated_leader_with_waiting_callers(*, is_trimmed: bool) -> tuple[Group, list[tuple[int, int]]]:
    group = Group("abc")
    group.elect("a")
    group.put("a", b"base")
    group.settle()
    group.cut("a")
    proposed = group.put("a", *LOST)
    group.elect("b", "bc")
    group.put("b", *(b"%d" % number for number in range(50)))
    group.settle("bc")
    if is_trimmed:
        for name in "bc":
            group[name].trim(group[name].core.applied_index - 5)
        group.settle("bc")
    group.join("a")
    return group, proposed


def test_g01_ours_tells_the_callers_that_their_entries_are_lost():
    group, proposed = _isolated_leader_with_waiting_callers(is_trimmed=False)
    a, b = group["a"], group["b"]
    common = a.core.commit_index
    # The new leader has committed much; this message compares no more than what both have anyway.
    probe = AppendEntries(b.core.term, b.core.commit_index, 1, common, a.journal.term_at(common), [])
    a.core.receive("b", probe)
    group.tick("a")
    assert a.core.commit_index == common
    assert group.outcomes("a", proposed) == [Outcome.PENDING] * 3
    group.heartbeats()
    assert group.outcomes("a", proposed) == [Outcome.LOST] * 3
    assert not set(LOST) & set(group.acknowledged())
    group.check_end()


def test_g01_ours_commits_nothing_where_the_leader_has_trimmed_what_could_be_compared():
    group, proposed = _isolated_leader_with_waiting_callers(is_trimmed=True)
    commit_index = group["a"].core.commit_index
    group.heartbeats()
    assert group["a"].core.commit_index == commit_index
    assert group.outcomes("a", proposed) == [Outcome.PENDING] * 3
    assert not set(LOST) & set(group.acknowledged())


def test_g01_ours_takes_over_a_state_and_acknowledges_nothing_by_it(tmp_path):
    old, told, state = run_virtual(overtaken_leader(tmp_path))
    assert old.machine.installed == 1
    assert [type(answer) for answer in told] == [OutcomeUnknownError] * 3
    assert len(state) == 1 + COUNT
    assert whole_logs.LOST not in [data for _, data in state]


# G2: a message that is older than what the follower holds truncates it.


def test_g02_stock_loses_acknowledged_entries_to_a_repeated_message(stock):
    group = stock("abc", appendEntriesBatchSizeBytes=40)
    group.elect("a")
    group.put("a", "base")
    group.settle()
    group.cut("c")
    acks = group.put("a", *range(6))
    group.tick("a")
    group.tick("a")
    group.cut("a", "b")  # a reset connection takes these entries with it
    group.join("a", "b")
    group.tick("a")
    group.tick("a")  # two heartbeats that B refuses: two calls to send again
    group.deliver("a", "b")
    group.deliver("b", "a", 1)
    group.tick("a")
    group.deliver("a", "b")
    group.deliver("b", "a", 1)  # the second refusal: the same entries once more
    group.tick("a")
    group.deliver("b", "a")
    group.tick("a")
    assert acknowledged(acks) == list(range(6))
    group.deliver("a", "b", 1)  # only the first of them arrives before A dies
    group.cut("a")
    group.join("b", "c")
    group.elect("b", "bc")
    group.settle("bc")
    survivors = group["b"].applied + group["c"].applied
    assert [value for value in range(6) if value not in survivors] != []


def test_g02_ours_keeps_what_it_acknowledged_when_messages_come_again():
    group = Group("abc")
    group.elect("a")
    group.put("a", b"base")
    group.settle()
    group.cut("c")
    group.put("a", *OLD[:5])
    repeated = deque(group.queue("a", "b"))
    group.put("a", *OLD[5:])
    group.deliver("a", "b")
    group.deliver("b", "a")
    assert set(OLD) <= set(group.acknowledged())
    last_index = group["b"].journal.last_index
    assert group["b"].core.commit_index < last_index  # it does not know yet
    group.queue("a", "b").clear()
    group.queue("a", "b").extend(repeated)
    group.deliver("a", "b")
    assert group["b"].journal.last_index == last_index
    group.cut("a")
    group.join("c", "b")
    group.elect("b", "bc")
    group.heartbeats("bc", rounds=20)
    assert set(OLD) <= set(group.values("c"))
    group.join("a")
    group.check_end()


# G3: an acknowledgement does not say in which term it was given.


def test_g03_stock_counts_an_acknowledgement_from_before_its_re_election(stock):
    group = stock("lfnpq")
    group.elect("l")
    group.put("l", "base")
    group.settle()
    group.put("l", *OLD)
    group.tick("l")
    group.tick("l")
    group.deliver("l", "f")
    stale = list(group.queue("f", "l"))  # F's answer is slow on its way
    for name in "npq":
        group.cut(name, "lf")
    group.elect("n", "npq")
    for name in "npq":
        group.join("l", name)
    group.queue("f", "l").clear()
    group.queue("f", "l").extend(stale)
    for _ in range(8):
        group.tick("n", "l")
        group.deliver("n", "l")
        group.deliver("l", "n")
    group["l"].set_private("raftElectionDeadline", 0)
    group.tick("l")
    for name in "npq":
        group.deliver("l", name)
        group.deliver(name, "l")
    assert group["l"]._isLeader()
    group.cut("l", "nq")
    acks = group.put("l", "new-0", "new-1", "new-2")
    group.tick("l")
    group.tick("l")
    group.queue("l", "f").clear()  # F gets nothing of this
    group.deliver("f", "l")
    for _ in range(6):
        group.tick("l")
        group.deliver("l", "p")
        group.deliver("p", "l")
    assert acknowledged(acks) == ["new-0", "new-1", "new-2"]
    holders = [name for name in "lfnpq" if group[name].last_index >= group["l"].last_index]
    new_index = group["l"].last_index
    with_all = [name for name in holders if dict(group[name].entries)[new_index] == group["l"]._getTerm()]
    assert with_all == ["l", "p"]  # two of five: the other three may elect one of theirs


def test_g03_ours_counts_acknowledgements_of_its_own_term_only():
    group = Group("lfnpq")
    group.elect("l")
    group.put("l", *OLD)
    group.deliver("l", "f")
    stale = deque(group.queue("f", "l"))
    assert any(isinstance(message, Appended) for message in group.in_flight("f", "l"))
    for name in "npq":
        group.cut(name, "lf")
    group.elect("n", "npq")
    for name in "npq":
        group.join("l", name)
    group.heartbeats("lnpq")
    group.cut("f")
    group.elect("l", "lnpq")
    group.cut("l", "nq")
    proposed = group.put("l", b"new")
    group.queue("f", "l").extend(stale)
    group.deliver("f", "l")
    group.settle("lp")
    assert group.outcomes("l", proposed) == [Outcome.PENDING]
    for name in "lfnpq":
        group.join(name)
    group.check_end()


# G4: a follower that diverged is answered one step at a time, and the next answer undoes the step.

DIVERGED_ROUNDS = 200


def test_g04_stock_never_mends_a_follower_that_diverged(stock):
    group = stock("abc", appendEntriesBatchSizeBytes=40)
    group.elect("a")
    group.put("a", "base")
    group.settle()
    group.cut("a")
    group.put("a", *OLD)
    group.tick("a")
    group.tick("a")
    group.elect("b", "bc")
    group.put("b", *range(60))
    group.settle("bc")
    group.elect("c", "bc")  # begins to ask A at the end of its own log
    group.join("a", "c")
    group.settle(rounds=DIVERGED_ROUNDS)
    assert group["a"]._getTerm() == group["c"]._getTerm()
    assert group["b"].applied == group["c"].applied
    assert group["a"].applied == ["base"]


def test_g04_ours_mends_it_in_one_round_trip():
    group = Group("abc", append_entries_max=2)
    group.elect("a")
    group.put("a", b"base")
    group.settle()
    group.cut("a")
    group.put("a", *OLD)
    group.elect("b", "bc")
    group.put("b", *(b"%d" % number for number in range(20)))
    group.settle("bc", rounds=20)
    group.elect("c", "bc")
    group.join("a", "c")
    group.tick("c", after_ms=HEARTBEAT_MS)
    group.deliver("c", "a")
    group.deliver("a", "c")
    message, *_ = [each for each in group.in_flight("c", "a") if isinstance(each, AppendEntries)]
    assert message.previous_index == group["a"].core.commit_index
    group.settle("ac", rounds=20)
    assert group.values("a") == group.values("c")
    group.join("a", "b")
    group.check_end()
