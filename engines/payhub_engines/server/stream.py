"""The stream processor: commands in, one committed log entry a batch, effects after the commit.

It decides as many commands as wait (bounded), appends their events as one Raft entry, and only when
that entry is on disk and committed writes the state, answers the callers and wakes the workers.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable
from typing import Final, NamedTuple

from payhub_engines.consensus.errors import EntryTooLargeError, LogUnavailableError
from payhub_engines.consensus.log import ReplicatedLog
from payhub_engines.core.appliers import apply_entry
from payhub_engines.core.commands import Command, CorrelateMessage, StartInstance
from payhub_engines.core.events import (
    InstanceCompleted,
    InstanceStarted,
    LogEntry,
    decode_entry,
    encode_entry,
)
from payhub_engines.core.processor import Processor, seal
from payhub_engines.core.reply import Outcome, Reply
from payhub_engines.core.state import State
from payhub_engines.storage.rocks import RocksState, Transaction
from payhub_platform.clock import Clock
from payhub_platform.errors import PayhubError, UnavailableError

_logger = logging.getLogger(__name__)

COMMANDS_WAITING_MAX: Final = 4096
COMMANDS_A_BATCH_MAX: Final = 128
INSTANCES_RUNNING_MAX: Final = 20_000
SCHEME_HEADROOM: Final = 2  # messages may start this many times more, to finish what others have begun

Listener = Callable[[LogEntry], None]


class _Waiting(NamedTuple):
    command: Command
    reply: asyncio.Future[Reply]


class StreamProcessor:
    """The only writer of an engine's state."""

    def __init__(
        self,
        processor: Processor,
        state: RocksState,
        log: ReplicatedLog,
        clock: Clock,
        instances_running_max: int = INSTANCES_RUNNING_MAX,
    ) -> None:
        self._processor = processor
        self._state = state
        self._log = log
        self._clock = clock
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue(COMMANDS_WAITING_MAX)
        self._listeners: list[Listener] = []
        self._deciding: Transaction | None = None
        self._deciding_data = b""
        self._running = 0
        self._running_max = instances_running_max
        self._task: asyncio.Task[None] | None = None

    @property
    def view(self) -> State:
        """The committed state, to read."""
        return State(self._state.reader())

    @property
    def is_ready(self) -> bool:
        """Whether commands are taken: the replica leads and its loop runs."""
        return self._log.is_leader and self._task is not None and not self._task.done()

    @property
    def instances_running(self) -> int:
        """How many process instances have not ended."""
        return self._running

    def on_committed(self, listener: Listener) -> None:
        """Call ``listener`` with every entry committed from now on, in order."""
        self._listeners.append(listener)

    async def start(self) -> None:
        """Replay what the log holds beyond the state, become leader, take commands."""
        await self._log.start(self._state.applied_index, self._apply)
        self._running = self.view.counts().instances
        self._task = asyncio.create_task(self._run(), name="stream-processor")

    async def stop(self) -> None:
        """Stop taking commands; those that wait are refused, for their senders try again."""
        if self._task is not None:
            self._task.cancel()
            # Whatever ended the loop is told by ``failure``; the log must be closed all the same.
            await asyncio.wait([self._task])
        self._refuse_waiting()
        await self._log.stop()

    async def submit(self, command: Command) -> Reply:
        """Decide a command and return its reply once its events are committed to disk.

        Raises:
            UnavailableError: ``engine-overloaded``, ``engine-stopping`` or ``engine-not-leader``; nothing
                was done, or it is unknown and the same command may be sent again.
        """
        if not self.is_ready:
            raise UnavailableError("engine-not-leader", "This engine takes no commands right now.")
        if self._running >= self._bound_for(command):
            raise UnavailableError("engine-overloaded", "Too many payments are in flight.")
        waiting = _Waiting(command, asyncio.get_running_loop().create_future())
        try:
            self._waiting.put_nowait(waiting)
        except asyncio.QueueFull:
            raise UnavailableError("engine-overloaded", "Too many commands are waiting.") from None
        return await waiting.reply

    def _bound_for(self, command: Command) -> float:
        """Return how many instances may run for a command to be taken; only what may start one is bounded."""
        if isinstance(command, StartInstance):
            return self._running_max
        if isinstance(command, CorrelateMessage) and command.callback.start_process and not command.origin:
            # What was handed over is acknowledged already and bounded by the other engine's outbox.
            return self._running_max * SCHEME_HEADROOM
        return math.inf

    async def failure(self) -> BaseException | None:
        """Wait until the loop has ended; return why, or None where it was stopped."""
        if self._task is None:
            return None
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([self._task])
        return None if self._task.cancelled() else self._task.exception()

    async def _run(self) -> None:
        try:
            while True:
                await self._next_batch()
        finally:
            # Whatever ends the loop, nobody waits for it in vain.
            self._refuse_waiting()

    async def _next_batch(self) -> None:
        batch = [await self._waiting.get()]
        while len(batch) < COMMANDS_A_BATCH_MAX and not self._waiting.empty():
            batch.append(self._waiting.get_nowait())
        try:
            await self._commit_bounded(batch)
        except LogUnavailableError as error:
            _logger.warning("batch of %d commands not committed: %s", len(batch), error.code)
            self._refuse(batch, error)
        finally:
            self._refuse(batch, _stopping())

    async def _commit_bounded(self, batch: list[_Waiting]) -> None:
        """Commit a batch; one whose entry is too large for the log is halved, down to one command."""
        try:
            await self._commit(batch)
        except EntryTooLargeError as error:
            if len(batch) == 1:
                self._refuse(batch, error)
                return
            middle = len(batch) // 2
            await self._commit_bounded(batch[:middle])
            await self._commit_bounded(batch[middle:])

    async def _commit(self, batch: list[_Waiting]) -> None:
        transaction = self._deciding = self._state.begin()
        now_ms = self._clock()
        try:
            outcomes: list[Outcome] = [
                self._processor.process(waiting.command, transaction, now_ms) for waiting in batch
            ]
            if any(outcome.events for outcome in outcomes):
                entry = seal(outcomes, transaction, now_ms)
                self._deciding_data = encode_entry(entry)
                await self._log.append(self._deciding_data)
                self._tell(entry)
        finally:
            self._discard_deciding()
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if not waiting.reply.done():
                waiting.reply.set_result(outcome.reply)

    def _apply(self, index: int, data: bytes) -> None:
        """Write a committed entry to the state: the one that was just decided, or a replayed one."""
        if self._deciding is not None and data == self._deciding_data:
            self._deciding.commit(index)
            self._deciding = None
            return
        self._discard_deciding()
        transaction = self._state.begin()
        apply_entry(decode_entry(data), transaction)
        transaction.commit(index)

    def _discard_deciding(self) -> None:
        if self._deciding is not None:
            self._deciding.discard()
        self._deciding, self._deciding_data = None, b""

    def _tell(self, entry: LogEntry) -> None:
        for event in entry.events:
            if isinstance(event, InstanceStarted):
                self._running += 1
            elif isinstance(event, InstanceCompleted):
                self._running -= 1
        for listener in self._listeners:
            listener(entry)

    def _refuse_waiting(self) -> None:
        while not self._waiting.empty():
            self._refuse([self._waiting.get_nowait()], _stopping())

    @staticmethod
    def _refuse(batch: list[_Waiting], error: PayhubError) -> None:
        for waiting in batch:
            if not waiting.reply.done():
                waiting.reply.set_exception(error)


def _stopping() -> UnavailableError:
    return UnavailableError("engine-stopping", "The engine is stopping.")
