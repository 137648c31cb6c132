"""An institution's own fees: by its tariff, besides its bank's, in both books and in every trouble."""

from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.engines.connectors.connector_kit import PAYMENT, job
from unit.engines.connectors.flow_troubles import points, run, troubles_of
from unit.engines.connectors.flows import FLOWS
from unit.engines.connectors.process_house import House, balances, engine_with_processes

from payhub_engines.connectors.pricing import service_fee
from payhub_engines.connectors.variables import PEER_TO_PEER
from payhub_platform import ids
from payhub_platform.contracts.channel import PartyIdInfo
from payhub_platform.contracts.engine import StartRefund
from payhub_platform.contracts.fspiop import TransactionType
from payhub_platform.contracts.tenant import FeeTier, PaymentFees, fee_minor
from payhub_platform.money import Money

FEES = PaymentFees(
    payer=[
        FeeTier(from_minor=0, fixed_minor=500),
        FeeTier(from_minor=10_000, fixed_minor=100, basis_points=150),
    ],
    payee=[FeeTier(from_minor=0, basis_points=100)],
)
REFUND = TransactionType(scenario="REFUND", initiator="PAYER", initiator_type="CONSUMER")


@pytest.fixture
def charging(tenants):
    return {name: msgspec.structs.replace(one, fees=FEES) for name, one in tenants.items()}


@pytest.fixture
def house(charging, secrets):
    return House(charging, secrets)


@given(
    st.lists(st.integers(1, 10**6), max_size=5, unique=True),
    st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 10_000)), min_size=6, max_size=6),
    st.integers(1, 2 * 10**6),
)
def test_the_last_tier_that_begins_at_or_below_the_amount_counts_rounded_half_up(begins, costs, amount):
    begins = [0, *sorted(begins)]
    tiers = [
        FeeTier(from_minor=begin, fixed_minor=fixed, basis_points=points)
        for begin, (fixed, points) in zip(begins, costs, strict=False)
    ]
    fixed, points = costs[sum(begin <= amount for begin in begins) - 1]
    exact = fixed + Fraction(amount * points, 10_000)
    fee = fee_minor(tiers, amount)
    assert fee == (2 * exact + 1) // 2  # the nearest, and of two the higher one
    assert fee_minor([], amount) == 0


def test_each_side_has_its_tariff_and_refunds_and_other_currencies_have_none(charging, tenants):
    lion, amount = charging["lion"], Money(10_050, "KES")
    assert service_fee(lion, "PAYER", amount, PEER_TO_PEER) == Money(251, "KES")  # 100 + 150.75
    assert service_fee(lion, "PAYEE", amount, PEER_TO_PEER) == Money(101, "KES")  # 100.5
    assert service_fee(lion, "PAYEE", amount, REFUND) == Money(0, "KES")
    assert service_fee(lion, "PAYER", Money(10_050, "USD"), PEER_TO_PEER) == Money(0, "USD")
    assert service_fee(tenants["lion"], "PAYER", amount, PEER_TO_PEER) == Money(0, "KES")


def test_an_amount_is_sent_and_both_institutions_keep_their_fees(house, request_to_pay):
    house.pay(request_to_pay)
    status = house.status()
    assert status.state == "COMPLETED"
    assert balances(house) == (Decimal("896.99"), Decimal("99.49"))
    terms = status.terms
    assert (terms.transfer_amount.amount, terms.payer_fee.amount) == ("100.50", "2.51")
    assert (terms.payee_fee.amount, terms.payee_receive_amount.amount) == ("1.01", "99.49")


def test_to_have_an_amount_received_the_payers_fee_is_of_what_is_transferred(house, request_to_pay):
    house.pay(msgspec.structs.replace(request_to_pay, amount_type="RECEIVE"))
    terms = house.status().terms
    assert terms.transfer_amount.amount == "101.51"
    assert terms.payer_fee.amount == "2.52"  # 1 + 1.52265
    assert balances(house) == (Decimal(1000) - Decimal("104.03"), Decimal("100.50"))


def test_the_banks_own_fees_come_on_top_and_are_of_all_that_is_withdrawn(house, request_to_pay):
    bank = house.banks["buffalo"]
    charge = {
        "chargeCalculationType": {"id": 2},
        "chargeTimeType": {"id": 5},
        "percentage": 1.0,
        "amount": 0,
        "isActive": True,
        "currency": {"code": "KES"},
    }
    bank.accounts["A1"].charges = [charge]
    house.banks["lion"].payee_fee = "2.000000"
    house.pay(request_to_pay)
    terms = house.status().terms
    assert terms.payer_fee.amount == "3.54"  # 2.51, and 1 % of 103.01
    assert (terms.payee_fee.amount, terms.payee_receive_amount.amount) == ("3.01", "97.49")
    [(held, _)] = bank.accounts["A1"].holds.values()
    assert held == Decimal("104.04")  # 100.50 + 2.51 + 1.03


def test_inside_one_bank_both_fees_stay_with_the_institution(house, request_to_pay):
    neighbour = PartyIdInfo(party_id_type="MSISDN", party_identifier="254700200002", fsp_id="buffalo")
    house.pay(msgspec.structs.replace(request_to_pay, payee=neighbour))
    accounts = house.banks["buffalo"].accounts
    assert (accounts["A1"].balance, accounts["A3"].balance) == (Decimal("896.99"), Decimal("99.49"))


def test_a_refund_costs_neither_side_anything(house, request_to_pay):
    house.pay(msgspec.structs.replace(request_to_pay, amount_type="RECEIVE"))
    before = balances(house)
    start = StartRefund(
        payment_id="back", idempotency_key="k", fingerprint="f", client_id="till", amount=Money(5_000, "KES")
    )
    refund = house.pay_back(start, PAYMENT)
    assert house.status(refund, "lion").state == "COMPLETED"
    assert balances(house) == (before[0] + 50, before[1] - 50)


def test_fees_that_leave_the_payee_nothing_refuse_the_quote(charging, secrets, request_to_pay):
    dear = PaymentFees(payee=[FeeTier(from_minor=0, fixed_minor=10_050)])
    charging["lion"] = msgspec.structs.replace(charging["lion"], fees=dear)
    house = House(charging, secrets)
    house.pay(request_to_pay)
    assert house.status().error.code == "5103"


async def test_a_tariff_that_is_withdrawn_between_two_prices_is_not_held(ams, started, context, bank):
    first = {**started, "payerServiceFee": "2.50"}
    priced = await ams.quote_payer(job("ams-quote-payer", first), context)
    assert priced == {"payerAccount": "A1", "payerFee": "0.00", "payerServiceFee": "0.00"}
    await ams.reserve(job("ams-reserve", {**first, **priced}), context)
    assert bank.accounts["A1"].held() == Decimal("100.50")


async def test_a_payment_priced_by_the_release_before_goes_on(ams, funded, context, bank):
    await ams.reserve(job("ams-reserve", funded), context)
    assert bank.accounts["A1"].held() == Decimal("102.00")


def test_whatever_happens_the_fees_are_taken_once_or_not_at_all(charging, secrets):
    engine, flow = engine_with_processes(), next(flow for flow in FLOWS if flow.name == "receive")
    numbers = iter(range(10_000))

    def make_house():
        return House(charging, secrets, engine, ids.derive("fees", str(next(numbers))))

    wrong = [
        f"{point.shown}, {trouble}: {text}"
        for point in points(flow, make_house)
        for trouble in troubles_of(point)
        for text in run(flow, make_house, point, trouble)[1].wrong
    ]
    assert wrong == []
