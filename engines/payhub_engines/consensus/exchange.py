"""What the members of a group say to each other: votes, entries, acknowledgements, hand-over.

pysyncobj's handlers believe a vote twice, an acknowledgement from an older term, and a commit index
beyond what they have compared (gaps G1 to G4 and G17 of the audit). These take their place; only the
granting and counting of votes is left to pysyncobj.
"""

import logging
import math
from collections import deque
from typing import Any, Final

from pysyncobj import SyncObj
from pysyncobj.node import Node

from payhub_engines.consensus.errors import TwoLeadersError, UnexpectedMessageError
from payhub_engines.consensus.journal import Journal
from payhub_engines.consensus.messages import (
    Appended,
    AppendEntries,
    PreVote,
    PreVoteAnswer,
    RaftMessage,
    RequestVote,
    TimeoutNow,
    Vote,
    from_pysyncobj,
    to_pysyncobj,
)
from payhub_engines.consensus.replication import is_beyond_help, take_entries
from payhub_engines.consensus.timers import Timers
from payhub_engines.consensus.transport import Transport

FOLLOWER: Final = 0
"""A state of pysyncobj."""

NOW: Final = 0.0
NEVER: Final = math.inf
"""Deadlines of pysyncobj, whatever its clock says."""

_logger = logging.getLogger(__name__)


class Progress:
    """What a leader knows of a follower beside pysyncobj's next and match index.

    Attributes:
        in_flight: of each batch sent and not acknowledged its last index and its bytes.
        in_flight_bytes: their sum.
        doubts: the highest number of doubts that the follower named in this term.
        round: the highest round that the follower echoed in this term.
        probed: while the common part of the logs is being looked for, the last index that was asked for;
            None while entries flow.
    """

    __slots__ = ("doubts", "in_flight", "in_flight_bytes", "probed", "round")

    def __init__(self) -> None:
        self.in_flight: deque[tuple[int, int]] = deque()
        self.in_flight_bytes = 0
        self.doubts = 0
        self.round = 0
        self.probed: int | None = None

    def sent(self, last_index: int, size: int) -> None:
        """Note a batch on its way."""
        self.in_flight.append((last_index, size))
        self.in_flight_bytes += size

    def acknowledged(self, match_index: int) -> None:
        """Note that all up to an index has arrived."""
        self.probed = None
        while self.in_flight and self.in_flight[0][0] <= match_index:
            self.in_flight_bytes -= self.in_flight.popleft()[1]

    def lost(self) -> None:
        """Forget what was on its way."""
        self.in_flight.clear()
        self.in_flight_bytes = 0


NOTHING_PROBED: Final = -1


