"""pysyncobj made safe: payhub's journal, apply loop and log access in place of its own.

pysyncobj 0.3.17 keeps elections and the counting of commits. Replaced is what loses
acknowledged entries or unpickles: the journal is synced before anything counts or leaves, followers
truncate only what conflicts, acknowledgements carry their term, each member has one vote, an entry that
cannot be applied stops the replica, applying resumes after what the state holds, and pickled commands,
snapshots and messages are refused.

Time is injected: pysyncobj's own deadlines stand at "never" and are set to "now" by ``Timers``, so that
its reading of the machine's clock decides nothing.

``self.__x()`` inside SyncObj is compiled to ``self._SyncObj__x()``, so that a method of that name here
replaces it. The names are private, hence the exact pin and ``check_version``.
"""

# Overridden names and their arguments are pysyncobj's own, needed or not:
# ruff: noqa: N802, N803, ARG002

import enum
import random
import secrets
from collections.abc import Callable, Iterable
from typing import Any, Final

from pysyncobj import SyncObj, SyncObjConf
from pysyncobj.node import Node
from pysyncobj.version import VERSION

from payhub_engines.consensus.errors import (
    ApplyFailedError,
    ConsensusVersionError,
    EntriesTrimmedError,
    NotLeaderError,
    UnexpectedMessageError,
)
from payhub_engines.consensus.exchange import FOLLOWER, NEVER, Progress
from payhub_engines.consensus.journal import Entry, Journal
from payhub_engines.consensus.messages import APPEND_ENTRIES_MAX, RaftMessage, TimeoutNow
from payhub_engines.consensus.sending import Sending
from payhub_engines.consensus.timers import MonotonicClock, Timers, monotonic_clock
from payhub_engines.consensus.transport import LoneTransport, NoTransport, PeerTransport, Transport

PINNED_VERSION: Final = "0.3.17"
OVERRIDDEN_METHODS: Final = (
    "_SyncObj__applyLogEntries",
    "_SyncObj__doApplyCommand",
    "_SyncObj__generateRaftTimeout",
    "_SyncObj__getCurrentLogIndex",
    "_SyncObj__getCurrentLogTerm",
    "_SyncObj__getEntries",
    "_SyncObj__loadDumpFile",
    "_SyncObj__onBecomeLeader",
    "_SyncObj__onMessageReceived",
    "_SyncObj__sendAppendEntries",
    "_SyncObj__setCurrentTerm",
    "_SyncObj__setState",
    "_SyncObj__tryLogCompaction",
    "_applyCommand",
    "_checkCommandsToApply",
    "_doDestroy",
    "_onTick",
)
USED_ATTRIBUTES: Final = (
    "_SyncObj__commandsLocalCounter",
    "_SyncObj__connectedNodes",
    "_SyncObj__leaderCommitIndex",
    "_SyncObj__noopIDx",
    "_SyncObj__raftCommitIndex",
    "_SyncObj__raftCurrentTerm",
    "_SyncObj__raftElectionDeadline",
    "_SyncObj__raftLastApplied",
    "_SyncObj__raftLeader",
    "_SyncObj__raftLog",
    "_SyncObj__raftMatchIndex",
    "_SyncObj__raftNextIndex",
    "_SyncObj__raftState",
    "_SyncObj__transferInProgress",
    "_SyncObj__transport",
    "_SyncObj__votedForNodeId",
    "_poller",
)

REGULAR: Final = b"\x00"  # command types of pysyncobj; membership (2) and version (3) are never written
NO_OP: Final = b"\x01"
STATE: Final = b"\x04"  # not pysyncobj's: stands for all up to its index, which the state holds
REQUEST_ID_BITS: Final = 62
APPLY_MS_MAX: Final = 20
"""A turn applies no further entry after this, so that heartbeats go out in time."""


OnEntry = Callable[[int, bytes], None]
"""Takes index and bytes of each committed application entry."""


