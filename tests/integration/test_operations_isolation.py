"""No tenant's rows are seen in another tenant's name, and the catalogue keeps it so."""

import asyncio
import random
from collections.abc import AsyncIterator

import msgspec
import pytest
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from support.operations_records import PAYER, batch, outgoing
from support.operations_servers import IDENTIFY, fresh_database
from support.webhook_receivers import endpoint

from payhub_cli.local.server import LocalServer
from payhub_operations.audit.errors import ReplayError
from payhub_operations.audit.model import Gap, RecordBatch, moment
from payhub_operations.audit.store import AuditStore
from payhub_operations.database import Database, DatabaseError
from payhub_operations.migrations import migrate
from payhub_operations.payments.errors import PaymentNotFoundError
from payhub_operations.payments.export import PaymentExports
from payhub_operations.payments.model import Search
from payhub_operations.payments.service import PaymentService
from payhub_operations.payments.views import read_cursor
from payhub_operations.schema import (
    OPERATOR,
    OVERSEER,
    READER,
    WRITER,
    events,
    payments,
    tenants,
    webhook_attempts,
    webhook_deliveries,
    webhook_endpoints,
)
from payhub_operations.webhooks import attempts
from payhub_operations.webhooks import repository as webhook_repository
from payhub_operations.webhooks.model import Answer
from payhub_platform.clock import system_clock
from payhub_platform.errors import UnavailableError

TENANTS = ("buffalo", "lion", "rhino")
TENANT_TABLES = (events, payments, tenants, webhook_endpoints, webhook_deliveries, webhook_attempts)


async def _no_replay(engine: str, gap: Gap) -> RecordBatch:
    raise ReplayError(engine, f"position {gap.from_position} is not expected to be missing")


@pytest.fixture
async def database(postgres_server: LocalServer) -> AsyncIterator[Database]:
    """Three tenants with one payment each, under the same id, of which each is told once in vain."""
    async with fresh_database(postgres_server.url) as database:
        for tenant in TENANTS:
            async with database.writer() as connection:
                hook = endpoint("https://hooks.example.ke/", tenant)
                await webhook_repository.put_endpoints(connection, tenant, [hook])
        store = AuditStore(database, IDENTIFY, system_clock, _no_replay)
        for number, tenant in enumerate(TENANTS):
            await store.store("north", [batch(outgoing(number * 6 + 1, tenant=tenant))])
        async with database.writer() as connection:
            now = moment(system_clock())
            for delivery in await attempts.claim(connection, now, {}, 1, 3):
                await attempts.note_attempt(connection, delivery, now, Answer(error="timeout"))
        yield database


async def _tenants_seen(connection: AsyncConnection) -> list[set[str]]:
    return [
        set((await connection.execute(select(table.c.tenant))).scalars().all()) for table in TENANT_TABLES
    ]


async def test_a_tenant_sees_its_own_rows_only(database: Database):
    for tenant in TENANTS:
        async with database.tenant(tenant) as connection:
            assert await _tenants_seen(connection) == [{tenant}] * len(TENANT_TABLES)


async def test_nobody_and_no_tenant_see_nothing(database: Database):
    for tenant in ("", "elephant", "buffalo' OR true --"):
        async with database.tenant(tenant) as connection:
            assert await _tenants_seen(connection) == [set()] * len(TENANT_TABLES)
    async with database.owner() as connection:
        assert await _tenants_seen(connection) == [set()] * len(TENANT_TABLES)


async def test_role_and_tenant_end_with_the_transaction(database: Database):
    async with database.tenant("buffalo") as connection:
        await connection.execute(select(1))
    for _ in range(3):
        async with database.owner() as connection:
            setting = select(func.current_setting("app.tenant", True), func.current_user())  # noqa: FBT003 - SQL
            tenant, user = (await connection.execute(setting)).one()
            assert not tenant
            assert user == "payhub"


async def test_shared_connections_never_mix_tenants(database: Database):
    dice = random.Random(7)

    async def look(tenant: str) -> None:
        async with database.tenant(tenant) as connection:
            await asyncio.sleep(dice.random() / 500)
            assert await _tenants_seen(connection) == [{tenant}] * len(TENANT_TABLES)

    for _ in range(10):
        await asyncio.gather(*(look(dice.choice(TENANTS)) for _ in range(9)))


async def test_a_reader_cannot_write_and_an_overseer_sees_no_payment(database: Database):
    for statement in (
        delete(events),
        delete(payments),
        insert(tenants).values(tenant="buffalo", events=1),
    ):
        with pytest.raises(DatabaseError):
            async with database.tenant("buffalo") as connection:
                await connection.execute(statement)
    for table in (events, payments):
        with pytest.raises(DatabaseError):
            async with database.overseer() as connection:
                await connection.execute(select(table))


