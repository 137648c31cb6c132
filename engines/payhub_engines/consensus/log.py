"""The interface that hides consensus from the engine."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

ENTRY_BYTES_MAX: Final = 4 * 1024 * 1024

OnRole = Callable[[bool], None]
"""Told ``True`` when this replica leads: its own first entry is committed and all before it is applied, so
that the state is current. Told ``False`` when it no longer leads. Each follows the other."""


class StateMachine(Protocol):
    """What the log replicates. All methods are called in the event loop's thread, one at a time."""

    @property
    def applied_index(self) -> int:
        """The last entry that the state holds, 0 for an empty state; replay begins above it."""

    def apply(self, index: int, data: bytes) -> None:
        """Apply a committed entry: in order, each once. When it raises, the replica stops."""

    def checkpoint(self, folder: Path) -> int:
        """Copy the state, consistent and durable, into a folder that does not exist.

        Heartbeats wait for it, so that it should link files rather than copy them.

        Returns:
            the last entry that the copy holds.
        """

    def install(self, folder: Path) -> None:
        """Replace the whole state by a copy that another replica's ``checkpoint`` made.

        Moves the folder away. Whenever the machine stops, either the old state is there and the folder
        too, and this is called again at the next start; or the new state is there.
        """


class ReplicatedLog(Protocol):
    """A log of byte strings that survives the loss of any minority of its replicas.

    Indices grow, but not without holes: leadership changes take an index too and are never shown.
    All methods are called from one event loop.
    """

    async def start(self, machine: StateMachine, on_role: OnRole) -> None:
        """Replay committed entries above ``machine.applied_index``, then take part in the group.

        A group of one replica leads before this returns; of several, ``on_role`` tells.

        Raises:
            ConsensusError: the replica must not start; the message says what to do.
        """

    async def append(self, data: bytes) -> int:
        """Append an entry; return its index once it is durable, committed and applied here.

        Raises:
            NotLeaderError: another replica leads, or none; nothing was done.
            OutcomeUnknownError: leadership was lost meanwhile; the entry may or may not take effect.
            LogFullError: too much waits already; nothing was done.
            LogStoppedError: the log is stopping or has failed; what waited may or may not take effect.
            EntryTooLargeError: ``data`` is longer than ``ENTRY_BYTES_MAX``; nothing was done.
        """

    async def barrier(self) -> None:
        """Wait until the state held here is known to be current.

        A read after it sees all that was acknowledged anywhere before the call. Calls share their way.

        Raises:
            NotLeaderError: this replica does not lead, or lost its leadership meanwhile.
            LogStoppedError: the log is stopping or has failed.
        """

    async def hand_over(self) -> str | None:
        """Take no more entries, finish those that wait, and let an up-to-date follower lead.

        Returns:
            who leads now; None where nobody took over within a bounded time and this replica goes on.

        Raises:
            NotLeaderError: this replica does not lead.
        """

    def entries(self, from_index: int, bytes_max: int) -> list[tuple[int, bytes]]:
        """Return applied entries from an index on, in order.

        Args:
            from_index: lowest index wanted.
            bytes_max: stop before their total exceeds this; at least one is returned where there is one.

        Raises:
            EntriesTrimmedError: entries from there on were forgotten.
        """

    def trim(self, below_index: int) -> None:
        """Forget the entries below an index; never more than is applied, or than a follower is sent now.

        The state must hold them durably by then, for they cannot be replayed any more. A follower that
        still lacks them gets the state instead.
        """

    async def stop(self) -> None:
        """Finish what waits, close the files and stop. Stopping twice is allowed."""

    async def wait_stopped(self) -> None:
        """Wait until the log has stopped; a process that serves it ends when this raises.

        Raises:
            ConsensusError: a failure stopped it, which only a restart can mend.
        """

    @property
    def is_leader(self) -> bool:
        """Whether this replica leads, its state is current, and it takes entries."""

    @property
    def leader(self) -> str | None:
        """Id of the replica that leads, as far as this one knows."""

    @property
    def term(self) -> int:
        """The current Raft term."""

    @property
    def commit_index(self) -> int:
        """The highest index known to be committed."""

    @property
    def first_index(self) -> int:
        """The lowest index that was not trimmed."""
