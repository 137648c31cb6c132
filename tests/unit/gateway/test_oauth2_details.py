"""Rich authorization requests (RFC 9396) from the pushed request to the token."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from unit.gateway.gateway_kit import ISSUER
from unit.gateway.oauth2_kit import House, assert_refused, house_of

PAYMENT: dict[str, Any] = {
    "type": "payment_initiation",
    "actions": ["initiate", "status"],
    "instructedAmount": {"amount": "10.50", "currency": "KES"},
    "creditorAccount": {"partyIdType": "MSISDN", "partyIdentifier": "254700000002", "fspId": "lion"},
    "locations": [ISSUER + "/channel"],
}
ACCOUNTS: dict[str, Any] = {"type": "account_information", "actions": ["read_balances"]}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_of(tmp_path) as held:
        yield held


async def test_details_travel_from_the_request_to_every_token(house: House):
    tpp = await house.tpp()
    wanted = json.dumps([PAYMENT, ACCOUNTS])
    given = (await tpp.exchange(await tpp.code(authorization_details=wanted, scope=""))).json()
    assert given["authorization_details"] == [PAYMENT, ACCOUNTS]
    assert given["scope"] == ""  # the details say it all
    said = (await tpp.post("/oauth2/introspect", {"token": given["access_token"]})).json()
    assert said["authorization_details"] == [PAYMENT, ACCOUNTS]
    said = (await tpp.post("/oauth2/introspect", {"token": given["refresh_token"]})).json()
    assert said["authorization_details"] == [PAYMENT, ACCOUNTS]
    less = await tpp.refresh(given["refresh_token"], authorization_details=json.dumps([ACCOUNTS]))
    assert less.json()["authorization_details"] == [ACCOUNTS]
    again = await tpp.refresh(given["refresh_token"])
    assert again.json()["authorization_details"] == [PAYMENT, ACCOUNTS]


async def test_a_token_request_cannot_ask_for_more(house: House):
    tpp = await house.tpp()
    code = await tpp.code(authorization_details=json.dumps([PAYMENT]))
    larger = {**PAYMENT, "instructedAmount": {"amount": "10.51", "currency": "KES"}}
    for more in ([ACCOUNTS], [larger], [PAYMENT, ACCOUNTS]):
        answer = await tpp.exchange(code, authorization_details=json.dumps(more))
        assert_refused(answer, "invalid_authorization_details")
    assert (await tpp.exchange(code)).status_code == 200


async def test_a_client_cannot_give_itself_details(house: House):
    answer = await house.client("buffalo-admin").token(authorization_details=json.dumps([ACCOUNTS]))
    assert_refused(answer, "invalid_authorization_details")


@pytest.mark.parametrize(
    "wanted",
    [
        "",
        "x",
        "{}",
        "[]",
        "[" * 5000,
        [{"type": "unknown", "actions": ["initiate"]}],
        [{"actions": ["initiate"]}],
        [{**PAYMENT, "extra": 1}],
        [{**PAYMENT, "actions": []}],
        [{**PAYMENT, "actions": ["initiate", "refund"]}],
        [{**PAYMENT, "actions": "initiate"}],
        [{**PAYMENT, "instructedAmount": {"amount": 10.5, "currency": "KES"}}],
        [{**PAYMENT, "instructedAmount": {"amount": "0", "currency": "KES"}}],
        [{**PAYMENT, "instructedAmount": {"amount": "-1", "currency": "KES"}}],
        [{**PAYMENT, "instructedAmount": {"amount": "1.005", "currency": "KES"}}],
        [{**PAYMENT, "instructedAmount": {"amount": "1", "currency": "XXX"}}],
        [{**PAYMENT, "creditorAccount": {"partyIdType": "MSISDN"}}],
        [{**PAYMENT, "locations": ["https://evil.example"]}],
        [{**PAYMENT, "locations": [ISSUER + ".evil.example"]}],
        [{**PAYMENT, "note": "x" * 200}],
        [ACCOUNTS] * 11,
    ],
)
async def test_details_that_do_not_fit_their_type(house: House, wanted: Any):
    tpp = await house.tpp()
    text = wanted if isinstance(wanted, str) else json.dumps(wanted)
    answer = await tpp.push(authorization_details=text or " ")
    assert_refused(answer, "invalid_authorization_details")
