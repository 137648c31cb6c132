"""The audit log arrives exactly once, in order and whole, whatever goes down meanwhile."""

import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import func, select, update
from support.operations_records import outgoing, record
from support.operations_servers import (
    audit_overview,
    connected_bus,
    consuming,
    fresh_database,
    publish,
    serve_replays,
    until,
    until_stored,
)
from support.servers import running_nats, running_postgres

from payhub_cli.local.server import LocalServer
from payhub_operations.audit.model import EngineOverview, TenantOverview
from payhub_operations.database import Database, DatabaseError
from payhub_operations.migrations import migrate
from payhub_operations.schema import events, gaps
from payhub_platform.bus import subjects
from payhub_platform.bus.connection import Bus

LOG = [item for number in range(10) for item in outgoing(number * 6 + 1, f"pay-{number}")]


@pytest.fixture
async def bus(nats_server: LocalServer) -> AsyncIterator[Bus]:
    async with connected_bus(nats_server.url) as bus:
        yield bus


@pytest.fixture
async def database(postgres_server: LocalServer) -> AsyncIterator[Database]:
    async with fresh_database(postgres_server.url) as database:
        yield database


async def _positions(database: Database, tenant: str = "buffalo") -> list[int]:
    async with database.tenant(tenant) as connection:
        found = await connection.execute(select(events.c.position).order_by(events.c.position))
        return list(found.scalars())


async def test_redelivered_and_overlapping_messages_are_stored_once(bus: Bus, database: Database):
    async with consuming(bus, database):
        for first, last in ((0, 20), (0, 20), (10, 40), (40, 60), (5, 60), (0, 60)):
            await publish(bus, LOG[first:last])
        await until_stored(database, 61)
    # A second consumer of the same durable sees what was not acknowledged, and nothing changes.
    async with consuming(bus, database):
        await publish(bus, LOG)
        await publish(bus, [record(61, "InstanceStarted", payment="pay-last")])
        await until_stored(database, 62)
    assert await _positions(database) == list(range(1, 62))
    overview = await audit_overview(database)
    assert overview.engines == [EngineOverview(engine="north", stored_events=61, next_position=62, gaps=0)]
    assert overview.tenants == [TenantOverview(tenant="buffalo", events=61, table="operations.events")]


async def test_a_lost_message_is_seen_and_asked_for_again(bus: Bus, database: Database):
    requests = await serve_replays(bus, LOG)
    async with consuming(bus, database):
        await publish(bus, LOG[:10])
        await publish(bus, LOG[25:])
        await until_stored(database, 61)
    assert [(request.from_position, request.count) for request in requests] == [(11, 15)]
    assert await _positions(database) == list(range(1, 61))
    async with database.writer() as connection:
        (gap,) = (await connection.execute(select(gaps))).all()
    assert (gap.from_position, gap.to_position) == (11, 25)
    assert gap.closed_at is not None


async def test_a_gap_stays_open_and_seen_until_the_engine_answers(bus: Bus, database: Database):
    async def gap_is_open() -> bool:
        return any(item.gaps for item in (await audit_overview(database)).engines)

    async with consuming(bus, database):
        await publish(bus, LOG[:10])
        await publish(bus, LOG[20:])
        await until(gap_is_open)
        # Another engine's log goes on meanwhile.
        await publish(bus, outgoing(1, tenant="lion"), "south")
        await until_stored(database, 7, "south")
        assert await _positions(database) == list(range(1, 11))
        await serve_replays(bus, LOG)
        await until_stored(database, 61)
    assert not await gap_is_open()
    assert await _positions(database) == list(range(1, 61))


async def test_a_message_that_is_no_batch_stops_nothing(bus: Bus, database: Database):
    await serve_replays(bus, LOG)
    async with consuming(bus, database):
        await bus.jetstream().publish(subjects.audit("north"), b"no batch at all")
        await publish(bus, LOG)
        await until_stored(database, 61)
    assert len(await _positions(database)) == 60


async def test_odd_records_are_stored_too(bus: Bus, database: Database):
    odd = record(
        1, "New\0", tenant="", at_ms=-5, data={"nan": float("nan"), "bytes": b"x", "variables": "none\0"}
    )
    async with consuming(bus, database):
        await publish(bus, [odd, *LOG[1:]])
        await until_stored(database, 61)
    assert len(await _positions(database)) == 59
    assert (await audit_overview(database)).engines[0].stored_events == 60


async def test_two_consumers_at_once_store_everything_once(bus: Bus, database: Database):
    await serve_replays(bus, LOG)
    async with consuming(bus, database), consuming(bus, database):
        for start in range(0, 60, 2):
            await publish(bus, LOG[start : start + 2])
        await until_stored(database, 61)
    assert await _positions(database) == list(range(1, 61))


async def test_postgresql_may_stop_and_come_back(bus: Bus, server_folder: Path):
    folder = server_folder / "operations-postgres"
    async with contextlib.AsyncExitStack() as stack:
        with running_postgres(folder) as server:
            database = Database(server.url)
            stack.push_async_callback(database.close)
            await migrate(database)
            await stack.enter_async_context(consuming(bus, database))
            await publish(bus, LOG[:20])
            await until_stored(database, 21)
        await publish(bus, LOG[20:40])
        with pytest.raises(DatabaseError):
            await database.ping()
        with running_postgres(folder) as again:
            assert again.url == server.url
            await publish(bus, LOG[40:])
            await until_stored(database, 61)
            assert await _positions(database) == list(range(1, 61))
            overview = await audit_overview(database)
            assert [(item.stored_events, item.gaps) for item in overview.engines] == [(60, 0)]
            await stack.aclose()


async def test_what_was_recorded_cannot_be_changed_even_by_the_writer(bus: Bus, database: Database):
    async with consuming(bus, database):
        await publish(bus, LOG)
        await until_stored(database, 61)
    with pytest.raises(DatabaseError):
        async with database.writer() as connection:
            await connection.execute(update(events).values(type="Changed"))
    async with database.writer() as connection:
        assert (await connection.execute(select(func.count()).select_from(events))).scalar_one() == 60


async def test_nats_may_stop_and_come_back_even_without_its_disk(server_folder: Path, database: Database):
    folder, replacement = server_folder / "operations-nats", server_folder / "operations-nats-new"
    async with contextlib.AsyncExitStack() as stack:
        with running_nats(folder) as server:
            bus = await stack.enter_async_context(connected_bus(server.url))
            await stack.enter_async_context(consuming(bus, database))
            await publish(bus, LOG[:20])
            await until_stored(database, 21)
        with running_nats(folder):
            await publish(bus, LOG[20:40])
            await until_stored(database, 41)
        replacement.mkdir()
        for file in ("secrets.json", "ports.json"):
            shutil.copy(folder / file, replacement / file)
        with running_nats(replacement):
            # The engine finds an empty stream and exports its whole log again.
            await publish(bus, LOG)
            await until_stored(database, 61)
            assert await _positions(database) == list(range(1, 61))
            await stack.aclose()
