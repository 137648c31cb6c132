"""What gateways start and tell through an engine's API: over HTTP, on one real replica, nobody else there."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from support.replica_group import free_ports

from payhub_engines.core.commands import CorrelateMessage
from payhub_engines.server.app import create_app, run
from payhub_engines.server.engine import Engine
from payhub_engines.server.settings import EngineSettings
from payhub_platform.contracts.engine import HEADER_ACT, HEADER_EPOCH, HEADER_TENANT
from payhub_platform.contracts.handover import Callback
from payhub_platform.contracts.tenant import (
    AmsConnection,
    PaymentLimits,
    SchemeConnection,
    SigningKey,
    TenantConfig,
)
from payhub_platform.security import jws
from payhub_platform.security.internal import internal_headers
from payhub_platform.security.secrets import SecretBox

TOKEN = "secret"
NOWHERE = "http://127.0.0.1:1"
PAYMENT = "4e35e8a4-7d4d-5d3b-9a55-0f6f3f1a2b3c"
MEMBER = {"partyIdType": "MSISDN", "partyIdentifier": "254700200001"}
OTHER = {"partyIdType": "MSISDN", "partyIdentifier": "254700100001"}
START = {"payment_id": PAYMENT, "idempotency_key": "k", "fingerprint": "f", "client_id": "app"}
AMOUNT = {"minor": 10050, "currency": "KES"}
PAYING = {**START, "payer": MEMBER, "payee": OTHER, "amount": AMOUNT, "confirm_quote": True}
ASKING = {**START, "payee": MEMBER, "payer": OTHER, "amount": AMOUNT, "expires_at_ms": 4_000_000_000_000}
PAID_AT_ONCE = {**START, "payer": MEMBER, "payments": [{"payee": OTHER, "amount": AMOUNT}]}
ABOUT = {"payment_id": PAYMENT, "fingerprint": "f", "client_id": "app", "party": MEMBER}
CONFIRMED = """<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"
    xmlns:zeebe="http://camunda.org/schema/zeebe/1.0" targetNamespace="test">
  <message id="m" name="payer-confirmation"><extensionElements>
    <zeebe:subscription correlationKey="= transactionId" /></extensionElements></message>
  <process id="payer-fund-transfer" isExecutable="true">
    <startEvent id="start"/><sequenceFlow id="f1" sourceRef="start" targetRef="wait"/>
    <receiveTask id="wait" messageRef="m"/><sequenceFlow id="f2" sourceRef="wait" targetRef="end"/>
    <endEvent id="end"/>
  </process></definitions>"""


def tenant(secrets: SecretBox) -> TenantConfig:
    pem = jws.new_private_key_pem()
    return TenantConfig(
        tenant_id="buffalo",
        fsp_id="buffalo",
        name="Buffalo",
        currency="KES",
        status="active",
        version=1,
        epoch=1,
        placement=["north"],
        scheme=SchemeConnection(base_url=NOWHERE, switch_fsp_id="switch", switch_public_key_pem=""),
        ams=AmsConnection(
            base_url=NOWHERE,
            platform_tenant="buffalo",
            username="payhub",
            password_sealed=secrets.seal("secret", "ams:buffalo"),
        ),
        signing_key=SigningKey(
            key_id="1",
            public_key_pem=jws.public_pem(pem),
            private_key_sealed=secrets.seal(pem, "jws:buffalo"),
        ),
        clients=[],
        limits=PaymentLimits(
            per_payment_minor=50_000,
            per_day_minor=20_000,
            per_member_day_minor=20_000,
            velocity_payments=3,
            velocity_window_ms=60_000,
        ),
    )


class Gateway:
    """Asks as a gateway does."""

    def __init__(self, port: int, http: aiohttp.ClientSession, engine: Engine) -> None:
        self.engine = engine
        self._url = f"http://127.0.0.1:{port}/engine/v1"
        self._http = http
        self.retry_after: str | None = None  # of the last answer

    async def get(self, path: str, status: int = 200) -> Any:
        return await self._ask("GET", path, None, status)

    async def post(self, path: str, body: Any, status: int = 202, **more: str) -> Any:
        return await self._ask("POST", path, body, status, **more)

    async def _ask(self, method: str, path: str, body: Any, status: int, **more: str) -> Any:
        headers = {**internal_headers(TOKEN), HEADER_TENANT: "buffalo", HEADER_EPOCH: "1", **more}
        async with self._http.request(method, self._url + path, json=body, headers=headers) as answer:
            assert answer.status == status, await answer.text()
            self.retry_after = answer.headers.get("Retry-After")
            return msgspec.json.decode(await answer.read())


async def until_it_listens(http: aiohttp.ClientSession, port: int) -> None:
    while True:
        try:
            async with http.get(f"http://127.0.0.1:{port}/health/live"):
                return
        except aiohttp.ClientConnectorError:
            await asyncio.sleep(0.01)


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    secrets_key = SecretBox.new_key()
    settings = EngineSettings(
        engine_id="north",
        site="site-1",
        data_dir=tmp_path / "engine",
        port=free_ports(1)[0],
        nats_url="nats://127.0.0.1:1",
        internal_token=TOKEN,
        secrets_key=secrets_key,
    )
    engine, started, stop = Engine(settings), asyncio.Event(), asyncio.Event()
    await engine.start()
    engine.directory.put(tenant(SecretBox(secrets_key)))
    serving = asyncio.create_task(run(engine, create_app(engine, started), settings, started, lambda: stop))
    async with asyncio.timeout(20), aiohttp.ClientSession() as http:
        await started.wait()
        while not engine.is_leader:
            await engine.leadership_changed()
        await until_it_listens(http, settings.port)
        yield Gateway(settings.port, http, engine)
    stop.set()
    assert await serving == 0


async def test_a_payment_is_started_once_and_confirmed_only_while_it_waits(gateway: Gateway):
    assert await gateway.post("/payments", PAYING) == {"transactionId": PAYMENT}
    assert await gateway.post("/payments", PAYING) == {"transactionId": PAYMENT}
    other = {**PAYING, "fingerprint": "g"}
    assert (await gateway.post("/payments", other, 422))["code"] == "key-reused"
    status = await gateway.get(f"/payments/{PAYMENT}")
    assert (status["state"], status.get("awaitsConfirmation", False)) == ("PENDING", False)
    path = f"/payments/{PAYMENT}/confirmation"
    assert (await gateway.post(path, {"accepted": True}, 422))["code"] == "nothing-to-confirm"
    assert (await gateway.post(path, {"yes": True}, 400))["code"]
    unknown = "/payments/22222222-2222-4222-8222-222222222222"
    assert (await gateway.get(unknown, 404))["code"] == "payment-not-found"
    assert (await gateway.post(f"{unknown}/refunds", START, 422))["code"] == "not-refundable"


async def test_a_payment_beyond_a_limit_is_refused_with_when_to_try_again(gateway: Gateway):
    too_much = await gateway.post("/payments", {**PAYING, "amount": {**AMOUNT, "minor": 50_001}}, 422)
    assert (too_much["code"], gateway.retry_after) == ("payment-limit-exceeded", None)
    full = await gateway.post("/payments", {**PAYING, "amount": {**AMOUNT, "minor": 20_001}}, 422)
    assert (full["code"], full["errors"][0]["pointer"]) == ("day-limit-reached", "/amount")
    assert 1 <= int(gateway.retry_after or "") <= 86_400
    assert await gateway.post("/payments", PAYING) == {"transactionId": PAYMENT}


async def test_a_payer_who_is_waited_for_confirms(gateway: Gateway):
    await gateway.post("/processes", {"xml": CONFIRMED}, 200)
    await gateway.post("/payments", PAYING)
    path = f"/payments/{PAYMENT}/confirmation"
    yes, no = {HEADER_ACT: "yes"}, {HEADER_ACT: "no"}
    assert await gateway.post(path, {"accepted": True}, **yes) == {"transactionId": PAYMENT}
    assert await gateway.post(path, {"accepted": True}, **yes) == {"transactionId": PAYMENT}
    for again in (no, {}):
        assert (await gateway.post(path, {"accepted": False}, 422, **again))["code"] == "nothing-to-confirm"
    assert await gateway.get("/received-requests") == {"requests": [], "complete": True}
    assert (await gateway.get(f"/payments/{PAYMENT}"))["endedAt"]


async def test_a_decision_that_came_too_late_was_not_taken_however_often_it_is_sent(gateway: Gateway):
    await gateway.post("/processes", {"xml": CONFIRMED}, 200)
    late = Callback(
        tenant="buffalo",
        name="payer-confirmation",
        correlation_key=PAYMENT,
        variables={"confirmation": "ACCEPTED"},
        message_id="yes",
    )
    # As if the payer had been waited for a moment ago.
    await gateway.engine.stream.submit(CorrelateMessage(callback=late), "buffalo")
    path, yes = f"/payments/{PAYMENT}/confirmation", {HEADER_ACT: "yes"}
    for _ in range(2):
        assert (await gateway.post(path, {"accepted": True}, 422, **yes))["code"] == "nothing-to-confirm"
    await gateway.post("/payments", PAYING)
    assert (await gateway.post(path, {"accepted": True}, 422, **yes))["code"] == "nothing-to-confirm"
    assert await gateway.post(path, {"accepted": True}, **{HEADER_ACT: "yes, now"})


async def test_a_request_to_be_paid_is_started_once_and_told(gateway: Gateway):
    assert await gateway.post("/transaction-requests", ASKING) == {"transactionId": PAYMENT}
    status = await gateway.get(f"/transaction-requests/{PAYMENT}")
    assert (status["state"], status["amount"]) == ("PENDING", {"amount": "100.50", "currency": "KES"})
    path = f"/transaction-requests/{PAYMENT}/authorization"
    entered = {"responseType": "ENTERED", "password": "123456"}
    assert (await gateway.post(path, entered, 422))["code"] == "nothing-to-confirm"
    assert (await gateway.get("/transaction-requests/unknown", 404))["code"] == "payment-not-found"


RECALL = {
    "path": "/engine/v1/bulk-payments",
    "payment_id": PAYMENT,
    "fingerprint": PAID_AT_ONCE["fingerprint"],
}


async def test_a_bulk_is_started_once_and_tells_each_payment(gateway: Gateway):
    assert (await gateway.post("/recalls", RECALL, 404))["code"] == "payment-not-found"
    assert await gateway.post("/bulk-payments", PAID_AT_ONCE) == {"transactionId": PAYMENT}
    assert await gateway.post("/recalls", RECALL) == {"transactionId": PAYMENT}
    assert await gateway.post("/bulk-payments", PAID_AT_ONCE) == {"transactionId": PAYMENT}
    assert (await gateway.post("/bulk-payments", {**PAID_AT_ONCE, "fingerprint": "g"}, 422))[
        "code"
    ] == "key-reused"
    many = {**PAID_AT_ONCE, "payments": PAID_AT_ONCE["payments"] * 101}
    assert (await gateway.post("/bulk-payments", many, 400))["code"] == "invalid-field"
    status = await gateway.get(f"/bulk-payments/{PAYMENT}")
    assert (status["bulkPaymentId"], status["state"]) == (PAYMENT, "PENDING")
    [payment] = status["payments"]
    assert (payment["state"], payment["payee"], payment["amount"]["amount"]) == ("PENDING", OTHER, "100.50")
    assert (await gateway.get("/bulk-payments/unknown", 404))["code"] == "payment-not-found"


@pytest.mark.parametrize("path", ["/account-lookups", "/party-lookups", "/party-registrations"])
async def test_what_is_asked_about_a_member_is_started_once_and_told(gateway: Gateway, path: str):
    assert await gateway.post(path, ABOUT) == {"transactionId": PAYMENT}
    assert await gateway.post(path, ABOUT) == {"transactionId": PAYMENT}
    told = await gateway.get(f"{path}/{PAYMENT}")
    assert (told["state"], told["party"]) == ("PENDING", MEMBER)
    assert (await gateway.get(f"{path}/unknown", 404))["code"] == "payment-not-found"
