"""The repositories on a real PostgreSQL: what two processes at once may and may not do."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy import text
from unit.tenants.tenants_kit import Plane, client_request, create_request, identifier

from payhub_cli.local.server import LocalServer
from payhub_platform.errors import PayhubError, UnavailableError
from payhub_tenants.audit.model import first_broken
from payhub_tenants.clients.model import RegisterClient
from payhub_tenants.database import Database
from payhub_tenants.endpoints.model import Endpoints
from payhub_tenants.identifiers.book import IdentifierBook
from payhub_tenants.identifiers.model import PartyIdentifier, RegisterIdentifiers, pending_identifiers
from payhub_tenants.operators.model import CreateOperator, OperatorView
from payhub_tenants.operators.service import OperatorService
from payhub_tenants.placement.model import ChangePlacement
from payhub_tenants.publisher import Publisher
from payhub_tenants.tenants.model import CreateTenant, Tenant
from payhub_tenants.tenants.service import TenantService


@pytest.fixture
async def databases(postgres_server: LocalServer) -> AsyncIterator[list[Database]]:
    """Three copies of the process, as far as the database is concerned, migrating at once."""
    copies = [Database(postgres_server.url) for _ in range(3)]
    await asyncio.gather(*(database.migrate() for database in copies))
    yield copies
    for database in copies:
        await database.close()


def tenants_of(database: Database, plane: Plane) -> TenantService:
    return plane.services(database).tenants


def request_for(tenant: str, **changes: object) -> CreateTenant:
    return msgspec.convert(create_request(tenant, **changes), CreateTenant)


async def kept(database: Database, tenant_id: str) -> Tenant:
    async with database.transaction(tenant_id) as transaction:
        tenant = await transaction.tenants.get(tenant_id)
    assert tenant is not None
    return tenant


async def test_a_tenant_created_by_all_at_once_is_created_once(databases: list[Database]):
    plane, request = Plane(), request_for("at-once")
    answers = await asyncio.gather(*(tenants_of(each, plane).create(request) for each in databases * 3))
    assert sum(created for _, created in answers) == 1
    assert len({view.public_key_pem for view, _ in answers}) == 1


async def test_different_tenants_of_one_fsp_id_at_once_leave_one(databases: list[Database]):
    plane = Plane()
    requests = [request_for(f"same-fsp-{number}", fspId="same-fsp") for number in range(6)]
    answers = await asyncio.gather(
        *(tenants_of(databases[0], plane).create(request) for request in requests), return_exceptions=True
    )
    refusals = [answer for answer in answers if isinstance(answer, PayhubError)]
    assert [refusal.code for refusal in refusals] == ["fsp-taken"] * 5


async def test_changes_at_once_are_all_counted(databases: list[Database]):
    plane = Plane()
    await tenants_of(databases[0], plane).create(request_for("counted"))
    clients = [plane.services(each).clients for each in databases]
    requests = [msgspec.convert(client_request(f"counted-{n}"), RegisterClient) for n in range(9)]
    await asyncio.gather(
        *(clients[n % 3].register("counted", request) for n, request in enumerate(requests)),
        plane.services(databases[1]).placements.place("counted", ChangePlacement(placement=["south"])),
    )
    tenant = await kept(databases[2], "counted")
    assert (tenant.version, tenant.epoch) == (11, 2)
    view = await tenants_of(databases[2], plane).get("counted")
    assert [client.jwks for client in view.clients] == [
        {"keys": [msgspec.to_builtins(key) for key in request.jwks.keys]} for request in requests
    ]


async def test_endpoints_reach_the_bus_with_their_secrets_as_they_are_kept(databases: list[Database]):
    plane = Plane(private_endpoints=True)
    services = plane.services(databases[0])
    await services.tenants.create(request_for("hooked"))
    hook = {"url": "http://127.0.0.1:9/hook", "purpose": "callback", "events": ["payment.failed"]}
    made = await services.endpoints.put("hooked", msgspec.convert({"endpoints": [hook]}, Endpoints), "x")
    await Publisher(databases[1], plane.bus, plane.vault).publish_waiting()
    [webhook] = next(each for each in plane.bus.published if each.tenant_id == "hooked").webhooks
    [secret] = webhook.secrets
    assert plane.secrets.open(secret.secret_sealed, "webhook:hooked") == made.endpoints[0].secret


async def test_what_fails_half_way_leaves_nothing(databases: list[Database]):
    plane = Plane()
    await tenants_of(databases[0], plane).create(request_for("half-way"))
    tenant = await kept(databases[0], "half-way")

    async def fail() -> None:
        async with databases[0].transaction("half-way") as transaction:
            await transaction.tenants.save(replace(tenant, version=7))
            raise ValueError("half-way")

    with pytest.raises(ValueError, match="half-way"):
        await fail()
    assert await kept(databases[0], "half-way") == tenant


async def test_the_outbox_gives_a_tenant_to_one_publisher(databases: list[Database]):
    plane = Plane()
    await tenants_of(databases[0], plane).create(request_for("outbox"))
    async with databases[0].registry() as first, databases[1].registry() as second:
        await first.tenants.unpublish_all()
        held: list[str] = []
        while (tenant := await first.tenants.lock_unpublished("")) is not None:
            held.append(tenant.tenant_id)
            await first.tenants.record_published(tenant)
        assert "outbox" in held
        assert await second.tenants.lock_unpublished("") is None
    published = await kept(databases[2], "outbox")
    assert published.published_version == published.version == 1


def attempt(account: str, at_ms: int, value: str = "1") -> PartyIdentifier:
    body = {"identifiers": [identifier(value, account, subId="joint")]}
    [pending] = pending_identifiers("claims", msgspec.convert(body, RegisterIdentifiers), at_ms)
    return pending


async def test_an_identifier_is_claimed_for_one_account(databases: list[Database]):
    plane = Plane()
    await tenants_of(databases[0], plane).create(request_for("claims"))
    book = IdentifierBook(plane.vault, plane.clock)  # whose key is made by one of those that come at once

    async def claim(database: Database, identifier: PartyIdentifier, stale_before_ms: int = 0) -> bool:
        async with database.transaction("claims") as transaction:
            return await (await book.opened(transaction, "claims")).claim(identifier, stale_before_ms)

    async def record(identifier: PartyIdentifier) -> None:
        async with databases[0].transaction("claims") as transaction:
            await (await book.opened(transaction, "claims")).record(identifier)

    rivals = [attempt(f"A-{number}", 100) for number in range(9)]
    claims = await asyncio.gather(*(claim(databases[n % 3], rival) for n, rival in enumerate(rivals)))
    assert sum(claims) == 1
    winner, loser = rivals[claims.index(True)], rivals[claims.index(False)]
    assert await claim(databases[1], winner)
    await record(replace(winner, state="registered"))
    assert not await claim(databases[1], loser, 1_000)
    await record(replace(winner, state="failed", reason="ams-refused: no"))
    assert await claim(databases[1], loser)
    assert not await claim(databases[1], winner, 100)
    assert await claim(databases[1], winner, 101)
    await record(replace(loser, state="registered"))  # its claim is gone
    async with databases[0].transaction("claims") as transaction:
        kept = await book.opened(transaction, "claims")
        assert await kept.page(None, 9) == [winner]
        assert await kept.page(winner, 9) == []
        assert await transaction.identifiers.counts("claims") == {"pending": 1}


@pytest.fixture
async def no_operators(databases: list[Database]) -> AsyncIterator[None]:
    """Nobody else's operators before, and none of ours after: other tests share the server."""

    async def forget() -> None:
        async with databases[0]._begin() as connection:  # as the owner
            await connection.execute(text("DELETE FROM tenants.operators"))
            await connection.execute(text("DELETE FROM tenants.installation_audit"))

    await forget()
    yield
    await forget()


