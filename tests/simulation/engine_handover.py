"""NATS between engines: requests and replies are lost, repeated, late; who is killed hears no answer."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError
from simulation.engine_loop import Life

FAST_S = 0.02
SLOW_S_MAX = 6.0  # three times as long as a sender waits

Taker = Callable[["_Request"], Awaitable[None]]


class HandoverBus:
    """Request and reply by subject, for all engines at once.

    Attributes:
        is_bad: whether messages are lost, repeated and late.
        is_down: nothing reaches anybody.
    """

    def __init__(self, chooser: random.Random) -> None:
        self.is_bad = True
        self.is_down = False
        self.takers: dict[str, tuple[Life, Taker]] = {}
        self._chooser = chooser

    def connection(self, life: Life) -> "_Connection":
        return _Connection(self, life)

    def heal(self) -> None:
        self.is_bad = self.is_down = False

    def fate(self) -> list[float]:
        """Tell after how many milliseconds a message arrives: never, once or twice."""
        if self.is_down:
            return []
        if not self.is_bad:
            return [FAST_S * 1000]
        luck = self._chooser.random()
        if luck < 0.15:
            return []
        slow = [FAST_S, FAST_S, SLOW_S_MAX]
        copies = 2 if luck < 0.3 else 1
        return [self._chooser.uniform(0, self._chooser.choice(slow)) * 1000 for _ in range(copies)]


class _Connection:
    """One process's connection; implements what sender and receiver ask of ``Bus``."""

    def __init__(self, bus: HandoverBus, life: Life) -> None:
        self._bus = bus
        self._life = life

    async def serve(self, subject: str, answer: Taker) -> None:
        taker = (self._life, answer)
        self._bus.takers[subject] = taker
        try:
            await asyncio.Event().wait()
        finally:
            if self._bus.takers.get(subject) is taker:
                del self._bus.takers[subject]

    async def request(self, subject: str, data: bytes, timeout: float) -> "_Request":  # noqa: ASYNC109 - as NATS has it
        taker = self._bus.takers.get(subject)
        if taker is None or taker[0].is_dying:
            raise NoRespondersError
        request = _Request(data, self._bus, self._life, asyncio.get_running_loop().create_future())
        for delay_ms in self._bus.fate():
            taker[0].after(delay_ms, _deliver, taker, request)
        try:
            answer = await asyncio.wait_for(asyncio.shield(request.reply), timeout)
        except TimeoutError:
            raise NatsTimeoutError from None
        return _Request(answer, self._bus, self._life, request.reply)


@dataclass
class _Request:
    """A message of NATS."""

    data: bytes
    bus: HandoverBus
    asker: Life
    reply: asyncio.Future[bytes]

    async def respond(self, data: bytes) -> None:
        for delay_ms in self.bus.fate():
            self.asker.after(delay_ms, self._answer, data)

    def _answer(self, data: bytes) -> None:
        if not self.reply.done():
            self.reply.set_result(data)


def _deliver(taker: tuple[Life, Taker], request: _Request) -> None:
    life, answer = taker
    if not life.is_dying:
        life.start(answer(request))  # type: ignore[arg-type] # a coroutine, as the receiver has it
