"""The replicated state of one engine: documents in memory, RocksDB behind them, the log in front.

The leader decides commands on the state before their entry is committed. Should the entry be lost with the
leadership, the state is loaded again from what was written and replayed from the log.
"""

import contextlib
import logging
import random
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol

from payhub_engines.core.appliers import Passing, apply_entries
from payhub_engines.core.events import LogEntry, decode_entry, ended_in
from payhub_engines.core.state import State
from payhub_engines.core.store import Store
from payhub_engines.storage.errors import StateError
from payhub_engines.storage.rocks import RocksState
from payhub_platform.clock import Clock

_logger = logging.getLogger(__name__)

FLUSH_MS: Final = 2_000  # on average
BEHIND_MS: Final = 1_000  # a follower puts off what it applies for so long: most payments take less
BEHIND_BYTES_MAX: Final = 16 * 1024 * 1024  # of entries that it puts off
FLUSH_BYTES: Final = 32 * 1024 * 1024  # of log entries; what is not written is replayed after a crash
REPLAY_BYTES: Final = 4 * 1024 * 1024


class StateStore(Store, Protocol):
    """Keeps the rows together with the index of the last entry that they hold; as ``RocksState``."""

    @property
    def applied_index(self) -> int:
        """The last entry that was written."""

    def write(self, changes: Mapping[bytes, bytes | None], applied_index: int) -> None:
        """Write changed rows (None deletes) with the index of the last entry, all or nothing."""

    def sync(self) -> int:
        """Make all writes so far durable and return the index up to which they are."""

    def checkpoint(self, path: Path) -> None:
        """Make a consistent, durable copy in a folder that does not exist."""

    def close(self) -> None:
        """Close. Closing twice is allowed."""


ReadLog = Callable[[int, int], list[tuple[int, bytes]]]
OnApplied = Callable[[LogEntry], None]
OpenStore = Callable[[Path], StateStore]


