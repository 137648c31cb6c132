"""Look-ups of members' accounts, and registrations of their identifiers."""

from typing import Any

from unit.gateway.gateway_kit import Gateway, assert_problem
from unit.gateway.openapi_kit import check_body

from payhub_gateway.oauth2.model import MEMBER_SCOPES
from payhub_platform.contracts.channel import AccountState, TransferError

ACCOUNTS = "/v1/account-lookups"
REGISTRATIONS = "/v1/party-registrations"
PARTIES = "/v1/party-lookups"
NAMES = {ACCOUNTS: "{lookup_id}", PARTIES: "{party_lookup_id}", REGISTRATIONS: "{registration_id}"}
MEMBER = {"partyIdType": "MSISDN", "partyIdentifier": "254700000001"}
ACCOUNT = AccountState(
    account_id="A1",
    currency="KES",
    status="ACTIVE",
    may_pay=True,
    may_receive=True,
    balance="1000.00",
    available="899.50",
)


async def begin(gateway: Gateway, path: str, body: Any, client: str = "buffalo-ussd") -> Any:
    return await gateway.call("POST", path, body, client, Idempotency_Key="m-1")


async def test_all_are_begun_once_and_told(gateway: Gateway):
    for path, name in NAMES.items():
        answer = await begin(gateway, path, {"party": MEMBER})
        own_id = answer.json()["transactionId"]
        assert (answer.status_code, answer.headers["location"]) == (202, f"{path}/{own_id}")
        check_body(answer, path, "post")
        assert (await begin(gateway, path, {"party": MEMBER})).json() == answer.json()
        other = await begin(gateway, path, {"party": {**MEMBER, "partyIdentifier": "2"}})
        assert_problem(other, 422, "key-reused")
        told = await gateway.call("GET", f"{path}/{own_id}")
        check_body(told, f"{path}/{name}")
        assert (told.json()["state"], told.json()["party"]) == ("PENDING", MEMBER)
        theirs = await gateway.call("GET", f"{path}/{own_id}", client="lion-app")
        assert_problem(theirs, 404, "unknown-payment")
    assert len(gateway.engine.payments) == 3


async def test_an_account_is_told_as_the_core_system_tells_it(gateway: Gateway):
    own_id = (await begin(gateway, ACCOUNTS, {"party": MEMBER})).json()["transactionId"]
    gateway.engine.state, gateway.engine.account = "COMPLETED", ACCOUNT
    told = await gateway.call("GET", f"{ACCOUNTS}/{own_id}")
    check_body(told, ACCOUNTS + "/{lookup_id}")
    assert (told.json()["account"]["balance"], told.json()["account"]["available"]) == ("1000.00", "899.50")
    gateway.engine.state, gateway.engine.account = "FAILED", None
    gateway.engine.error = TransferError(code="3204", description="no")
    assert (await gateway.call("GET", f"{ACCOUNTS}/{own_id}")).json()["error"]["code"] == "3204"


async def test_an_identifier_is_withdrawn(gateway: Gateway):
    await begin(gateway, REGISTRATIONS, {"party": MEMBER, "withdraw": True})
    [(_, command, _)] = gateway.engine.calls
    assert (command.withdraw, command.party.party_identifier) == (True, "254700000001")


async def test_only_own_members_are_asked_about(gateway: Gateway):
    for path in (ACCOUNTS, REGISTRATIONS):
        answer = await begin(gateway, path, {"party": {**MEMBER, "fspId": "lion"}})
        assert_problem(answer, 403, "tenant-mismatch", "/party/fspId")
        answer = await begin(gateway, path, {"party": {**MEMBER, "partyIdentifier": "../1"}})
        assert_problem(answer, 400, "invalid-identifier", "/party/partyIdentifier")
        assert_problem(await begin(gateway, path, {}), 400, "invalid-field", "/")
    assert gateway.engine.calls == []


async def test_a_party_is_sought_everywhere_by_those_who_may_pay(gateway: Gateway):
    answer = await begin(gateway, PARTIES, {"party": {**MEMBER, "fspId": "lion"}})
    assert_problem(answer, 400, "invalid-field", "/party/fspId")
    answer = await begin(gateway, PARTIES, {"party": {**MEMBER, "partyIdentifier": "a b/"}})
    assert_problem(answer, 400, "invalid-identifier", "/party/partyIdentifier")
    answer = await begin(gateway, PARTIES, {"party": MEMBER}, "buffalo-reader")
    assert_problem(answer, 403, "insufficient-scope", "header:Authorization")
    assert gateway.engine.calls == []


async def test_paying_does_not_cover_balances_nor_registrations(gateway: Gateway):
    token = await gateway.token()  # the scopes of payments, for it asks for none
    for method, path, scope in (
        ("POST", ACCOUNTS, "accounts:read"),
        ("GET", f"{ACCOUNTS}/22222222-2222-4222-8222-222222222222", "accounts:read"),
        ("POST", REGISTRATIONS, "parties:write"),
        ("GET", f"{REGISTRATIONS}/22222222-2222-4222-8222-222222222222", "parties:write"),
        ("GET", "/channel/accounts/msisdn/1/balance", "accounts:read"),
        ("POST", "/channel/partyRegistration", "parties:write"),
    ):
        answer = await gateway.client.request(method, path, headers={"Authorization": f"Bearer {token}"})
        assert_problem(answer, 403, "insufficient-scope", "header:Authorization")
        assert scope in answer.headers["www-authenticate"]
        assert scope in MEMBER_SCOPES
