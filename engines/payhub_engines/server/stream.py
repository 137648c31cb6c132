"""The stream processor: commands in, one committed log entry a batch, effects after the commit.

It decides as many commands as wait (bounded), appends their events as one Raft entry, and only when
that entry is committed answers the callers and wakes the workers. Reads wait for the same moment, so
that nobody sees what is not committed.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final, TypeVar

from payhub_engines.consensus.log import ReplicatedLog
from payhub_engines.consensus.timers import MonotonicClock, monotonic_clock
from payhub_engines.core.commands import Command
from payhub_engines.core.events import LogEntry
from payhub_engines.core.reply import Accepted, Reply
from payhub_engines.core.state import State
from payhub_engines.server.admission import IN_FLIGHT_MAX, Admission, headroom_of, is_own
from payhub_engines.server.commits import Commits
from payhub_engines.server.machine import Machine, OpenStore
from payhub_engines.server.rounds import COMMANDS_A_BATCH_MAX, Rounds
from payhub_engines.server.waiting import OnReply, Queue, Waiting, resolve
from payhub_engines.storage.rocks import RocksState
from payhub_platform.clock import Clock
from payhub_platform.errors import PayhubError, UnavailableError

_logger = logging.getLogger(__name__)
_T = TypeVar("_T")

OUTSIDE_HEADROOM: Final = 2  # so many times more may wait of what begins no payment
OPEN_RETRY_S: Final = 0.05

Listener = Callable[[LogEntry], None]
OnRole = Callable[[bool], None]
Opening = Callable[[State], list[Command]]


class OpeningError(PayhubError):
    """What a new leader has to do first was refused; this release cannot lead this engine."""

    title = "The engine cannot open"


class ListenerFailedError(PayhubError):
    """A part of the engine that follows the committed entries met a defect; it would lag behind for ever."""

    title = "A part of the engine failed"

    def __init__(self, cause: Exception) -> None:
        super().__init__("listener-failed", f"What follows the engine's log failed: {cause!r}.")


class StreamProcessor:
    """The only writer of an engine's state.

    Attributes:
        admission: decides which new payments are taken.
    """

    def __init__(
        self,
        path: Path,
        log: ReplicatedLog,
        clock: Clock,
        opening: Opening = lambda _: [],
        instances_running_max: int = IN_FLIGHT_MAX,
        monotonic: MonotonicClock = monotonic_clock,
        open_store: OpenStore = RocksState,
    ) -> None:
        """Open the state in ``path``.

        Args:
            path: folder of the state.
            log: replicates it.
            clock: milliseconds since the epoch.
            opening: what a new leader decides before it takes commands.
            instances_running_max: how many instances may run, however fast the engine is.
            monotonic: measures how long commands take, in milliseconds.
            open_store: opens the state's rows in a folder; the simulation has its own.

        Raises:
            StateError: the state is damaged, or another process uses it.
        """
        self._log = log
        self._monotonic = monotonic
        self._queue = Queue()
        self.admission = Admission(monotonic, instances_running_max, self._queue.oldest_start_ms)
        self._rounds = Rounds(self._queue, self.admission)
        self._machine = Machine(path, log.entries, self._on_applied, clock, open_store)
        self._commits = Commits(self._machine, log, clock)
        self._wake = asyncio.Event()
        self._listeners: list[Listener] = []
        self._role_listeners: list[OnRole] = []
        self._is_leader = False
        self._is_open = False
        self._is_handing_over = False
        self._drained: asyncio.Future[None] | None = None  # who hands over waits for it
        self._failed: ListenerFailedError | None = None
        self._opening = opening
        self._task: asyncio.Task[None] | None = None

    @property
    def machine(self) -> Machine:
        """The state that the log replicates."""
        return self._machine

    @property
    def is_ready(self) -> bool:
        """Whether commands are taken: the replica leads, has opened, and its loop runs."""
        is_running = self._task is not None and not self._task.done()
        return self._is_open and is_running and not self._is_handing_over

    @property
    def instances_running(self) -> int:
        """How many process instances have not ended."""
        return self._machine.state.index.running

    @property
    def waiting(self) -> int:
        """How many commands and reads wait."""
        return len(self._queue)

    def on_committed(self, listener: Listener) -> None:
        """Call ``listener`` with every entry that this replica decides, once it is committed, in order.

        What others have decided before is in the state when ``on_role`` tells that this replica leads.
        """
        self._listeners.append(listener)

    def on_role(self, listener: OnRole) -> None:
        """Call ``listener`` when this replica begins and ceases to lead; the state is current then."""
        self._role_listeners.append(listener)

    async def start(self) -> None:
        """Replay what the log holds beyond the state, take part in the group, take commands when leading."""
        self._task = asyncio.create_task(self._run(), name="stream-processor")
        await self._log.start(self._machine, self._take_role)

    async def stop(self) -> None:
        """Stop taking commands; those that wait are refused, for their senders try again."""
        if self._task is not None:
            self._task.cancel()
            # Whatever ended the loop is told by ``failure``; the log must be closed all the same.
            await asyncio.wait([self._task])
        self._refuse_waiting(_stopping())
        await self._log.stop()
        self._machine.close()

    async def hand_over(self) -> str | None:
        """Finish what was taken, take nothing more, and let an up-to-date replica lead.

        Returns:
            who leads now; None where nobody took over, and this replica goes on where it can.
        """
        if not self.is_ready:
            return self._log.leader
        self._is_handing_over = True
        try:
            drained = self._drained = asyncio.get_running_loop().create_future()
            self._wake.set()
            await drained
            return await self._log.hand_over()
        except UnavailableError:
            return self._log.leader
        finally:
            self._is_handing_over = False

    async def submit(self, command: Command, tenant: str = "") -> Reply:
        """Decide a command and return its reply once its events are committed.

        Args:
            command: what to do.
            tenant: whose turn it takes while it waits.

        Raises:
            UnavailableError: ``engine-overloaded``, ``engine-stopping`` or ``engine-not-leader``; nothing
                was done, or it is unknown and the same command may be sent again.
            CommandFailedError: ``command-failed``.
        """
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.offer(command, tenant, lambda reply: resolve(answer, reply))
        return await answer

    def offer(self, command: Command, tenant: str, on_reply: OnReply) -> None:
        """Decide a command from outside, as ``submit``; ``on_reply`` gets the reply, or why there is none."""
        tenant = tenant or _tenant_of(command)
        headroom = headroom_of(command, self._machine.state) if self.is_ready else 0
        refusal = self._refusal(tenant, headroom, is_own=is_own(command))
        if refusal is not None:
            on_reply(refusal)
            return
        if headroom:
            self.admission.note_taken(tenant)
        self._put(tenant, Waiting(command, on_reply, is_new=headroom > 0, since_ms=self._monotonic()))

    def refusal_of_payment(self, tenant: str) -> UnavailableError | None:
        """Return why a new payment of a tenant would be refused now; asked before it is decoded."""
        return self._refusal(tenant, 1, is_own=False)

    def post(self, command: Command, tenant: str, on_reply: OnReply) -> None:
        """Decide a command of the engine's own workers; they are bounded by what they work on.

        ``on_reply`` gets the reply, or why there is none.
        """
        if not self.is_ready:
            on_reply(_not_leader())
            return
        self._put(tenant, Waiting(command, on_reply))

    async def read(self, function: Callable[[State], _T], tenant: str = "") -> _T:
        """Return what a function finds in the committed state; all acknowledged before the call is in it.

        Raises:
            UnavailableError: this replica does not lead, or too much waits.
            Exception: whatever the function raised.
        """
        if not self.is_ready:
            raise _not_leader()
        if self._queue.is_full_for(tenant, OUTSIDE_HEADROOM):
            raise _too_much_waits()
        answer: asyncio.Future[_T] = asyncio.get_running_loop().create_future()

        def read(state: State) -> None:
            if answer.done():
                return
            try:
                answer.set_result(function(state))
            except Exception as error:  # noqa: BLE001 - the caller's defect is the caller's
                answer.set_exception(error)

        def refused(reply: Reply | PayhubError) -> None:
            if isinstance(reply, PayhubError) and not answer.done():
                answer.set_exception(reply)

        self._put(tenant, Waiting(None, refused, read))
        return await answer

    async def failure(self) -> BaseException | None:
        """Wait until the loop has ended; return why, or None where it was stopped."""
        if self._task is None:
            return None
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([self._task])
        return None if self._task.cancelled() else self._task.exception()

    def _put(self, tenant: str, waiting: Waiting) -> None:
        self._queue.put(tenant, waiting)
        self._wake.set()

    def _refusal(self, tenant: str, headroom: int, *, is_own: bool) -> UnavailableError | None:
        if not self.is_ready:
            return _not_leader()
        if headroom:
            running, queue = self._machine.state.index, self._queue
            in_flight = running.running + queue.starting
            own = len(running.instances_of.get(tenant, ())) + queue.starting_of(tenant)
            refusal = self.admission.refusal(in_flight, own, self._in_flight_by_tenant, headroom, tenant)
            if refusal is not None:
                return refusal
        if not is_own and self._queue.is_full_for(tenant, 1 if headroom else OUTSIDE_HEADROOM):
            return _too_much_waits()
        return None

    def _in_flight_by_tenant(self) -> Collection[int]:
        found = Counter(self._machine.state.index.running_of)
        found.update(dict(self._queue.starting_by_tenant()))
        return found.values()

    def _take_role(self, is_leader: bool) -> None:
        self._is_leader = is_leader
        self._wake.set()
        if not is_leader:
            self._is_open = False
            self._refuse_waiting(_not_leader())
            self._tell_role(is_leader=False)

    def _tell_role(self, *, is_leader: bool) -> None:
        for listener in self._role_listeners:
            try:
                listener(is_leader)
            except Exception as error:  # noqa: BLE001 - the others must be told all the same
                self._fail(error)

    def _on_applied(self, entry: LogEntry) -> None:
        for listener in self._listeners:
            try:
                listener(entry)
            except Exception as error:  # noqa: BLE001 - logged there
                # The entry is applied, and the log is right: it is this process that must not go on.
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        _logger.error("what follows the log met a defect; the replica stops", exc_info=error)
        if self._failed is None:
            self._failed = ListenerFailedError(error)
            self._failed.__cause__ = error
        self._wake.set()

    async def _run(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if self._is_leader and not self._is_open:
                    await self._open()
                while self._queue and self._failed is None:
                    rest = await self._next_batch(self._rounds.take())
                    self._queue.put_back(rest or [])
                if self._failed is not None:
                    raise self._failed
                self._tell_drained()
        finally:
            # Whatever ends the loop, nobody waits for it in vain.
            self._refuse_waiting(_stopping())
            self._tell_drained()

    def _tell_drained(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    async def _open(self) -> None:
        """Decide what a new leader decides first, then take commands."""
        answers: list[Reply | PayhubError] = []
        commands = self._opening(self._machine.state)
        rest = await self._next_batch([Waiting(command, answers.append) for command in commands])
        while rest:
            rest = await self._next_batch(rest)
        for answer in answers:
            if not isinstance(answer, Accepted | UnavailableError):
                raise OpeningError(answer.code, answer.detail)
        if not self._is_leader:
            return
        if rest is not None:
            self._is_open = True
            self._tell_role(is_leader=True)
        else:
            # Tried again a little later: the log may refuse at once, and nobody else would get a turn.
            asyncio.get_running_loop().call_later(OPEN_RETRY_S, self._wake.set)

    async def _next_batch(self, batch: list[Waiting]) -> list[Waiting] | None:
        """Decide, commit and answer; return what did not fit, or None where the log refused."""
        began_ms = self._monotonic()
        try:
            done = await self._commits.commit([one for one in batch if one.command is not None])
            if not done.is_current:
                # What is answered out of the state alone must be current: another may lead by now.
                await self._log.barrier()
            self._machine.check_written()  # else something of the state is missing
            for waiting, reply in done.unlogged:
                waiting.answer(reply)
            for waiting in batch:
                if waiting.read is not None:
                    waiting.read(self._machine.state)
        except UnavailableError as error:
            _logger.warning("batch of %d not committed: %s", len(batch), error.code)
            _refuse(batch, error)
            return None
        except BaseException:
            _refuse(batch, _stopping())
            raise
        self._measure(batch, began_ms)
        return done.rest

    def _measure(self, batch: list[Waiting], began_ms: int) -> None:
        now_ms = self._monotonic()
        if self._is_open:
            self._rounds.settle(batch, now_ms - began_ms)
        for waiting in batch:
            if waiting.since_ms is not None and waiting.is_answered:
                self.admission.observe(now_ms - waiting.since_ms)

    def _refuse_waiting(self, error: PayhubError) -> None:
        while self._queue:
            _refuse(self._queue.take(COMMANDS_A_BATCH_MAX), error)


def _refuse(batch: list[Waiting], error: PayhubError) -> None:
    for waiting in batch:
        waiting.answer(error)


def _tenant_of(command: Command) -> str:
    callback = getattr(command, "callback", None)
    return getattr(command, "tenant", "") if callback is None else callback.tenant


def _too_much_waits() -> UnavailableError:
    return UnavailableError("engine-overloaded", "Too many commands are waiting.")


def _stopping() -> UnavailableError:
    return UnavailableError("engine-stopping", "The engine is stopping.")


def _not_leader() -> UnavailableError:
    return UnavailableError("engine-not-leader", "This replica takes no commands right now.")
