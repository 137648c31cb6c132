"""Timers, the lifetime of kept messages, broadcasts: done by the leader, from replicated state."""

import asyncio
import logging
from itertools import islice
from typing import Final

from payhub_engines.core import usage
from payhub_engines.core.commands import (
    Command,
    ContinueBroadcast,
    ExpireMessage,
    FailTimer,
    ForgetInstances,
    ForgetUsage,
    PassBroadcastOver,
    TriggerTimer,
)
from payhub_engines.core.events import (
    BroadcastQueued,
    LogEntry,
    MessageBuffered,
    StartTimerCreated,
    TimerCreated,
)
from payhub_engines.core.reply import Rejected, Reply
from payhub_engines.core.state import State
from payhub_engines.server.retries import Retries
from payhub_engines.server.stream import StreamProcessor
from payhub_platform.clock import Clock
from payhub_platform.errors import PayhubError, UnavailableError

_logger = logging.getLogger(__name__)

SLEEP_MS_MAX: Final = 1_000
SLEEP_MS_MIN: Final = 1
RETRY_S: Final = 0.1
FORGET_EVERY_MS: Final = 10_000
HELD_POLL_MS: Final = 100  # how late others may be noticed while something waits to be tried again
BROADCASTS_AT_ONCE_MAX: Final = 16
NOTHING: Final = 0  # no key: what a command is about that is about nothing in particular
_AWAITED: Final = frozenset({TimerCreated, StartTimerCreated, MessageBuffered, BroadcastQueued})


