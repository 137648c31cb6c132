"""What is asked again is answered again, other contents under its id are refused, queries are answered."""

import json

import pytest
from unit.engines.connectors.connector_kit import PAYMENT
from unit.engines.connectors.process_house import (
    HAPPY,
    House,
    assert_completed,
    balances,
    payee,
)
from unit.engines.connectors.switchboard import Message

from payhub_platform.clock import iso


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


def ask(house, path, source="buffalo", fsp="lion"):
    """Return what is told to who asks, as its name, its receiver and its content; None where nothing is."""
    house.engine.advance(1)
    before = len(house.sent)
    house.say("GET", path, {}, fsp, source=source)
    house.settle()
    return told_since(house, before)


def send_again(house, message, fsp="lion", source="buffalo", **change):
    house.engine.advance(1)
    before = len(house.sent)
    house.say(message.method, message.path, {**message.content, **change}, fsp, source=source)
    house.settle()
    return told_since(house, before)


def told_since(house, before):
    assert len(house.sent) <= before + 1
    for message in house.sent[before:]:
        content = message.content
        return message.name, message.headers["fspiop-destination"], content.get("errorInformation", content)
    return None


@pytest.mark.parametrize(
    ("resource", "code"),
    [("quotes", "3205"), ("transfers", "3208"), ("transactions", "3207"), ("transactionRequests", "3206")],
)
@pytest.mark.parametrize("known", [False, True])
def test_what_is_unknown_is_refused_with_its_own_code_and_so_is_anothers(
    house, request_to_pay, resource, code, known
):
    house.pay(request_to_pay)
    keys = {
        "quotes": first(house, "POST quotes").content["quoteId"],
        "transfers": first(house, "POST transfers").content["transferId"],
        "transactions": first(house, "POST quotes").content["transactionId"],
    }
    key = keys.get(resource, PAYMENT) if known else "22222222-2222-4222-8222-222222222222"
    name, receiver, error = ask(house, f"/{resource}/{key}", source="rhino")
    assert (name, receiver, error["errorCode"]) == (f"PUT {resource} error", "rhino", code)
    assert_completed(house)


@pytest.mark.parametrize("source", ["buffalo", "switch"])
def test_what_has_ended_is_told_as_it_ended(house, request_to_pay, source):
    house.pay(request_to_pay)
    quote, transfer = first(house, "POST quotes").content, first(house, "POST transfers").content
    asked = ask(house, f"/quotes/{quote['quoteId']}", source)
    assert asked == ("PUT quotes", source, first(house, "PUT quotes").content)
    name, receiver, told = ask(house, f"/transfers/{transfer['transferId']}", source)
    assert (name, receiver, told["transferState"]) == ("PUT transfers", source, "COMMITTED")
    assert told["fulfilment"] == first(house, "PUT transfers").content["fulfilment"]
    assert told["completedTimestamp"] == payee(house).variables["transferResult"]["completedTimestamp"]
    name, _, told = ask(house, f"/transactions/{quote['transactionId']}", source)
    assert (name, told["transactionState"]) == ("PUT transactions", "COMPLETED")
    assert_completed(house)


def test_an_id_that_was_refused_is_no_other_name_of_what_had_its_place(house, request_to_pay):
    waiting_for_the_outcome(house, request_to_pay)
    other = "33333333-3333-4333-8333-333333333333"
    house.switch.weather["PUT transfers error"] = ["drop"]
    send_again(house, first(house, "POST transfers"), transferId=other)
    name, _, error = ask(house, f"/transfers/{other}")
    assert (name, error["errorCode"]) == ("PUT transfers error", "3208")
    send_again(house, first(house, "POST quotes"), quoteId=other)
    name, _, error = ask(house, f"/quotes/{other}")
    assert (name, error["errorCode"]) == ("PUT quotes error", "3205")


def test_what_was_refused_is_refused_again_and_aborted_for_who_asks(house, request_to_pay):
    house.weather["POST transfers"] = ["late"]
    house.banks["lion"].accounts["A2"].credits.clear()
    house.pay(request_to_pay)
    house.banks["lion"].parties.clear()
    house.banks["lion"].accounts.clear()
    house.run_until_all_ended()
    assert house.status().state == "FAILED"
    prepare, refused = first(house, "POST transfers"), first(house, "PUT transfers error")
    asked = ask(house, f"/transfers/{prepare.content['transferId']}")
    assert asked == ("PUT transfers", "buffalo", {"transferState": "ABORTED"})
    again = send_again(house, prepare)
    assert again == ("PUT transfers error", "buffalo", refused.content["errorInformation"])
    _, _, told = ask(house, f"/transactions/{first(house, 'POST quotes').content['transactionId']}")
    assert told == {"transactionState": "REJECTED"}


