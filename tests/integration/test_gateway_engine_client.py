"""The gateway's engine client against a server on a real socket that behaves well and badly."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from unit.gateway.gateway_kit import tenant_config

from payhub_gateway.circuit_breaker import FAILURES_MAX
from payhub_gateway.engine_client import HttpEngineClient
from payhub_gateway.engine_exchange import EngineRefusalError, EngineUnavailableError
from payhub_platform.contracts.bulk_payments import PATH_BULK_PAYMENTS
from payhub_platform.contracts.channel import (
    ChannelMoney,
    Confirmation,
    PartyIdInfo,
    TransferAccepted,
    TransferStatus,
)
from payhub_platform.contracts.engine import (
    PATH_ACCOUNTS,
    PATH_PAYMENTS,
    PATH_RECALLS,
    RecallStart,
    StartPayment,
)
from payhub_platform.contracts.tenant import FormerEngine, TenantConfig
from payhub_platform.errors import ForbiddenError, NotFoundError
from payhub_platform.money import Money

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TENANT = tenant_config("buffalo", [], placement=["north"])
PAYMENT = StartPayment(
    payment_id="p-1",
    idempotency_key="k",
    fingerprint="f",
    client_id="c",
    payer=PartyIdInfo(party_id_type="MSISDN", party_identifier="1"),
    payee=PartyIdInfo(party_id_type="MSISDN", party_identifier="2"),
    amount=Money(1, "KES"),
)


class Engine:
    """A server whose one handler a test sets."""

    def __init__(self) -> None:
        self.requests: list[tuple[web.Request, bytes]] = []
        self.handler: Handler

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request, await request.read()))
        return await self.handler(request)


def problem(status: int, code: str, **headers: str) -> Handler:
    body = {"type": f"urn:payhub:problem:{code}", "title": "t", "status": status, "code": code, "detail": "d"}

    async def answer(_request: web.Request) -> web.Response:
        response = web.json_response(body, status=status, headers=headers)
        response.content_type = "application/problem+json"
        return response

    return answer


async def accepted(_request: web.Request) -> web.Response:
    return web.json_response({"transactionId": "p-1"}, status=202)


@pytest.fixture
async def engine() -> Engine:
    return Engine()


@pytest.fixture
async def client(engine: Engine) -> AsyncIterator[HttpEngineClient]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", engine.handle)
    async with TestServer(application) as server:
        held = HttpEngineClient({"north": str(server.make_url("/"))}, "secret", call_timeout_s=2.0)
        await held.open()
        yield held
        await held.close()


async def test_a_payment_is_sent_with_its_tenant_and_trace(client: HttpEngineClient, engine: Engine):
    engine.handler = accepted
    assert await client.start(TENANT, PAYMENT, TRACE) == TransferAccepted(transaction_id="p-1")
    [(request, body)] = engine.requests
    assert (request.method, request.path) == ("POST", "/engine/v1/payments")
    sent = {name.lower(): value for name, value in request.headers.items()}
    assert sent["authorization"] == "Bearer secret"
    assert (sent["x-payhub-tenant"], sent["x-payhub-epoch"]) == ("buffalo", "7")
    assert sent["traceparent"] == TRACE
    assert b'"payment_id":"p-1"' in body


async def test_what_the_engine_says_of_the_payment_is_passed_on(client: HttpEngineClient, engine: Engine):
    engine.handler = problem(422, "key-reused")
    with pytest.raises(EngineRefusalError) as refused:
        await client.start(TENANT, PAYMENT, TRACE)
    told = refused.value.problem("/channel/transfer")
    assert (told.status, told.code, told.detail) == (422, "key-reused", "d")
    assert told.instance == "/channel/transfer"


async def test_an_overloaded_engine_says_when_to_come_back(client: HttpEngineClient, engine: Engine):
    engine.handler = problem(503, "overloaded", **{"Retry-After": "3"})
    with pytest.raises(EngineRefusalError) as refused:
        await client.start(TENANT, PAYMENT, TRACE)
    assert refused.value.headers() == {"Retry-After": "3"}


async def test_a_suspension_that_the_engine_heard_of_first_is_told(client: HttpEngineClient, engine: Engine):
    engine.handler = problem(403, "tenant-suspended")
    with pytest.raises(ForbiddenError) as caught:
        await client.start(TENANT, PAYMENT, TRACE)
    assert (caught.value.code, caught.value.where) == ("tenant-suspended", "header:Authorization")


@pytest.mark.parametrize("status", [401, 403, 404, 409, 500])
async def test_what_is_between_gateway_and_engine_stays_there(
    client: HttpEngineClient, engine: Engine, status: int
):
    engine.handler = problem(status, "internal-affair")
    with pytest.raises(EngineUnavailableError):
        await client.start(TENANT, PAYMENT, TRACE)


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 200, "text": "{}"},
        {"status": 202, "text": "not json"},
        {"status": 202, "text": "{}"},
        {"status": 422, "text": "plain"},
        {"status": 422, "text": "{", "content_type": "application/problem+json"},
        {"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}},
        {"status": 202, "body": b"x" * 100_000},
    ],
)
async def test_an_answer_that_makes_no_sense(
    client: HttpEngineClient, engine: Engine, answer: dict[str, Any]
):
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(**answer)

    engine.handler = handler
    with pytest.raises(EngineUnavailableError):
        await client.start(TENANT, PAYMENT, TRACE)


async def test_an_unknown_payment_is_not_found(client: HttpEngineClient, engine: Engine):
    engine.handler = problem(404, "payment-not-found")
    with pytest.raises(NotFoundError, match="unknown-payment"):
        await client.find(TENANT, "/engine/v1/payments/p-1", TransferStatus, TRACE)
    assert engine.requests[0][0].path == "/engine/v1/payments/p-1"


async def test_a_lost_connection_is_tried_once_more(client: HttpEngineClient, engine: Engine):
    async def lose_first(request: web.Request) -> web.StreamResponse:
        if len(engine.requests) == 1:
            assert request.transport is not None
            request.transport.abort()
        return await accepted(request)

    engine.handler = lose_first
    assert (await client.start(TENANT, PAYMENT, TRACE)).transaction_id == "p-1"
    assert len(engine.requests) == 2
    assert engine.requests[0][1] == engine.requests[1][1]


async def test_a_connection_that_is_always_lost_is_given_up(client: HttpEngineClient, engine: Engine):
    async def lose(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    engine.handler = lose
    with pytest.raises(EngineUnavailableError):
        await client.start(TENANT, PAYMENT, TRACE)
    assert len(engine.requests) > 2


async def test_an_engine_that_is_silent_is_given_up_in_time(client: HttpEngineClient, engine: Engine):
    async def silent(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    engine.handler = silent
    async with asyncio.timeout(20):
        with pytest.raises(EngineUnavailableError):
            await client.start(TENANT, PAYMENT, TRACE)
    assert len(engine.requests) == 1


async def test_an_engine_without_an_address_is_unavailable(client: HttpEngineClient, engine: Engine):
    engine.handler = accepted
    elsewhere = tenant_config("lion", [], placement=["west"])
    with pytest.raises(EngineUnavailableError):
        await client.start(elsewhere, PAYMENT, TRACE)
    assert engine.requests == []


@contextlib.asynccontextmanager
async def two_engines(
    present: Callable[[str], TenantConfig | None] = lambda _tenant: None,
) -> AsyncIterator[tuple[HttpEngineClient, Engine, Engine]]:
    """North and south; both know nothing until a test sets their handlers."""
    engines = [Engine(), Engine()]
    async with contextlib.AsyncExitStack() as stack:
        urls = []
        for engine in engines:
            engine.handler = problem(404, "payment-not-found")
            application = web.Application()
            application.router.add_route("*", "/{path:.*}", engine.handle)
            urls.append(str((await stack.enter_async_context(TestServer(application))).make_url("/")))
        addresses = dict(zip(("north", "south"), urls, strict=True))
        client = HttpEngineClient(addresses, "secret", 0.5, present)
        await client.open()
        stack.push_async_callback(client.close)
        yield client, *engines


def moved(epoch: int, *placement: str, former: Sequence[str] = ()) -> TenantConfig:
    earlier = [FormerEngine(engine=engine, is_drained=True) for engine in former]
    return msgspec.structs.replace(TENANT, epoch=epoch, placement=list(placement), former=earlier)


async def lose(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def known(_request: web.Request) -> web.Response:
    party = PartyIdInfo(party_id_type="MSISDN", party_identifier="1")
    money = ChannelMoney(amount="1", currency="KES")
    status = TransferStatus(
        transaction_id="p-1", state="FAILED", amount=money, payer=party, payee=party, started_at="x"
    )
    return web.Response(body=msgspec.json.encode(status), content_type="application/json")


async def test_a_placement_that_the_engine_knows_first_is_followed():
    known_here = [moved(7, "north"), moved(8, "south")]

    def present(_tenant: str) -> TenantConfig:
        return known_here[-1] if len(north.requests) == 1 else known_here[0]

    async with two_engines(present) as (client, north, south):
        north.handler, south.handler = problem(409, "stale-epoch"), accepted
        assert await client.start(known_here[0], PAYMENT, TRACE) == TransferAccepted(transaction_id="p-1")
        [(request, _)] = south.requests
        assert request.headers["x-payhub-epoch"] == "8"


@pytest.mark.parametrize("path", [PATH_PAYMENTS, PATH_ACCOUNTS])
async def test_what_the_former_engine_has_begun_is_not_begun_again(path: str):
    here = moved(8, "south", former=["north"])
    async with two_engines(lambda _tenant: here) as (client, north, south):

        async def lose_then_recall(request: web.Request) -> web.StreamResponse:
            again = accepted if request.path == PATH_RECALLS else problem(409, "stale-epoch")
            return await (lose if len(north.requests) == 1 else again)(request)

        north.handler, south.handler = lose_then_recall, accepted
        begun = await client.start(moved(7, "north"), PAYMENT, TRACE, path)
        assert begun == TransferAccepted(transaction_id="p-1")
        [*_, (asked, body)] = north.requests
        assert (asked.path, asked.headers["x-payhub-epoch"]) == (PATH_RECALLS, "8")
        told = RecallStart(path=path, payment_id="p-1", fingerprint="f")
        assert msgspec.json.decode(body, type=RecallStart) == told
        assert south.requests == []


@pytest.mark.parametrize("path", [PATH_PAYMENTS, PATH_BULK_PAYMENTS])
async def test_what_no_former_engine_has_begun_is_begun_at_the_new_one(path: str):
    async with two_engines() as (client, north, south):
        south.handler = accepted
        await client.start(moved(8, "south", former=["north", "south"]), PAYMENT, TRACE, path)
        assert [request.path for request, _ in north.requests] == [PATH_RECALLS]
        assert [request.path for request, _ in south.requests] == [path]


@pytest.mark.parametrize("handler", [problem(404, "not-found"), problem(503, "engine-stopping")])
async def test_nothing_is_begun_while_a_former_engine_does_not_tell(handler: Handler):
    async with two_engines() as (client, north, south):
        north.handler, south.handler = handler, accepted
        with pytest.raises((EngineUnavailableError, EngineRefusalError)):
            await client.start(moved(8, "south", former=["north"]), PAYMENT, TRACE)
        assert south.requests == []


async def test_an_engine_that_is_behind_is_asked_again_a_little_later():
    async with two_engines() as (client, north, _):

        async def behind(request: web.Request) -> web.StreamResponse:
            first = problem(503, "placement-unknown") if len(north.requests) == 1 else accepted
            return await first(request)

        north.handler = behind
        await client.start(moved(8, "north"), PAYMENT, TRACE)
        assert len(north.requests) == 2


async def test_a_payment_is_not_begun_elsewhere_because_its_engine_is_silent():
    async with two_engines() as (client, north, south):
        north.handler, south.handler = lose, accepted
        with pytest.raises(EngineUnavailableError):
            await client.start(moved(7, "north", "south"), PAYMENT, TRACE)
        assert south.requests == []


async def test_a_status_is_told_by_whichever_engine_knows_it():
    tenant = moved(7, "north", "south")
    async with two_engines() as (client, north, south):
        with pytest.raises(NotFoundError):
            await client.find(tenant, "/engine/v1/payments/p-1", TransferStatus, TRACE)
        south.handler = known
        assert (await client.find(tenant, "/engine/v1/payments/p-1", TransferStatus, TRACE)).state == "FAILED"
        north.handler = lose
        assert (await client.find(tenant, "/engine/v1/payments/p-1", TransferStatus, TRACE)).state == "FAILED"
        south.handler = problem(404, "payment-not-found")
        with pytest.raises(EngineUnavailableError):  # north may know it
            await client.find(tenant, "/engine/v1/payments/p-1", TransferStatus, TRACE)


async def test_a_decision_is_taken_by_whichever_engine_knows_the_payment():
    tenant, yes = moved(7, "north", "south"), Confirmation(accepted=True)
    path = "/engine/v1/payments/p-1/confirmation"

    async def tell() -> TransferAccepted:
        return await client.tell(tenant, path, yes, TRACE, "accepted")

    async with two_engines() as (client, north, south):
        north.handler, south.handler = problem(422, "nothing-to-confirm"), accepted
        assert await tell() == TransferAccepted(transaction_id="p-1")
        [(request, sent)] = south.requests
        assert (request.path, request.headers["x-payhub-act"]) == (path, "accepted")
        assert sent == b'{"accepted":true}'
        south.handler = problem(422, "not-refundable")
        with pytest.raises(EngineRefusalError, match="nothing-to-confirm"):
            await tell()
        # Where one may know it and cannot say, or another refuses for a reason, that is what is told.
        for handler in (lose, problem(503, "engine-overloaded")):
            north.handler = handler
            with pytest.raises((EngineUnavailableError, EngineRefusalError), match="engine-"):
                await tell()
        asked = len(south.requests)
        north.handler = problem(422, "refund-exceeds-payment")
        with pytest.raises(EngineRefusalError, match="refund-exceeds-payment"):
            await tell()
        assert len(south.requests) == asked
        north.handler = south.handler = nothing
        with pytest.raises(NotFoundError, match="unknown-payment"):  # it is nobody's, or another's
            await tell()


async def nothing(request: web.Request) -> web.Response:
    code, status = ("payment-not-found", 404) if request.method == "GET" else ("nothing-to-confirm", 422)
    return await problem(status, code)(request)


async def test_all_engines_are_asked_and_those_that_are_silent_are_told():
    tenant, path = moved(7, "north", "south"), "/engine/v1/received-requests"
    async with two_engines() as (client, north, south):
        north.handler = south.handler = known
        found, is_all = await client.find_all(tenant, path, TransferStatus, TRACE)
        assert ([one.state for one in found], is_all) == (["FAILED", "FAILED"], True)
        north.handler = lose
        found, is_all = await client.find_all(tenant, path, TransferStatus, TRACE)
        assert ([one.state for one in found], is_all) == (["FAILED"], False)
        south.handler = lose
        with pytest.raises(EngineUnavailableError):
            await client.find_all(tenant, path, TransferStatus, TRACE)


async def test_an_engine_that_never_answers_is_left_alone_and_comes_back():
    tenant = moved(7, "north")
    async with two_engines() as (client, north, _):
        north.handler = lose
        for _ in range(FAILURES_MAX):
            with pytest.raises(EngineUnavailableError):
                await client.start(tenant, PAYMENT, TRACE)
        asked = len(north.requests)
        with pytest.raises(EngineUnavailableError) as refused:
            await client.start(tenant, PAYMENT, TRACE)
        assert refused.value.retry_after_s == 1
        assert len(north.requests) == asked
        north.handler = accepted
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(EngineUnavailableError):
                    await client.start(tenant, PAYMENT, TRACE)
                    break
                await asyncio.sleep(0.05)
