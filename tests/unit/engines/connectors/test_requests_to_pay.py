"""Requests to pay: use cases on the wire, one-time passwords, and those who must not decide."""

from decimal import Decimal

import jsonschema
import msgspec
import pytest
import yaml
from unit.engines.connectors.process_house import House, balances

from payhub_engines.connectors.payment import request_status
from payhub_engines.processes import PAYEE_TRANSACTION_REQUEST, PAYER_FUND_TRANSFER
from payhub_engines.processes import PAYER_TRANSACTION_REQUEST as REQUESTED
from payhub_engines.server.received_requests import undecided
from payhub_engines.server.refunds import paid_by
from payhub_platform.contracts.channel import DeviceAuthorization, PartyIdInfo
from payhub_platform.contracts.engine import StartRefund, StartRequest
from payhub_platform.money import Money

WRONG = "12345"


@pytest.fixture
def house(tenants, secrets):
    return House(tenants, secrets)


@pytest.fixture
def wanted(house):
    return StartRequest(
        payment_id=house.payment,
        idempotency_key="k-1",
        fingerprint="f",
        client_id="till",
        payee=PartyIdInfo(party_id_type="MSISDN", party_identifier="254700100001"),
        payer=PartyIdInfo(party_id_type="MSISDN", party_identifier="254700200001"),
        amount=Money(10050, "KES"),
        note="two chairs",
        expires_at_ms=house.engine.now_ms + 90_000,
    )


def at_atm(wanted):
    return msgspec.structs.replace(wanted, use_case="atm-cash-out", authentication="OTP")


def payment(house):
    return next(one for one in house.instances() if one.process == PAYER_FUND_TRANSFER)


def request(house):
    return house.find(PAYEE_TRANSACTION_REQUEST, "lion")


def accept(house):
    [transaction] = house.unconfirmed()
    house.confirm(accepted=True, payment=transaction)


@pytest.mark.parametrize(
    ("use_case", "scenario", "initiator_type"),
    [
        ("merchant-payment", "PAYMENT", "BUSINESS"),
        ("agent-cash-out", "WITHDRAWAL", "AGENT"),
        ("atm-cash-out", "WITHDRAWAL", "DEVICE"),
    ],
)
def test_every_use_case_is_named_as_fspiop_names_it(house, wanted, use_case, scenario, initiator_type):
    house.ask_to_be_paid(msgspec.structs.replace(wanted, use_case=use_case))
    accept(house)
    asked = next(message for message in house.sent if message.name == "POST transactionRequests").content
    quoted = next(message for message in house.sent if message.name == "POST quotes").content
    named = {"scenario": scenario, "initiator": "PAYEE", "initiatorType": initiator_type}
    assert asked["transactionType"] == quoted["transactionType"] == named
    assert quoted["transactionRequestId"] == asked["transactionRequestId"] == house.payment
    assert (quoted["amountType"], quoted["note"]) == ("RECEIVE", "two chairs")
    assert request(house).variables["paymentState"] == "COMPLETED"


@pytest.mark.parametrize(
    ("use_case", "scenario", "initiator_type"),
    [
        ("transfer", "TRANSFER", "CONSUMER"),
        ("merchant-payment", "PAYMENT", "CONSUMER"),
        ("cash-in", "DEPOSIT", "AGENT"),
        ("cash-out", "WITHDRAWAL", "CONSUMER"),
    ],
)
def test_what_a_payer_starts_is_named_as_fspiop_names_it(
    house, request_to_pay, use_case, scenario, initiator_type
):
    house.pay(msgspec.structs.replace(request_to_pay, use_case=use_case))
    quoted = next(message for message in house.sent if message.name == "POST quotes").content
    named = {"scenario": scenario, "initiator": "PAYER", "initiatorType": initiator_type}
    assert quoted["transactionType"] == named
    assert house.status().state == "COMPLETED"


