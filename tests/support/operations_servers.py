"""The parts of operations over real servers, and an engine that exports and replays as ours do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError
from sqlalchemy import text
from support.operations_records import encoded, exported

from payhub_operations.audit.model import AuditOverview
from payhub_operations.audit.replay import REPLAY_WAIT_S, BusReplay
from payhub_operations.audit.repository import overview
from payhub_operations.audit.service import AuditConsumer
from payhub_operations.audit.store import AuditStore
from payhub_operations.database import Database
from payhub_operations.migrations import migrate
from payhub_operations.payments.identifiers import identifier_hasher
from payhub_platform.bus import connection, subjects
from payhub_platform.bus.connection import Bus
from payhub_platform.bus.streams import ensure_audit_stream
from payhub_platform.clock import system_clock
from payhub_platform.contracts.audit import AuditBatch, AuditRecord, ReplayRequest
from payhub_platform.telemetry.tracing import Tracing

IDENTIFY = identifier_hasher(b"i" * 32)
WAIT_S = 20.0


@contextlib.asynccontextmanager
async def fresh_database(url: str) -> AsyncIterator[Database]:
    """The schema, new and empty."""
    database = Database(url)
    try:
        async with database.owner() as owner:
            await owner.execute(text("DROP SCHEMA IF EXISTS operations CASCADE"))
        await migrate(database)
        yield database
    finally:
        await database.close()


@contextlib.asynccontextmanager
async def connected_bus(url: str) -> AsyncIterator[Bus]:
    """A connection to NATS with an empty audit stream, which is removed afterwards."""
    bus = await connection.connect(url, "test")
    try:
        await until_connected(bus)
        stream = bus.jetstream()
        with contextlib.suppress(NotFoundError):
            await stream.delete_stream(subjects.AUDIT_STREAM)
        await ensure_audit_stream(stream)
        yield bus
        await stream.delete_stream(subjects.AUDIT_STREAM)
    finally:
        await bus.close()


@contextlib.asynccontextmanager
async def consuming(
    bus: Bus, database: Database, replay_wait_s: float = REPLAY_WAIT_S
) -> AsyncIterator[None]:
    """The audit consumer at work."""
    store = AuditStore(database, IDENTIFY, system_clock, BusReplay(bus, replay_wait_s))
    tracing = Tracing("operations")
    task = asyncio.create_task(AuditConsumer(bus, store, tracing).run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        tracing.shutdown()


async def publish(bus: Bus, records: list[AuditRecord], engine: str = "north") -> None:
    """Export records as one message, again until it is acknowledged, as an engine does."""

    async def acknowledged() -> bool:
        stream = bus.jetstream()
        try:
            await ensure_audit_stream(stream)
            await stream.publish(subjects.audit(engine), encoded(records, engine), timeout=1)
        except (NatsError, TimeoutError):
            return False
        return True

    await until(acknowledged)


async def serve_replays(bus: Bus, log: list[AuditRecord], engine: str = "north") -> list[ReplayRequest]:
    """Answer replays from a log; return the list that the requests will be in."""
    requests: list[ReplayRequest] = []

    async def answer(message: Msg) -> None:
        request = msgspec.msgpack.decode(message.data, type=ReplayRequest)
        requests.append(request)
        first = request.from_position
        records = log[first - 1 : first - 1 + request.count]
        answer = (
            exported(records, engine) if records else AuditBatch(engine=engine, first_position=first, count=0)
        )
        await message.respond(msgspec.msgpack.encode(answer))

    await bus.subscribe(subjects.replay(engine), cb=answer)
    return requests


async def audit_overview(database: Database) -> AuditOverview:
    """How far the audit got."""
    async with database.overseer() as connection:
        return await overview(connection)


async def until(reached: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    """Wait until something holds, for a bounded time."""
    async with asyncio.timeout(WAIT_S):
        while not await reached():
            await asyncio.sleep(0.05)


async def until_connected(bus: Bus) -> None:
    """Wait until a server answers."""

    async def reached() -> bool:
        return bus.is_connected

    await until(reached)


async def until_stored(database: Database, position: int, engine: str = "north") -> None:
    """Wait until an engine's log is stored before a position."""

    async def reached() -> bool:
        engines = (await audit_overview(database)).engines
        return any(item.engine == engine and item.next_position == position for item in engines)

    await until(reached)
