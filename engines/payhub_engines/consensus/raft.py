"""The replicated log over pysyncobj: group commit, one sync for many entries, off the event loop."""

import asyncio
import contextlib
import logging
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from payhub_engines.consensus.disk import Disk
from payhub_engines.consensus.errors import (
    ConsensusError,
    EntriesTrimmedError,
    EntryTooLargeError,
    LogFullError,
    LogStoppedError,
    NotLeaderError,
    ReplicaIdentityError,
    StateMismatchError,
)
from payhub_engines.consensus.identity import claim, confirm
from payhub_engines.consensus.journal import Journal
from payhub_engines.consensus.log import ENTRY_BYTES_MAX, OnCommit
from payhub_engines.consensus.overlay import REGULAR, RaftCore
from payhub_engines.consensus.recovery import segments_on

_logger = logging.getLogger(__name__)

QUEUE_ENTRIES_MAX: Final = 1024
QUEUE_BYTES_MAX: Final = 32 * 1024 * 1024
BATCH_BYTES_MAX: Final = 8 * 1024 * 1024
ELECTION_TICKS_MAX: Final = 3

_Waiter = asyncio.Future[int]


class RaftLog:
    """Implements ``ReplicatedLog`` for a group of one replica.

    Waiting entries are appended together, synced once in a thread, then committed and applied in
    order. While a sync runs, the next batch gathers.
    """

    def __init__(
        self,
        disk: Disk,
        *,
        cluster: str,
        replica: str,
        queue_entries_max: int = QUEUE_ENTRIES_MAX,
        queue_bytes_max: int = QUEUE_BYTES_MAX,
    ) -> None:
        """Prepare; ``start`` does the work.

        Args:
            disk: this replica's own folder, such as ``FileDisk(data_dir / "journal")``.
            cluster: the group's id (the engine's).
            replica: this replica's id within the group, for ever.
            queue_entries_max: appends that may wait.
            queue_bytes_max: bytes of appends that may wait.
        """
        self._disk = disk
        self._cluster = cluster
        self._replica = replica
        self._queue_entries_max = queue_entries_max
        self._queue_bytes_max = queue_bytes_max
        self._queue: deque[tuple[bytes, _Waiter]] = deque()
        self._queue_bytes = 0
        self._waiting: dict[int, _Waiter] = {}  # by index
        self._wake = asyncio.Event()
        self._stopped = asyncio.Event()
        self._failure: BaseException | None = None
        self._is_stopping = False
        self._journal: Journal | None = None
        self._core: RaftCore | None = None
        self._task: asyncio.Task[None] | None = None
        self._executor: ThreadPoolExecutor | None = None
        self._on_commit: OnCommit | None = None

    @property
    def is_leader(self) -> bool:
        """Whether this replica leads and takes entries."""
        is_serving = not self._is_stopping and not self._stopped.is_set()
        return is_serving and self._core is not None and self._core.is_leader

    @property
    def term(self) -> int:
        """The current Raft term."""
        return self._started_core().term

    @property
    def commit_index(self) -> int:
        """The highest index known to be committed."""
        return self._started_core().commit_index

    @property
    def first_index(self) -> int:
        """The lowest index that was not trimmed."""
        return self._started_journal().first_index

    async def start(self, applied_index: int, on_commit: OnCommit) -> None:
        """Replay committed entries above ``applied_index``, then lead.

        Raises:
            ConsensusError: the replica must not start; the message says what to do.
        """
        if self._task is not None or self._stopped.is_set():
            raise LogStoppedError("The log was started before.")
        self._on_commit = on_commit
        with contextlib.ExitStack() as undo:
            undo.callback(self._stopped.set)
            undo.callback(self._disk.close)
            has_journal = bool(segments_on(self._disk))
            identity = claim(self._disk, self._cluster, self._replica, has_journal=has_journal)
            self._journal = Journal(self._disk)
            undo.callback(self._journal.abandon)
            if identity.is_member and not len(self._journal):
                detail = "The journal has lost all its entries: restore it from a backup."
                raise ReplicaIdentityError("journal-missing", detail)
            self._check_state(applied_index)
            self._core = RaftCore(self._journal, self._replica, applied_index, self._take_committed)
            self._elect(self._core)
            confirm(self._disk, identity)
            undo.pop_all()
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._task = asyncio.create_task(self._run(), name="replicated-log")
        self._task.add_done_callback(self._finish)

    async def append(self, data: bytes) -> int:
        """Append an entry; return its index once it is durable, committed and applied.

        When the caller is cancelled, the entry may or may not take effect.

        Raises:
            NotLeaderError: the log was not started.
            LogFullError: too much waits already.
            LogStoppedError: the log is stopping or has failed.
            EntryTooLargeError: ``data`` is longer than ``ENTRY_BYTES_MAX``.
        """
        if self._is_stopping or self._stopped.is_set():
            raise LogStoppedError
        if self._task is None:
            raise NotLeaderError("The log has not started yet.")
        if len(data) > ENTRY_BYTES_MAX:
            raise EntryTooLargeError(len(data), ENTRY_BYTES_MAX)
        is_full = len(self._queue) >= self._queue_entries_max
        if is_full or self._queue_bytes + len(data) > self._queue_bytes_max:
            raise LogFullError
        waiter: _Waiter = asyncio.get_running_loop().create_future()
        self._queue.append((data, waiter))
        self._queue_bytes += len(data)
        self._wake.set()
        return await waiter

    def entries(self, from_index: int, bytes_max: int) -> list[tuple[int, bytes]]:
        """Return applied entries from an index on, in order.

        Raises:
            EntriesTrimmedError: entries from there on were forgotten.
        """
        journal, applied_index = self._started_journal(), self._started_core().applied_index
        index = max(from_index, 1)
        if index < journal.first_index:
            raise EntriesTrimmedError(index, journal.first_index)
        found: list[tuple[int, bytes]] = []
        size = 0
        while index <= applied_index:
            command = journal.command(index)
            if command[:1] == REGULAR:
                size += len(command) - 1
                if found and size > bytes_max:
                    break
                found.append((index, command[1:]))
            index += 1
        return found

    def trim(self, below_index: int) -> None:
        """Forget the entries below an index that the state holds durably.

        The trim is on disk with the next sync, which follows at once. A crash before that keeps the
        entries, which is safe.
        """
        if self._is_stopping or self._stopped.is_set():
            raise LogStoppedError
        self._started_journal().trim(min(below_index, self._started_core().applied_index))
        self._wake.set()

    async def stop(self) -> None:
        """Finish what waits, close the files and stop. Stopping twice is allowed."""
        self._is_stopping = True
        self._wake.set()
        if self._task is None:
            if not self._stopped.is_set():
                self._disk.close()
                self._stopped.set()
            return
        await self._stopped.wait()

    async def wait_stopped(self) -> None:
        """Wait until the log has stopped.

        A process that serves a log waits for this and ends when it raises: the replica can only be
        mended by a restart.

        Raises:
            ConsensusError: the log stopped because of a failure.
        """
        await self._stopped.wait()
        if self._failure is not None:
            raise self._failure

    def _check_state(self, applied_index: int) -> None:
        journal = self._started_journal()
        if applied_index > journal.last_index:
            detail = (
                f"The state holds entry {applied_index}, the journal ends at {journal.last_index}: "
                "the journal lost entries or belongs to another state. Restore both from one backup."
            )
            raise StateMismatchError("journal-behind-state", detail)
        if applied_index < journal.first_index - 1:
            detail = (
                f"The state holds entry {applied_index}, the journal begins at {journal.first_index}: "
                "entries between them are gone. Restore the state from a checkpoint."
            )
            raise StateMismatchError("state-behind-journal", detail)

    def _elect(self, core: RaftCore) -> None:
        core.call_election()
        for _ in range(ELECTION_TICKS_MAX):
            core.doTick()
            if core.is_leader and core.applied_index == self._started_journal().last_index:
                return
        raise ConsensusError("no-election", "A group of one replica could not elect itself.")

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        journal, core = self._started_journal(), self._started_core()
        while not (self._is_stopping and not self._queue):
            await self._wake.wait()
            self._wake.clear()
            while self._queue or journal.is_dirty:
                self._propose_batch(core)
                while journal.is_dirty:
                    batch = journal.take()
                    await loop.run_in_executor(self._executor, journal.write, batch)
                    journal.done(batch)
                core.doTick()
        journal.close()

    def _propose_batch(self, core: RaftCore) -> None:
        size = 0
        while self._queue and size < BATCH_BYTES_MAX:
            data, waiter = self._queue.popleft()
            self._queue_bytes -= len(data)
            if waiter.cancelled():
                continue  # nobody waits for it and nothing of it is on disk
            index = core.propose(data)
            self._waiting[index] = waiter
            size += len(data)

    def _take_committed(self, index: int, data: bytes) -> None:
        if self._on_commit is not None:
            self._on_commit(index, data)
        waiter = self._waiting.pop(index, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(index)

    def _finish(self, task: asyncio.Task[None]) -> None:
        """Close all, however the loop ended; a failure is loud and final."""
        if self._executor is not None:
            self._executor.shutdown(wait=True)  # no file may be closed under a write
        failure = LogStoppedError("The log's task was cancelled.") if task.cancelled() else task.exception()
        if failure is not None:
            _logger.critical("replica %s of %s stops: %s", self._replica, self._cluster, failure)
        self._failure = failure
        try:
            self._started_journal().abandon()
            self._started_core().destroy()
            self._disk.close()
        finally:
            self._release_waiters()
            self._stopped.set()

    def _release_waiters(self) -> None:
        waiters = [*self._waiting.values(), *(waiter for _, waiter in self._queue)]
        self._waiting.clear()
        self._queue.clear()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(LogStoppedError("The replica has stopped; the outcome is unknown."))

    def _started_core(self) -> RaftCore:
        if self._core is None:
            raise NotLeaderError("The log has not started yet.")
        return self._core

    def _started_journal(self) -> Journal:
        if self._journal is None:
            raise NotLeaderError("The log has not started yet.")
        return self._journal