SCHEMAS = {
    "PUT parties": "PartiesTypeIDPutResponse",
    "POST transactionRequests": "TransactionRequestsPostRequest",
    "PUT transactionRequests": "TransactionRequestsIDPutResponse",
    "PUT transactionRequests error": "ErrorInformationObject",
    "POST quotes": "QuotesPostRequest",
    "PUT quotes": "QuotesIDPutResponse",
    "PUT authorizations": "AuthorizationsIDPutResponse",
    "POST transfers": "TransfersPostRequest",
    "PUT transfers": "TransfersIDPutResponse",
}


def test_what_is_sent_is_what_the_official_openapi_allows(tenants, secrets, wanted, shared_data):
    houses = [House(tenants, secrets) for _ in range(3)]
    for house in houses:
        house.banks["lion"].payee_fee = "2.000000"
        house.ask_to_be_paid(at_atm(wanted))
        house.enter(DeviceAuthorization(response_type="RESEND"))
    first, second, third = houses
    first.enter(DeviceAuthorization(response_type="ENTERED", password=first.password()))
    refund = StartRefund(
        payment_id="r", idempotency_key="r", fingerprint="f", client_id="till", reason="broken"
    )
    first.pay_back(refund, payment(first).variables["transactionId"])
    second.enter(DeviceAuthorization(response_type="REJECTED"))
    third.run_until_all_ended()
    text = (shared_data / "specs" / "fspiop" / "fspiop-v1.1-openapi3.yaml").read_text()
    schemas = yaml.load(text, yaml.CSafeLoader)["components"]
    # Every OtpValue is also a QRCODE, so that "oneOf" would allow none; its pattern stays.
    del schemas["schemas"]["AuthenticationValue"]["oneOf"]
    checked = set()
    for message in [message for house in houses for message in house.sent if message.body]:
        schema = {"$ref": f"#/components/schemas/{SCHEMAS[message.name]}", "components": schemas}
        jsonschema.Draft4Validator(schema).validate(message.content)
        checked.add(message.name)
    assert checked == set(SCHEMAS)


def test_the_ids_of_a_requested_payment_are_of_the_payers_institution(house, wanted):
    house.ask_to_be_paid(wanted)
    ids = {payment(house).variables[name] for name in ("transactionId", "quoteId", "transferId")}
    assert len(ids) == 3
    assert house.payment not in ids


def test_three_wrong_passwords_refuse_the_payment_and_nothing_was_held(house, wanted):
    house.ask_to_be_paid(at_atm(wanted))
    left = []
    while house.awaits_password():
        asked = [message.path for message in house.sent if message.name == "GET authorizations"]
        left.append(asked[-1].partition("retriesLeft=")[2][0])
        assert house.banks["buffalo"].accounts["A1"].held() == 0
        house.enter(DeviceAuthorization(response_type="ENTERED", password=WRONG))
    assert left == ["3", "2", "1"]
    assert request(house).variables["error"]["code"] == "4300"
    assert "POST transfers" not in house.names()


def test_a_payer_may_reject_at_the_device(house, wanted):
    house.ask_to_be_paid(at_atm(wanted))
    house.enter(DeviceAuthorization(response_type="REJECTED"))
    assert request(house).variables["error"]["code"] == "4101"
    assert house.find(REQUESTED, "buffalo").variables["error"]["code"] == "4100"
    assert "POST transfers" not in house.names()


def test_a_device_that_nobody_touches_rejects_the_payment(house, wanted):
    house.ask_to_be_paid(at_atm(msgspec.structs.replace(wanted, expires_at_ms=house.engine.now_ms + 600_000)))
    house.run_until_all_ended()
    [told] = [message for message in house.sent if message.name == "PUT authorizations"]
    assert told.content == {"responseType": "REJECTED"}
    assert request(house).ended_at_ms is not None
    assert request(house).variables["paymentState"] == "FAILED"
    assert house.banks["buffalo"].accounts["A1"].held() == 0


def test_a_password_asked_for_anew_counts_as_a_try(house, wanted):
    house.ask_to_be_paid(at_atm(wanted))
    house.enter(DeviceAuthorization(response_type="RESEND"))
    house.enter(DeviceAuthorization(response_type="ENTERED", password=house.password()))
    assert request(house).variables["paymentState"] == "COMPLETED"
    assert house.names().count("GET authorizations") == 2