class Exchange(SyncObj):  # type: ignore[misc] # pysyncobj has no types, so its class is Any
    """The part of ``RaftCore`` that listens and answers. Answers wait for the sync that makes them true."""

    _journal: Journal
    _replica: str
    _members: dict[str, Node]
    _progress: dict[str, Progress]
    _to_peers: Transport
    _timers: Timers
    _outbox: list[tuple[str, RaftMessage]]
    _can_vote: bool
    _doubts: int
    _is_caught_up: bool
    _votes: set[str]
    _pre_votes: dict[str, bool]  # who would vote, and whether that vote counts in any election
    _needs_all: bool  # the votes of all members, to be elected
    _doubted: dict[str, int]  # as leader: followers that may have lost what they acknowledged
    _is_beyond_help: bool

    @property
    def applied_index(self) -> int:
        """The last entry that was applied."""
        applied: int = self._SyncObj__raftLastApplied
        return applied

    @property
    def commit_index(self) -> int:
        """The highest index known to be committed."""
        commit: int = self._SyncObj__raftCommitIndex
        return commit

    @property
    def term(self) -> int:
        """The current term."""
        term: int = self._SyncObj__raftCurrentTerm
        return term

    @property
    def is_leader(self) -> bool:
        """Whether this replica leads."""
        return bool(self._isLeader())

    @property
    def leader(self) -> str | None:
        """Who leads, as far as this replica knows."""
        node: Node | None = self._SyncObj__raftLeader
        return None if node is None else str(node.id)

    @property
    def is_beyond_help(self) -> bool:
        """Whether the leader has trimmed entries that this replica lacks; only a snapshot can mend it."""
        return self._is_beyond_help

    @property
    def is_caught_up(self) -> bool:
        """Whether this log has held all that was committed when a leader of now had been elected.

        A replica that began empty, or in doubt, may vote from then on, once what it holds is durable.
        """
        return self._is_caught_up

    def allow_votes(self) -> None:
        """Take part in elections from now on."""
        self._can_vote = True

    def call_election(self) -> None:
        """Stand for election at the next tick."""
        self._SyncObj__raftElectionDeadline = NOW

    def connected(self, peer: str) -> None:
        """Take note that messages may reach a peer; what was sent before may be lost."""
        node = self._members[peer]
        self._SyncObj__onNodeConnected(node)
        progress = self._progress[peer]
        progress.lost()
        if self.is_leader and self._SyncObj__raftMatchIndex[node]:
            self._SyncObj__raftNextIndex[node] = self._SyncObj__raftMatchIndex[node] + 1
        elif progress.probed is None:
            progress.probed = NOTHING_PROBED

    def disconnected(self, peer: str) -> None:
        """Take note that nothing reaches a peer; to wait for it costs nothing."""
        self._SyncObj__onNodeDisconnected(self._members[peer])
        if self.leader == peer:
            self._timers.forsake_leader()

    def receive(self, peer: str, message: RaftMessage) -> None:
        """Take a message; what it causes leaves at the end of the next tick.

        Args:
            peer: the sender, as its connection has proved it.
            message: what it says.

        Raises:
            ConsensusError: the message contradicts what this replica knows for certain; it has to stop.
        """
        if peer not in self._members:
            _logger.warning("replica %s ignores %s, which is no member", self._replica, peer)
            return
        match message:
            case AppendEntries():
                self._take_append(peer, message)
            case Appended():
                self._take_appended(peer, message)
            case PreVote():
                self._take_pre_vote(peer, message)
            case PreVoteAnswer():
                self._take_pre_vote_answer(peer, message)
            case Vote():
                self._take_vote(peer, message)
            case RequestVote() | TimeoutNow():
                if self._can_vote or getattr(message, "needs_all", False):
                    super()._SyncObj__onMessageReceived(self._members[peer], to_pysyncobj(message))

    def post(self, peer: str, message: dict[str, Any]) -> None:
        """Keep what pysyncobj sends for the end of the tick."""
        needs_all = self._needs_all or not self._can_vote
        self._outbox.append((peer, from_pysyncobj(message, needs_all=needs_all)))

    def _take_append(self, peer: str, message: AppendEntries) -> None:
        if message.term < self.term:
            refusal = Appended(self.term, is_success=False, next_index=self._journal.last_index + 1)
            self._outbox.append((peer, refusal))
            return
        if message.term > self.term:
            self._SyncObj__transferInProgress = False
            self._SyncObj__setCurrentTerm(message.term, None)
        elif self.is_leader:
            raise TwoLeadersError(self.term, peer)
        self._pre_votes.clear()
        self._needs_all = False
        self._timers.heard_leader()
        if not self._SyncObj__transferInProgress:
            # A hand-over is not called off by the old leader's heartbeats.
            self._SyncObj__raftElectionDeadline = self._SyncObj__generateRaftTimeout()
        self._SyncObj__raftLeader = self._members[peer]
        self._SyncObj__setState(FOLLOWER)
        self._SyncObj__leaderCommitIndex = message.commit_index
        taken = take_entries(self._journal, self.commit_index, message)
        self._note_help(peer, is_beyond_help=not taken.is_match and is_beyond_help(self._journal, message))
        self._commit(taken.commit_index)
        is_counted_anew = message.doubts.get(self._replica, 0) == self._doubts
        if not self._can_vote and taken.is_match and is_counted_anew and self._knows_commit_of(message):
            # The leader has committed an entry of its own term, hence all that came before it is in here.
            self._is_caught_up = self._journal.term_at(self.commit_index) == message.term
        rejected = 0 if taken.is_match else message.previous_index
        answer = Appended(self.term, taken.is_match, taken.next_index, message.round, rejected, self._doubts)
        self._outbox.append((peer, answer))

    def _knows_commit_of(self, message: AppendEntries) -> bool:
        return self.commit_index == message.commit_index

    def _take_appended(self, peer: str, message: Appended) -> None:
        if message.term > self.term:
            self._adopt(message.term)
        if not self.is_leader or message.term < self.term:
            return
        self._timers.heard(peer)
        node, progress = self._members[peer], self._progress[peer]
        next_index, match_index = self._SyncObj__raftNextIndex, self._SyncObj__raftMatchIndex
        if message.doubts != progress.doubts:
            if message.doubts < progress.doubts:
                return  # said before it lost what it says
            progress.doubts = message.doubts
            self._doubted = {**self._doubted, peer: message.doubts}
            match_index[node] = 0
            progress.lost()
            progress.probed = NOTHING_PROBED
        progress.round = max(progress.round, message.round)
        if message.is_success:
            if message.next_index > self._journal.last_index + 1:
                detail = f"Replica {peer} acknowledges entry {message.next_index - 1}, which there is not."
                raise UnexpectedMessageError(detail)
            match_index[node] = max(match_index[node], message.next_index - 1)
            next_index[node] = max(next_index[node], match_index[node] + 1)
            progress.acknowledged(match_index[node])
            return
        # A refusal that comes late must not undo what was acknowledged meanwhile, and of many that were sent
        # one behind the other only the first refusal counts.
        if progress.probed is None and message.rejected > match_index[node]:
            progress.probed = NOTHING_PROBED
            progress.lost()
        elif progress.probed is None or message.rejected != progress.probed - 1:
            return
        next_index[node] = max(min(message.next_index, self._journal.last_index + 1), match_index[node] + 1)

    def _take_pre_vote(self, peer: str, message: PreVote) -> None:
        mine = (self._journal.last_term, self._journal.last_index)
        is_granted = (
            message.term > self.term
            and (message.last_term, message.last_index) >= mine
            and not self.is_leader
            and not self._timers.is_leader_fresh
        )
        self._outbox.append((peer, PreVoteAnswer(message.term, self.term, is_granted, self._can_vote)))

    def _take_pre_vote_answer(self, peer: str, message: PreVoteAnswer) -> None:
        if message.term > self.term:
            self._adopt(message.term)
        elif message.is_granted and message.asked_term == self.term + 1 and self._pre_votes:
            self._pre_votes[peer] = message.is_full
            size = len(self._members) + 1
            is_majority = self._can_vote and 2 * sum(self._pre_votes.values()) > size
            if is_majority or len(self._pre_votes) == size:
                self._pre_votes.clear()
                self._needs_all = not is_majority
                self.call_election()

    def _take_vote(self, peer: str, vote: Vote) -> None:
        if vote.term != self.term or peer in self._votes:
            return
        self._votes.add(peer)
        counted = [peer]
        if self._needs_all or not self._can_vote:
            counted = sorted(self._votes) if len(self._votes) == len(self._members) else []
        for each in counted:
            super()._SyncObj__onMessageReceived(self._members[each], to_pysyncobj(vote))

    def _adopt(self, term: int) -> None:
        """Follow into a higher term whose leader is not known yet."""
        self._SyncObj__setCurrentTerm(term, None)
        self._SyncObj__setState(FOLLOWER)
        self._SyncObj__raftLeader = None

    def _stand(self) -> None:
        """Ask whether the others would vote, before disturbing them with a new term (gap G17)."""
        self._SyncObj__raftElectionDeadline = self._SyncObj__generateRaftTimeout()
        if not self._members:
            self.call_election()
            return
        self._SyncObj__raftLeader = None
        self._pre_votes = {self._replica: self._can_vote}
        self._needs_all = False
        question = PreVote(self.term + 1, self._journal.last_index, self._journal.last_term)
        self._outbox.extend((peer, question) for peer in self._members)

    def _commit(self, index: int) -> None:
        if index > self.commit_index:
            self._SyncObj__raftCommitIndex = index
            self._journal.setRaftCommitIndex(index)

    def _note_help(self, leader: str, *, is_beyond_help: bool) -> None:
        if is_beyond_help and not self._is_beyond_help:
            _logger.warning(
                "replica %s lacks entries above %d that leader %s has trimmed; it asks for its state",
                self._replica,
                self.commit_index,
                leader,
            )
        self._is_beyond_help = is_beyond_help

    def flush(self) -> None:
        """Send what the last sync made true, by receiver, for pysyncobj asks its peers in no fixed order."""
        outbox, self._outbox = sorted(self._outbox, key=lambda item: item[0]), []
        for peer, message in outbox:
            self._to_peers.send(peer, message)
