"""Limits and fees, and the document that describes the API."""

from fractions import Fraction
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import AsyncTestClient
from unit.tenants.tenants_kit import Plane, create_request

from payhub_platform.contracts.tenant import FeeTier, PaymentFees, fee_minor

Api = AsyncTestClient[Litestar]
BASE = "/v1/tenants/buffalo"


@pytest.fixture(autouse=True)
async def buffalo(api: Api) -> None:
    assert (await api.post("/v1/tenants", json=create_request())).status_code == 201


def limits(payment: int, member: int, day: int) -> dict[str, Any]:
    velocity = {"payments": 3, "windowMs": 60_000}
    return {
        "perPaymentMinor": payment, "perMemberDayMinor": member, "perDayMinor": day, "velocity": velocity,
    }  # fmt: skip


async def test_limits_hold_only_once_they_are_approved(api: Api, plane: Plane):
    assert (await api.get(f"{BASE}/limits")).json()["code"] == "not-set"
    asked = await api.put(f"{BASE}/limits", json=limits(1, 2, 3))
    assert asked.status_code == 202
    assert (await api.get(f"{BASE}/limits")).status_code == 404
    made = await api.post("/v1/operators", json={"operatorId": "b-b", "name": "b", "roles": ["approver"]})
    other = {"authorization": f"Bearer {made.json()['token']}"}
    path = f"{BASE}/approvals/{asked.json()['approvalId']}"
    assert (await api.post(f"{path}/refuse", headers=other)).json()["state"] == "refused"
    assert (await api.post(f"{path}/approve", headers=other)).json()["code"] == "approval-decided"
    asked = await api.put(f"{BASE}/limits", json=limits(1, 2, 3))  # asked anew, it is another request
    path = f"{BASE}/approvals/{asked.json()['approvalId']}"
    assert (await api.post(f"{path}/approve", headers=other)).json()["state"] == "approved"
    assert (await api.get(f"{BASE}/limits")).json() == {**limits(1, 2, 3), "otherCurrencies": {}}
    await plane.publisher.publish_waiting()
    published = plane.bus.published[-1].limits
    assert published is not None
    assert (published.per_payment_minor, published.velocity_payments) == (1, 3)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (limits(3, 2, 9), "/perPaymentMinor"),
        (limits(1, 9, 8), "/perMemberDayMinor"),
        (limits(0, 1, 1), "/perPaymentMinor"),
    ],
)
async def test_limits_that_contradict_are_refused(api: Api, body: dict[str, Any], pointer: str):
    answer = await api.put(f"{BASE}/limits", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, pointer)


async def test_fees_are_kept_and_published_and_their_tiers_rise(api: Api, plane: Plane):
    fees = {"tiers": [{"fromMinor": 0, "fixedMinor": 5}, {"fromMinor": 1000, "basisPoints": 25}]}
    assert (await api.put(f"{BASE}/fees", json=fees)).status_code == 200
    tiers = (await api.get(f"{BASE}/fees")).json()["tiers"]
    assert [tier["fromMinor"] for tier in tiers] == [0, 1000]
    await plane.publisher.publish_waiting()
    published = plane.bus.published[-1].fees
    assert published == PaymentFees(
        payer=[FeeTier(from_minor=0, fixed_minor=5), FeeTier(from_minor=1000, basis_points=25)]
    )
    both = {**fees, "payeeTiers": [{"fromMinor": 0, "basisPoints": 10}]}
    assert (await api.put(f"{BASE}/fees", json=both)).status_code == 200
    await plane.publisher.publish_waiting()
    assert plane.bus.published[-1].fees == PaymentFees(
        payer=published.payer, payee=[FeeTier(from_minor=0, basis_points=10)]
    )
    wrong = await api.put(f"{BASE}/fees", json={**fees, "payeeTiers": [{"fromMinor": 1}]})
    assert (wrong.json()["code"], wrong.json()["errors"][0]["pointer"]) == ("tiers-unordered", "/payeeTiers")
    for begins in ([1], [0, 0], [0, 5, 4]):
        body = {"tiers": [{"fromMinor": begin} for begin in begins]}
        assert (await api.put(f"{BASE}/fees", json=body)).json()["code"] == "tiers-unordered"


async def test_other_currencies_have_limits_and_fees_of_their_own(api: Api, plane: Plane):
    assert (await api.get(f"{BASE}/currencies")).json() == {"others": []}
    assert (await api.put(f"{BASE}/currencies", json={"others": ["USD", "UGX"]})).status_code == 200
    assert (await api.get(f"{BASE}/currencies")).json() == {"others": ["USD", "UGX"]}
    made = await api.post("/v1/operators", json={"operatorId": "b-b", "name": "b", "roles": ["approver"]})
    other = {"authorization": f"Bearer {made.json()['token']}"}
    dollars = {"perPaymentMinor": 4, "perMemberDayMinor": 5, "perDayMinor": 6}
    asked = await api.put(f"{BASE}/limits", json={**limits(1, 2, 3), "otherCurrencies": {"USD": dollars}})
    await api.post(f"{BASE}/approvals/{asked.json()['approvalId']}/approve", headers=other)
    own, foreign = [{"fromMinor": 0, "fixedMinor": 7}], [{"fromMinor": 0, "fixedMinor": 8}]
    fees = {"tiers": own, "otherCurrencies": {"USD": {"tiers": own, "payeeTiers": foreign}}}
    assert (await api.put(f"{BASE}/fees", json=fees)).status_code == 200
    await plane.publisher.publish_waiting()
    told = plane.bus.published[-1]
    assert told.currencies == ["KES", "USD", "UGX"]
    assert [told.limits_in(name).per_day_minor for name in ("KES", "USD", "UGX")] == [3, 6, 0]
    assert told.limits_in("USD").velocity_payments == told.limits_in("KES").velocity_payments == 3
    assert [fees and fees.payer[0].fixed_minor for fees in map(told.fees_in, told.currencies)] == [7, 7, None]
    assert told.fees_in("USD").payee[0].fixed_minor == 8


