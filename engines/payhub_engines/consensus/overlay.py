"""pysyncobj made safe: payhub's journal, apply loop and log access in place of its own.

pysyncobj 0.3.17 keeps elections, the send loop and the counting of commits. Replaced is what loses
acknowledged entries or unpickles: the journal is synced before anything counts, an entry that cannot be
applied stops the replica, applying resumes after what the state holds, and pickled commands, snapshots
and messages are refused.

``self.__x()`` inside SyncObj is compiled to ``self._SyncObj__x()``, so that a method of that name here
replaces it. The names are private, hence the exact pin and ``check_version``.
"""

# Overridden names and their arguments are pysyncobj's own, needed or not:
# ruff: noqa: N802, N803, ARG002

import secrets
from collections.abc import Callable
from typing import Any, Final

from pysyncobj import SyncObj, SyncObjConf
from pysyncobj.node import Node
from pysyncobj.version import VERSION

from payhub_engines.consensus.errors import (
    ApplyFailedError,
    ConsensusVersionError,
    JournalOrderError,
    NotLeaderError,
    UnexpectedMessageError,
)
from payhub_engines.consensus.journal import Entry, Journal
from payhub_engines.consensus.transport import LoneTransport

PINNED_VERSION: Final = "0.3.17"
OVERRIDDEN_METHODS: Final = (
    "_SyncObj__applyLogEntries",
    "_SyncObj__doApplyCommand",
    "_SyncObj__getCurrentLogIndex",
    "_SyncObj__getCurrentLogTerm",
    "_SyncObj__getEntries",
    "_SyncObj__loadDumpFile",
    "_SyncObj__onBecomeLeader",
    "_SyncObj__onMessageReceived",
    "_SyncObj__tryLogCompaction",
    "_applyCommand",
    "_checkCommandsToApply",
    "_doDestroy",
    "_onTick",
)
USED_ATTRIBUTES: Final = (
    "_SyncObj__commandsLocalCounter",
    "_SyncObj__raftCommitIndex",
    "_SyncObj__raftCurrentTerm",
    "_SyncObj__raftElectionDeadline",
    "_SyncObj__raftLastApplied",
    "_SyncObj__raftLog",
    "_SyncObj__transport",
    "_SyncObj__votedForNodeId",
)

REGULAR: Final = b"\x00"  # command types of pysyncobj; membership (2) and version (3) are never written
NO_OP: Final = b"\x01"
REQUEST_ID_BITS: Final = 62

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


class RaftCore(SyncObj):  # type: ignore[misc] # pysyncobj has no types, so its class is Any
    """One replica's Raft state machine. It is ticked; it has no thread, clock or socket of its own."""

    def __init__(self, journal: Journal, replica: str, applied_index: int, on_entry: OnEntry) -> None:
        """Take up where journal and state left off.

        Args:
            journal: this replica's log and hard state.
            replica: this replica's id.
            applied_index: the last entry that the state holds; at most the journal's last.
            on_entry: called for each committed entry above ``applied_index``, in order.
        """
        check_version()
        self._journal = journal
        self._on_entry = on_entry
        super().__init__(Node(replica), [], conf=_conf(), nodeClass=Node, transportClass=LoneTransport)
        missing = [name for name in USED_ATTRIBUTES if name not in self.__dict__]
        if missing:
            raise ConsensusVersionError(f"pysyncobj has no {', '.join(missing)}.")
        if not len(journal):
            journal.add(NO_OP, 1, 0)
        # SyncObj begins with a journal in memory; from here on it is ours, with what ours remembers.
        self._SyncObj__raftLog = journal
        self._SyncObj__raftCurrentTerm = max(journal.getCurrentTerm(), journal.last_term)
        self._SyncObj__votedForNodeId = journal.getVotedForNodeId()
        self._SyncObj__raftCommitIndex = max(journal.getRaftCommitIndex(), applied_index)
        self._SyncObj__raftLastApplied = applied_index
        # Ids that start again from 0 would take a late answer for another command's.
        self._SyncObj__commandsLocalCounter = secrets.randbits(REQUEST_ID_BITS)

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

    def call_election(self) -> None:
        """Stand for election at the next tick."""
        self._SyncObj__raftElectionDeadline = 0

    def propose(self, data: bytes) -> int:
        """Add an entry to the journal, as leader; return its index.

        It is committed by a tick after it was synced.
        """
        if not self.is_leader:
            raise NotLeaderError
        index = self._journal.last_index + 1
        self._journal.add(REGULAR + data, index, self.term)
        return index

    def _onTick(self, timeToWait: float = 0.0) -> None:
        # What a tick counts as replicated has to be durable. Usually it is, and this writes nothing.
        self._journal.sync()
        super()._onTick(timeToWait)

    def _SyncObj__onBecomeLeader(self) -> None:
        super()._SyncObj__onBecomeLeader()
        # The same tick goes on to count the new leader's first entry.
        self._journal.sync()

    def _SyncObj__applyLogEntries(self) -> bool:
        commit = self.commit_index
        if commit > self._journal.durable_index:
            raise JournalOrderError(f"Entry {commit} is committed, but not durable.")
        while self.applied_index < commit:
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
            raise ApplyFailedError(index, type(error).__name__) from error

    def _SyncObj__getCurrentLogIndex(self) -> int:
        return self._journal.last_index

    def _SyncObj__getCurrentLogTerm(self) -> int:
        return self._journal.last_term

    def _SyncObj__getEntries(
        self, fromIDx: int | None, count: int | None = None, maxSizeBytes: int | None = None
    ) -> list[Entry]:
        return [] if fromIDx is None else self._journal.read(fromIDx, count, maxSizeBytes)

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
        raise UnexpectedMessageError(f"A group of one replica got a message from {node.id}.")

    def _doDestroy(self) -> None:
        """Close the transport; the journal is closed by who opened it."""
        self._SyncObj__transport.destroy()


def _conf() -> SyncObjConf:
    return SyncObjConf(
        autoTick=False,
        dynamicMembershipChange=False,
        commandsWaitLeader=False,
        useFork=False,
        appendEntriesPeriod=0.1,
        raftMinTimeout=0.4,
        raftMaxTimeout=1.4,
        leaderFallbackTimeout=1.4,
    )
