"""The whole house from outside: refusals, isolation, idempotency, one trace id, pages."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import ECKey
from support.house import House, running_house

from payhub_cli.demo import story
from payhub_cli.demo.books import Books, nothing_held
from payhub_cli.demo.channel import Channel
from payhub_platform.clock import iso, system_clock
from payhub_platform.contracts.tenant import TenantConfig

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

PROBLEM = "application/problem+json"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def house(server_folder: Path) -> AsyncIterator[House]:
    async with running_house(server_folder / "speaking-house") as running:
        yield running


def party(number: str) -> dict[str, Any]:
    return {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": number}}


def body(**changes: Any) -> dict[str, Any]:
    return {
        "payer": party(story.msisdn("buffalo", 1)),
        "payee": party(story.msisdn("lion", 1)),
        "amount": {"amount": "1.00", "currency": "KES"},
        **changes,
    }


async def send(house: House, content: bytes | dict[str, Any], **headers: str) -> tuple[int, str, dict]:
    data = content if isinstance(content, bytes) else msgspec.json.encode(content)
    sent = {
        "Content-Type": "application/json",
        "X-CorrelationID": str(uuid.uuid4()),
        **house.channel.headers,
        **headers,
    }
    return await house.raw(
        "POST", "/channel/transfer", data=data, headers={k: v for k, v in sent.items() if v}
    )


BAD = {
    "malformed JSON": (b'{"payer":', 400, "malformed-json", "/"),
    "unknown field": (body(colour="red"), 400, "unknown-field", "/colour"),
    "amount 0": (body(amount={"amount": "0", "currency": "KES"}), 400, "invalid-amount", "/amount/amount"),
    "amount -1": (body(amount={"amount": "-1", "currency": "KES"}), 400, "invalid-amount", "/amount/amount"),
    "amount 1e3": (
        body(amount={"amount": "1e3", "currency": "KES"}),
        400,
        "invalid-amount",
        "/amount/amount",
    ),
    "too many decimals": (
        body(amount={"amount": "1.001", "currency": "KES"}),
        400,
        "too-many-decimals",
        "/amount/amount",
    ),
    "unknown currency": (
        body(amount={"amount": "1", "currency": "KEX"}),
        400,
        "unknown-currency",
        "/amount/currency",
    ),
    "same payer and payee": (body(payee=party(story.msisdn("buffalo", 1))), 422, "same-party", "/payee"),
}


@pytest.mark.parametrize("case", BAD)
async def test_bad_input_is_a_problem_that_says_what_and_where(house: House, case: str) -> None:
    content, status, code, where = BAD[case]
    before = [await engine.get("/engine/v1/overview") for engine in house.engines]
    answered, media_type, problem = await send(house, content)
    assert (answered, media_type, problem["code"]) == (status, PROBLEM, code)
    assert problem["errors"][0]["pointer"].startswith(where)
    assert problem["type"] == f"urn:payhub:problem:{code}"
    after = [await engine.get("/engine/v1/overview") for engine in house.engines]
    assert [now["nextPosition"] for now in after] == [was["nextPosition"] for was in before]


async def test_credentials_that_do_not_hold(house: House) -> None:
    cases = [
        ({"Authorization": ""}, 401, "missing-token"),
        ({"Authorization": "Bearer nonsense"}, 401, "invalid-token"),
        ({"X-CorrelationID": ""}, 400, "missing-idempotency-key"),
        ({"Platform-TenantId": "lion"}, 403, "tenant-mismatch"),
        ({"Platform-TenantId": "nobody"}, 403, "tenant-mismatch"),
    ]
    for headers, status, code in cases:
        answered, media_type, problem = await send(house, body(), **headers)
        assert (answered, media_type, problem["code"]) == (status, PROBLEM, code), headers


def gateway_token(house: House, **changes: Any) -> str:
    """Sign a token with the gateway's own key, as only the gateway could."""
    folder = house.installation.around.folder / "gateway"
    held = msgspec.json.decode((folder / "token-signing-key.json").read_bytes())
    key = ECKey.import_key(held["keys"][-1]["jwk"])
    genuine = house.channel.headers["Authorization"].removeprefix("Bearer ")
    token = jwt.decode(genuine, key, algorithms=["ES256"])
    return jwt.encode(token.header, {**token.claims, **changes}, key, algorithms=["ES256"])


