"""Publishes the log to JetStream: one writer a subject, each message chained to the one before it.

The stream itself says how far the export got: its last message on the engine's subject. The chain
(``Nats-Expected-Last-Subject-Sequence``) makes a publication whose outcome was unknown harmless, and the
late one of a replica that leads no longer.
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
from payhub_engines.export.trimming import LOG_BYTES_KEPT_MAX, Held, decide_trim
from payhub_engines.server.stream import StreamProcessor
from payhub_platform.bus import subjects
from payhub_platform.bus.connection import Bus
from payhub_platform.bus.streams import AUDIT_BATCH_BYTES, ensure_audit_stream
from payhub_platform.contracts.audit import Confirmed, ReplayRequest

_logger = logging.getLogger(__name__)

ACK_TIMEOUT_S: Final = 5.0
RETRY_S: Final = 0.5
GATHER_S: Final = 0.02  # entries of so long leave in one message, for a message costs more than its bytes
FULL_BYTES: Final = AUDIT_BATCH_BYTES // 2  # after a message of so many the next leaves at once
CONFIRM_EVERY_S: Final = 10.0
CONFIRM_TIMEOUT_S: Final = 2.0
HEADER_CHAIN: Final = "Nats-Expected-Last-Subject-Sequence"


class _Exported(msgspec.Struct, frozen=True):
    """Where a message of the stream ends; release 0.1 wrote records instead of a count."""

    first_position: int
    count: int = 0
    records: list[msgspec.Raw] = []

    @property
    def next_position(self) -> int:
        return self.first_position + (self.count or len(self.records))


class Exporter:
    """Ships committed entries in order; payments never wait for it.

    ``run`` and ``serve_replays`` are the leader's, ``follow_confirmed`` and ``serve_held`` every replica's.
    """

    def __init__(
        self,
        engine_id: str,
        stream: StreamProcessor,
        reader: LogReader,
        bus: Bus,
        *,
        waits_for_operations: bool = True,
        bytes_kept_max: int = LOG_BYTES_KEPT_MAX,
    ) -> None:
        """Prepare.

        Args:
            engine_id: whose log it is.
            stream: tells when entries are committed.
            reader: reads them.
            bus: brings them away.
            waits_for_operations: whether the log is kept until operations has stored it.
            bytes_kept_max: how large it may grow meanwhile.
        """
        self._subject = subjects.audit(engine_id)
        self._engine_id = engine_id
        self._reader = reader
        self._bus = bus
        self._wake = asyncio.Event()
        self._exported_position: int | None = None
        self._confirmed_position: int | None = None
        self._waits_for_operations = waits_for_operations
        self._bytes_kept_max = bytes_kept_max
        stream.on_committed(self._on_committed)

    @property
    def exported_position(self) -> int | None:
        """JetStream has acknowledged all before it; None while this replica does not export."""
        return self._exported_position

    @property
    def confirmed_position(self) -> int | None:
        """Operations has stored all before it, by its last word; None while it has said nothing."""
        return self._confirmed_position

    async def run(self) -> None:
        """Export for ever; after any trouble ask the stream how far it got and go on from there."""
        try:
            while True:
                try:
                    await self._export()
                except (NatsError, TimeoutError, OSError) as error:
                    _logger.info("export is tried again: %s", type(error).__name__)
                    await asyncio.sleep(RETRY_S)
        finally:
            self._exported_position = None

    async def serve_replays(self) -> None:
        """Answer operations' requests for events it lacks, until cancelled."""
        await self._bus.serve(subjects.replay(self._engine_id), self._on_replay)

    async def serve_held(self) -> None:
        """Answer requests for events that the leader's log no longer holds, until cancelled."""
        await self._bus.serve(subjects.replay_held(self._engine_id), self._on_replay_held)

    async def follow_confirmed(self) -> None:
        """Ask operations now and then how far it has stored the log, until cancelled."""
        while True:
            await self._ask_confirmed()
            await asyncio.sleep(CONFIRM_EVERY_S)

    def trim_below(self, log_bytes: int) -> int:
        """Return the index below which the log may be forgotten as far as the audit is concerned.

        Args:
            log_bytes: what the log takes on disk.
        """
        held = Held(
            first_index=self._reader.first_index, next_index=self._reader.next_index, size_bytes=log_bytes
        )
        trim = decide_trim(
            held,
            self._index_behind(self._exported_position),
            self._index_behind(self._confirmed_position),
            waits_for_operations=self._waits_for_operations,
            bytes_kept_max=self._bytes_kept_max,
        )
        if trim.unconfirmed:
            _logger.critical(
                "the log takes %d bytes of disk and %d are allowed: its oldest %d entries are forgotten "
                "although operations has not confirmed them; see to operations and NATS",
                log_bytes,
                self._bytes_kept_max,
                trim.unconfirmed,
            )
        return trim.below_index

    def _index_behind(self, position: int | None) -> int | None:
        """Return the index below which all events are before a position.

        None where the log does not hold the last of them: either all are forgotten already, or whoever
        stored them speaks of another life of this log, such as the one before a restored backup.
        """
        if position is None or not self._reader.holds(position - 1):
            return None
        return self._reader.index_of(position)

    async def _export(self) -> None:
        stream = self._bus.jetstream()
        await ensure_audit_stream(stream)
        position, chain = await self._resume(stream)
        self._exported_position = position
        while True:
            self._wake.clear()
            batch = self._reader.read(position)
            if batch is None:
                await self._wake.wait()
                await asyncio.sleep(GATHER_S)
                continue
            acknowledgement = await stream.publish(
                self._subject,
                msgspec.msgpack.encode(batch),
                timeout=ACK_TIMEOUT_S,
                headers={HEADER_CHAIN: str(chain)},
            )
            chain = acknowledgement.seq
            self._exported_position = position = batch.first_position + batch.count
            if sum(map(len, batch.entries)) < FULL_BYTES:
                await asyncio.sleep(GATHER_S)

    async def _resume(self, stream: JetStreamContext) -> tuple[int, int]:
        """Return the next position to export and the sequence of the subject's last message."""
        try:
            last = await stream.get_last_msg(subjects.AUDIT_STREAM, self._subject)
        except NotFoundError:
            return await self._first_needed(), 0
        try:
            exported = msgspec.msgpack.decode(last.data or b"", type=_Exported)
        except msgspec.DecodeError:
            # Not ours, so it tells nothing; operations knows what it has and skips what comes again.
            _logger.exception("the last message on %s cannot be read; all is exported again", self._subject)
            return await self._first_needed(), last.seq or 0
        return exported.next_position, last.seq or 0

    async def _first_needed(self) -> int:
        """Return where to begin where the stream does not tell: at what operations lacks, or at the first."""
        await self._ask_confirmed()
        return self._confirmed_position or 1

    async def _ask_confirmed(self) -> None:
        try:
            answer = await self._bus.request(
                subjects.confirmed(self._engine_id), b"", timeout=CONFIRM_TIMEOUT_S
            )
            confirmed = msgspec.msgpack.decode(answer.data, type=Confirmed)
        except (NatsError, TimeoutError, OSError, msgspec.MsgspecError) as error:
            _logger.debug("operations does not say how far it is: %s", type(error).__name__)
        else:
            self._confirmed_position = confirmed.next_position

    async def _on_replay(self, message: Msg) -> None:
        request = msgspec.msgpack.decode(message.data, type=ReplayRequest)
        batch = self._reader.read_again(request.from_position, request.count, request.offset)
        await message.respond(msgspec.msgpack.encode(batch))

    async def _on_replay_held(self, message: Msg) -> None:
        request = msgspec.msgpack.decode(message.data, type=ReplayRequest)
        if self._reader.holds(request.from_position):
            await self._on_replay(message)

    def _on_committed(self, _entry: LogEntry) -> None:
        self._wake.set()
