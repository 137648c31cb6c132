"""What the members of a group say to each other: votes, entries, acknowledgements, hand-over.

pysyncobj's handlers believe a vote twice, an acknowledgement from an older term, and a commit index
beyond what they have compared (gaps G1 to G4 and G17 of the audit). These take their place; only the
granting and counting of votes is left to pysyncobj.
"""

import logging
import math
from typing import Any, Final

from pysyncobj import SyncObj
from pysyncobj.node import Node

from payhub_engines.consensus.errors import TwoLeadersError, UnexpectedMessageError
from payhub_engines.consensus.journal import Journal
from payhub_engines.consensus.messages import (
    Appended,
    AppendEntries,
    Message,
    PreVote,
    PreVoteAnswer,
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


class Exchange(SyncObj):  # type: ignore[misc] # pysyncobj has no types, so its class is Any
    """The part of ``RaftCore`` that listens and answers. Answers wait for the sync that makes them true."""

    _journal: Journal
    _replica: str
    _members: dict[str, Node]
    _to_peers: Transport
    _timers: Timers
    _outbox: list[tuple[str, Message]]
    _votes: set[str]
    _pre_votes: set[str]
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

    def call_election(self) -> None:
        """Stand for election at the next tick."""
        self._SyncObj__raftElectionDeadline = NOW

    def connected(self, peer: str) -> None:
        """Take note that messages may reach a peer."""
        self._SyncObj__onNodeConnected(self._members[peer])

    def disconnected(self, peer: str) -> None:
        """Take note that nothing reaches a peer; to wait for it costs nothing."""
        self._SyncObj__onNodeDisconnected(self._members[peer])

    def receive(self, peer: str, message: Message) -> None:
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
            case Vote(term):
                if term == self.term and peer not in self._votes:
                    self._votes.add(peer)
                    super()._SyncObj__onMessageReceived(self._members[peer], to_pysyncobj(message))
            case RequestVote() | TimeoutNow():
                super()._SyncObj__onMessageReceived(self._members[peer], to_pysyncobj(message))

    def post(self, peer: str, message: dict[str, Any]) -> None:
        """Keep what pysyncobj sends for the end of the tick."""
        self._outbox.append((peer, from_pysyncobj(message, self._journal.first_index)))

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
        self._outbox.append((peer, Appended(self.term, taken.is_match, taken.next_index)))

    def _take_appended(self, peer: str, message: Appended) -> None:
        if message.term > self.term:
            self._adopt(message.term)
        if not self.is_leader or message.term < self.term:
            return
        self._timers.heard(peer)
        node, next_index, match_index = (
            self._members[peer],
            self._SyncObj__raftNextIndex,
            self._SyncObj__raftMatchIndex,
        )
        if message.is_success:
            if message.next_index > self._journal.last_index + 1:
                detail = f"Replica {peer} acknowledges entry {message.next_index - 1}, which there is not."
                raise UnexpectedMessageError(detail)
            match_index[node] = max(match_index[node], message.next_index - 1)
            next_index[node] = max(next_index[node], match_index[node] + 1)
        else:
            # A refusal that comes late must not undo what was acknowledged meanwhile.
            next_index[node] = max(message.next_index, match_index[node] + 1)

    def _take_pre_vote(self, peer: str, message: PreVote) -> None:
        mine = (self._journal.last_term, self._journal.last_index)
        is_granted = (
            message.term > self.term
            and (message.last_term, message.last_index) >= mine
            and not self.is_leader
            and not self._timers.is_leader_fresh
        )
        self._outbox.append((peer, PreVoteAnswer(message.term, self.term, is_granted)))

    def _take_pre_vote_answer(self, peer: str, message: PreVoteAnswer) -> None:
        if message.term > self.term:
            self._adopt(message.term)
        elif message.is_granted and message.asked_term == self.term + 1 and self._pre_votes:
            self._pre_votes.add(peer)
            if 2 * len(self._pre_votes) > len(self._members) + 1:
                self._pre_votes.clear()
                self.call_election()

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
        self._pre_votes = {self._replica}
        question = PreVote(self.term + 1, self._journal.last_index, self._journal.last_term)
        self._outbox.extend((peer, question) for peer in self._members)

    def _commit(self, index: int) -> None:
        if index > self.commit_index:
            self._SyncObj__raftCommitIndex = index
            self._journal.setRaftCommitIndex(index)

    def _note_help(self, leader: str, *, is_beyond_help: bool) -> None:
        if is_beyond_help and not self._is_beyond_help:
            _logger.error(
                "replica %s lacks entries above %d that leader %s trimmed; it stays out until it is replaced",
                self._replica,
                self.commit_index,
                leader,
            )
        self._is_beyond_help = is_beyond_help

    def _flush(self) -> None:
        """Send what the last sync made true, by receiver, for pysyncobj asks its peers in no fixed order."""
        outbox, self._outbox = sorted(self._outbox, key=lambda item: item[0]), []
        for peer, message in outbox:
            self._to_peers.send(peer, message)