def test_a_password_is_believed_only_of_the_payees_institution(house, wanted):
    house.ask_to_be_paid(at_atm(wanted))
    entered = {
        "responseType": "ENTERED",
        "authenticationInfo": {"authentication": "OTP", "authenticationValue": house.password()},
    }
    house.say("PUT", f"/authorizations/{house.payment}", entered, "buffalo", source="rhino")
    house.settle()
    assert "POST transfers" not in house.names()
    house.enter(DeviceAuthorization(response_type="ENTERED", password=house.password()))
    assert request(house).variables["paymentState"] == "COMPLETED"


def test_a_password_is_of_one_payment(house, wanted, tenants, secrets):
    other = House(tenants, secrets, payment="22222222-2222-4222-8222-222222222222")
    other.ask_to_be_paid(msgspec.structs.replace(at_atm(wanted), payment_id=other.payment))
    house.ask_to_be_paid(at_atm(wanted))
    assert house.password() != other.password()


def refusing(state=None, code=None):
    if code:
        return "/error", {"errorInformation": {"errorCode": code, "errorDescription": "no"}}
    return "", {"transactionRequestState": state}


@pytest.mark.parametrize(("state", "code"), [("REJECTED", None), ("ACCEPTED", None), (None, "4101")])
def test_what_somebody_else_says_of_a_request_decides_nothing(house, wanted, state, code):
    house.ask_to_be_paid(wanted)
    end, body = refusing(state, code)
    house.say("PUT", f"/transactionRequests/{house.payment}{end}", body, "lion", source="rhino")
    house.settle()
    assert request(house).ended_at_ms is None
    accept(house)
    assert request(house).variables["paymentState"] == "COMPLETED"