@pytest.mark.parametrize(
    ("path", "body", "code", "pointer"),
    [
        ("currencies", {"others": ["USD", "USD"]}, "duplicate-currency", "/others/1"),
        ("currencies", {"others": ["KES"]}, "duplicate-currency", "/others/0"),
        ("currencies", {"others": ["XXX"]}, "unknown-currency", "/others/0"),
        (
            "limits",
            {
                **limits(1, 2, 3),
                "otherCurrencies": {"XXX": {"perPaymentMinor": 1, "perMemberDayMinor": 1, "perDayMinor": 1}},
            },
            "unknown-currency",
            "/otherCurrencies/XXX",
        ),
        (
            "limits",
            {
                **limits(1, 2, 3),
                "otherCurrencies": {"USD": {"perPaymentMinor": 5, "perMemberDayMinor": 4, "perDayMinor": 9}},
            },
            "limits-contradict",
            "/otherCurrencies/USD/perPaymentMinor",
        ),
        (
            "fees",
            {
                "tiers": [{"fromMinor": 0}],
                "otherCurrencies": {"XXX": {"tiers": [{"fromMinor": 0}]}},
            },
            "unknown-currency",
            "/otherCurrencies/XXX",
        ),
        (
            "fees",
            {
                "tiers": [{"fromMinor": 0}],
                "otherCurrencies": {"USD": {"tiers": [{"fromMinor": 1}]}},
            },
            "tiers-unordered",
            "/otherCurrencies/USD/tiers",
        ),
    ],
)
async def test_currencies_that_make_no_sense_are_refused(
    api: Api, path: str, body: dict[str, Any], code: str, pointer: str
):
    answer = await api.put(f"{BASE}/{path}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_partners_of_direct_payments_are_kept_published_and_audited(api: Api, plane: Plane):
    path = f"{BASE}/direct-payments"
    assert (await api.get(path)).json() == {"partners": []}
    for partners in (["lion", "rhino"], ["lion"]):
        assert (await api.put(path, json={"partners": partners})).json() == {"partners": partners}
        assert (await api.get(path)).json() == {"partners": partners}
        await api.put(f"{BASE}/currencies", json={"others": ["USD"]})  # what else changes leaves them alone
        await plane.publisher.publish_waiting()
        assert plane.bus.published[-1].direct_with == partners
        entries = (await api.get(f"{BASE}/audit")).json()["entries"]
        told = [entry["detail"] for entry in entries if entry["action"] == "direct-payments.set"]
        assert told[-1] == {"partners": partners}
    for index, partners in enumerate((["buffalo"], ["lion", "lion"], ["a", "b", "No Tenant"])):
        answer = await api.put(path, json={"partners": partners})
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["pointer"].startswith("/partners"), index
    assert (await api.get(path)).json() == {"partners": ["lion"]}


@given(st.integers(0, 10**15), st.integers(0, 10**6), st.integers(0, 10_000))
def test_a_fee_is_exact_to_half_a_minor_unit(amount: int, fixed: int, points: int):
    fee = fee_minor([FeeTier(from_minor=0, fixed_minor=fixed, basis_points=points)], amount)
    exact = fixed + Fraction(amount * points, 10_000)
    assert -Fraction(1, 2) < fee - exact <= Fraction(1, 2)


async def test_the_api_describes_itself_in_openapi_3_1(api: Api):
    document = (await api.get("/openapi/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    paths = {path for path in document["paths"] if path.startswith("/v1")}
    assert {"/v1/tenants/{tenant_id}/requirements", "/v1/tenants/{tenant_id}/go-live"} <= paths
    for path in paths:
        for operation in document["paths"][path].values():
            assert operation["security"] == [{"bearer": []}]
    create = document["paths"]["/v1/tenants"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    jsonschema.Draft202012Validator.check_schema(create)
    validator = jsonschema.Draft202012Validator(create)
    assert validator.is_valid(create_request())
    assert not validator.is_valid(create_request(colour="red"))
    assert not validator.is_valid(create_request(tenantId="Buffalo"))


async def test_everything_a_tenant_owns_is_exported_without_credentials(api: Api):
    await api.post(f"{BASE}/party-identifiers", json={"identifiers": [{
        "type": "MSISDN", "value": "254700200001", "accountId": "B-1"}]})  # fmt: skip
    answer = await api.get(f"{BASE}/export")
    assert answer.headers["content-digest"].startswith("sha-256=:")
    export = answer.json()
    assert [each["value"] for each in export["partyIdentifiers"]] == ["254700200001"]
    assert (len(export["keys"]), export["tenant"]["tenant_id"]) == (1, "buffalo")
    assert "sealed" not in answer.text
    assert "PRIVATE" not in answer.text
