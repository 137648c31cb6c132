"""The interface that hides consensus from the engine."""

from collections.abc import Callable
from typing import Final, Protocol

ENTRY_BYTES_MAX: Final = 4 * 1024 * 1024

OnCommit = Callable[[int, bytes], None]
"""Called once for each committed entry, in order, with its index and bytes.

It applies the entry to the state. When it raises, the replica stops.
"""


class ReplicatedLog(Protocol):
    """A log of byte strings that survives the loss of any minority of its replicas.

    Indices grow, but not without holes: leadership changes take an index too and are never shown.
    All methods are called from one event loop.
    """

    async def start(self, applied_index: int, on_commit: OnCommit) -> None:
        """Replay committed entries above ``applied_index``, then serve.

        A group of one replica leads before this returns.

        Args:
            applied_index: the last entry that the state already holds, 0 for an empty state.
            on_commit: applies one entry to the state.

        Raises:
            ConsensusError: the replica must not start; the message says what to do.
        """

    async def append(self, data: bytes) -> int:
        """Append an entry; return its index once it is durable, committed and applied here.

        Raises:
            NotLeaderError: another replica leads.
            LogFullError: too much waits already.
            LogStoppedError: the log is stopping or has failed.
            EntryTooLargeError: ``data`` is longer than ``ENTRY_BYTES_MAX``.
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
        """Forget the entries below an index; never more than is applied.

        The state must hold them durably by then, for they cannot be replayed any more.
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
        """Whether this replica leads and takes entries."""

    @property
    def term(self) -> int:
        """The current Raft term."""

    @property
    def commit_index(self) -> int:
        """The highest index known to be committed."""

    @property
    def first_index(self) -> int:
        """The lowest index that was not trimmed."""
