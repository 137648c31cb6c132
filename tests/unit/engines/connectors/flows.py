"""The flows that the troubles are tried on."""

import msgspec
from unit.engines.connectors.connector_kit import PAYMENT
from unit.engines.connectors.flow_troubles import Flow
from unit.engines.connectors.process_house import House

from payhub_platform.contracts.channel import DeviceAuthorization, PartyIdInfo
from payhub_platform.contracts.engine import StartPayment, StartRefund, StartRequest
from payhub_platform.money import Money

WRONG = "12345"  # too short to be right
REQUEST = StartPayment(
    payment_id=PAYMENT,
    idempotency_key="k-1",
    fingerprint="f",
    client_id="branch",
    payer=PartyIdInfo(party_id_type="MSISDN", party_identifier="254700200001"),
    payee=PartyIdInfo(party_id_type="MSISDN", party_identifier="254700100001"),
    amount=Money(10050, "KES"),
)
NEIGHBOUR = PartyIdInfo(party_id_type="MSISDN", party_identifier="254700200002")


def _pay(house: House, **change: object) -> None:
    house.pay(msgspec.structs.replace(REQUEST, payment_id=house.payment, **change))


def _with_fees(house: House) -> None:
    house.banks["buffalo"].fee = "1.500000"
    house.banks["lion"].payee_fee = "2.000000"
    house.banks["buffalo"].payee_fee = "0.750000"


def _directly(house: House) -> None:
    _with_fees(house)
    house.agree_to_pay_directly()


def _accept(house: House) -> None:
    for payment in house.unconfirmed():
        house.confirm(accepted=True, payment=payment)


def _reject(house: House) -> None:
    for payment in house.unconfirmed():
        house.confirm(accepted=False, payment=payment)


def _ask_at_a_device(house: House) -> None:
    _ask_to_be_paid(house, use_case="atm-cash-out", authentication="OTP")


def _enter_wrong_once(house: House) -> None:
    while house.awaits_password():
        asked = sum(name == "GET authorizations" for name in house.names())
        password = house.password() if asked > 1 else WRONG
        house.enter(DeviceAuthorization(response_type="ENTERED", password=password))


def _ask_to_be_paid(house: House, **change: object) -> None:
    request = StartRequest(
        payment_id=house.payment,
        idempotency_key="k-1",
        fingerprint="f",
        client_id="till",
        payee=REQUEST.payee,
        payer=REQUEST.payer,
        amount=REQUEST.amount,
        expires_at_ms=house.engine.now_ms + 90_000,
    )
    house.ask_to_be_paid(msgspec.structs.replace(request, **change))


def _paid_before(house: House) -> None:
    _pay(house)
    house.run_until_all_ended()
    house.forget_the_past()


def _pay_back(house: House) -> None:
    start = StartRefund(
        payment_id=f"refund of {house.payment}",
        idempotency_key="k-2",
        fingerprint="f",
        client_id="till",
        amount=Money(4025, "KES"),
    )
    house.pay_back(start, house.payment)


FLOWS = [
    Flow(
        "send",
        "Send an amount: the payee's fee comes out of it",
        _pay,
        prepare=_with_fees,
    ),
    Flow(
        "receive",
        "Have the payee receive an amount: the payee's fee is added, and the payer confirms",
        lambda house: _pay(house, amount_type="RECEIVE", confirm_quote=True),
        prepare=_with_fees,
        go_on=_accept,
    ),
    Flow(
        "rejected",
        "The payer does not accept the terms",
        lambda house: _pay(house, amount_type="RECEIVE", confirm_quote=True),
        prepare=_with_fees,
        go_on=_reject,
    ),
    Flow(
        "unconfirmed",
        "The payer does not answer",
        lambda house: _pay(house, confirm_quote=True),
    ),
    Flow(
        "on-us",
        "Payer and payee bank at the same institution, found by the look-up",
        lambda house: _pay(house, payee=NEIGHBOUR, amount_type="RECEIVE", confirm_quote=True),
        prepare=_with_fees,
        go_on=_accept,
    ),
    Flow(
        "on-us-named",
        "Payer and payee bank at the same institution, and the channel says so",
        lambda house: _pay(house, payee=msgspec.structs.replace(NEIGHBOUR, fsp_id="buffalo")),
        prepare=_with_fees,
    ),
    Flow(
        "request-accepted",
        "A merchant asks to be paid, and the payer accepts",
        _ask_to_be_paid,
        prepare=_with_fees,
        go_on=_accept,
    ),
    Flow(
        "request-rejected",
        "A merchant asks to be paid, and the payer does not want to",
        _ask_to_be_paid,
        go_on=_reject,
    ),
    Flow("refund", "A part of a payment is paid back", _pay_back, prepare=_paid_before, payer="lion"),
    Flow(
        "direct",
        "Payer and payee bank at two institutions that pay each other directly",
        lambda house: _pay(house, payee=msgspec.structs.replace(REQUEST.payee, fsp_id="lion")),
        prepare=_directly,
    ),
    Flow(
        "password",
        "Cash at an ATM: the payer enters a one-time password, wrong at first",
        _ask_at_a_device,
        prepare=_with_fees,
        go_on=_enter_wrong_once,
    ),
]
