"""Payment Hub EE's paths, bodies and headers: what they mean here, and what is refused."""

import asyncio
from typing import Any

import pytest
from unit.gateway.gateway_kit import Gateway, assert_problem, party, transfer
from unit.gateway.openapi_kit import DOCUMENT, check_body
from unit.gateway.test_channel_members import ACCOUNT
from unit.gateway.test_channel_requests import asked

from payhub_gateway.channel import payment_hub_api, payment_hub_model
from payhub_gateway.channel.access import Caller
from payhub_gateway.channel.model import account_lookup
from payhub_gateway.channel.service import FlowService
from payhub_gateway.limits import TooManyRequestsError
from payhub_platform import ids
from payhub_platform.contracts.channel import AccountLookup, AccountStatus, PartyIdInfo, TransferError
from payhub_platform.contracts.engine import PATH_ACCOUNTS
from payhub_platform.contracts.use_cases import REQUEST_USES, USE_CASES
from payhub_platform.errors import UnavailableError

CORRELATION = {"X_CorrelationID": "key-1"}


def kind(scenario: str, initiator: str, initiator_type: str) -> dict[str, str]:
    return {"scenario": scenario, "initiator": initiator, "initiatorType": initiator_type}


def gsma(**changes: Any) -> dict[str, Any]:
    return {
        "amount": "10.50",
        "currency": "KES",
        "type": "transfer",
        "debitParty": [{"key": "msisdn", "value": "254700000001"}],
        "creditParty": [{"key": "MSISDN", "value": "254700000002"}],
        "descriptionText": "rent",
        "requestingOrganisationTransactionReference": "ref-1",
        "requestDate": "2026-09-21T00:00:00.000Z",
        **changes,
    }


async def send(gateway: Gateway, path: str, body: Any, **headers: str) -> Any:
    return await gateway.call("POST", path, body, **{**CORRELATION, **headers})


async def test_a_transaction_type_is_the_use_case_that_it_names(gateway: Gateway):
    for number, (use, named) in enumerate(USE_CASES.items()):
        wanted = kind(named.scenario, named.initiator, named.initiator_type)
        answer = await send(
            gateway, "/channel/transfer", transfer(transactionType=wanted), X_CorrelationID=f"k-{number}"
        )
        assert answer.status_code == 202
        # FSPIOP has no word for a loan: its own word means a merchant.
        expected = "merchant-payment" if use == "loan-repayment" else use
        assert gateway.engine.calls[-1][1].use_case == expected
    for number, (request_use, named) in enumerate(REQUEST_USES.items()):
        wanted = kind(named.scenario, named.initiator, named.initiator_type)
        body = asked(transactionType=wanted, amountType="RECEIVE")
        answer = await send(gateway, "/channel/transactionRequest", body, X_CorrelationID=f"r-{number}")
        assert answer.status_code == 202
        assert gateway.engine.calls[-1][1].use_case == request_use


async def test_what_no_flow_pays_for_is_refused(gateway: Gateway):
    for path, body in (("/channel/transfer", transfer()), ("/channel/transactionRequest", asked())):
        for wanted in (kind("TRANSFER", "PAYEE", "CONSUMER"), kind("REFUND", "PAYER", "BUSINESS")):
            answer = await send(gateway, path, {**body, "transactionType": wanted})
            assert_problem(answer, 422, "flow-not-offered", "/transactionType")
            check_body(answer, path, "post")
        use_case = "cash-out" if path == "/channel/transfer" else "atm-cash-out"
        both = {**body, "transactionType": kind("PAYMENT", "PAYER", "CONSUMER"), "useCase": use_case}
        assert_problem(await send(gateway, path, both), 400, "invalid-field", "/transactionType")
        for dropped in ("geoCode", "extensionList", "customData"):
            answer = await send(gateway, path, {**body, dropped: {}})
            assert_problem(answer, 400, "unknown-field", f"/{dropped}")
    answer = await send(gateway, "/channel/transactionRequest", asked(amountType="SEND"))
    assert_problem(answer, 400, "invalid-field", "/amountType")
    assert gateway.engine.calls == []


async def test_a_type_said_in_either_way_is_one_request(gateway: Gateway):
    named = transfer(transactionType=kind("WITHDRAWAL", "PAYER", "CONSUMER"))
    first = await send(gateway, "/channel/transfer", named)
    again = await gateway.call("POST", "/v1/transfers", transfer(useCase="cash-out"), Idempotency_Key="key-1")
    assert (again.status_code, again.json()) == (202, first.json())