def test_a_quote_that_was_refused_is_refused_again(house, request_to_pay):
    house.banks["lion"].accounts["A2"].status = "closed"
    house.banks["lion"].parties["MSISDN/254700100001"] = "A9"
    house.pay(request_to_pay)
    refused = first(house, "PUT quotes error").content["errorInformation"]
    asked = first(house, "POST quotes")
    assert ask(house, f"/quotes/{asked.content['quoteId']}") == ("PUT quotes error", "buffalo", refused)
    assert send_again(house, asked) == ("PUT quotes error", "buffalo", refused)


def test_an_expired_quote_is_told_as_it_was_given_and_takes_no_transfer(house, request_to_pay):
    house.weather["PUT quotes"] = ["drop"]
    house.pay(request_to_pay)
    house.run_until_all_ended()
    asked, given = first(house, "POST quotes"), first(house, "PUT quotes").content
    assert ask(house, f"/quotes/{asked.content['quoteId']}") == ("PUT quotes", "buffalo", given)
    transfer = {
        "transferId": "33333333-3333-4333-8333-333333333333",
        "payerFsp": "buffalo",
        "payeeFsp": "lion",
        "amount": given["transferAmount"],
        "ilpPacket": given["ilpPacket"],
        "condition": given["condition"],
        "expiration": iso(house.engine.now_ms + 60_000),
    }
    late = Message("POST", "/transfers", {}, json.dumps(transfer).encode())
    name, receiver, error = send_again(house, late)
    assert (name, receiver, error["errorCode"]) == ("PUT transfers error", "buffalo", "3205")
    assert send_again(house, late, expiration=iso(house.engine.now_ms - 1)) is None


def test_what_ended_is_answered_again_to_the_same_and_refused_to_other_contents(house, request_to_pay):
    house.pay(request_to_pay)
    quote, transfer = first(house, "POST quotes"), first(house, "POST transfers")
    assert send_again(house, quote) == ("PUT quotes", "buffalo", first(house, "PUT quotes").content)
    told = first(house, "PUT transfers").content
    assert send_again(house, transfer) == ("PUT transfers", "buffalo", told)
    for message, change in (
        (quote, {"note": "other"}),
        (transfer, {"amount": {"amount": "1", "currency": "KES"}}),
        (transfer, {"transferId": "33333333-3333-4333-8333-333333333333"}),
    ):
        name, receiver, error = send_again(house, message, **change)
        assert (name[-5:], receiver, error["errorCode"]) == ("error", "buffalo", "3106")
    name, receiver, error = send_again(house, quote, source="rhino")
    assert (name[-5:], receiver, error["errorCode"]) == ("error", "rhino", "3106")
    assert_completed(house)


def test_a_message_that_the_switch_delivers_twice_is_answered_once(house, request_to_pay):
    house.pay(request_to_pay)
    asked = first(house, "POST quotes")
    house.engine.advance(1)
    before = len(house.sent)
    for _ in range(2):
        house.switch.forward("lion", asked)
    house.settle()
    assert len(house.sent) == before + 1


def test_what_is_not_decided_is_told_as_it_stands(house, request_to_pay):
    down = house.banks["lion"]
    house.weather["POST quotes"] = ["overtaken"]
    house.pay(request_to_pay)
    down.down = True
    house.wait(1)
    asked = first(house, "POST quotes")
    assert ask(house, f"/quotes/{asked.content['quoteId']}") is None
    assert send_again(house, asked) is None
    transaction = f"/transactions/{asked.content['transactionId']}"
    assert ask(house, transaction)[2] == {"transactionState": "RECEIVED"}
    down.down = False
    house.wait(2)
    assert_completed(house)


def test_a_transfer_in_the_checks_is_received_and_one_that_is_credited_is_committed(house, request_to_pay):
    lion = house.banks["lion"]
    house.weather["POST transfers"] = ["late"]
    house.pay(request_to_pay)
    lion.down = True
    house.wait(15)
    prepare = first(house, "POST transfers")
    path = f"/transfers/{prepare.content['transferId']}"
    assert ask(house, path)[2] == {"transferState": "RECEIVED"}
    assert send_again(house, prepare) is None  # it is kept for the process, which answers
    lion.down = False
    house.weather["PUT transfers"] = ["silent"]
    house.wait(3)
    lion.down = True
    house.wait(12)
    told = ask(house, path)[2]
    assert (told["transferState"], "fulfilment" in told) == ("COMMITTED", True)
    lion.down = False
    house.run_until_all_ended()
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
    assert house.names() == [*HAPPY, "PUT quotes", "PUT transfers"]
    assert_completed(house)
