"""Whole payments through the process files, the interpreter, the connectors, two banks and a switch."""

import json
from decimal import Decimal

import jsonschema
import msgspec
import pytest
import yaml
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

from payhub_engines.core.commands import CorrelateMessage
from payhub_platform.contracts.handover import Callback


@pytest.fixture
def house(tenants, secrets):
    return House(tenants, secrets)


def test_a_payment_completes(house, request_to_pay):
    house.pay(request_to_pay)
    assert_completed(house)
    assert house.names() == HAPPY
    assert payee(house).ended_at_ms is not None
    assert payee(house).variables["paymentState"] == "COMPLETED"
    assert house.status().ended_at is not None
    assert house.status().client_ref_id == "ref-1"


def test_what_is_sent_is_what_the_official_openapi_allows(house, request_to_pay, shared_data):
    house.pay(request_to_pay)
    house.banks["lion"].accounts["A2"].sub_status = "BLOCK"
    other = House(house.tenants, house.context.secrets)
    other.banks["lion"].accounts["A2"].sub_status = "BLOCK"
    other.pay(request_to_pay)
    text = (shared_data / "specs" / "fspiop" / "fspiop-v1.1-openapi3.yaml").read_text()
    schemas = yaml.load(text, yaml.CSafeLoader)["components"]
    names = {
        "PUT parties": "PartiesTypeIDPutResponse",
        "POST quotes": "QuotesPostRequest",
        "PUT quotes": "QuotesIDPutResponse",
        "PUT quotes error": "ErrorInformationObject",
        "POST transfers": "TransfersPostRequest",
        "PUT transfers": "TransfersIDPutResponse",
    }
    checked = set()
    for message in house.sent + other.sent:
        if message.body:
            schema = {"$ref": f"#/components/schemas/{names[message.name]}", "components": schemas}
            validator = jsonschema.Draft4Validator(schema)
            validator.validate(json.loads(message.body))
            checked.add(message.name)
    assert checked == set(names)


@pytest.mark.parametrize("balance", ["0", "100.49"])
def test_insufficient_funds_fail_before_anything_is_sent(house, request_to_pay, balance):
    house.banks["buffalo"].accounts["A1"].balance = Decimal(balance)
    house.pay(request_to_pay)
    assert house.status().state == "FAILED"
    assert house.status().error.code == "4001"
    assert house.sent == []


def test_an_unknown_payee_is_not_paid(house, request_to_pay):
    house.banks["lion"].parties.clear()
    house.pay(request_to_pay)
    assert_failed(house, "3204")
    assert house.names() == ["GET parties", "PUT parties error"]


def test_a_payee_of_another_institution_than_the_channel_named_is_not_paid(house, request_to_pay):
    for fsp_id in ("rhino", "lion"):
        other = House(house.tenants, house.context.secrets)
        payee_id = msgspec.structs.replace(request_to_pay.payee, fsp_id=fsp_id)
        other.pay(msgspec.structs.replace(request_to_pay, payee=payee_id))
        if fsp_id == "lion":
            assert_completed(other)
        else:
            other.wait(11)  # what lion says of rhino's member is not believed
            assert_failed(other, "2004")
            assert other.names() == ["GET parties", "PUT parties"]


def test_a_payee_who_cannot_receive_is_not_paid(house, request_to_pay):
    house.banks["lion"].accounts["A2"].sub_status = "BLOCK_CREDIT"
    house.pay(request_to_pay)
    assert_failed(house, "5400")
    assert payee(house).ended_at_ms is not None


@pytest.mark.parametrize(
    ("message", "code"), [("GET parties", "2004"), ("PUT parties", "2004"), ("PUT quotes", "2004")]
)
def test_silence_before_the_transfer_fails_and_holds_nothing(house, request_to_pay, message, code):
    house.weather[message] = ["drop"]
    house.pay(request_to_pay)
    assert_nothing_held(house)
    house.wait(11)
    assert_failed(house, code)
    house.wait(40)
    assert payee(house) is None or payee(house).ended_at_ms is not None


@pytest.mark.parametrize("message", ["GET parties", "POST quotes"])
def test_a_refused_question_ends_the_payment(house, request_to_pay, message):
    house.weather[message] = ["refuse"]
    house.pay(request_to_pay)
    assert_failed(house, "3100")


def test_a_scheme_that_is_down_is_tried_again(house, request_to_pay):
    house.weather["GET parties"] = ["down", "down"]
    house.weather["POST quotes"] = ["down", "lose-answer"]
    house.pay(request_to_pay)
    house.wait(9)
    assert_completed(house)


def test_a_scheme_that_stays_down_fails_the_payment(house, request_to_pay):
    house.weather["GET parties"] = ["down"] * 100
    house.pay(request_to_pay)
    house.wait(60)
    assert_failed(house, "2003")


def test_a_quote_that_comes_too_late_is_not_used(house, request_to_pay):
    tenants = dict(house.tenants)
    house.weather["PUT quotes"] = ["drop"]
    house.pay(request_to_pay)
    house.wait(5)
    late = next(message for message in house.sent if message.name == "PUT quotes")
    house.engine.now_ms += tenants["lion"].quote_validity_ms
    house.switch.forward("buffalo", late)
    house.settle()
    assert_failed(house, "3302")