class TimerWorker:
    """Sleeps until the next due time in the state, or until a nearer one is committed.

    It also lets go of instances that ended longer ago than they are kept, and of days that no limit looks at.
    """

    def __init__(self, stream: StreamProcessor, clock: Clock, kept_ms: int) -> None:
        self._stream = stream
        self._clock = clock
        self._kept_ms = kept_ms
        self._wake = asyncio.Event()
        self._sleeps_until_ms = 0
        self._forgot_at_ms = 0
        self._retries = Retries()
        stream.on_committed(self._on_committed)
        stream.on_role(self._on_role)

    async def run(self) -> None:
        """Fire what is due while this replica leads, for ever."""
        while True:
            self._wake.clear()
            if not self._stream.is_ready:
                await self._wake.wait()
                continue
            due = self._due()
            if not due:
                await self._sleep()
                continue
            answers = await asyncio.gather(
                *(self._stream.submit(command, tenant) for command, tenant in due), return_exceptions=True
            )
            if not await self._have_gone_well(due, answers):
                await asyncio.sleep(RETRY_S)

    async def _have_gone_well(
        self, due: list[tuple[Command, str]], answers: list[Reply | BaseException]
    ) -> bool:
        """See to what was not done; tell whether the loop may go on at once."""
        told: set[str] = set()
        for (command, tenant), answer in zip(due, answers, strict=True):
            if isinstance(answer, UnavailableError):
                _logger.warning("what is due waits: %s", answer.code)
                return False
            if isinstance(answer, PayhubError):
                await self._put_off(command, tenant, answer)
            elif isinstance(answer, BaseException):
                raise answer
            elif isinstance(answer, Rejected):
                told.add(answer.code)
            else:
                self._retries.done(_subject(command))
        if told:
            # Over already, or too early for a clock that was set back: the loop must not spin on it.
            _logger.info("what was due was refused: %s", ", ".join(sorted(told)))
        return not told

    async def _put_off(self, command: Command, tenant: str, error: PayhubError) -> None:
        """Try what met a defect later and later, and show it where an instance is known."""
        failures = self._retries.failed(_subject(command))
        _logger.error("%r was not done, %d times now: %s", command, failures, error)
        shown: Command | None = None
        if isinstance(command, TriggerTimer):
            shown = FailTimer(timer=command.timer, code=error.code, message=error.detail)
        elif isinstance(command, ContinueBroadcast) and command.receivers_max == 1:
            # It is the next receiver that cannot be reached; the others must not wait for it.
            shown = PassBroadcastOver(broadcast=command.broadcast, code=error.code, message=error.detail)
        if shown is not None:
            try:
                await self._stream.submit(shown, tenant)
                if isinstance(shown, PassBroadcastOver):
                    self._retries.done(shown.broadcast)
            except PayhubError as failure:
                _logger.warning("it could not be shown as an incident: %s", failure.code)

    def _due(self) -> list[tuple[Command, str]]:
        """Return what to fire now, with its tenant."""
        state, now_ms, held = self._stream.machine.state, self._clock(), self._retries.held()
        due: list[tuple[Command, str]] = [
            (TriggerTimer(timer=key), _tenant(state, key)) for key in state.index.due_timers(now_ms, held)
        ]
        for key in state.index.expired_messages(now_ms, held):
            message = state.message(key)
            tenant = "" if message is None else message.callback.tenant
            due.append((ExpireMessage(message=key), tenant))
        due += self._broadcasts(state, held)
        is_time = now_ms - self._forgot_at_ms >= FORGET_EVERY_MS or now_ms < self._forgot_at_ms
        if is_time and NOTHING not in held:
            self._forgot_at_ms = now_ms
            before_ms = now_ms - self._kept_ms
            if state.ended_before(before_ms, 1):
                self._forgot_at_ms = 0  # there may be more
                due.append((ForgetInstances(ended_before_ms=before_ms), ""))
            if usage.earlier(state.rows, usage.forgotten_before(now_ms), 1):
                self._forgot_at_ms = 0
                due.append((ForgetUsage(), ""))
        return due

    def _broadcasts(self, state: State, held: set[int]) -> list[tuple[Command, str]]:
        left = (one for one in state.broadcasts() if one.key not in held)
        return [
            (
                # After a defect one by one, so that it is known which of them meets it.
                ContinueBroadcast(broadcast=one.key, receivers_max=1)
                if self._retries.has_failed(one.key)
                else ContinueBroadcast(broadcast=one.key),
                one.tenant,
            )
            for one in islice(left, BROADCASTS_AT_ONCE_MAX)
        ]

    async def _sleep(self) -> None:
        state, now_ms = self._stream.machine.state, self._clock()
        next_ms = [state.next_timer_due_ms(), state.next_message_expiry_ms()]
        waits_ms = [due_ms - now_ms for due_ms in next_ms if due_ms is not None]
        wait_ms = max(SLEEP_MS_MIN, min([SLEEP_MS_MAX, *waits_ms]))
        if self._retries.held():
            # The earliest of them may be one that is not to be tried yet.
            wait_ms = max(wait_ms, HELD_POLL_MS)
        self._sleeps_until_ms = now_ms + wait_ms
        try:
            # Not wait_for: until Python 3.12 it may swallow the cancellation that stops this worker.
            async with asyncio.timeout(wait_ms / 1000):
                await self._wake.wait()
        except TimeoutError:
            return
        finally:
            self._sleeps_until_ms = 0

    def _on_role(self, _is_leader: bool) -> None:
        self._retries = Retries()
        self._wake.set()

    def _on_committed(self, entry: LogEntry) -> None:
        if not self._sleeps_until_ms:
            return
        for event in entry.events:
            if type(event) in _AWAITED:
                due_ms = getattr(event, "due_ms", 0) or getattr(event, "expires_at_ms", 0)
                if due_ms < self._sleeps_until_ms:
                    self._wake.set()
                    return


def _subject(command: Command) -> int:
    """Return the key of what a command is about."""
    for name in ("timer", "message", "broadcast"):
        key: int = getattr(command, name, 0)
        if key:
            return key
    return NOTHING


def _tenant(state: State, timer: int) -> str:
    found = state.index.timers.get(timer)
    instance = state.document(found[0]) if found is not None and found[0] else None
    return "" if instance is None else instance.tenant