@pytest.mark.usefixtures("no_operators")
async def test_of_many_approvers_at_once_two_are_the_first(databases: list[Database]):
    async def create(number: int) -> OperatorView:
        request = CreateOperator(operator_id=f"approver-{number}", name="x", roles=["approver"])
        return await OperatorService(databases[number % 3], Plane().clock).create(request, "aggregator")

    views = await asyncio.gather(*(create(number) for number in range(9)))
    assert sorted(view.state for view in views) == ["active"] * 2 + ["waiting"] * 7
    [first, _] = [view for view in views if view.state == "active"]
    waiting = next(view for view in views if view.state == "waiting")
    service = OperatorService(databases[0], Plane().clock)
    assert await service.bearing(str(waiting.token)) is None
    await service.approve(waiting.operator_id, first.operator_id)
    assert await service.bearing(str(waiting.token)) is not None
    await service.remove(first.operator_id, "aggregator")
    assert await service.bearing(str(first.token)) is None
    assert (await create(9)).state == "waiting"
    async with databases[1].registry() as registry:
        entries = await registry.audit.page(0, 100)
    assert first_broken(entries) is None
    assert len(entries) == 12


async def test_a_database_that_is_not_there_is_unavailable():
    nowhere = Database("postgresql://payhub:secret@127.0.0.1:1/payhub")
    with pytest.raises(UnavailableError) as refusal:
        await nowhere.migrate()
    assert (refusal.value.code, "secret" in str(refusal.value)) == ("database-unavailable", False)
    with pytest.raises(UnavailableError):
        async with nowhere.transaction("nobody"):
            pass
    assert not await nowhere.is_ready()
    await nowhere.close()
