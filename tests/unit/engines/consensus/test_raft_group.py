"""The gaps of pysyncobj 0.3.17 that need several replicas, each by its number in the audit."""

import logging
import random

import msgspec
import pytest
from pysyncobj import SyncObj, SyncObjConf
from pysyncobj.node import Node

from payhub_engines.consensus.errors import (
    EntriesTrimmedError,
    HistoryConflictError,
    NotLeaderError,
    TwoLeadersError,
    UnexpectedMessageError,
)
from payhub_engines.consensus.journal import Journal
from payhub_engines.consensus.messages import (
    Appended,
    AppendEntries,
    PreVote,
    PreVoteAnswer,
    RequestVote,
    TimeoutNow,
    Vote,
)
from payhub_engines.consensus.overlay import NO_OP, REGULAR, Outcome, RaftCore
from payhub_engines.consensus.simulated_disk import SimulatedDisk
from payhub_engines.consensus.timers import ELECTION_MAX_MS, ELECTION_MIN_MS, HEARTBEAT_MS, LEADER_FALLBACK_MS


class Machine:
    """A replica of a group, with the test for a network and a clock; implements ``Transport``."""

    def __init__(self, size: int = 3, disk: SimulatedDisk | None = None, doubts: int = 0) -> None:
        self.disk = SimulatedDisk() if disk is None else disk
        self.journal = Journal(self.disk)
        self.now_ms = 0
        self.applied: list[tuple[int, bytes]] = []
        self.sent: list[tuple[str, object]] = []
        self.peers = ["b", "c", "d", "e"][: size - 1]
        self.core = RaftCore(
            self.journal,
            "a",
            0,
            lambda index, data: self.applied.append((index, data)),
            peers=self.peers,
            transport=self,
            clock=lambda: self.now_ms,
            chooser=random.Random(1),
            can_vote=not doubts,
            doubts=doubts,
        )
        for peer in self.peers:
            self.core.connected(peer)

    def send(self, replica: str, message: object) -> None:
        self.sent.append((replica, message))

    def tick(self, after_ms: int = 0) -> list[tuple[str, object]]:
        """Tick once after some time; return what left."""
        self.now_ms += after_ms
        self.core.doTick()
        sent, self.sent = self.sent, []
        return sent

    def ask(self, peer: str, message: object) -> object:
        """Return the answer to a message."""
        self.core.receive(peer, message)
        (answer,) = [message for receiver, message in self.tick() if receiver == peer]
        return answer

    def lead(self) -> "Machine":
        """Win an election with everybody's vote and commit the first entry."""
        self.core.call_election()
        self.tick()
        for peer in self.peers:
            self.core.receive(peer, Vote(self.core.term))
        assert self.core.is_leader
        for peer in self.peers:
            self.core.receive(peer, accepted(self.core.term, self.journal.last_index + 1))
        self.tick()
        assert self.core.commit_index == self.journal.last_index
        return self


def accepted(term, next_index):
    return Appended(term, is_success=True, next_index=next_index)


def refused(term, next_index, rejected=0):
    return Appended(term, is_success=False, next_index=next_index, rejected=rejected)


def granted(asked_term, term):
    return PreVoteAnswer(asked_term, term, is_granted=True)


def denied(asked_term, term):
    return PreVoteAnswer(asked_term, term, is_granted=False)


def append(term, previous, *terms, commit=1, first=1, previous_term=None):
    """Entries that follow the one at ``previous``; by default that has the leader's term."""
    before = (0 if previous == 1 else term) if previous_term is None else previous_term
    entries = [
        (each, REGULAR + b"%d of %d" % (each, index)) for index, each in enumerate(terms, previous + 1)
    ]
    return AppendEntries(term, commit, first, previous, before, entries)


class Stock(SyncObj):
    """pysyncobj as it is, without its network: what it sends is kept."""

    def __init__(self) -> None:
        self.sent = []
        conf = SyncObjConf(autoTick=False, dynamicMembershipChange=False)
        super().__init__(
            Node("a"), [Node(peer) for peer in "bcde"], conf=conf, transport=StockTransport(self)
        )


class StockTransport:
    ready = True

    def __init__(self, stock):
        self.stock = stock

    def __getattr__(self, name):
        return lambda *_: None  # callbacks that nobody will call

    def send(self, _node, message):
        self.stock.sent.append(message)
        return True


