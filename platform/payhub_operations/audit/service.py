"""The consumer: takes the engines' logs from JetStream and acknowledges what PostgreSQL has committed."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from opentelemetry.trace import SpanKind

from payhub_operations.audit.errors import MalformedBatchError, ReplayError
from payhub_operations.audit.model import RecordBatch, decode_batch
from payhub_operations.audit.store import AuditStore, by_engine
from payhub_operations.database import DatabaseError
from payhub_operations.payments.model import DIRECTION_OF_PROCESS
from payhub_platform.bus import subjects
from payhub_platform.bus.streams import ensure_audit_stream
from payhub_platform.contracts.audit import AuditRecord
from payhub_platform.telemetry.tracing import Tracing

_logger = logging.getLogger(__name__)

DURABLE: Final = "operations"
FETCH_MESSAGES: Final = 4  # stored in one transaction; each may hold twenty thousand events
FETCH_WAIT_S: Final = 2.0
ACK_PENDING_MAX: Final = 256
ACK_WAIT_S: Final = 10.0
BACKOFF_FIRST_S: Final = 0.2
BACKOFF_MAX_S: Final = 5.0
GAP_RETRY_S: Final = 1.0
SPANS_A_BATCH_MAX: Final = 200


class AuditConsumer:
    """Runs for ever; whatever is down, it tries again and loses nothing.

    A message is acknowledged only after its records are committed, and given back when they cannot be.
    """

    def __init__(self, bus: Client, store: AuditStore, tracing: Tracing) -> None:
        self._bus = bus
        self._store = store
        self._tracing = tracing

    async def run(self) -> None:
        """Consume until cancelled."""
        backoff_s = BACKOFF_FIRST_S
        while True:
            try:
                subscription = await self._subscribe()
                backoff_s = BACKOFF_FIRST_S
                await self._consume(subscription)
            except (NatsError, TimeoutError, OSError) as error:
                _logger.warning("audit stream: %s; trying again", type(error).__name__)
                await asyncio.sleep(backoff_s)
                backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)

    async def _subscribe(self) -> JetStreamContext.PullSubscription:
        stream = self._bus.jetstream()
        await ensure_audit_stream(stream)
        return await stream.pull_subscribe(
            subjects.AUDIT_SUBJECTS,
            durable=DURABLE,
            stream=subjects.AUDIT_STREAM,
            config=ConsumerConfig(
                deliver_policy=DeliverPolicy.ALL,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=ACK_WAIT_S,
                max_deliver=-1,
                max_ack_pending=ACK_PENDING_MAX,
            ),
        )

    async def _consume(self, subscription: JetStreamContext.PullSubscription) -> None:
        try:
            while True:
                try:
                    messages = await subscription.fetch(FETCH_MESSAGES, timeout=FETCH_WAIT_S)
                except TimeoutError:
                    # Nothing came: or the consumer is gone with the server's disk, which this tells.
                    await subscription.consumer_info()
                    continue
                await self._take(messages)
        finally:
            if self._bus.is_connected:
                await subscription.unsubscribe()

    async def _take(self, messages: Sequence[Msg]) -> None:
        readable: dict[str, list[Msg]] = {}
        batches: list[RecordBatch] = []
        for message in messages:
            try:
                batch = decode_batch(message.data)
            except MalformedBatchError as error:
                # It will never be readable. Its positions stay missing, so the engine is asked for them.
                _logger.error("audit message on %s is refused: %s", message.subject, error.detail)  # noqa: TRY400 - the reason is all there is to say
                await message.term()
                continue
            batches.append(batch)
            readable.setdefault(batch.engine, []).append(message)
        for engine, group in by_engine(batches).items():
            await self._store_and_acknowledge(engine, group, readable[engine])

    async def _store_and_acknowledge(
        self, engine: str, batches: Sequence[RecordBatch], messages: Sequence[Msg]
    ) -> None:
        try:
            stored = await self._store_patiently(engine, batches)
        except ReplayError as error:
            _logger.warning("audit gap stays open: %s", error.detail)
            for message in messages:
                await message.nak(delay=GAP_RETRY_S)
            return
        for message in messages:
            await message.ack()
        self._trace(stored)

    async def _store_patiently(self, engine: str, batches: Sequence[RecordBatch]) -> list[AuditRecord]:
        """Store; while PostgreSQL is away keep the batches and try again.

        Giving the messages back instead would let later ones overtake them and look like gaps.
        """
        backoff_s = BACKOFF_FIRST_S
        while True:
            try:
                return await self._store.store(engine, batches)
            except DatabaseError as error:
                _logger.warning("audit waits for the database: %s", error.detail)
                await asyncio.sleep(backoff_s)
                backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)

    def _trace(self, stored: Sequence[AuditRecord]) -> None:
        """End each finished payment's trace here, where its last record was stored."""
        finished = [
            record
            for record in stored
            if record.type == "InstanceCompleted" and record.trace and record.process in DIRECTION_OF_PROCESS
        ]
        for record in finished[:SPANS_A_BATCH_MAX]:
            with self._tracing.span(
                "store payment",
                record.trace,
                SpanKind.CONSUMER,
                tenant=record.tenant,
                payment=record.payment,
                position=record.position,
            ):
                pass
