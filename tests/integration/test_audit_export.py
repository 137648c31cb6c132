"""From an engine's log to PostgreSQL: large entries, a trimmed log, and how far operations says it is."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select
from support.listed_log import ListedLog
from support.operations_servers import (
    audit_overview,
    connected_bus,
    consuming,
    fresh_database,
    until,
    until_stored,
)

from payhub_cli.local.server import LocalServer
from payhub_engines.export.exporter import Exporter
from payhub_engines.export.reader import LogReader
from payhub_operations.audit.confirmed import ConfirmedService
from payhub_operations.audit.model import EngineOverview
from payhub_operations.database import Database
from payhub_operations.schema import events, gaps
from payhub_platform.bus.connection import Bus

REPLAY_WAIT_S = 0.5


class Committed:
    """What an exporter needs of the stream processor: to be told."""

    def __init__(self) -> None:
        self._listeners = []

    def on_committed(self, listener) -> None:
        self._listeners.append(listener)

    def tell(self) -> None:
        for listener in self._listeners:
            listener(None)


@contextlib.asynccontextmanager
async def replica(bus: Bus, log: ListedLog, *, leads: bool = True) -> AsyncIterator[Exporter]:
    committed = Committed()
    exporter = Exporter("north", committed, LogReader("north", log), bus)
    work = [exporter.serve_held(), exporter.follow_confirmed()]
    work += [exporter.run(), exporter.serve_replays()] if leads else []
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield exporter
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def bus(nats_server: LocalServer) -> AsyncIterator[Bus]:
    async with connected_bus(nats_server.url) as bus:
        yield bus


@pytest.fixture
async def database(postgres_server: LocalServer) -> AsyncIterator[Database]:
    async with fresh_database(postgres_server.url) as database:
        yield database


async def stored_positions(database: Database) -> list[int]:
    async with database.tenant("lion") as connection:
        found = await connection.execute(select(events.c.position).order_by(events.c.position))
        return list(found.scalars())


async def test_an_entry_larger_than_any_message_arrives_whole(bus: Bus, database: Database):
    log = ListedLog()
    log.add(3)
    log.add(1, 3_000_000)
    log.add(40, 50_000)
    log.add(3)
    async with replica(bus, log), consuming(bus, database):
        await until_stored(database, log.next_position)
    assert await stored_positions(database) == list(range(1, log.next_position))
    async with database.tenant("lion") as connection:
        [element] = (
            await connection.execute(select(events.c.element).where(events.c.position == 4))
        ).scalars()
    assert len(element) == 3_000_000
    assert (await audit_overview(database)).engines == [
        EngineOverview(engine="north", stored_events=47, next_position=48, gaps=0)
    ]


async def test_what_the_leader_has_forgotten_another_replica_gives(bus: Bus, database: Database):
    log, follower = ListedLog(), ListedLog()
    for held in (log, follower):
        for _ in range(10):
            held.add(10)
    log.trim(6)
    async with (
        replica(bus, follower, leads=False),
        replica(bus, log),
        consuming(bus, database, REPLAY_WAIT_S),
    ):
        await until_stored(database, 101)
    assert await stored_positions(database) == list(range(1, 101))
    assert (await audit_overview(database)).engines[0].lost_events == 0


async def test_what_nobody_holds_is_noted_as_lost_and_the_audit_goes_on(bus: Bus, database: Database):
    log = ListedLog()
    for _ in range(10):
        log.add(10)
    log.trim(4)
    async with replica(bus, log), consuming(bus, database, REPLAY_WAIT_S):
        await until_stored(database, 101)
    assert await stored_positions(database) == list(range(31, 101))
    assert (await audit_overview(database)).engines == [
        EngineOverview(engine="north", stored_events=70, next_position=101, gaps=0, lost_events=30)
    ]
    async with database.writer() as connection:
        [lost] = (await connection.execute(select(gaps).where(gaps.c.lost))).all()
    assert (lost.from_position, lost.to_position) == (1, 30)


async def test_operations_says_how_far_it_is_and_the_log_goes_behind_it(bus: Bus, database: Database):
    log = ListedLog()
    for _ in range(10):
        log.add(10)
    async with consuming(bus, database):
        async with replica(bus, log) as exporter:
            await until_stored(database, 101)
            assert exporter.confirmed_position is None
            assert exporter.trim_below(0) == 1
        await ConfirmedService(bus, database).start()
        log.add(10)
        async with replica(bus, log) as exporter:

            async def is_told() -> bool:
                return exporter.confirmed_position is not None

            await until(is_told)
            confirmed = exporter.confirmed_position
            assert confirmed is not None
            assert confirmed >= 101
            # What is not yet exported or confirmed stays, whichever is behind.
            assert exporter.trim_below(0) in {11, 12}
            await until_stored(database, 111)