def test_a_request_is_not_paid_because_somebody_says_so(house, wanted):
    house.ask_to_be_paid(wanted)
    _, body = refusing("ACCEPTED")
    house.say("PUT", f"/transactionRequests/{house.payment}", body, "lion", source="buffalo")
    house.settle()
    assert request(house).ended_at_ms is None
    house.run_until_all_ended()
    assert request(house).variables["error"]["code"] == "3302"  # the payer did not confirm in time
    assert balances(house)[1] == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"expiration": "2020-01-01T00:00:00.000Z"}, "3301"),
        ({"amount": {"amount": "5", "currency": "UGX"}}, "4103"),
        ({"amount": {"amount": "0", "currency": "KES"}}, "4102"),
        ({"authenticationType": "QRCODE"}, "4102"),
        ({"payer": {"partyIdType": "MSISDN", "partyIdentifier": "1"}}, "3204"),
        ({"payee": {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": "2", "fspId": "x"}}}, "4102"),
        (
            {"transactionType": {"scenario": "TRANSFER", "initiator": "PAYER", "initiatorType": "CONSUMER"}},
            "4102",
        ),
    ],
)
def test_a_request_that_cannot_be_is_refused_and_the_payer_is_not_asked(house, wanted, change, code):
    house.weather["POST transactionRequests"] = ["drop"]
    house.ask_to_be_paid(wanted)
    asked = next(message for message in house.sent if message.name == "POST transactionRequests").content
    house.say("POST", "/transactionRequests", {**asked, **change}, "buffalo", source="lion")
    house.settle()
    told = next(message for message in house.sent if message.name == "PUT transactionRequests error")
    assert told.content["errorInformation"]["errorCode"] == code
    assert request(house).variables["error"]["code"] == code
    assert house.unconfirmed() == []


def test_an_unknown_payee_asks_nobody(house, wanted):
    nobody = PartyIdInfo(party_id_type="MSISDN", party_identifier="1")
    house.ask_to_be_paid(msgspec.structs.replace(wanted, payee=nobody))
    assert request(house).variables["error"]["code"] == "3204"
    assert house.sent == []


def test_the_payment_that_answers_a_request_is_known_and_no_other_is_taken_for_it(house, wanted):
    state = house.engine.state
    house.ask_to_be_paid(wanted)
    accept(house)
    told = request(house).variables["transactionRequestResponse"]
    transaction = payment(house).variables["transactionId"]
    assert paid_by(state, "lion", house.payment, told) == transaction
    house.pay_back(
        StartRefund(payment_id="r", idempotency_key="r", fingerprint="f", client_id="till"), transaction
    )
    assert balances(house) == (1000, 0)
    for lie in (None, {}, {"transactionId": house.payment}, {"transactionId": None}):
        assert paid_by(state, "lion", house.payment, lie) is None
    assert paid_by(state, "lion", "another request", told) is None
    assert paid_by(state, "buffalo", house.payment, told) is None


@pytest.mark.parametrize(("state", "code"), [("REJECTED", None), (None, "4101")])
def test_a_rejection_after_the_payment_changes_nothing(house, wanted, state, code):
    house.ask_to_be_paid(wanted)
    accept(house)
    end, body = refusing(state, code)
    house.say("PUT", f"/transactionRequests/{house.payment}{end}", body, "lion", source="buffalo")
    house.run_until_all_ended()
    assert request(house).variables["paymentState"] == "COMPLETED"
    assert request(house).variables["error"] is None
    assert balances(house) == (Decimal("899.50"), Decimal("100.50"))


def test_a_payer_who_accepts_and_then_rejects_has_accepted(house, wanted):
    house.ask_to_be_paid(wanted)
    [transaction] = house.unconfirmed()
    house.confirm(accepted=True, payment=transaction)
    house.confirm(accepted=False, payment=transaction)
    house.run_until_all_ended()
    assert request(house).variables["paymentState"] == "COMPLETED"
    assert balances(house) == (Decimal("899.50"), Decimal("100.50"))


ANYBODY = (None, None)


def received(house, tenant="buffalo", member=ANYBODY):
    return [request_id for request_id, _ in undecided(house.engine.state, tenant, member)]


def test_a_request_is_told_to_its_payers_institution_until_it_is_decided(house, wanted):
    assert received(house) == []
    house.ask_to_be_paid(wanted)
    assert received(house) == [house.payment]
    [(_, found)] = undecided(house.engine.state, "buffalo", ANYBODY)
    assert found.variables["party"]["partyIdInfo"]["partyIdentifier"] == "254700100001"
    assert received(house, "lion") == received(house, "rhino") == []
    accept(house)
    assert received(house) == []


def test_a_request_is_told_to_the_member_who_is_asked(house, wanted):
    house.ask_to_be_paid(wanted)
    assert received(house, member=("MSISDN", "254700200001")) == [house.payment]
    assert received(house, member=("MSISDN", None)) == [house.payment]
    for other in (("MSISDN", "254700200002"), ("ALIAS", "254700200001"), ("ALIAS", None)):
        assert received(house, member=other) == []


@pytest.mark.parametrize("answered", ["REJECTED", "ENTERED", "nothing"])
def test_a_request_that_is_over_is_told_no_more(house, wanted, answered):
    house.ask_to_be_paid(at_atm(wanted))
    assert received(house) == [house.payment]
    if answered == "ENTERED":
        house.enter(DeviceAuthorization(response_type="ENTERED", password=WRONG))
        assert received(house) == [house.payment]
    if answered == "REJECTED":
        house.enter(DeviceAuthorization(response_type="REJECTED"))
    house.run_until_all_ended()
    assert received(house) == []


@pytest.mark.parametrize("is_paid", [True, False])
def test_a_request_that_is_paid_after_it_was_refused_is_paid(house, wanted, is_paid):
    """The refusal overtook the payment that was under way, or whoever sent it was mistaken."""
    house.ask_to_be_paid(wanted)
    rejected = {"transactionRequestState": "REJECTED"}
    house.say("PUT", f"/transactionRequests/{house.payment}", rejected, "lion", source="buffalo")
    house.settle()
    told = request(house)
    status = request_status(told.variables, told.started_at_ms, told.ended_at_ms)
    assert (status.state, status.error.code) == ("FAILED", "4101")
    if is_paid:
        accept(house)
    house.run_until_all_ended()
    told = request(house)
    status = request_status(told.variables, told.started_at_ms, told.ended_at_ms)
    assert status.state == ("COMPLETED" if is_paid else "FAILED")
    assert balances(house)[1] == (Decimal("100.50") if is_paid else 0)
    assert told.ended_at_ms is not None