async def test_expired_token_and_unknown_tenant(house: House) -> None:
    past = int(time.time()) - 600
    for changes, status, code in (
        ({"exp": past, "iat": past - 300}, 401, "token-expired"),
        ({"tenant": "nobody"}, 403, "unknown-tenant"),
    ):
        authorization = f"Bearer {gateway_token(house, **changes)}"
        answered, media_type, problem = await send(house, body(), Authorization=authorization)
        assert (answered, media_type, problem["code"]) == (status, PROBLEM, code)


async def other_channel(house: House, tenant: str, name: str = "mobile") -> Channel:
    """Register a channel of another institution and get it a token."""
    channel = Channel(house.gateway, f"{tenant}-{name}")
    client = {
        "clientId": channel.client_id,
        "name": "Mobile",
        "jwks": channel.public_keys(),
        "scopes": ["payments:write", "payments:read"],
    }
    secrets = house.installation.around.secrets
    url = f"{house.installation.url('tenants')}/v1/tenants/{tenant}/clients"
    headers = {"Authorization": f"Bearer {secrets.aggregator_token}"}
    async with house.session.post(url, json=client, headers=headers) as answer:
        assert answer.status in (200, 201), await answer.text()
    await channel.authenticate()
    return channel


async def test_another_tenants_token_finds_nothing_and_the_same_key_is_its_own_payment(house: House) -> None:
    key = f"shared-{uuid.uuid4()}"
    status, _, accepted = await send(house, body(), **{"X-CorrelationID": key})
    assert status == 202
    lion = await other_channel(house, "lion")
    path = f"/channel/transfer/{accepted['transactionId']}"
    answered, media_type, problem = await house.raw("GET", path, headers=lion.headers)
    assert (answered, media_type, problem["code"]) == (404, PROBLEM, "unknown-payment")
    theirs = body(payer=party(story.msisdn("lion", 2)), payee=party(story.msisdn("buffalo", 2)))
    status, _, other = await send(house, theirs, **{"X-CorrelationID": key, **lion.headers})
    assert status == 202
    assert other["transactionId"] != accepted["transactionId"]


async def until(house: House, path: str, headers: dict[str, str], is_so: Any) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            status, _, told = await house.raw("GET", path, headers=headers)
            if status == 200 and is_so(told):
                return told
            await asyncio.sleep(0.1)


def is_done(told: dict[str, Any]) -> bool:
    return told["state"] == "COMPLETED"


async def test_a_request_to_pay_is_asked_accepted_paid_and_paid_back(house: House) -> None:
    payee, buffalo = await other_channel(house, "lion", "till"), house.channel.headers
    lion = {**payee.headers, "Idempotency-Key": str(uuid.uuid4())}
    asked = body(payer=party(story.msisdn("buffalo", 3)), payee=party(story.msisdn("lion", 3)))
    status, _, begun = await house.raw(
        "POST", "/v1/transaction-requests", data=msgspec.json.encode(asked), headers=lion
    )
    assert status == 202
    own = f"/v1/transaction-requests/{begun['transactionId']}"

    def waits(told: dict[str, Any]) -> bool:
        return any(one.get("awaitsConfirmation") for one in told["requests"])

    member = f"?partyIdType=MSISDN&partyIdentifier={story.msisdn('buffalo', 3)}"
    told = await until(house, "/v1/received-requests" + member, buffalo, waits)
    [received] = told["requests"]
    assert (told["complete"], received["amount"]) == (True, {"amount": "1.00", "currency": "KES"})
    assert received["payee"]["partyIdInfo"]["partyIdentifier"] == story.msisdn("lion", 3)
    assert (await house.raw("GET", "/v1/received-requests", headers=payee.headers))[2]["requests"] == []
    answered = f"/v1/transfers/{received['transactionId']}"
    for _ in range(2):  # a lost answer is asked for again
        status, _, _ = await house.raw(
            "POST", f"{answered}/confirmation", data=b'{"accepted": true}', headers=buffalo
        )
        assert status == 202
    paid = await until(house, own, payee.headers, is_done)
    await until(house, answered, buffalo, is_done)
    status, _, back = await house.raw(
        "POST", f"/v1/transfers/{paid['transactionId']}/refunds", data=b"{}", headers=lion
    )
    assert status == 202
    await until(house, f"/v1/transfers/{back['transactionId']}", payee.headers, is_done)


