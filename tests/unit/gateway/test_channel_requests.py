"""Requests to pay: a payee's member asks, a payer's member is told, and answers."""

import asyncio
from typing import Any

import httpx
from unit.gateway.gateway_kit import ISSUER, NOW_S, Gateway, assert_problem, party
from unit.gateway.openapi_kit import check_body

from payhub_gateway.channel.model import REQUEST_LIFETIME_MS, REQUEST_LIFETIME_MS_MAX, request_id
from payhub_platform.clock import iso
from payhub_platform.contracts.channel import (
    ChannelMoney,
    ChannelParty,
    PartyIdInfo,
    ReceivedRequest,
    ReceivedRequests,
)

PATH = "/v1/transaction-requests"


def asked(**changes: Any) -> dict[str, Any]:
    """The body of a good request: a member of Buffalo asks another institution's member."""
    return {
        "payee": party("254700000001"),
        "payer": party("254700000002"),
        "amount": {"amount": "10.50", "currency": "KES"},
        **changes,
    }


async def ask(gateway: Gateway, body: Any, key: str = "q-1", client: str = "buffalo-ussd") -> Any:
    return await gateway.call("POST", PATH, body, client, Idempotency_Key=key)


async def test_a_request_is_begun_once_and_told(gateway: Gateway):
    answer = await ask(gateway, asked(useCase="atm-cash-out", authentication="OTP", note="cash"))
    own_id = request_id("buffalo", "buffalo-ussd", "q-1")
    assert (answer.status_code, answer.json()) == (202, {"transactionId": own_id})
    assert answer.headers["location"] == f"{PATH}/{own_id}"
    check_body(answer, PATH, "post")
    again = await ask(gateway, asked(useCase="atm-cash-out", authentication="OTP", note="cash"))
    assert (again.json(), len(gateway.engine.payments)) == (answer.json(), 1)
    [(_, first, _), _] = gateway.engine.calls
    assert (first.use_case, first.authentication, first.note) == ("atm-cash-out", "OTP", "cash")
    assert first.expires_at_ms == NOW_S * 1000 + REQUEST_LIFETIME_MS
    told = await gateway.call("GET", f"{PATH}/{own_id}", client="buffalo-reader")
    check_body(told, PATH + "/{request_id}")
    assert (told.json()["transactionRequestId"], told.json()["state"]) == (own_id, "PENDING")
    other = await ask(gateway, asked(note="other"))
    assert_problem(other, 422, "key-reused")
    assert_problem(await gateway.call("GET", f"{PATH}/{own_id}", client="lion-app"), 404, "unknown-payment")


async def test_a_key_is_one_transfer_and_one_request(gateway: Gateway):
    begun = await ask(gateway, asked(), key="key-1")
    body = {**asked(), "payer": asked()["payee"], "payee": asked()["payer"]}
    assert (await gateway.send(body)).json() != begun.json()


async def test_a_request_that_cannot_be(gateway: Gateway):
    late = iso(NOW_S * 1000 + REQUEST_LIFETIME_MS_MAX + 1000)
    wrong: list[tuple[dict[str, Any], int, str, str]] = [
        ({"payee": party("1", fspId="lion")}, 403, "tenant-mismatch", "/payee/partyIdInfo/fspId"),
        ({"payee": party("a/b")}, 400, "invalid-identifier", "/payee/partyIdInfo/partyIdentifier"),
        ({"payer": party("+254700000001")}, 422, "same-party", "/payer/partyIdInfo"),
        ({"amount": {"amount": "0", "currency": "KES"}}, 400, "invalid-amount", "/amount/amount"),
        ({"amount": {"amount": "1", "currency": "UGX"}}, 422, "currency-not-offered", "/amount/currency"),
        ({"authentication": "U2F"}, 400, "invalid-field", "/authentication"),
        ({"useCase": "transfer"}, 400, "invalid-field", "/useCase"),
        ({"expiration": "tomorrow"}, 400, "invalid-field", "/expiration"),
        ({"expiration": late}, 400, "invalid-field", "/expiration"),
        ({"expiration": "1970-01-01T00:00:00Z"}, 422, "expired", "/expiration"),
        ({"note": "a\nb"}, 400, "invalid-field", "/note"),
        ({"colour": "red"}, 400, "unknown-field", "/colour"),
    ]
    for change, status, code, where in wrong:
        assert_problem(await ask(gateway, asked(**change)), status, code, where)
    assert gateway.engine.calls == []
    assert_problem(
        await gateway.call("POST", PATH, asked()), 400, "missing-idempotency-key", "header:Idempotency-Key"
    )
    refused = await ask(gateway, asked(), client="buffalo-reader")
    assert_problem(refused, 403, "insufficient-scope", "header:Authorization")


async def test_a_request_that_is_repeated_late_gets_its_answer(gateway: Gateway):
    body = asked(expiration=iso(NOW_S * 1000 + 5000))
    first = await ask(gateway, body)
    gateway.clock.advance(60)
    assert (await ask(gateway, body)).json() == first.json()
    assert_problem(await ask(gateway, body, key="q-2"), 422, "expired", "/expiration")


async def enter(gateway: Gateway, own_id: str, body: Any, key: str = "e-1") -> Any:
    return await gateway.call("POST", f"{PATH}/{own_id}/authorization", body, Idempotency_Key=key)


