"""Registration of party identifiers: outcomes one by one, repeatable, never for two accounts."""

import asyncio
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from unit.tenants.tenants_kit import PASSWORD, TOKEN, Plane, create_request, identifier

from payhub_tenants.identifiers.model import IdentifierView, RegisterIdentifiers
from payhub_tenants.identifiers.service import STALE_MS

Api = AsyncTestClient[Litestar]
PATH = "/v1/tenants/buffalo/party-identifiers"


async def register(api: Api, *identifiers: dict[str, Any]) -> httpx.Response:
    return await api.post(PATH, json={"identifiers": list(identifiers)})


@pytest.fixture(autouse=True)
async def buffalo(api: Api) -> None:
    assert (await api.post("/v1/tenants", json=create_request())).status_code == 201


async def test_registers_at_the_core_bank_and_at_the_scheme(api: Api, plane: Plane):
    answer = await register(api, identifier(), identifier("savings", "B-1", type="ALIAS", subId="joint"))
    assert answer.status_code == 200
    assert answer.json() == [
        {"type": "MSISDN", "value": "254700200001", "accountId": "B-1", "state": "registered"},
        {"type": "ALIAS", "value": "savings", "subId": "joint", "accountId": "B-1", "state": "registered"},
    ]
    assert plane.ams.accounts["MSISDN", "254700200001", ""] == "B-1"
    assert plane.scheme.participants["ALIAS", "savings", "joint"] == "buffalo"
    assert {(access.login.username, access.login.password) for access in plane.ams.calls} == {
        ("payhub", PASSWORD)
    }
    tenant = (await api.get("/v1/tenants/buffalo")).json()
    assert tenant["partyIdentifierCounts"] == {"registered": 2, "pending": 0, "failed": 0}
    assert [shown["value"] for shown in tenant["partyIdentifiers"]] == ["savings", "254700200001"]
    assert tenant["version"] == 1  # gateways and engines do not hold identifiers


async def kept(api: Api) -> list[tuple[str, str]]:
    shown = (await api.get("/v1/tenants/buffalo")).json()["partyIdentifiers"]
    return [(each["accountId"], each["state"]) for each in shown]


async def test_the_same_again_changes_nothing(api: Api, plane: Plane):
    first = await register(api, identifier())
    assert (await register(api, identifier())).json() == first.json()
    assert len(plane.store.kept.identifiers.rows) == 1


async def test_an_identifier_is_not_given_to_a_second_account(api: Api):
    await register(api, identifier())
    [outcome] = (await register(api, identifier(account="B-2"))).json()
    assert (outcome["state"], outcome["reason"].partition(":")[0]) == ("failed", "claimed")
    assert await kept(api) == [("B-1", "registered")]


async def test_the_core_banks_word_on_the_account_counts(api: Api, plane: Plane):
    plane.ams.accounts["MSISDN", "254700200001", ""] = "B-9"
    [outcome] = (await register(api, identifier())).json()
    assert outcome["reason"].startswith("account-mismatch")
    assert plane.scheme.participants == {}
    [corrected] = (await register(api, identifier(account="B-9"))).json()
    assert corrected["state"] == "registered"


async def test_one_that_fails_does_not_stop_the_others(api: Api, plane: Plane):
    plane.ams.accounts["MSISDN", "1", ""] = "B-9"
    outcomes = (await register(api, identifier("1"), identifier("2"))).json()
    assert [outcome["state"] for outcome in outcomes] == ["failed", "registered"]


async def test_a_core_bank_that_is_down_fails_until_it_is_back(api: Api, plane: Plane):
    plane.ams.is_down = True
    [outcome] = (await register(api, identifier())).json()
    assert (outcome["state"], outcome["reason"]) == ("failed", "ams-unreachable: No answer.")
    plane.ams.is_down = False
    [outcome] = (await register(api, identifier())).json()
    assert "reason" not in outcome
    assert outcome["state"] == "registered"


async def test_a_request_has_a_deadline():
    plane = Plane(wait_s=0.0)
    plane.scheme.gate.clear()
    async with AsyncTestClient(plane.app()) as api:
        api.headers["authorization"] = f"Bearer {TOKEN}"
        await api.post("/v1/tenants", json=create_request())
        outcomes = (await register(api, *(identifier(str(number)) for number in range(10)))).json()
    assert {outcome["reason"].partition(":")[0] for outcome in outcomes} == {"deadline"}


async def test_an_attempt_under_way_keeps_others_out_until_it_is_stale(plane: Plane):
    # Straight to the service, because the test client sends one request at a time.
    service = plane.services().identifiers

    async def attempt(account: str) -> IdentifierView:
        body = {"identifiers": [identifier(account=account)]}
        [outcome] = await service.register("buffalo", msgspec.convert(body, RegisterIdentifiers))
        return outcome

    plane.scheme.gate.clear()
    first = asyncio.create_task(attempt("B-1"))
    await plane.scheme.asked.wait()
    refused = await attempt("B-2")
    assert (refused.state, str(refused.reason).partition(":")[0]) == ("failed", "claimed")
    plane.now_ms += STALE_MS + 1
    plane.ams.accounts.clear()
    plane.scheme.gate.set()
    assert (await attempt("B-2")).state == "registered"
    await first
    view = await service.find(("buffalo", "MSISDN", "254700200001", ""))
    assert (view.account_id, view.state) == ("B-2", "registered")


@pytest.mark.parametrize(
    ("bad", "code", "pointer"),
    [
        (identifier("a/b"), "invalid-field", "/identifiers/1/value"),
        (identifier(".."), "invalid-field", "/identifiers/1/value"),
        (identifier("x" * 129), "invalid-field", "/identifiers/1/value"),
        (identifier(type="SHOE_SIZE"), "invalid-field", "/identifiers/1/type"),
        (identifier(subId="."), "invalid-field", "/identifiers/1/subId"),
        (identifier(colour="red"), "unknown-field", "/identifiers/1/colour"),
        (identifier("1"), "duplicate-identifier", "/identifiers/1"),
    ],
)
async def test_a_bad_identifier_refuses_the_whole_request(
    api: Api, plane: Plane, bad: dict[str, Any], code: str, pointer: str
):
    answer = await register(api, identifier("1"), bad)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (400, code)
    assert problem["errors"][0]["pointer"] == pointer
    assert plane.ams.calls == []


async def test_a_request_holds_1_to_100_identifiers(api: Api):
    assert (await register(api)).status_code == 400
    many = [identifier(str(number)) for number in range(101)]
    assert (await register(api, *many)).status_code == 400
    assert (await register(api, *many[:100])).status_code == 200