async def test_a_payee_elsewhere_is_looked_up_before_anything_is_paid(house: House) -> None:
    own = house.channel.headers
    for number, state, fsp in (
        (story.msisdn("lion", 1), "COMPLETED", "lion"),
        ("254799999999", "FAILED", None),
    ):
        data = msgspec.json.encode({"party": party(number)["partyIdInfo"]})
        headers = {**own, "Idempotency-Key": str(uuid.uuid4())}
        status, _, begun = await house.raw("POST", "/v1/party-lookups", data=data, headers=headers)
        assert status == 202
        path = f"/v1/party-lookups/{begun['transactionId']}"
        told = await until(house, path, own, lambda told: told["state"] != "PENDING")
        assert (told["state"], told["party"].get("fspId")) == (state, fsp)


async def test_same_key_same_answer_and_another_body_is_refused(house: House) -> None:
    key = {"X-CorrelationID": f"twice-{uuid.uuid4()}"}
    first = await send(house, body(), **key)
    reordered = dict(reversed(body().items()))
    second = await send(house, reordered, **key)
    assert first == second
    assert first[0] == 202
    other = await send(house, body(amount={"amount": "2.00", "currency": "KES"}), **key)
    assert (other[0], other[1], other[2]["code"]) == (422, PROBLEM, "key-reused")


async def test_a_past_expiration_is_refused(house: House) -> None:
    answered, media_type, problem = await send(house, body(expiration=iso(system_clock() - 1000)))
    assert (answered, media_type, problem["code"]) == (422, PROBLEM, "expired")


def kinds(spans: list[dict[str, Any]]) -> set[str]:
    return {span["name"].partition(" ")[0] for span in spans if span["service"].startswith("engine-")}


async def test_one_trace_id_from_gateway_to_engine_to_operations(house: House) -> None:
    [planned] = house.plan(1)
    trace_id = uuid.uuid4().hex
    content = {
        "payer": party(planned.payer),
        "payee": party(planned.payee),
        "amount": {"amount": "1.00", "currency": "KES"},
    }
    status, _, _ = await send(house, content, traceparent=f"00-{trace_id}-{'1' * 16}-01")
    assert status == 202
    wanted = {"gateway", "engine-north", "operations"}
    folder = house.installation.around.folder / "traces"
    async with asyncio.timeout(20):
        while True:
            spans = [
                msgspec.json.decode(line)
                for file in folder.glob("*.jsonl")
                for line in file.read_bytes().splitlines()
                if trace_id.encode() in line
            ]
            if wanted <= {span["service"] for span in spans} and {"job", "fspiop"} <= kinds(spans):
                break
            await asyncio.sleep(0.2)
    assert {span["trace_id"] for span in spans} == {trace_id}