def stock_append(term, commit, previous, previous_term, *entries):
    return {
        "type": "append_entries",
        "term": term,
        "commit_index": commit,
        "prevLogIdx": previous,
        "prevLogTerm": previous_term,
        "entries": list(entries),
    }


def test_g1_only_what_a_message_verified_is_committed():
    machine = Machine()
    machine.ask("b", append(1, 1, 1, 1, 1))
    answer = machine.ask("c", append(2, 2, commit=4, previous_term=1))
    assert answer == accepted(2, 3)
    assert machine.core.commit_index == 2


def test_g2_an_old_message_truncates_nothing():
    machine = Machine()
    assert machine.ask("b", append(1, 1, 1, 1, 1)) == accepted(1, 5)
    assert machine.ask("b", append(1, 1, 1)) == accepted(1, 3)
    assert machine.ask("b", append(1, 1)) == accepted(1, 2)
    assert machine.journal.last_index == 4


def test_g2_the_stock_package_forgets_what_it_acknowledged():
    stock = Stock()
    entries = [(NO_OP, index, 1) for index in (2, 3, 4)]
    stock._SyncObj__onMessageReceived(Node("b"), stock_append(1, 1, 1, 0, *entries))
    assert stock.sent[-1]["next_node_idx"] == 5
    stock._SyncObj__onMessageReceived(Node("b"), stock_append(1, 1, 1, 0))
    assert stock._getRaftLogSize() == 1


def test_g2_a_conflict_truncates_and_a_committed_one_stops_the_replica():
    machine = Machine()
    machine.ask("b", append(1, 1, 1, 1, 1, commit=2))
    assert machine.ask("c", append(2, 2, 2, previous_term=1)) == accepted(2, 4)
    assert (machine.journal.last_index, machine.journal.last_term) == (3, 2)
    machine.tick()
    with pytest.raises(HistoryConflictError):
        machine.core.receive("c", append(3, 1, 3))
    with pytest.raises(HistoryConflictError):
        machine.core.receive("c", append(4, 2, previous_term=3))


def test_g3_an_acknowledgement_counts_only_in_its_term():
    machine = Machine(5).lead()
    index, term = machine.core.propose(b"a"), machine.core.term
    machine.core.receive("b", accepted(term - 1, index + 1))
    machine.core.receive("c", accepted(term - 1, index + 1))
    machine.tick()
    assert machine.core.outcome(index, term) is Outcome.PENDING
    machine.core.receive("b", accepted(term, index + 1))
    machine.core.receive("b", accepted(term, index + 1))
    machine.tick()
    assert machine.core.outcome(index, term) is Outcome.PENDING
    machine.core.receive("c", accepted(term, index + 1))
    machine.tick()
    assert machine.core.outcome(index, term) is Outcome.COMMITTED
    assert machine.applied == [(index, b"a")]


def test_an_entry_of_an_earlier_term_is_not_committed_by_counting():
    # Figure 8 of the Raft paper: a majority holds it, and still another leader may replace it.
    machine = Machine()
    machine.ask("b", append(1, 1, 1, 1))
    machine.core.call_election()
    machine.tick()
    machine.core.receive("c", Vote(2))
    assert (machine.core.is_leader, machine.journal.last_index) == (True, 4)
    machine.core.receive("c", accepted(2, 4))
    machine.tick()
    assert machine.core.commit_index == 1
    machine.core.receive("c", accepted(2, 5))
    machine.tick()
    assert machine.core.commit_index == 4


def test_g3_a_higher_term_in_an_answer_ends_leadership():
    machine = Machine().lead()
    machine.core.receive("b", refused(9, 5))
    assert (machine.core.is_leader, machine.core.term, machine.core.leader) == (False, 9, None)


def test_an_acknowledgement_of_what_there_is_not_stops_the_leader():
    machine = Machine().lead()
    with pytest.raises(UnexpectedMessageError):
        machine.core.receive("b", accepted(machine.core.term, machine.journal.last_index + 2))


def test_a_refusal_of_an_old_message_by_a_longer_log_is_no_acknowledgement():
    machine = Machine().lead()
    last, term = machine.journal.last_index, machine.core.term
    machine.core.receive("b", refused(term, last + 50))
    index = machine.core.propose(b"a")
    assert ("b", index) in [(peer, message.previous_index + 1) for peer, message in machine.tick()]
    with pytest.raises(UnexpectedMessageError):
        machine.core.receive("b", accepted(term, last + 50))


