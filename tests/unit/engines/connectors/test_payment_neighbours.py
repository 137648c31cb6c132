"""Messages of those who may not decide a payment, well signed: they change nothing."""

import json

import msgspec
import pytest
from unit.engines.connectors.process_house import (
    HAPPY,
    House,
    assert_completed,
    assert_failed,
    assert_held,
    assert_nothing_held,
    balances,
    payee,
)


@pytest.fixture
def house(tenants, secrets):
    return House(tenants, secrets)


def refused(code):
    return {"errorInformation": {"errorCode": code, "errorDescription": "no"}}


@pytest.mark.parametrize("kind", ["error", "quote"])
def test_a_quote_of_somebody_else_is_not_heard(house, request_to_pay, kind):
    house.weather["PUT quotes"] = ["drop"]
    house.pay(request_to_pay)
    genuine = next(message for message in house.sent if message.name == "PUT quotes")
    if kind == "error":
        house.say("PUT", f"{genuine.path}/error", refused("5103"), "buffalo", source="rhino")
    else:
        house.say("PUT", genuine.path, json.loads(genuine.body), "buffalo", source="rhino")
    house.settle()
    assert_nothing_held(house)
    assert "POST transfers" not in house.names()
    house.switch.forward("buffalo", genuine)
    house.settle()
    assert_completed(house)


def test_an_error_of_the_switch_ends_the_wait_for_a_quote(house, request_to_pay):
    house.weather["POST quotes"] = ["drop"]
    house.pay(request_to_pay)
    quote = next(message for message in house.sent if message.name == "POST quotes")
    quote_id = json.loads(quote.body)["quoteId"]
    house.say("PUT", f"/quotes/{quote_id}/error", refused("3201"), "buffalo", source="switch")
    house.settle()
    assert_failed(house, "3201")


FORGED = {
    "error": ("/error", refused("5104")),
    "unknown": ("/error", refused("3208")),
    "aborted": ("", {"transferState": "ABORTED"}),
    "committed": ("", {"transferState": "COMMITTED", "fulfilment": "A" * 43}),
}


@pytest.mark.parametrize("case", FORGED)
def test_an_outcome_told_by_somebody_else_decides_nothing(house, request_to_pay, case):
    house.switch.decides = False
    house.pay(request_to_pay)
    path, body = FORGED[case]
    [transfer_id] = house.transfers
    for victim, method in (("buffalo", "PUT"), ("lion", "PUT"), ("lion", "PATCH")):
        if not (path and method == "PATCH"):
            house.say(method, f"/transfers/{transfer_id}{path}", body, victim, source="rhino")
    house.settle()
    assert_held(house)
    assert payee(house).ended_at_ms is None
    assert balances(house)[1] == 0
    assert house.names() == HAPPY
    house.switch.decides = True
    house.wait(25)
    assert_completed(house)


def test_a_payee_that_refuses_while_it_fulfils_gets_nothing_for_free(house, request_to_pay):
    house.switch.decides = False
    house.pay(request_to_pay)
    [transfer_id] = house.transfers
    house.say("PUT", f"/transfers/{transfer_id}/error", refused("5104"), "buffalo", source="lion")
    house.settle()
    assert_held(house)
    assert house.names()[-1] == "GET transfers"
    house.switch.decides = True
    house.wait(25)
    assert_completed(house)


def test_a_refusal_of_the_payee_fails_the_payment_with_its_reason(house, request_to_pay):
    house.switch.decides = False
    house.pay(request_to_pay)
    [transfer_id] = house.transfers
    house.transfers[transfer_id].state = "ABORTED"
    house.say("PUT", f"/transfers/{transfer_id}/error", refused("5104"), "buffalo", source="lion")
    house.settle()
    assert_failed(house, "5104")


def test_the_payer_does_not_tell_the_payee_that_a_transfer_is_committed(house, request_to_pay):
    house.switch.decides = False
    house.pay(request_to_pay)
    [transfer_id] = house.transfers
    body = {"transferState": "COMMITTED", "completedTimestamp": "2026-01-01T00:00:00.000Z"}
    house.say("PATCH", f"/transfers/{transfer_id}", body, "lion", source="buffalo")
    house.settle()
    assert balances(house)[1] == 0


def test_a_transfer_of_who_did_not_ask_for_the_quote_ends_nothing(house, request_to_pay):
    house.weather["POST transfers"] = ["drop"]
    house.pay(request_to_pay)
    genuine = next(message for message in house.sent if message.name == "POST transfers")
    forged = {**json.loads(genuine.body), "payerFsp": "rhino"}
    house.say("POST", "/transfers", forged, "lion", source="rhino")
    house.settle()
    assert "PUT transfers error" not in house.names()
    house.wait(11)
    assert_completed(house)


@pytest.mark.parametrize("kind", ["error", "party"])
def test_where_the_payee_is_named_nobody_else_says_who_it_is(house, request_to_pay, kind):
    house.weather["PUT parties"] = ["drop"]
    at_lion = msgspec.structs.replace(request_to_pay.payee, fsp_id="lion")
    house.pay(msgspec.structs.replace(request_to_pay, payee=at_lion))
    path = "/parties/MSISDN/254700100001"
    genuine = next(message for message in house.sent if message.name == "PUT parties")
    body = {"party": {"partyIdInfo": {**genuine.content["party"]["partyIdInfo"], "fspId": "rhino"}}}
    told = (f"{path}/error", refused("3204")) if kind == "error" else (path, body)
    house.say("PUT", *told, "buffalo", source="rhino")
    house.settle()
    assert_nothing_held(house)
    assert "POST quotes" not in house.names()
    house.switch.forward("buffalo", genuine)
    house.settle()
    assert_completed(house)


def test_the_switch_is_believed_that_a_named_payee_is_not_there(house, request_to_pay):
    house.weather["PUT parties"] = ["drop"]
    at_lion = msgspec.structs.replace(request_to_pay.payee, fsp_id="lion")
    house.pay(msgspec.structs.replace(request_to_pay, payee=at_lion))
    house.say("PUT", "/parties/MSISDN/254700100001/error", refused("3204"), "buffalo", source="switch")
    house.settle()
    assert_failed(house, "3204")