def check_version() -> None:
    """Check that the installed pysyncobj has every private name that payhub replaces.

    Raises:
        ConsensusVersionError: another release is installed.
    """
    missing = [name for name in OVERRIDDEN_METHODS if not callable(getattr(SyncObj, name, None))]
    if VERSION != PINNED_VERSION or missing:
        detail = f"pysyncobj {PINNED_VERSION} is needed, {VERSION} is installed"
        raise ConsensusVersionError(f"{detail}; missing: {', '.join(missing) or 'nothing'}.")


class Outcome(enum.Enum):
    """What became of an entry that was proposed."""

    PENDING = enum.auto()  # nobody knows yet, here or elsewhere
    COMMITTED = enum.auto()
    LOST = enum.auto()  # another entry was committed in its place


class Member(Node):  # type: ignore[misc] # pysyncobj has no types, so its class is Any
    """A node by identity: pysyncobj compares and hashes ids in its innermost loops."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__


class NoPoller:
    """pysyncobj asks for its sockets at the end of each tick; it has none."""

    def poll(self, timeout: float) -> None:
        """Do nothing."""


class RaftCore(Sending):
    """One replica's Raft state machine. It is told what arrives, goes by turns, has no thread or socket.

    A turn is: ``receive`` what came, ``advance``, ``propose``, ``send_entries``, sync the journal, ``flush``.
    What asserts that something is durable leaves with the flush.
    """

    def __init__(
        self,
        journal: Journal,
        replica: str,
        applied_index: int,
        on_entry: OnEntry,
        *,
        peers: Iterable[str] = (),
        transport: Transport | None = None,
        clock: MonotonicClock = monotonic_clock,
        chooser: random.Random | None = None,
        append_entries_max: int = APPEND_ENTRIES_MAX,
        can_vote: bool = True,
        doubts: int = 0,
    ) -> None:
        """Take up where journal and state left off.

        Args:
            journal: this replica's log and hard state.
            replica: this replica's id.
            applied_index: the last entry that the state holds.
            on_entry: called for each committed entry above ``applied_index``, in order.
            peers: ids of the other replicas, the same set for ever.
            transport: reaches the peers.
            clock: monotonic milliseconds.
            chooser: chooses how long to wait before an election.
            append_entries_max: entries of one message.
            can_vote: False for a replica that began empty in a group that has entries, or in doubt.
            doubts: how often this replica may have lost what it had acknowledged.
        """
        check_version()
        self._journal = journal
        self._replica = replica
        self._on_entry = on_entry
        self._members = {peer: Member(peer) for peer in sorted(set(peers) - {replica})}
        self._to_peers: Transport = NoTransport() if transport is None else transport
        self._clock = clock
        self._timers = Timers(clock, random.SystemRandom() if chooser is None else chooser)
        self._append_entries_max = append_entries_max
        self._outbox: list[tuple[str, RaftMessage]] = []
        self._progress = {peer: Progress() for peer in self._members}
        self._round = 0
        self._can_vote = can_vote
        self._doubts = doubts
        self._doubted: dict[str, int] = {}
        self._needs_all = False
        self._is_caught_up = False
        self._votes: set[str] = set()  # of this term
        self._pre_votes: dict[str, bool] = {}
        self._is_beyond_help = False
        transport_class = PeerTransport if self._members else LoneTransport
        others = list(self._members.values())
        super().__init__(Node(replica), others, conf=_conf(), nodeClass=Node, transportClass=transport_class)
        missing = [name for name in USED_ATTRIBUTES if name not in self.__dict__]
        if missing:
            raise ConsensusVersionError(f"pysyncobj has no {', '.join(missing)}.")
        self._poller = NoPoller()
        if not len(journal):
            journal.add(NO_OP, 1, 0)
        # SyncObj begins with a journal in memory; from here on it is ours, with what ours remembers.
        self._SyncObj__raftLog = journal
        self._SyncObj__raftCurrentTerm = max(journal.getCurrentTerm(), journal.last_term)
        self._SyncObj__votedForNodeId = journal.getVotedForNodeId()
        held = min(applied_index, journal.last_index)  # a state taken over may be ahead of the journal
        self._SyncObj__raftCommitIndex = max(journal.getRaftCommitIndex(), held)
        self._SyncObj__raftLastApplied = applied_index
        # Ids that start again from 0 would take a late answer for another command's.
        self._SyncObj__commandsLocalCounter = secrets.randbits(REQUEST_ID_BITS)

    def propose(self, data: bytes) -> int:
        """Add an entry to the journal, as leader; return its index.

        It is committed by a tick after it was synced, here and on a majority. ``outcome`` tells.
        """
        if not self.is_leader:
            raise NotLeaderError
        if self._timers.is_handing_over:
            raise NotLeaderError("This replica is handing over; another is about to lead.")
        index = self._journal.last_index + 1
        self._journal.add(REGULAR + data, index, self.term)
        return index

    @property
    def is_current(self) -> bool:
        """Whether this replica leads and its first entry is applied, hence all that was ever committed."""
        return self.is_leader and self.applied_index >= self._SyncObj__noopIDx

    @property
    def is_handing_over(self) -> bool:
        """Whether another was asked to lead, and may still do so."""
        return self._timers.is_handing_over

    @property
    def has_more(self) -> bool:
        """Whether committed entries wait to be applied."""
        return self.applied_index < self._applicable_index

    @property
    def _applicable_index(self) -> int:
        # A leader may tell in one message what an entry is and that it is committed; applied is what is
        # durable here, so that the state is never ahead of the journal.
        return min(self.commit_index, self._journal.durable_index)

    def installed(self, index: int, log_index: int) -> None:
        """Go on above an entry: the state that another replica sent holds all up to it.

        The journal begins at ``log_index`` by now, which is at most that entry, and gets what follows from
        the leader; it is not applied again. Nothing else becomes committed by it (gap G1 of the audit).
        """
        self._SyncObj__raftLastApplied = index
        self._SyncObj__raftCommitIndex = max(self.commit_index, log_index)
        self._is_beyond_help = False

    def outcome(self, index: int, term: int) -> Outcome:
        """Tell what became of an entry that was proposed in a term.

        Raises:
            EntriesTrimmedError: it was forgotten meanwhile.
        """
        if index > self.applied_index:
            return Outcome.PENDING
        if index < self._journal.first_index:
            raise EntriesTrimmedError(index, self._journal.first_index)
        return Outcome.COMMITTED if self._journal.term_at(index) == term else Outcome.LOST

    def hand_over(self) -> str | None:
        """Ask a follower that has everything to lead; return its id, or None where there is no such.

        Until it leads, or has failed to, this replica takes no entries.
        """
        if not self.is_leader:
            raise NotLeaderError
        connected, match = self._SyncObj__connectedNodes, self._SyncObj__raftMatchIndex
        for peer, node in self._members.items():
            if node in connected and match[node] == self._journal.last_index:
                self._timers.begin_handover()
                self._outbox.append((peer, TimeoutNow(self.term)))
                return peer
        return None

    def advance(self) -> None:
        """Act on what arrived and on what time it is: stand, commit, apply.

        As leader it counts its own copy of every entry: all that was proposed has to be synced by now.
        """
        if self.is_leader:
            if not self._timers.has_quorum:
                self._SyncObj__setState(FOLLOWER)
                self._SyncObj__raftLeader = None
        elif self._timers.is_election_due:
            self._stand()
        is_quiet = not self.is_leader or self.commit_index == self._journal.last_index
        if is_quiet and self._SyncObj__raftElectionDeadline == NEVER:
            self._SyncObj__applyLogEntries()  # all that a tick would do
        else:
            super()._onTick(0.0)
        if not self._can_vote and self.is_current:
            self._is_caught_up = True  # all have voted for it

    # What pysyncobj calls, by its names.

    def _onTick(self, timeToWait: float = 0.0) -> None:
        """Do a whole turn without entries of its own, syncing in this thread."""
        self._journal.sync()
        self.advance()
        self.send_entries()
        self._journal.sync()
        self.flush()

    def _SyncObj__generateRaftTimeout(self) -> float:
        """Return when to stand for election by pysyncobj's clock: never, for Timers tells."""
        self._timers.arm_election()
        return NEVER

    def _SyncObj__setState(self, newState: int) -> None:
        was_leader = self.is_leader
        super()._SyncObj__setState(newState)
        if was_leader and newState == FOLLOWER:
            self._SyncObj__raftElectionDeadline = self._SyncObj__generateRaftTimeout()

    def _SyncObj__setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None:
        self._votes.clear()
        self._SyncObj__transferInProgress &= term == self.term  # a hand-over ends with its term
        super()._SyncObj__setCurrentTerm(term, votedForNodeId)

    def _SyncObj__onBecomeLeader(self) -> None:
        self._timers.begin_term(self._members)
        self._doubted = {}
        for peer in self._members:
            self._progress[peer] = Progress()
        super()._SyncObj__onBecomeLeader()
        if not self._members:
            # The same tick goes on to count the new leader's first entry.
            self._journal.sync()

    def _SyncObj__sendAppendEntries(self) -> None:
        """Do nothing: ``send_entries`` has its own place in a turn."""

    def _SyncObj__applyLogEntries(self) -> bool:
        last = self._applicable_index
        until_ms = self._clock() + APPLY_MS_MAX
        while self.applied_index < last and self._clock() < until_ms:
            index = self.applied_index + 1
            command = self._journal.command(index)
            if command[:1] not in (REGULAR, NO_OP):
                raise UnexpectedMessageError(f"Entry {index} has the unknown type {command[0]}.")
            if command[:1] == REGULAR:
                self._apply(index, command[1:])
            self._SyncObj__raftLastApplied = index
        return False

    def _apply(self, index: int, data: bytes) -> None:
        try:
            self._on_entry(index, data)
        except Exception as error:
            raise ApplyFailedError(index, error) from error

    def _SyncObj__getCurrentLogIndex(self) -> int:
        return self._journal.last_index

    def _SyncObj__getCurrentLogTerm(self) -> int:
        return self._journal.last_term

    def _SyncObj__getEntries(
        self, fromIDx: int, count: int | None = None, maxSizeBytes: int | None = None
    ) -> list[Entry]:
        """Return one entry's index and term, which is all that the counting of commits asks for."""
        if count != 1:
            raise UnexpectedMessageError("pysyncobj must not read entries.")
        return [(b"", fromIDx, self._journal.term_at(fromIDx))]

    def _SyncObj__tryLogCompaction(self) -> None:
        """Do nothing: the state is durable in RocksDB and payhub trims the journal itself."""

    def _checkCommandsToApply(self) -> None:
        """Do nothing: entries come by ``propose``, and nothing is ever put in pysyncobj's queue."""

    def _applyCommand(self, command: bytes, callback: Any, commandType: int | None = None) -> None:
        raise UnexpectedMessageError("Entries come by propose only.")

    def _SyncObj__doApplyCommand(self, command: bytes) -> None:
        raise UnexpectedMessageError("pysyncobj must not unpickle a command.")

    def _SyncObj__loadDumpFile(self, clearJournal: bool) -> None:
        raise UnexpectedMessageError("pysyncobj must not unpickle a snapshot.")

    def _SyncObj__onMessageReceived(self, node: Node, message: dict[str, Any]) -> None:
        raise UnexpectedMessageError(f"Messages come by receive only, this one came from {node.id}.")

    def _doDestroy(self) -> None:
        """Close the transport; the journal is closed by who opened it."""
        self._SyncObj__transport.destroy()


def _conf() -> SyncObjConf:
    return SyncObjConf(
        autoTick=False,
        dynamicMembershipChange=False,
        commandsWaitLeader=False,
        useFork=False,
        leaderFallbackTimeout=NEVER,
    )
