"""Publishes the log to JetStream: one writer a subject, each message chained to the one before it.

The stream itself says how far the export got: its last message on the engine's subject. The chain
(``Nats-Expected-Last-Subject-Sequence``) makes a publication whose outcome was unknown harmless.
"""

import asyncio
import logging
from typing import Final

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from payhub_engines.core.events import LogEntry
from payhub_engines.export.reader import LogReader
from payhub_engines.server.stream import StreamProcessor
from payhub_platform.bus import subjects
from payhub_platform.bus.connection import Bus
from payhub_platform.bus.streams import ensure_audit_stream
from payhub_platform.contracts.audit import AuditBatch, ReplayRequest

_logger = logging.getLogger(__name__)

ACK_TIMEOUT_S: Final = 5.0
RETRY_S: Final = 0.5
HEADER_CHAIN: Final = "Nats-Expected-Last-Subject-Sequence"


class Exporter:
    """Ships committed records in order; payments never wait for it."""

    def __init__(self, engine_id: str, stream: StreamProcessor, reader: LogReader, bus: Bus) -> None:
        self._subject = subjects.audit(engine_id)
        self._replay_subject = subjects.replay(engine_id)
        self._engine_id = engine_id
        self._reader = reader
        self._bus = bus
        self._wake = asyncio.Event()
        stream.on_committed(self._on_committed)

    async def run(self) -> None:
        """Export for ever; after any trouble ask the stream how far it got and go on from there."""
        while True:
            try:
                await self._export()
            except (NatsError, TimeoutError, OSError) as error:
                _logger.info("export is tried again: %s", type(error).__name__)
                await asyncio.sleep(RETRY_S)

    async def serve_replays(self) -> None:
        """Answer operations' requests for records it missed, as soon as NATS is there."""
        while True:
            try:
                await self._bus.subscribe(self._replay_subject, cb=self._on_replay)
            except NatsError:
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def _export(self) -> None:
        stream = self._bus.jetstream()
        await ensure_audit_stream(stream)
        position, chain = await self._resume(stream)
        while True:
            self._wake.clear()
            batch = self._reader.read(position)
            if batch is None:
                await self._wake.wait()
                continue
            acknowledgement = await stream.publish(
                self._subject,
                msgspec.msgpack.encode(batch),
                timeout=ACK_TIMEOUT_S,
                headers={HEADER_CHAIN: str(chain)},
            )
            chain = acknowledgement.seq
            position = batch.first_position + len(batch.records)

    async def _resume(self, stream: JetStreamContext) -> tuple[int, int]:
        """Return the next position to export and the sequence of the subject's last message."""
        try:
            last = await stream.get_last_msg(subjects.AUDIT_STREAM, self._subject)
        except NotFoundError:
            return 1, 0
        try:
            batch = msgspec.msgpack.decode(last.data or b"", type=AuditBatch)
        except msgspec.DecodeError:
            # Not ours, so it tells nothing; operations knows what it has and skips what comes again.
            _logger.exception("the last message on %s cannot be read; all is exported again", self._subject)
            return 1, last.seq or 0
        return batch.first_position + len(batch.records), last.seq or 0

    async def _on_replay(self, message: Msg) -> None:
        request = msgspec.msgpack.decode(message.data, type=ReplayRequest)
        batch = self._reader.read(request.from_position)
        if batch is None:
            batch = AuditBatch(engine=self._engine_id, first_position=request.from_position, records=[])
        elif len(batch.records) > request.count:
            batch = msgspec.structs.replace(batch, records=batch.records[: request.count])
        await message.respond(msgspec.msgpack.encode(batch))

    def _on_committed(self, _entry: LogEntry) -> None:
        self._wake.set()