async def test_each_entry_at_a_device_has_a_key(gateway: Gateway):
    own_id = (await ask(gateway, asked(authentication="OTP"))).json()["transactionId"]
    entered = {"responseType": "ENTERED", "password": "123456"}
    for key in ("e-1", "e-1", "e-2"):
        answer = await enter(gateway, own_id, entered, key)
        assert (answer.status_code, answer.json()) == (202, {"transactionId": own_id})
        check_body(answer, PATH + "/{request_id}/authorization", "post")
    first, again, second = [act for _, _, _, act in gateway.engine.told]
    assert first == again != second
    for body in ({"responseType": "REJECTED"}, {"responseType": "RESEND"}):
        assert (await enter(gateway, own_id, body, "e-3")).status_code == 202


async def test_what_nobody_enters(gateway: Gateway):
    own_id = (await ask(gateway, asked(authentication="OTP"))).json()["transactionId"]
    for body in (
        {"responseType": "ENTERED"},
        {"responseType": "REJECTED", "password": "123456"},
        {"responseType": "ENTERED", "password": "12"},
        {"responseType": "ENTERED", "password": "12345678901"},
        {"responseType": "ENTERED", "password": "12a456"},
        {"responseType": "ENTERED", "password": "١٢٣٤"},
    ):
        assert_problem(await enter(gateway, own_id, body), 400, "invalid-field", "/password")
    no_key = await gateway.call("POST", f"{PATH}/{own_id}/authorization", {"responseType": "RESEND"})
    assert_problem(no_key, 400, "missing-idempotency-key", "header:Idempotency-Key")
    assert gateway.engine.told == []
    unknown = "22222222-2222-4222-8222-222222222222"
    assert_problem(await enter(gateway, unknown, {"responseType": "RESEND"}), 404, "unknown-payment")
    assert_problem(await enter(gateway, "1", {"responseType": "RESEND"}), 404, "unknown-payment")


async def test_one_key_is_one_entry_also_at_the_same_moment(gateway: Gateway):
    own_id = (await ask(gateway, asked(authentication="OTP"))).json()["transactionId"]
    headers = {"Authorization": f"Bearer {await gateway.token()}", "Idempotency-Key": "e-1"}
    transport = httpx.ASGITransport(app=gateway.app)  # type: ignore[arg-type]
    gateway.engine.may_answer.clear()
    async with httpx.AsyncClient(transport=transport, base_url=ISSUER, headers=headers) as client:
        path, body = f"{PATH}/{own_id}/authorization", {"responseType": "ENTERED", "password": "123456"}
        first = asyncio.create_task(client.post(path, json=body))
        while not gateway.engine.told:
            await asyncio.sleep(0)
        assert_problem(await client.post(path, json=body), 409, "request-in-progress")
        other = await client.post(path, json={**body, "password": "654321"})
        assert_problem(other, 422, "key-reused")
        gateway.engine.may_answer.set()
        assert (await first).status_code == 202


def received(transaction_id: str, at: str, password: str | None = None) -> ReceivedRequest:
    payee = PartyIdInfo(party_id_type="MSISDN", party_identifier="1", fsp_id="lion")
    return ReceivedRequest(
        transaction_id=transaction_id,
        payee=ChannelParty(party_id_info=payee, name="Mama Mboga"),
        payer=PartyIdInfo(party_id_type="MSISDN", party_identifier="2"),
        amount=ChannelMoney(amount="10.50", currency="KES"),
        received_at=at,
        one_time_password=password,
    )


async def test_what_members_are_asked_is_told_of_all_engines_the_oldest_first(gateway: Gateway):
    early, late = "2026-09-21T00:00:00.000Z", "2026-09-21T00:00:01.000Z"
    gateway.engine.received = [
        ("buffalo", ReceivedRequests(requests=[received("b", late)], complete=True)),
        ("buffalo", ReceivedRequests(requests=[received("a", early, "123456")], complete=True)),
        ("lion", ReceivedRequests(requests=[received("c", early)], complete=True)),
    ]
    answer = await gateway.call("GET", "/v1/received-requests")
    check_body(answer, "/v1/received-requests")
    told = answer.json()
    assert ([one["transactionId"] for one in told["requests"]], told["complete"]) == (["a", "b"], True)
    assert told["requests"][0]["oneTimePassword"] == "123456"
    reader = await gateway.call("GET", "/v1/received-requests", client="buffalo-reader")
    assert "oneTimePassword" not in reader.text
    gateway.engine.is_partly_down = True
    assert (await gateway.call("GET", "/v1/received-requests")).json()["complete"] is False
    gateway.engine.received[0] = ("buffalo", ReceivedRequests(requests=[], complete=False))
    gateway.engine.is_partly_down = False
    assert (await gateway.call("GET", "/v1/received-requests")).json()["complete"] is False


async def test_one_member_may_be_named_and_nothing_else(gateway: Gateway):
    path = "/v1/received-requests?partyIdType=MSISDN&partyIdentifier="
    assert (await gateway.call("GET", path + "%2B2547")).status_code == 200
    [asked_for] = gateway.engine.asked
    assert asked_for == "/engine/v1/received-requests?partyIdType=MSISDN&partyIdentifier=%2B2547"
    for query in ("?partyIdType=MSISDN", "?partyIdType=PHONE&partyIdentifier=1", "?tenant=lion"):
        answer = await gateway.call("GET", "/v1/received-requests" + query)
        assert_problem(answer, 400, "invalid-field", "query")
    assert_problem(await gateway.call("GET", path + "1&partyIdentifier=2"), 400, "invalid-field", "query")
    answer = await gateway.call("GET", path + "a%2Fb")
    assert_problem(answer, 400, "invalid-identifier", "query/partyIdentifier")
    assert len(gateway.engine.asked) == 1