async def test_a_request_is_found_by_its_key(gateway: Gateway):
    begun = await send(gateway, "/channel/transactionRequest", asked())
    own_id = begun.json()["transactionId"]
    assert begun.headers["location"] == f"/channel/transactionRequest/{own_id}"
    check_body(begun, "/channel/transactionRequest", "post")
    told = await gateway.call("GET", begun.headers["location"])
    check_body(told, "/channel/transactionRequest/{request_id}")
    assert told.json() == (await gateway.call("GET", f"/v1/transaction-requests/{own_id}")).json()
    path = "/channel/txnState/key-1"
    gateway.engine.state, gateway.engine.error = "FAILED", TransferError(code="4101", description="no")
    state = await gateway.call("GET", path, requestType="transactionReq")
    check_body(state, "/channel/txnState/{correlation_id}")
    assert state.json() == {
        "transactionId": own_id,
        "transferState": "ABORTED",
        "error": {"code": "4101", "description": "no"},
    }
    for headers in ({}, {"requestType": "transfers"}):
        assert_problem(await gateway.call("GET", path, **headers), 404, "unknown-payment")
    neither = await gateway.call("GET", path, requestType="all")
    assert_problem(neither, 400, "invalid-field", "header:requestType")


async def test_a_gsma_transfer_is_a_transfer(gateway: Gateway):
    answer = await send(gateway, "/channel/gsma/transfer", gsma(), X_PayeeDFSP_ID="lion")
    payment_id = ids.payment_id("buffalo", "buffalo-ussd", "key-1")
    assert (answer.status_code, answer.json()) == (202, {"transactionId": payment_id})
    assert answer.headers["location"] == f"/channel/transfer/{payment_id}"
    check_body(answer, "/channel/gsma/transfer", "post")
    again = await send(
        gateway, "/channel/gsma/transfer", gsma(requestDate="2026-09-21T00:00:09Z"), X_PayeeDFSP_ID="lion"
    )
    assert again.json() == answer.json()
    body = transfer(note="rent", clientRefId="ref-1", payee=party("254700000002", fspId="lion"))
    same = await gateway.call("POST", "/v1/transfers", body, Idempotency_Key="key-1")
    assert (same.status_code, same.json(), len(gateway.engine.payments)) == (202, answer.json(), 1)


async def test_gsma_types_are_the_use_cases_that_they_mean(gateway: Gateway):
    types = (("merchantpay", "merchant-payment"), ("deposit", "cash-in"), ("withdrawal", "cash-out"))
    for name, use_case in types:
        answer = await send(gateway, "/channel/gsma/transfer", gsma(type=name), X_CorrelationID=name)
        assert answer.status_code == 202
        assert gateway.engine.calls[-1][1].use_case == use_case


async def test_a_gsma_transfer_that_cannot_be(gateway: Gateway):
    payer = [{"key": "msisdn", "value": "254700000001"}]
    two = [{"key": "msisdn", "value": "1"}, {"key": "iban", "value": "2"}]
    wrong: list[tuple[dict[str, Any], int, str, str]] = [
        ({"type": "inttransfer"}, 422, "flow-not-offered", "/type"),
        ({"type": "reversal"}, 422, "flow-not-offered", "/type"),
        ({"amount": "-1"}, 400, "invalid-amount", "/amount/amount"),
        ({"amount": 10.5}, 400, "invalid-field", "/amount"),
        ({"debitParty": []}, 400, "invalid-field", "/debitParty"),
        ({"creditParty": two}, 400, "invalid-field", "/creditParty"),
        ({"creditParty": [{"key": "walletid", "value": "1"}]}, 400, "invalid-field", "/creditParty/0/key"),
        ({"creditParty": payer}, 422, "same-party", "/payee/partyIdInfo"),
        ({"fees": []}, 400, "unknown-field", "/fees"),
    ]
    for change, status, code, where in wrong:
        assert_problem(await send(gateway, "/channel/gsma/transfer", gsma(**change)), status, code, where)
    assert gateway.engine.calls == []


async def test_an_alias_is_registered_where_the_bank_has_bound_it(gateway: Gateway):
    body = {"idType": "ALIAS", "idValue": "mama"}
    answer = await send(gateway, "/channel/partyRegistration", body)
    own_id = answer.json()["transactionId"]
    assert (answer.status_code, answer.headers["location"]) == (202, f"/v1/party-registrations/{own_id}")
    check_body(answer, "/channel/partyRegistration", "post")
    assert (await gateway.call("GET", answer.headers["location"])).json()["state"] == "PENDING"
    bound = await send(gateway, "/channel/partyRegistration", {**body, "accountId": "A1"})
    assert_problem(bound, 422, "flow-not-offered", "/accountId")