class Machine:
    """Implements ``StateMachine``.

    A follower puts committed entries off for a while, and passes over what has begun and ended meanwhile; its
    documents lag behind, unless somebody looks at them or they are written. It applies as many as arrive, and
    writes when others most likely do not, for the leader waits for one of them.

    Attributes:
        stagger: chooses from 0 to 1 when to write next.
    """

    def __init__(
        self,
        path: Path,
        read_log: ReadLog,
        on_applied: OnApplied,
        clock: Clock,
        open_store: OpenStore = RocksState,
    ) -> None:
        """Open the state.

        Args:
            path: folder of the state.
            read_log: returns applied entries from an index on, as ``ReplicatedLog.entries``.
            on_applied: told of each entry that was decided here, once it is committed.
            clock: milliseconds since the epoch.
            open_store: opens the rows in a folder; the simulation has its own.

        Raises:
            StateError: the state is damaged, or another process uses it.
        """
        self._path = path
        self._read_log = read_log
        self._on_applied = on_applied
        self._clock = clock
        self._open_store = open_store
        self._rocks = open_store(path)
        self._applied_index = self._rocks.applied_index
        self._decided: tuple[LogEntry, bytes] | None = None
        self._is_ahead = False
        self._unwritten_bytes = 0
        self._written_at_ms = clock()
        self._write_error: StateError | None = None
        self._files = threading.Lock()  # ``sync`` runs in a thread; nobody closes the files under it
        self._state = State(self._rocks)
        self.stagger: Callable[[], float] = random.SystemRandom().random
        self._write_after_ms = float(FLUSH_MS)  # since the last write
        self._forget_behind()

    def _forget_behind(self) -> None:
        """Begin without anything that is put off."""
        self._behind: deque[tuple[int, bytes]] = deque()  # since when, and the entry
        self._behind_bytes = 0
        self._passing = Passing()

    @property
    def state(self) -> State:
        """As committed, and (on the leader, while it decides) as decided."""
        if self._behind:
            self._catch_up()
        return self._state

    @property
    def applied_index(self) -> int:
        """The last entry that was committed and taken; ``state`` holds it."""
        return self._applied_index

    @property
    def store(self) -> Store:
        """The rows as they were last written."""
        return self._rocks

    @property
    def written_index(self) -> int:
        """The last entry that RocksDB holds; not synced."""
        return self._rocks.applied_index

    def begin(self) -> None:
        """Note that commands are decided on the state from here on; ``decided`` or ``rebuild`` follows.

        Raises:
            StateError: ``state-unwritten``, as ``flush``.
        """
        self.check_written()
        self._catch_up()
        self._is_ahead = True

    def decided(self, entry: LogEntry, data: bytes) -> None:
        """Note the entry whose events the state holds already; ``apply`` gets it, or another one."""
        self._decided = (entry, data)

    def settle(self) -> None:
        """Note that nothing was decided after all."""
        self._is_ahead = False

    def apply(self, index: int, data: bytes) -> None:
        """Apply a committed entry: the one that was just decided here, or another replica's."""
        self.check_written()
        decided, self._decided = self._decided, None
        is_decided_here = decided is not None and decided[1] == data
        if is_decided_here:
            self._is_ahead = False
        elif self._is_ahead:
            self.rebuild()
        self._applied_index = index
        self._unwritten_bytes += len(data)
        if decided is not None and is_decided_here:
            self._on_applied(decided[0])
        else:
            self._put_off(data)
        if self._unwritten_bytes >= FLUSH_BYTES or self._is_write_due():
            self.flush()

    def _put_off(self, data: bytes) -> None:
        """Keep an entry, and apply what was put off long enough, or is too much."""
        now_ms, behind = self._clock(), self._behind
        self._passing.look(ended_in(data))
        behind.append((now_ms, data))
        self._behind_bytes += len(data)
        while behind and (now_ms - behind[0][0] >= BEHIND_MS or self._behind_bytes > BEHIND_BYTES_MAX):
            self._apply_oldest()

    def _apply_oldest(self) -> None:
        _, data = self._behind.popleft()
        self._behind_bytes -= len(data)
        with self._whole_entries():
            self._passing.apply(decode_entry(data), self._state)

    @contextlib.contextmanager
    def _whole_entries(self) -> Iterator[None]:
        """Apply entries; a state that holds one in part is never written."""
        try:
            yield
        except Exception as error:
            self._write_error = StateError("state-unwritten", f"The state lacks an entry: {error}.")
            raise

    def _catch_up(self) -> None:
        """Apply all that was put off."""
        while self._behind:
            self._apply_oldest()

    def rebuild(self) -> None:
        """Forget what was decided: load the state again, and replay the log up to the last entry applied."""
        self._decided, self._is_ahead = None, False
        self._state = State(self._rocks)
        self._forget_behind()
        following = self._rocks.applied_index + 1
        while following <= self._applied_index:
            entries = [
                one for one in self._read_log(following, REPLAY_BYTES) if one[0] <= self._applied_index
            ]
            if not entries:
                break  # what is left are entries of the group itself
            with self._whole_entries():
                apply_entries([decode_entry(data) for _, data in entries], self._state)
            following = entries[-1][0] + 1

    def flush(self) -> None:
        """Write all that has changed to RocksDB; nothing happens while commands are decided.

        Raises:
            StateError: ``state-unwritten``: the disk refused, now or before. What had changed is no longer
                known, so that a later write would leave a hole; a restart replays it from the log.
        """
        self.check_written()
        if self._is_ahead or self._applied_index == self._rocks.applied_index:
            return
        # What is passed over in part must not be written: its end would find nothing of it.
        self._catch_up()
        try:
            self._rocks.write(self._state.take_changes(), self._applied_index)
        except Exception as error:
            self._write_error = StateError("state-unwritten", f"The state cannot be written: {error}.")
            raise self._write_error from error
        self._state.instances.evict()
        self._unwritten_bytes = 0
        self._written_at_ms = self._clock()
        self._write_after_ms = FLUSH_MS * (0.5 + self.stagger())

    def sync(self) -> int:
        """Make what was written durable; return the last entry that is. Call it in a thread."""
        with self._files:
            return self._rocks.sync()

    def checkpoint(self, folder: Path) -> int:
        """Copy the state into a folder that does not exist; return the last entry that the copy holds."""
        self.flush()
        self._rocks.checkpoint(folder)
        return self._rocks.applied_index

    def install(self, folder: Path) -> None:
        """Replace the state by a checkpoint: moved beside it first, so that one of both is always there."""
        with self._files:
            self._rocks.close()
        replaced = self._path.with_name(f"{self._path.name}.replaced")
        shutil.rmtree(replaced, ignore_errors=True)
        if self._path.exists():
            self._path.rename(replaced)
        folder.rename(self._path)
        shutil.rmtree(replaced, ignore_errors=True)
        self._rocks = self._open_store(self._path)
        self._applied_index = self._rocks.applied_index
        self._decided, self._is_ahead = None, False
        self._state = State(self._rocks)
        self._forget_behind()

    def close(self) -> None:
        """Write what has changed, where the disk takes it, and close; the log replays the rest."""
        try:
            self.flush()
        except StateError as error:
            _logger.error("the state is closed as it was last written: %s", error)  # noqa: TRY400
        with self._files:
            try:
                self._rocks.close()
            except Exception:  # RocksDB repeats here what it could not write
                if self._write_error is None:
                    raise

    def check_written(self) -> None:
        """Refuse to go on with a state of which something is no longer known.

        Raises:
            StateError: ``state-unwritten``, as ``flush``.
        """
        if self._write_error is not None:
            raise self._write_error

    def _is_write_due(self) -> bool:
        return abs(self._clock() - self._written_at_ms) >= self._write_after_ms
