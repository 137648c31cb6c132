"""Timers and the lifetime of kept messages: fired by the leader from replicated state."""

import asyncio
import logging
from typing import Final

from payhub_engines.core.commands import Command, ExpireMessage, ForgetInstances, TriggerTimer
from payhub_engines.core.events import LogEntry, MessageBuffered, StartTimerCreated, TimerCreated
from payhub_engines.core.reply import Rejected
from payhub_engines.core.state import State
from payhub_engines.server.stream import StreamProcessor
from payhub_platform.clock import Clock
from payhub_platform.errors import PayhubError

_logger = logging.getLogger(__name__)

SLEEP_MS_MAX: Final = 1_000
SLEEP_MS_MIN: Final = 1
RETRY_S: Final = 0.1
FORGET_EVERY_MS: Final = 10_000
_AWAITED: Final = frozenset({TimerCreated, StartTimerCreated, MessageBuffered})


class TimerWorker:
    """Sleeps until the next due time in the state, or until a nearer one is committed.

    It also lets go of instances that ended longer ago than they are kept.
    """

    def __init__(self, stream: StreamProcessor, clock: Clock, kept_ms: int) -> None:
        self._stream = stream
        self._clock = clock
        self._kept_ms = kept_ms
        self._wake = asyncio.Event()
        self._sleeps_until_ms = 0
        self._forgot_at_ms = 0
        stream.on_committed(self._on_committed)
        stream.on_role(lambda _: self._wake.set())

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
            try:
                replies = await asyncio.gather(
                    *(self._stream.submit(command, tenant) for command, tenant in due)
                )
            except PayhubError as error:
                _logger.warning("timers wait: %s", error.code)
                await asyncio.sleep(RETRY_S)
                continue
            refused = {reply.code for reply in replies if isinstance(reply, Rejected)}
            if refused:
                # Over already, or too early for a clock that was set back: the loop must not spin on it.
                _logger.info("what was due was refused: %s", ", ".join(sorted(refused)))
                await asyncio.sleep(RETRY_S)

    def _due(self) -> list[tuple[Command, str]]:
        """Return what to fire now, with its tenant."""
        state, now_ms = self._stream.machine.state, self._clock()
        due: list[tuple[Command, str]] = [
            (TriggerTimer(timer=key), _tenant(state, key)) for key in state.index.due_timers(now_ms)
        ]
        for key in state.index.expired_messages(now_ms):
            message = state.message(key)
            tenant = "" if message is None else message.callback.tenant
            due.append((ExpireMessage(message=key), tenant))
        if now_ms - self._forgot_at_ms >= FORGET_EVERY_MS or now_ms < self._forgot_at_ms:
            self._forgot_at_ms = now_ms
            before_ms = now_ms - self._kept_ms
            if state.ended_before(before_ms, 1):
                self._forgot_at_ms = 0  # there may be more
                due.append((ForgetInstances(ended_before_ms=before_ms), ""))
        return due

    async def _sleep(self) -> None:
        state, now_ms = self._stream.machine.state, self._clock()
        next_ms = [state.next_timer_due_ms(), state.next_message_expiry_ms()]
        waits_ms = [due_ms - now_ms for due_ms in next_ms if due_ms is not None]
        wait_ms = max(SLEEP_MS_MIN, min([SLEEP_MS_MAX, *waits_ms]))
        self._sleeps_until_ms = now_ms + wait_ms
        try:
            # Not wait_for: until Python 3.12 it may swallow the cancellation that stops this worker.
            async with asyncio.timeout(wait_ms / 1000):
                await self._wake.wait()
        except TimeoutError:
            return
        finally:
            self._sleeps_until_ms = 0

    def _on_committed(self, entry: LogEntry) -> None:
        if not self._sleeps_until_ms:
            return
        for event in entry.events:
            if type(event) in _AWAITED:
                due_ms = getattr(event, "due_ms", 0) or getattr(event, "expires_at_ms", 0)
                if due_ms < self._sleeps_until_ms:
                    self._wake.set()
                    return


def _tenant(state: State, timer: int) -> str:
    found = state.index.timers.get(timer)
    instance = state.document(found[0]) if found is not None and found[0] else None
    return "" if instance is None else instance.tenant