async def test_an_account_is_asked_for_and_waited_for(gateway: Gateway):
    gateway.engine.state, gateway.engine.account = "COMPLETED", ACCOUNT
    path = "/channel/accounts/msisdn/254700000001"
    status = await gateway.call("GET", path + "/status")
    check_body(status, "/channel/accounts/{kind}/{identifier}/status")
    assert status.json() == {"accountStatus": "ACTIVE"}
    balance = await gateway.call("GET", path + "/balance")
    check_body(balance, "/channel/accounts/{kind}/{identifier}/balance")
    assert balance.json() == {
        "accountStatus": "ACTIVE",
        "currency": "KES",
        "currentBalance": "1000.00",
        "availableBalance": "899.50",
    }
    first, second = [command for _, command, _ in gateway.engine.calls]
    assert first.payment_id != second.payment_id  # an old answer is none
    assert first.party.party_identifier == "254700000001"


async def test_an_account_that_is_refused_or_not_told(gateway: Gateway):
    gateway.engine.state = "FAILED"
    gateway.engine.error = TransferError(code="3204", description="no such party")
    path = "/channel/accounts/ACCOUNT_ID/77/balance"
    unknown = await gateway.call("GET", path)
    assert_problem(unknown, 404, "unknown-account")
    check_body(unknown, "/channel/accounts/{kind}/{identifier}/balance")
    gateway.engine.error = TransferError(code="4400", description="the account is blocked")
    answer = await gateway.call("GET", path)
    assert_problem(answer, 422, "account-refused")
    assert "4400" in answer.json()["detail"]
    check_body(answer, "/channel/accounts/{kind}/{identifier}/balance")
    where = "path:kind"
    assert_problem(await gateway.call("GET", "/channel/accounts/x/1/status"), 400, "invalid-field", where)
    answer = await gateway.call("GET", "/channel/accounts/iban/a%25b/status")
    assert_problem(answer, 400, "invalid-identifier", "/party/partyIdentifier")


async def test_nobody_waits_for_a_silent_core_system_for_ever(gateway: Gateway):
    flows: FlowService = gateway.app.dependencies["flows"].dependency()
    tenant = gateway.parts.directory.get("buffalo")
    assert tenant
    claims = gateway.app.dependencies["access_tokens"].dependency().verify(await gateway.token())
    lookup = AccountLookup(party=PartyIdInfo(party_id_type="MSISDN", party_identifier="1"))
    act, caller = account_lookup(lookup, tenant, "buffalo-ussd", "k"), Caller(tenant, claims, [])
    with pytest.raises(UnavailableError) as refused:
        await flows.account(caller, act, "t", wait_s=0.0)
    assert (refused.value.code, refused.value.retry_after_s) == ("account-not-told", 1)
    waiting = asyncio.create_task(flows.account(caller, act, "t"))
    while len(gateway.engine.calls) < 2:
        await asyncio.sleep(0)
    with gateway.parts.in_flight.slot("buffalo", "buffalo-ussd"), pytest.raises(TooManyRequestsError):
        await flows.find(caller, PATH_ACCOUNTS, act.command.payment_id, AccountStatus, "t")
    gateway.engine.state, gateway.engine.account = "COMPLETED", ACCOUNT
    assert (await waiting).account == ACCOUNT


@pytest.mark.parametrize(("method", "client"), [("post", "buffalo-ussd"), ("get", "buffalo-reader")])
async def test_what_is_not_offered_says_so_and_what_is(gateway: Gateway, method: str, client: str):
    told = payment_hub_api.NOT_OFFERED_POSTS if method == "post" else payment_hub_api.NOT_OFFERED_GETS
    for path, why in told.items():
        gateway.clock.advance(60)
        address = path.replace("{kind}", "msisdn").replace("{", "").replace("}", "")
        anonymous = await gateway.client.request(method.upper(), address)
        assert_problem(anonymous, 401, "missing-token", "header:Authorization")
        answer = await gateway.call(method.upper(), address, client=client)
        assert_problem(answer, 404, "flow-not-offered")
        assert answer.json()["detail"] == why
        check_body(answer, path, method)
        assert list(DOCUMENT["paths"][path]) == [method]
    assert gateway.engine.calls == []


def test_every_party_type_of_a_body_may_be_named():
    for name in ("MSISDN", "ACCOUNT_ID", "IBAN", "EMAIL", "BUSINESS", "ALIAS"):
        assert payment_hub_model.party_of(name, "1", "/").party_id_type == name
