"""No tenant's rows are seen or changed in another tenant's name, and the catalogue keeps it so."""

import asyncio
import random
from collections.abc import AsyncIterator

import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from unit.tenants.tenants_kit import Plane, client_request, create_request, ec_jwk, identifier

from payhub_cli.local.server import LocalServer
from payhub_tenants import schema
from payhub_tenants.app import Services
from payhub_tenants.clients.model import RegisterClient
from payhub_tenants.database import Database
from payhub_tenants.identifiers.model import RegisterIdentifiers
from payhub_tenants.tenants.model import CreateTenant
from payhub_tenants.terms.model import Fees

TENANTS = ("iso-buffalo", "iso-lion", "iso-rhino")
TENANT_TABLES = (
    schema.tenants,
    schema.clients,
    schema.party_identifiers,
    schema.party_identifiers_clear,
    schema.jobs,
    schema.evidence,
    schema.approvals,
    schema.audit,
    schema.documents,
    schema.keys,
    schema.certificates,
)
# Names that the scheme and the token endpoint know institutions by: one owner each, over all tenants.
GLOBAL_NAMES = {("tenants", "fsp_id"), ("clients", "client_id")}


# The server is shared by the tests of a worker: each finds the tenants that the first one made.
PLANE = Plane()
KEY = ec_jwk()


@pytest.fixture
async def database(postgres_server: LocalServer) -> AsyncIterator[Database]:
    """Three tenants with something in most tables, and the same identifiers and keys of documents."""
    database = Database(postgres_server.url)
    try:
        await database.migrate()
        await _fill(PLANE.services(database))
        yield database
    finally:
        await database.close()


async def _fill(services: Services) -> None:
    for tenant in TENANTS:
        await services.tenants.create(msgspec.convert(create_request(tenant), CreateTenant))
        client = msgspec.convert(client_request(f"{tenant}-ussd", KEY), RegisterClient)
        await services.clients.register(tenant, client)
        body = msgspec.convert({"identifiers": [identifier()]}, RegisterIdentifiers)
        await services.identifiers.register(tenant, body)
        await services.terms.set_fees(tenant, msgspec.convert({"tiers": [{"fromMinor": 0}]}, Fees), "x")


async def _seen(database: Database, tenant: str) -> list[set[str]]:
    async with database._as(schema.TENANT_ROLE) as connection:
        await connection.execute(select(func.set_config("app.tenant", tenant, True)))  # noqa: FBT003 - SQL
        return [
            set((await connection.execute(select(table.c.tenant_id))).scalars()) for table in TENANT_TABLES
        ]


async def _execute_as_tenant(database: Database, statement: str) -> None:
    async with database._as(schema.TENANT_ROLE) as connection:
        await connection.execute(text(statement))


async def _fail_within(database: Database, tenant: str) -> None:
    async with database.transaction(tenant):
        await asyncio.sleep(0)
        raise ZeroDivisionError


async def test_a_tenant_sees_its_own_rows_and_nobody_sees_any(database: Database):
    for tenant in TENANTS:
        seen = await _seen(database, tenant)
        assert set().union(*seen) == {tenant}
        assert [len(rows) for rows in seen].count(0) == 3  # no approvals, no certificates, nothing in clear
    for nobody in ("", "iso-elephant", "iso-buffalo' OR true --"):
        assert set().union(*await _seen(database, nobody)) == set()
    async with database._begin() as connection:  # the owner, who logs in
        for table in TENANT_TABLES:
            assert (await connection.execute(select(func.count()).select_from(table))).scalar() == 0


async def test_the_registry_sees_no_member_no_audit_and_no_other_document(database: Database):
    async with database._as(schema.REGISTRY_ROLE) as connection:
        kinds = set((await connection.execute(select(schema.documents.c.kind))).scalars())
        assert kinds <= {
            "limits", "fees", "currencies", "placement", "identifier-file", "endpoints", "certification",
            "authority", "direct-payments",
        }  # fmt: skip
    for table in (schema.party_identifiers, schema.audit, schema.keys, schema.approvals, schema.evidence):
        async with database._as(schema.REGISTRY_ROLE) as connection:
            with pytest.raises(DBAPIError, match="permission denied"):
                await connection.execute(select(table))