async def test_a_bulk_pays_members_of_three_institutions_through_the_whole_house(house: House) -> None:
    """Payers and payees live at two engines; what the scheme answers at the wrong one is handed over."""
    paid = [("rhino", 1), ("rhino", 2), ("elephant", 3), ("buffalo", 3), ("rhino", 1)]
    payees = [*(story.msisdn(fsp, number) for fsp, number in paid), "254799999999"]
    amount = {"amount": "1.25", "currency": "KES"}
    content = {
        "payer": party(story.msisdn("buffalo", 4)),
        "payments": [{"payee": party(payee), "amount": amount} for payee in payees],
    }
    headers = {"Idempotency-Key": str(uuid.uuid4()), **house.channel.headers}
    before = await house.books()
    for _ in range(2):
        status, _, accepted = await house.raw("POST", "/v1/bulk-payments", json=content, headers=headers)
        assert status == 202
    path = f"/v1/bulk-payments/{accepted['bulkPaymentId']}"
    async with asyncio.timeout(40):
        while (told := (await house.raw("GET", path, headers=headers))[2])["state"] == "PENDING":
            await asyncio.sleep(0.1)
    states = [(one["state"], one.get("error", {}).get("code")) for one in told["payments"]]
    assert states == [("COMPLETED", None)] * 5 + [("FAILED", "3204")]
    async with asyncio.timeout(40):  # the payees are credited once they have heard from the scheme
        after = await house.books()
        while moved(before, after) != {"rhino": 375, "elephant": 125} or not nothing_held(after).holds:
            await asyncio.sleep(0.1)
            after = await house.books()


def moved(before: Books, after: Books) -> dict[str, int]:
    """Return by how much the members of two banks that no other test pays have more, in minor units."""
    return {
        fsp: sum(one.balance for one in after.ledgers[fsp].accounts)
        - sum(one.balance for one in before.ledgers[fsp].accounts)
        for fsp in ("rhino", "elephant")
    }


async def agree_to_pay_directly(house: House, *fsps: str) -> None:
    """Have institutions name each other, and wait until both engines know it."""
    caches = [
        house.installation.around.folder / f"engine-{name}" / "tenants.cache" for name in ("north", "south")
    ]

    def known(cache: Path) -> dict[str, TenantConfig]:
        configs = msgspec.msgpack.decode(cache.read_bytes(), type=list[TenantConfig])
        return {config.fsp_id: config for config in configs}

    for fsp in fsps:
        partners = [other for other in fsps if other != fsp]
        await house.tenants.put(f"/v1/tenants/{fsp}/direct-payments", {"partners": partners})
    async with asyncio.timeout(30):
        while not all(known(cache)[fsp].direct_with for cache in caches for fsp in fsps):
            await asyncio.sleep(0.05)


async def test_institutions_that_agreed_pay_each_other_without_the_switch(house: House) -> None:
    """The last test here, for they go on doing so: one at the same engine, one at the other."""
    await house.pay(house.plan(1))  # what other tests have begun is over
    await agree_to_pay_directly(house, "buffalo", "lion", "rhino")
    before = await house.books()
    planned = [(one, bank) for bank in ("lion", "rhino") for one in house.plan(1, bank)]
    paid = []
    for one, bank in planned:
        payee = {"partyIdInfo": {**party(one.payee)["partyIdInfo"], "fspId": bank}}
        answered, _, accepted = await send(house, body(payer=party(one.payer), payee=payee))
        assert answered == 202
        paid.append(f"/channel/transfer/{accepted['transactionId']}")
    async with asyncio.timeout(30):
        for path in paid:
            while (status := (await house.raw("GET", path, headers=house.channel.headers))[2])[
                "state"
            ] == "PENDING":
                await asyncio.sleep(0.1)
            assert status["state"] == "COMPLETED", status
    after = await house.books()
    assert after.positions == before.positions
    for one, bank in planned:
        was, now = (
            next(account.balance for account in read.ledgers[bank].accounts if account.msisdn == one.payee)
            for read in (before, after)
        )
        assert now > was
