"""The sending half: what is committed to the outbox is repeated until the owner has committed it."""

import asyncio
import itertools
import logging
from typing import Final

import msgspec
from nats.errors import Error as NatsError

from payhub_engines.core.commands import AcknowledgeHandover
from payhub_engines.core.events import HandoverAcknowledged, HandoverQueued, LogEntry
from payhub_engines.core.records import OutboxRecord
from payhub_engines.server.stream import StreamProcessor
from payhub_platform.bus import subjects
from payhub_platform.bus.connection import Bus
from payhub_platform.contracts.handover import HandoverReply, HandoverRequest
from payhub_platform.errors import PayhubError

_logger = logging.getLogger(__name__)

REPLY_TIMEOUT_S: Final = 2.0
RETRY_S: Final = 0.3
RETRY_S_MAX: Final = 3.0  # each time that an owner takes nothing, the wait doubles
AT_ONCE_MAX: Final = 64


class HandoverSender:
    """Hands the outbox over: the owners beside each other, each oldest first, bounded.

    It follows the committed outbox from the moment on which this replica leads.
    """

    def __init__(self, stream: StreamProcessor, bus: Bus) -> None:
        self._stream = stream
        self._bus = bus
        self._origin = ""
        self._outbox: dict[str, dict[int, OutboxRecord]] = {}  # by owner and sequence, in order
        self._wake = asyncio.Event()
        stream.on_committed(self._on_committed)
        stream.on_role(self._on_role)

    async def run(self) -> None:
        """Send what waits, for ever. NATS may lose or repeat anything: the outbox decides."""
        draining: dict[str, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                for owner in list(self._outbox):
                    if owner not in draining or draining[owner].done():
                        draining[owner] = group.create_task(self._drain(owner))
                await self._wake.wait()

    async def _drain(self, owner: str) -> None:
        """Hand over what waits for one owner; a dead one holds no other up."""
        wait_s = RETRY_S
        while waiting := list(itertools.islice(self._outbox.get(owner, {}).values(), AT_ONCE_MAX)):
            lowest_open = waiting[0].sequence
            results = await asyncio.gather(*(self._send(record, lowest_open) for record in waiting))
            if not all(results):
                wait_s = RETRY_S if any(results) else min(2 * wait_s, RETRY_S_MAX)
                await asyncio.sleep(wait_s)

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
            acknowledge = AcknowledgeHandover(owner=record.owner, sequence=record.sequence)
            await self._stream.submit(acknowledge, record.callback.tenant)
        except (NatsError, TimeoutError, OSError, PayhubError, msgspec.DecodeError) as error:
            _logger.info("hand-over to %s is tried again: %s", record.owner, type(error).__name__)
            return False
        return True

    def _on_role(self, is_leader: bool) -> None:
        self._outbox.clear()
        if is_leader:
            state = self._stream.machine.state
            self._origin = state.origin
            for record in state.outbox():
                self._outbox.setdefault(record.owner, {})[record.sequence] = record
        self._wake.set()

    def _on_committed(self, entry: LogEntry) -> None:
        for event in entry.events:
            if isinstance(event, HandoverQueued):
                record = OutboxRecord(event.owner, event.sequence, event.callback)
                self._outbox.setdefault(event.owner, {})[event.sequence] = record
                self._wake.set()
            elif isinstance(event, HandoverAcknowledged) and event.owner in self._outbox:
                self._outbox[event.owner].pop(event.sequence, None)
