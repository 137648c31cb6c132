"""The sending half: the outbox in replicated state is repeated until the owner has committed it."""

import asyncio
import itertools
import logging
from typing import Final

import msgspec
from nats.errors import Error as NatsError

from payhub_engines.core.commands import AcknowledgeHandover
from payhub_engines.core.events import HandoverQueued, LogEntry
from payhub_engines.core.records import OutboxRecord
from payhub_engines.server.stream import StreamProcessor
from payhub_platform.bus import subjects
from payhub_platform.bus.connection import Bus
from payhub_platform.contracts.handover import HandoverReply, HandoverRequest
from payhub_platform.errors import UnavailableError

_logger = logging.getLogger(__name__)

REPLY_TIMEOUT_S: Final = 2.0
RETRY_S: Final = 0.3
AT_ONCE_MAX: Final = 64


class HandoverSender:
    """Hands the outbox over: the owners beside each other, each oldest first, bounded."""

    def __init__(self, origin: str, stream: StreamProcessor, bus: Bus) -> None:
        self._origin = origin
        self._stream = stream
        self._bus = bus
        self._wake = asyncio.Event()
        stream.on_committed(self._on_committed)

    async def run(self) -> None:
        """Send what waits, for ever. NATS may lose or repeat anything: the outbox decides."""
        draining: dict[str, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                for owner in {record.owner for record in self._stream.view.outbox()}:
                    if owner not in draining or draining[owner].done():
                        draining[owner] = group.create_task(self._drain(owner))
                await self._wake.wait()

    async def _drain(self, owner: str) -> None:
        """Hand over what waits for one owner; a dead one holds no other up."""
        while waiting := list(itertools.islice(self._stream.view.outbox(owner), AT_ONCE_MAX)):
            lowest_open = waiting[0].sequence
            results = await asyncio.gather(*(self._send(record, lowest_open) for record in waiting))
            if not all(results):
                await asyncio.sleep(RETRY_S)

    async def _send(self, record: OutboxRecord, lowest_open: int) -> bool:
        request = HandoverRequest(
            origin=self._origin,
            sequence=record.sequence,
            lowest_open=lowest_open,
            callback=record.callback,
        )
        try:
            answer = await self._bus.request(
                subjects.handover(record.owner), msgspec.msgpack.encode(request), timeout=REPLY_TIMEOUT_S
            )
            reply = msgspec.msgpack.decode(answer.data, type=HandoverReply)
            if not reply.committed:
                _logger.info("hand-over %d waits: %s", record.sequence, reply.reason)
                return False
            await self._stream.submit(AcknowledgeHandover(owner=record.owner, sequence=record.sequence))
        except (NatsError, TimeoutError, OSError, UnavailableError, msgspec.DecodeError) as error:
            _logger.info("hand-over to %s is tried again: %s", record.owner, type(error).__name__)
            return False
        return True

    def _on_committed(self, entry: LogEntry) -> None:
        if any(isinstance(event, HandoverQueued) for event in entry.events):
            self._wake.set()
