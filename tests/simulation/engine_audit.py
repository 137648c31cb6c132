"""The stream of audit records: a publication may be lost, or only its answer; each is chained to the last."""

import asyncio
import random
from types import SimpleNamespace
from typing import Any

import msgspec
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.errors import APIError, NotFoundError
from simulation.engine_loop import Life

from payhub_engines.export.exporter import HEADER_CHAIN
from payhub_platform.contracts.audit import AuditBatch


class AuditBus:
    """JetStream, as far as the exporter uses it; what it holds survives everything.

    Attributes:
        is_down: nothing reaches it.
    """

    def __init__(self, chooser: random.Random) -> None:
        self.is_bad = True
        self.is_down = False
        self.batches: list[AuditBatch] = []
        self._messages: list[bytes] = []
        self._chooser = chooser

    @property
    def last_position(self) -> int:
        last = self.batches[-1] if self.batches else None
        return 0 if last is None else last.first_position + last.count - 1

    def connection(self, life: Life) -> "_Connection":
        return _Connection(self, life)

    async def way(self) -> None:
        """Let a message be on its way, or get lost."""
        await asyncio.sleep(self._chooser.uniform(0, 0.02))
        if self.is_down or (self.is_bad and self._chooser.random() < 0.05):
            await asyncio.sleep(1)
            raise NatsTimeoutError

    def publish(self, data: bytes, chain: int) -> int:
        if chain != len(self._messages):
            raise APIError(code=400, err_code=10071, description="wrong last sequence")
        self._messages.append(data)
        self.batches.append(msgspec.msgpack.decode(data, type=AuditBatch))
        return len(self._messages)

    def last(self) -> SimpleNamespace:
        if not self._messages:
            raise NotFoundError
        return SimpleNamespace(data=self._messages[-1], seq=len(self._messages))


class _Connection:
    """One replica's connection; implements what the exporter asks of ``Bus`` and of its stream."""

    def __init__(self, bus: AuditBus, life: Life) -> None:
        self._bus = bus
        self._life = life

    def jetstream(self) -> "_Connection":
        return self

    async def stream_info(self, _name: str) -> None:
        await self._bus.way()

    async def get_last_msg(self, _stream: str, _subject: str) -> SimpleNamespace:
        await self._bus.way()
        return self._bus.last()

    async def publish(self, _subject: str, data: bytes, **options: Any) -> SimpleNamespace:
        await self._bus.way()
        if self._life.is_dying:
            raise NatsTimeoutError
        sequence = self._bus.publish(data, int(options["headers"][HEADER_CHAIN]))
        await self._bus.way()
        return SimpleNamespace(seq=sequence)

    async def request(self, _subject: str, _data: bytes, **_options: Any) -> SimpleNamespace:
        """Operations says nothing of how far it is: all that is not in the stream is exported."""
        await self._bus.way()
        raise NatsTimeoutError
