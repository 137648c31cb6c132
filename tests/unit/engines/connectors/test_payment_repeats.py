"""What is asked again is answered again, other contents under its id are refused, queries are answered."""

import json

import pytest
from unit.engines.connectors.process_house import (
    HAPPY,
    House,
    assert_completed,
    balances,
    payee,
)


@pytest.fixture
def house(tenants, secrets):
    return House(tenants, secrets)


def first(house, name):
    return next(message for message in house.sent if message.name == name)


def last(house, name):
    return [message for message in house.sent if message.name == name][-1]


def waiting_for_the_transfer(house, request_to_pay):
    house.weather["POST transfers"] = ["drop"]
    house.pay(request_to_pay)
    return house


def waiting_for_the_outcome(house, request_to_pay):
    house.switch.decides = False
    house.pay(request_to_pay)
    return house


def test_a_quote_asked_for_again_gets_the_same_answer(house, request_to_pay):
    waiting_for_the_transfer(house, request_to_pay)
    house.switch.forward("lion", first(house, "POST quotes"))
    house.settle()
    assert house.names().count("PUT quotes") == 2
    assert last(house, "PUT quotes").body == first(house, "PUT quotes").body
    house.wait(11)
    assert_completed(house)


@pytest.mark.parametrize("change", [{"amount": {"amount": "1", "currency": "KES"}}, {"note": "other"}])
def test_other_contents_under_a_transaction_are_refused_and_the_quote_stands(house, request_to_pay, change):
    waiting_for_the_transfer(house, request_to_pay)
    asked = {**first(house, "POST quotes").content, **change}
    house.say("POST", "/quotes", asked, "lion", source="buffalo")
    house.settle()
    told = first(house, "PUT quotes error")
    assert told.content["errorInformation"]["errorCode"] == "3106"
    assert told.headers["fspiop-destination"] == "buffalo"
    assert house.names().count("PUT quotes") == 1
    house.wait(11)
    assert_completed(house)


def test_a_quote_is_not_told_to_who_repeats_anothers_question(house, request_to_pay):
    waiting_for_the_transfer(house, request_to_pay)
    house.say("POST", "/quotes", first(house, "POST quotes").content, "lion", source="rhino")
    house.settle()
    assert house.names().count("PUT quotes") == 1
    assert first(house, "PUT quotes error").headers["fspiop-destination"] == "rhino"
    house.wait(11)
    assert_completed(house)


def test_a_transfer_prepared_again_is_fulfilled_again(house, request_to_pay):
    waiting_for_the_outcome(house, request_to_pay)
    house.switch.forward("lion", first(house, "POST transfers"))
    house.settle()
    assert last(house, "PUT transfers").body == first(house, "PUT transfers").body
    assert house.names().count("PUT transfers") == 2
    house.switch.decides = True
    house.wait(61)
    assert_completed(house)


def test_another_transfer_under_the_same_id_is_refused_and_changes_nothing(house, request_to_pay):
    waiting_for_the_outcome(house, request_to_pay)
    transfer = first(house, "POST transfers").content
    other = {**transfer, "amount": {"amount": "1", "currency": "KES"}}
    house.switch.weather["PUT transfers error"] = ["drop"]
    house.say("POST", "/transfers", other, "lion", source="buffalo")
    house.settle()
    assert first(house, "PUT transfers error").content["errorInformation"]["errorCode"] == "3106"
    assert payee(house).variables["transfer"]["amount"] == transfer["amount"]
    house.switch.decides = True
    house.wait(61)
    assert_completed(house)


def test_the_scheme_is_told_a_refusal_of_a_repetition_and_decides(house, request_to_pay):
    """Where it aborts the transfer for it, nobody is paid and nothing is held."""
    waiting_for_the_outcome(house, request_to_pay)
    transfer = first(house, "POST transfers").content
    other = {**transfer, "condition": "B" * 43}
    house.say("POST", "/transfers", other, "lion", source="buffalo")
    house.switch.decides = True
    house.run_until_all_ended()
    assert house.status().state == "FAILED"
    assert balances(house) == (1000, 0)
    assert house.banks["buffalo"].accounts["A1"].held() == 0


def test_a_queried_quote_and_a_queried_transfer_are_answered(house, request_to_pay):
    waiting_for_the_transfer(house, request_to_pay)
    quote_id = first(house, "POST quotes").content["quoteId"]
    house.say("GET", f"/quotes/{quote_id}", {}, "lion", source="buffalo")
    house.settle()
    assert last(house, "PUT quotes").body == first(house, "PUT quotes").body
    house.switch.decides = False
    house.wait(11)
    transfer_id = first(house, "POST transfers").content["transferId"]
    told = house.names().count("PUT transfers")
    house.say("GET", f"/transfers/{transfer_id}", {}, "lion", source="switch")
    house.settle()
    assert house.names().count("PUT transfers") == told + 1


@pytest.mark.parametrize(("resource", "code"), [("quotes", "3205"), ("transfers", "3208")])
def test_what_is_over_or_unknown_is_refused_with_its_own_code(house, request_to_pay, resource, code):
    house.pay(request_to_pay)
    unknown = "22222222-2222-4222-8222-222222222222"
    over = first(house, "POST quotes").content["quoteId"]
    if resource == "transfers":
        over = first(house, "POST transfers").content["transferId"]
    for number, key in enumerate((unknown, over), 1):
        house.engine.advance(1)
        house.say("GET", f"/{resource}/{key}", {}, "lion", source="switch")
        house.settle()
        told = [message for message in house.sent if message.name == f"PUT {resource} error"]
        assert len(told) == number
        assert json.loads(told[-1].body)["errorInformation"]["errorCode"] == code
    assert house.names()[: len(HAPPY)] == HAPPY
    assert_completed(house)


def test_late_and_repeated_callbacks_are_taken_and_change_nothing(house, request_to_pay):
    house.pay(request_to_pay)
    for message in list(house.sent):
        if message.method == "PUT":
            house.switch.forward("buffalo", message)
    for message in list(house.sent):
        if message.name in ("POST quotes", "POST transfers"):
            house.switch.forward("lion", message)
    house.wait(120)
    assert house.refused == []
    assert house.names() == HAPPY
    assert_completed(house)