async def test_rows_of_another_tenant_cannot_be_written_and_history_cannot_be_changed(database: Database):
    async with database.transaction("iso-lion") as transaction:
        lion = await transaction.tenants.get("iso-lion")
        assert lion is not None
        # Another tenant's row is not there to be changed.
        await transaction.tenants.save(replace(lion, tenant_id="iso-rhino", fsp_id="taken", name="Stolen"))
    async with database.transaction("iso-rhino") as transaction:
        rhino = await transaction.tenants.get("iso-rhino")
        assert rhino is not None
        assert rhino.name != "Stolen"
    async with database.transaction("iso-lion") as transaction:
        with pytest.raises(DBAPIError, match="row-level security"):
            await transaction.audit.append("iso-rhino", 1, "iso-lion", "forged", {})
    for statement in ("UPDATE tenants.audit SET actor = 'x'", "DELETE FROM tenants.evidence"):
        with pytest.raises(DBAPIError, match="permission denied"):
            await _execute_as_tenant(database, statement)


@pytest.mark.parametrize("seed", range(4))
async def test_interleaved_tenants_on_shared_connections_never_mix(database: Database, seed: int):
    """Random reads, writes and failures of all tenants at once, on fewer connections than tasks."""
    dice = random.Random(seed)
    services = PLANE.services(database)
    fees: dict[str, int] = dict.fromkeys(TENANTS, 0)
    turns = {tenant: asyncio.Lock() for tenant in TENANTS}

    async def act(tenant: str, what: str, number: int) -> None:
        if what == "read":
            seen = await _seen(database, tenant)
            assert set().union(*seen) == {tenant}
        elif what == "write":
            async with turns[tenant]:
                tiers = {"tiers": [{"fromMinor": 0, "fixedMinor": number}]}
                await services.terms.set_fees(tenant, msgspec.convert(tiers, Fees), "x")
                fees[tenant] = number
                kept = await services.terms.fees(tenant)
                assert kept.tiers[0].fixed_minor == number
        elif what == "fail":
            with pytest.raises(ZeroDivisionError):
                await _fail_within(database, tenant)
        else:
            async with database._begin() as connection:
                setting = select(func.current_setting("app.tenant", True), func.current_user())  # noqa: FBT003 - SQL
                left, user = (await connection.execute(setting)).one()
                assert (left or "", user) == ("", "payhub")

    plan = [(dice.choice(TENANTS), dice.choice(("read", "write", "fail", "owner")), n) for n in range(60)]
    for start in range(0, len(plan), 6):
        await asyncio.gather(*(act(*step) for step in plan[start : start + 6]))
    for tenant, number in fees.items():
        if number:
            assert (await services.terms.fees(tenant)).tiers[0].fixed_minor == number


async def test_the_catalogue_forces_isolation_on_every_table_with_a_tenant(database: Database):
    async with database._begin() as connection:
        with_tenant = await connection.execute(
            text("""
            SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity, c.relkind,
              (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid) > 0
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
            WHERE c.relnamespace = 'tenants'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')""")
        )
        # Views and materialized views would be listed too, as another kind.
        rows = {name: tuple(rest) for name, *rest in with_tenant}
        assert rows == {table.name: (True, True, b"r", True) for table in TENANT_TABLES}
        leading = await connection.execute(
            text("""
            SELECT c.relname, a.attname FROM pg_index i
            JOIN pg_class c ON c.oid = i.indrelid
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
            WHERE c.relnamespace = 'tenants'::regnamespace AND i.indisunique AND EXISTS (
              SELECT FROM pg_attribute t WHERE t.attrelid = c.oid AND t.attname = 'tenant_id')""")
        )
        keys = {(table, column) for table, column in leading}
        assert keys == {(table.name, "tenant_id") for table in TENANT_TABLES if table.name != "clients"} | (
            GLOBAL_NAMES
        )
        foreign = await connection.execute(
            text("""SELECT a.attname FROM pg_constraint c
            JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
            WHERE c.contype = 'f' AND c.connamespace = 'tenants'::regnamespace""")
        )
        assert set(foreign.scalars()) == {"tenant_id"}
        roles = await connection.execute(
            text("""SELECT rolname, rolsuper OR rolbypassrls OR rolcanlogin OR rolcreaterole
            FROM pg_roles WHERE rolname LIKE 'payhub\\_tenants\\_%'""")
        )
        assert dict(list(roles)) == {
            schema.TENANT_ROLE: False,
            schema.REGISTRY_ROLE: False,
        }
        me = await connection.execute(
            text("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
        )
        assert me.scalar() is False
