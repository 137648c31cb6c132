"""NATS as bad as it may be: requests and replies are lost, repeated, delayed and overtake one another."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError

from payhub_platform.bus import subjects

FAST_S = 0.02
SLOW_S_MAX = 6.0  # three times as long as a sender waits: late requests and replies are part of the game

Taker = Callable[["SimulatedMessage"], Awaitable[None]]


@dataclass
class SimulatedMessage:
    data: bytes
    bus: "SimulatedBus"
    reply: asyncio.Future[bytes]

    async def respond(self, data: bytes) -> None:
        for delay_s in self.bus.fate():
            asyncio.get_running_loop().call_later(delay_s, self._answer, data)

    def _answer(self, data: bytes) -> None:
        if not self.reply.done():
            self.reply.set_result(data)


class SimulatedBus:
    """Request and reply by subject, for all engines at once."""

    def __init__(self, chance: random.Random) -> None:
        self.is_bad = True
        self._chance = chance
        self._takers: dict[str, Taker] = {}
        self._deliveries: set[asyncio.Task[None]] = set()

    def fate(self) -> list[float]:
        """Tell when a message arrives: never, once or twice."""
        if not self.is_bad:
            return [FAST_S]
        kind = self._chance.random()
        if kind < 0.25:
            return []
        copies = 2 if kind < 0.5 else 1
        return [self._chance.uniform(0, self._chance.choice((FAST_S, SLOW_S_MAX))) for _ in range(copies)]

    async def serve(self, subject: str, answer: Taker) -> None:
        self._takers[subject] = answer
        await asyncio.Event().wait()

    def forget(self, engine: str) -> None:
        """An engine is gone with its subscription."""
        self._takers.pop(subjects.handover(engine), None)

    async def request(self, subject: str, data: bytes, timeout: float) -> SimulatedMessage:  # noqa: ASYNC109 - as NATS has it
        if subject not in self._takers:
            raise NoRespondersError
        loop = asyncio.get_running_loop()
        message = SimulatedMessage(data, self, loop.create_future())
        for delay_s in self.fate():
            loop.call_later(delay_s, self._deliver, subject, message)
        try:
            answer = await asyncio.wait_for(asyncio.shield(message.reply), timeout)
        except TimeoutError:
            raise NatsTimeoutError from None
        return SimulatedMessage(answer, self, message.reply)

    def _deliver(self, subject: str, message: SimulatedMessage) -> None:
        taker = self._takers.get(subject)
        if taker is not None:
            task = asyncio.ensure_future(taker(message))
            self._deliveries.add(task)
            task.add_done_callback(self._deliveries.discard)