@pytest.mark.parametrize("fate", ["lose-answer", "twice"])
def test_a_transfer_sent_twice_is_one_transfer(house, request_to_pay, fate):
    house.weather["POST transfers"] = [fate]
    house.weather["PUT transfers"] = [fate]
    house.pay(request_to_pay)
    house.wait(5)
    assert_completed(house)
    house.wait(90)
    assert_completed(house)


def test_a_lost_transfer_is_asked_for_and_sent_again(house, request_to_pay):
    house.weather["POST transfers"] = ["drop"]
    house.pay(request_to_pay)
    assert_held(house)
    house.wait(11)
    assert_completed(house)
    sent = [message for message in house.sent if message.name == "POST transfers"]
    assert len(sent) == 2
    assert sent[0].body == sent[1].body


def test_a_transfer_refused_at_once_fails_only_when_the_scheme_does_not_know_it(house, request_to_pay):
    house.weather["POST transfers"] = ["refuse"]
    house.pay(request_to_pay)
    assert_failed(house, "3100")
    assert house.names()[-2:] == ["POST transfers", "GET transfers"]


def test_a_refusal_of_the_repetition_does_not_undo_the_transfer(house, request_to_pay):
    """The first POST arrives, its answer is lost, and the repetition is refused: money moves all the same."""
    house.weather["POST transfers"] = ["lose-answer", "refuse"]
    house.pay(request_to_pay)
    house.wait(25)
    assert_completed(house)


def test_an_unknown_outcome_neither_commits_nor_releases(house, request_to_pay):
    house.switch.decides = False
    house.pay(request_to_pay)
    house.wait(120)
    assert_held(house)
    assert payee(house).ended_at_ms is None
    assert balances(house)[1] == 0
    asked = house.names().count("GET transfers")
    assert 4 <= asked <= 10  # both sides, less and less often
    house.switch.decides = True
    house.wait(130)
    assert_completed(house)


def test_notices_of_the_scheme_that_are_lost_are_asked_for(house, request_to_pay):
    house.weather["PUT transfers"] = ["silent"]
    house.pay(request_to_pay)
    assert_held(house)
    house.wait(11)
    assert_completed(house)
    assert payee(house).ended_at_ms is not None


def test_a_fulfilment_that_never_arrived_is_sent_again(house, request_to_pay):
    house.weather["PUT transfers"] = ["drop"]
    house.pay(request_to_pay)
    assert_held(house)
    house.wait(11)
    assert_completed(house)
    assert house.names().count("PUT transfers") == 2


def test_a_wrong_fulfilment_proves_nothing(house, request_to_pay):
    house.weather["PUT transfers"] = ["tamper"]
    house.pay(request_to_pay)
    assert_held(house)
    house.wait(11)
    assert_completed(house)


def test_an_aborted_transfer_credits_nobody(house, request_to_pay):
    house.switch.decides = False
    house.pay(request_to_pay)
    for transfer in house.transfers.values():
        transfer.state = "ABORTED"
    house.wait(11)
    assert_failed(house, "2000")
    assert payee(house).ended_at_ms is not None
    assert payee(house).variables["paymentState"] == "FAILED"


def test_a_transfer_that_is_not_the_quote_is_refused(house, request_to_pay):
    house.weather["POST transfers"] = ["drop"]
    house.pay(request_to_pay)
    message = next(message for message in house.sent if message.name == "POST transfers")
    message.body = message.body.replace(b'"amount":"100.5"', b'"amount":"100.6"')
    house.switch.route(message)
    house.settle()
    assert "PUT transfers error" in house.names()
    assert house.banks["lion"].accounts["A2"].balance == 0
    house.wait(11)
    assert_failed(house, "2000")


@pytest.mark.parametrize("down_for", [3, 30])
def test_a_bank_that_is_down_after_the_commit_is_tried_until_it_pays(house, request_to_pay, down_for):
    house.weather["PUT transfers"] = ["drop"]
    house.pay(request_to_pay)
    for bank in house.banks.values():
        bank.down = True
    house.wait(11 + down_for)
    assert house.status().state == "PENDING"
    for bank in house.banks.values():
        bank.down = False
    house.wait(90)
    assert_completed(house)


def test_answers_of_the_banks_that_are_lost_double_nothing(house, request_to_pay):
    house.banks["buffalo"].lose_answers = 3
    house.banks["lion"].lose_answers = 3
    house.banks["lion"].idempotent = False
    house.pay(request_to_pay)
    house.wait(60)
    assert_completed(house)


def test_a_callback_from_another_engine_marks_the_payment(house, request_to_pay):
    house.weather["PUT quotes"] = ["drop"]
    house.pay(request_to_pay)
    late = next(message for message in house.sent if message.name == "PUT quotes")
    variables = {"quoteResponse": json.loads(late.body), "error": None, "answeredBy": "lion"}
    key = late.path.split("/")[2]
    callback = Callback(tenant="buffalo", name="quote-response", correlation_key=key, variables=variables)
    house.engine.execute(CorrelateMessage(callback=callback, origin="south", sequence=1, lowest_open=1))
    house.settle()
    assert_completed(house)
    assert house.status().handed_over