def test_g4_a_diverged_log_is_found_in_one_round_trip():
    machine = Machine()
    machine.ask("b", append(1, 1, *[1] * 50, commit=3))
    assert machine.ask("c", append(2, 80, 2)) == refused(2, 4, 80)
    assert machine.ask("c", append(2, 40, 2, previous_term=2)) == refused(2, 4, 40)
    assert machine.ask("c", append(2, 3, 2, previous_term=1)) == accepted(2, 5)


def test_g4_a_late_refusal_does_not_undo_an_acknowledgement():
    machine = Machine().lead()
    last = machine.journal.last_index
    machine.core.receive("b", refused(machine.core.term, 2))
    index = machine.core.propose(b"a")
    sent = [message for peer, message in machine.tick() if peer == "b"]
    assert [(message.previous_index, len(message.entries)) for message in sent] == [(last, 1)]
    assert index == last + 1


@pytest.mark.parametrize("seed", range(20))
def test_g8_an_acknowledgement_leaves_after_its_sync(seed):
    machine = Machine()
    machine.ask("b", append(1, 1))
    machine.core.receive("b", append(1, 1, 1, 1))
    machine.core.receive("b", append(1, 3, 1, 1))
    syncs = machine.journal.sync_count
    assert not machine.sent
    assert len(machine.tick()) == 2
    assert machine.journal.sync_count == syncs + 1
    assert Journal(machine.disk.after_power_loss(seed)).last_index == 5


@pytest.mark.parametrize("seed", range(20))
def test_g10_a_vote_is_durable_before_it_leaves(seed):
    machine = Machine()
    assert machine.ask("b", RequestVote(5, 1, 0)) == Vote(5)
    again = Machine(disk=machine.disk.after_power_loss(seed))
    again.core.receive("c", RequestVote(5, 9, 4))
    assert again.tick() == []
    assert again.ask("c", RequestVote(6, 9, 4)) == Vote(6)


@pytest.mark.parametrize("seed", range(20))
def test_what_was_read_back_after_a_kill_survives_a_power_loss(seed):
    # The process is killed between a write and its sync: the next one reads what is not durable yet.
    machine = Machine()
    machine.ask("b", append(1, 1, 1))
    machine.core.receive("b", append(1, 2, 1, 1))
    batch = machine.journal.take()
    machine.journal._active.append(batch.frame.parts)
    again = Machine(disk=machine.disk)
    assert again.ask("b", append(1, 4)) == accepted(1, 5)
    assert Journal(machine.disk.after_power_loss(seed)).last_index == 4


def test_a_repeated_vote_counts_once():
    machine = Machine(5)
    machine.core.call_election()
    machine.tick()
    for _ in range(3):
        machine.core.receive("b", Vote(1))
    assert not machine.core.is_leader
    machine.core.receive("c", Vote(1))
    assert machine.core.is_leader


def test_the_stock_package_counts_a_repeated_vote_again():
    stock = Stock()
    stock._SyncObj__onNodeConnected(Node("b"))
    stock._SyncObj__raftElectionDeadline = 0
    stock._onTick()
    for _ in range(2):
        stock._SyncObj__onMessageReceived(Node("b"), {"type": "response_vote", "term": 1})
    assert stock._isLeader()


def test_g18_only_members_are_listened_to(caplog):
    machine = Machine()
    machine.core.call_election()
    machine.tick()
    with caplog.at_level(logging.WARNING):
        machine.core.receive("stranger", Vote(1))
        machine.core.receive("stranger", append(9, 1, 9))
    assert (machine.core.is_leader, machine.core.term, machine.journal.last_index) == (False, 1, 1)
    assert "no member" in caplog.text


def test_two_leaders_in_a_term_stop_the_replica():
    machine = Machine().lead()
    with pytest.raises(TwoLeadersError):
        machine.core.receive("b", append(machine.core.term, 1))


def test_g16_a_leader_without_a_majority_gives_up():
    machine = Machine().lead()
    machine.tick(LEADER_FALLBACK_MS)
    assert machine.core.is_leader
    machine.core.receive("b", accepted(machine.core.term, 3))
    machine.tick(1)
    assert machine.core.is_leader
    machine.tick(LEADER_FALLBACK_MS + 1)
    assert not machine.core.is_leader
    with pytest.raises(NotLeaderError):
        machine.core.propose(b"a")


