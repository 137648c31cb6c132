"""Timers and the lifetime of kept messages: fired by the leader from replicated state."""

import asyncio
import itertools
import logging
from collections.abc import Iterator
from typing import Final

from payhub_engines.core.commands import Command, ExpireMessage, TriggerTimer
from payhub_engines.core.events import LogEntry, MessageBuffered, TimerCreated
from payhub_engines.core.reply import Rejected
from payhub_engines.server.stream import StreamProcessor
from payhub_platform.clock import Clock
from payhub_platform.errors import UnavailableError

_logger = logging.getLogger(__name__)

SLEEP_MS_MAX: Final = 1_000
SLEEP_MS_MIN: Final = 1
SLEEP_REFUSED_MS: Final = 100  # a refused timer stays due; the loop must not spin on it
RETRY_S: Final = 0.1
DUE_A_TURN_MAX: Final = 256
REFUSED_FOR_GOOD: Final = "unknown-version"  # other refusals mean too early, or over already


class TimerWorker:
    """Sleeps until the next due time in the state, or until a nearer one is committed."""

    def __init__(self, stream: StreamProcessor, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._wake = asyncio.Event()
        self._refused: set[int] = set()
        stream.on_committed(self._on_committed)

    async def run(self) -> None:
        """Fire what is due, for ever."""
        while True:
            self._wake.clear()
            due = self._due()
            if not due:
                await self._sleep()
                continue
            try:
                replies = await asyncio.gather(*(self._stream.submit(command) for command in due.values()))
            except UnavailableError as error:
                _logger.warning("timers wait: %s", error.code)
                await asyncio.sleep(RETRY_S)
                continue
            for key, reply in zip(due, replies, strict=True):
                if isinstance(reply, Rejected) and reply.code == REFUSED_FOR_GOOD:
                    # It would be due again at once and hold the others up; the next start tries again.
                    _logger.warning("what was due under key %d was refused: %s", key, reply.code)
                    self._refused.add(key)

    def _due(self) -> dict[int, Command]:
        """Return what to fire now, by key: timers and messages share one sequence of keys."""
        waiting = ((key, command) for key, command in self._all_due() if key not in self._refused)
        return dict(itertools.islice(waiting, DUE_A_TURN_MAX))

    def _all_due(self) -> Iterator[tuple[int, Command]]:
        view, now_ms = self._stream.view, self._clock()
        for timer in view.due_timers(now_ms):
            yield timer.key, TriggerTimer(timer=timer.key)
        for message in view.expired_messages(now_ms):
            yield message.key, ExpireMessage(message=message.key)

    async def _sleep(self) -> None:
        view = self._stream.view
        next_ms = [view.next_timer_due_ms(), view.next_message_expiry_ms()]
        waits_ms = [due_ms - self._clock() for due_ms in next_ms if due_ms is not None]
        wait_ms_min = SLEEP_REFUSED_MS if self._refused else SLEEP_MS_MIN
        wait_ms = max(wait_ms_min, min([SLEEP_MS_MAX, *waits_ms]))
        try:
            await asyncio.wait_for(self._wake.wait(), wait_ms / 1000)
        except TimeoutError:
            return

    def _on_committed(self, entry: LogEntry) -> None:
        if any(isinstance(event, TimerCreated | MessageBuffered) for event in entry.events):
            self._wake.set()