async def test_an_export_has_one_tenants_rows_and_they_are_made_one_at_a_time(database: Database):
    exports = PaymentExports(database)
    lines = exports.begin("lion")
    content = await anext(lines)
    with pytest.raises(UnavailableError, match="overloaded"):
        exports.begin("buffalo")
    content += b"".join([more async for more in lines])
    rows = [msgspec.json.decode(line) for line in content.splitlines()]
    assert {row["tenant"] for row in rows[:-1]} == {"lion"}
    assert rows[-1]["counts"] == {"payment": 1, "event": 6}
    async for _ in exports.begin("buffalo"):
        pass


async def test_an_operator_has_its_tenants_webhooks_sent_again_and_changes_nothing_else(database: Database):
    async with database.operator("buffalo") as connection:
        changed = await connection.execute(update(webhook_deliveries).values(state="pending"))
        assert changed.rowcount == 1
    for statement in (
        select(payments),
        delete(webhook_deliveries),
        update(webhook_endpoints).values(url="https://elsewhere.example.ke/"),
        update(webhook_deliveries).values(tenant="lion"),
    ):
        with pytest.raises(DatabaseError):
            async with database.operator("buffalo") as connection:
                await connection.execute(statement)


async def test_another_tenants_payment_is_not_found(database: Database):
    service = PaymentService(database, IDENTIFY)
    assert (await service.detail("lion", "pay-1", None)).payment.tenant == "lion"
    with pytest.raises(PaymentNotFoundError):
        await service.detail("elephant", "pay-1", None)
    with pytest.raises(PaymentNotFoundError):
        await service.detail("lion", "pay-1", "incoming")


async def test_a_search_finds_by_id_trace_and_whole_identifier(database: Database):
    service = PaymentService(database, IDENTIFY)
    identifier = PAYER["partyIdentifier"]
    trace = (await service.detail("lion", "pay-1", None)).payment.trace_id
    for wanted in ("pay-1", identifier, f"+{identifier}", trace):
        page = await service.search("lion", Search(text=wanted))
        assert [(found.tenant, found.payment) for found in page.payments] == [("lion", "pay-1")]
    for unknown in ("pay", identifier[:-1], "%", "…5678"):
        assert (await service.search("lion", Search(text=unknown))).payments == []
    assert (await service.search("lion", Search(state="FAILED"))).payments == []
    assert (await service.search("lion", Search(direction="incoming"))).payments == []


async def test_pages_follow_each_other_without_holes(database: Database):
    store = AuditStore(database, IDENTIFY, system_clock, _no_replay)
    log = [item for number in range(120) for item in outgoing(number * 6 + 1, f"p-{number:03d}", "zebra")]
    await store.store("south", [batch(log, "south")])
    service, found, cursor = PaymentService(database, IDENTIFY), list[str](), Search()
    while True:
        page = await service.search("zebra", cursor)
        found += [payment.payment for payment in page.payments]
        if page.next_cursor is None:
            break
        cursor = Search(before=read_cursor(page.next_cursor))
    assert found == [f"p-{number:03d}" for number in reversed(range(120))]


async def test_migrations_may_run_again_and_at_once(database: Database):
    await asyncio.gather(migrate(database), migrate(database), migrate(database))


async def test_the_catalogue_forces_isolation_on_every_table_with_a_tenant(database: Database):
    async with database.owner() as connection:
        with_tenant = await connection.execute(
            text("""
            SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity, c.relkind
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant'
            WHERE c.relnamespace = 'operations'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')""")
        )
        # Views and materialized views would be listed too, as another kind.
        rows = {name: (enabled, forced, kind) for name, enabled, forced, kind in with_tenant}
        assert rows == {table.name: (True, True, b"r") for table in TENANT_TABLES}
        leading = await connection.execute(
            text("""
            SELECT c.relname, a.attname FROM pg_index i
            JOIN pg_class c ON c.oid = i.indrelid
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
            WHERE c.relnamespace = 'operations'::regnamespace AND i.indisunique AND EXISTS (
              SELECT FROM pg_attribute t WHERE t.attrelid = c.oid AND t.attname = 'tenant')""")
        )
        assert {(table, column) for table, column in leading} == {
            (table.name, "tenant") for table in TENANT_TABLES
        }
        roles = await connection.execute(
            text("""SELECT rolname, rolsuper OR rolbypassrls OR rolcanlogin OR rolcreaterole
            FROM pg_roles WHERE rolname LIKE 'payhub\\_operations\\_%'""")
        )
        assert dict(roles.all()) == dict.fromkeys((READER, OVERSEER, WRITER, OPERATOR), False)
        owned = await connection.execute(
            text("""SELECT count(*) FROM pg_class WHERE relnamespace = 'operations'::regnamespace
            AND pg_get_userbyid(relowner) LIKE 'payhub\\_operations\\_%'""")
        )
        assert owned.scalar_one() == 0