def test_g16_a_read_barrier_waits_for_a_majority():
    machine = Machine(5).lead()
    syncs, term = machine.journal.sync_count, machine.core.term
    number = machine.core.begin_round()
    asked = [message for peer, message in machine.tick() if peer == "c"]
    assert [message.round for message in asked] == [number]
    machine.core.receive("b", Appended(term, is_success=True, next_index=3, round=number))
    machine.core.receive("c", Appended(term, is_success=True, next_index=3, round=number - 1))
    machine.core.receive("d", Appended(term - 1, is_success=True, next_index=3, round=number))
    assert not machine.core.is_confirmed(number)
    machine.core.receive("c", msgspec.structs.replace(refused(term, 3, 9), round=number))
    assert machine.core.is_confirmed(number)
    assert machine.journal.sync_count == syncs
    machine.core.receive("b", refused(term + 1, 3))
    assert not machine.core.is_confirmed(number)


def test_g16_an_answer_tells_which_round_it_answers():
    machine = Machine()
    message = msgspec.structs.replace(append(1, 1, 1), round=7)
    assert machine.ask("b", message).round == 7


def test_an_entry_that_another_leader_replaced_is_lost():
    machine = Machine().lead()
    index, term = machine.core.propose(b"a"), machine.core.term
    machine.ask("b", append(term + 1, index - 1, term + 1, commit=index, previous_term=term))
    assert machine.core.outcome(index, term) is Outcome.LOST
    assert machine.applied == [(index, b"%d of %d" % (term + 1, index))]
    machine.journal.trim(index)
    with pytest.raises(EntriesTrimmedError):
        machine.core.outcome(index - 1, term)


def test_g17_an_isolated_replica_does_not_disturb_the_others():
    machine = Machine()
    for _ in range(20):
        sent = machine.tick(ELECTION_MAX_MS)
        assert sent == [("b", PreVote(1, 1, 0)), ("c", PreVote(1, 1, 0))]
    assert machine.core.term == 0
    machine.core.receive("b", granted(1, 0))
    sent = machine.tick()
    assert sent == [("b", RequestVote(1, 1, 0)), ("c", RequestVote(1, 1, 0))]


def test_g17_nobody_prefers_another_while_the_leader_lives():
    machine = Machine()
    assert machine.ask("c", PreVote(1, 1, 0)) == granted(1, 0)
    machine.ask("b", append(1, 1, 1))
    assert machine.ask("c", PreVote(2, 9, 1)) == denied(2, 1)
    machine.tick(ELECTION_MIN_MS)
    assert machine.ask("c", PreVote(2, 9, 1)) == granted(2, 1)
    assert machine.ask("c", PreVote(2, 9, 0)) == denied(2, 1)
    assert machine.ask("c", PreVote(1, 9, 1)) == denied(1, 1)


def test_a_refusal_with_a_higher_term_is_followed():
    machine = Machine()
    machine.tick(ELECTION_MAX_MS)
    machine.core.receive("b", denied(1, 7))
    assert machine.core.term == 7
    assert machine.tick(ELECTION_MAX_MS)[0] == ("b", PreVote(8, 1, 0))


def test_heartbeats_follow_the_injected_clock():
    machine = Machine().lead()
    assert machine.tick() == []
    assert machine.tick(HEARTBEAT_MS - 1) == []
    assert [type(message) for _, message in machine.tick(1)] == [AppendEntries] * 2


def test_leadership_is_handed_to_who_has_everything():
    machine = Machine().lead()
    index, term = machine.core.propose(b"a"), machine.core.term
    assert machine.core.hand_over() is None
    machine.tick()
    machine.core.receive("c", accepted(term, index + 1))
    assert machine.core.hand_over() == "c"
    with pytest.raises(NotLeaderError, match="handing over"):
        machine.core.propose(b"b")
    assert ("c", TimeoutNow(term)) in machine.tick()
    machine.tick(ELECTION_MIN_MS)
    assert machine.core.propose(b"b") == index + 1
    with pytest.raises(NotLeaderError):
        Machine().core.hand_over()


def test_who_is_asked_to_lead_stands_at_once():
    machine = Machine()
    machine.ask("b", append(1, 1, 1))
    machine.core.receive("c", TimeoutNow(1))
    assert machine.tick() == []
    machine.core.receive("b", TimeoutNow(1))
    machine.core.receive("b", append(1, 2))
    assert ("b", RequestVote(2, 2, 1)) in machine.tick()


def test_a_replica_behind_a_trimmed_log_knows_it_and_says_so(caplog):
    machine = Machine()
    machine.ask("b", append(1, 1, 1, 1))
    with caplog.at_level(logging.WARNING):
        assert machine.ask("c", append(2, 50, first=50)) == refused(2, 2, 50)
        assert machine.ask("c", append(2, 50, first=50)) == refused(2, 2, 50)
    assert machine.core.is_beyond_help
    assert len(caplog.records) == 1
    assert machine.ask("b", append(3, 3, 3, previous_term=1)) == accepted(3, 5)
    assert not machine.core.is_beyond_help


def test_a_leader_offers_nothing_below_its_trimmed_log():
    machine = Machine().lead()
    indices = [machine.core.propose(b"a") for _ in range(5)]
    for peer in machine.peers:
        machine.core.receive(peer, accepted(machine.core.term, indices[-1] + 1))
    machine.tick()
    machine.journal.trim(indices[3])
    machine.core.call_election()
    machine.core.receive("b", refused(9, 2))
    machine.lead()
    machine.core.receive("b", refused(machine.core.term, 2))
    machine.core.propose(b"b")
    (message,) = [message for peer, message in machine.tick() if peer == "b"]
    assert message.previous_index >= message.first_index == indices[3]


def test_an_entry_from_a_later_term_than_its_leader_stops_the_replica():
    with pytest.raises(UnexpectedMessageError):
        Machine().core.receive("b", append(1, 1, 2))


def test_a_replica_in_doubt_votes_only_where_all_do():
    machine = Machine(doubts=1)
    machine.core.receive("b", RequestVote(5, 9, 4))
    assert machine.tick() == []
    assert machine.ask("c", RequestVote(5, 9, 4, needs_all=True)) == Vote(5)


def test_a_replica_in_doubt_may_be_elected_by_all_only():
    machine = Machine(5, doubts=1)
    asked = machine.tick(ELECTION_MAX_MS)
    assert asked == [(peer, PreVote(1, 1, 0)) for peer in "bcde"]
    for peer in "bcd":
        machine.core.receive(peer, granted(1, 0))
    assert machine.tick() == []
    machine.core.receive("e", PreVoteAnswer(1, 0, is_granted=True, is_full=False))
    assert machine.tick() == [(peer, RequestVote(1, 1, 0, needs_all=True)) for peer in "bcde"]
    for peer in "bcd":
        machine.core.receive(peer, Vote(1))
        assert not machine.core.is_leader
    machine.core.receive("e", Vote(1))
    assert machine.core.is_leader
    for peer in "bc":
        machine.core.receive(peer, accepted(1, 3))
    assert not machine.core.is_caught_up
    machine.tick()
    assert machine.core.is_caught_up


def test_votes_in_doubt_elect_nobody_without_those_of_all():
    machine = Machine(5)
    machine.tick(ELECTION_MAX_MS)
    for peer in "bcd":
        machine.core.receive(peer, PreVoteAnswer(1, 0, is_granted=True, is_full=peer == "b"))
    assert machine.tick() == []
    machine.core.receive("e", granted(1, 0))  # the third that counts by itself
    assert machine.tick()[0] == ("b", RequestVote(1, 1, 0))


def test_what_was_acknowledged_before_a_doubt_does_not_count():
    machine = Machine().lead()
    term = machine.core.term
    index = machine.core.propose(b"a")
    machine.core.receive("b", accepted(term, index + 1))  # not synced here: not committed yet
    doubtful = Appended(term, is_success=False, next_index=2, rejected=index, doubts=1)
    machine.core.receive("b", doubtful)
    machine.core.receive("b", accepted(term, index + 1))  # it was long on its way
    sent = [message for peer, message in machine.tick(HEARTBEAT_MS) if peer == "b"]
    assert machine.core.commit_index < index
    assert sent[-1].doubts == {"b": 1}
    machine.core.receive("b", msgspec.structs.replace(accepted(term, index + 1), doubts=1))
    machine.tick()
    assert machine.core.commit_index == index


def test_a_replica_in_doubt_has_caught_up_once_its_leader_counts_anew():
    machine = Machine(doubts=2)
    machine.ask("b", append(3, 1, 3, commit=2))
    assert not machine.core.is_caught_up
    machine.ask("b", msgspec.structs.replace(append(3, 2, commit=2), doubts={"a": 1}))
    assert not machine.core.is_caught_up
    answer = machine.ask("b", msgspec.structs.replace(append(3, 2, commit=2), doubts={"a": 2}))
    assert machine.core.is_caught_up
    assert answer.doubts == 2
