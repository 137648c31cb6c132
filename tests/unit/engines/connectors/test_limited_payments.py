"""Limits of an institution and its members, held against whole payments of every kind."""

from decimal import Decimal

import msgspec
import pytest
from unit.engines.connectors.connector_kit import NOW_MS, PAYMENT
from unit.engines.connectors.process_house import House, balances

from payhub_engines.connectors.payment import charge_of, requested_payment, start_variables
from payhub_engines.connectors.pricing import service_fee
from payhub_engines.core import usage
from payhub_engines.processes import PAYEE_TRANSACTION_REQUEST, PAYER_FUND_TRANSFER, load
from payhub_engines.testkit import BpmnError, Engine
from payhub_platform import ids
from payhub_platform.clock import iso
from payhub_platform.contracts.channel import PartyIdInfo
from payhub_platform.contracts.engine import StartRefund, StartRequest
from payhub_platform.contracts.fspiop import FspMoney, Party, TransactionRequest, TransactionType
from payhub_platform.contracts.fspiop import PartyIdInfo as FspPartyIdInfo
from payhub_platform.contracts.tenant import FeeTier, PaymentFees, PaymentLimits
from payhub_platform.money import Money

LIMITS = PaymentLimits(
    per_payment_minor=20_000,
    per_day_minor=60_000,
    per_member_day_minor=30_000,
    velocity_payments=4,
    velocity_window_ms=3_600_000,
)


@pytest.fixture
def limited(tenants):
    """Return tenants with limits, or with some of them changed."""

    def of(**changed):
        limits = msgspec.structs.replace(LIMITS, **changed)
        return {name: msgspec.structs.replace(one, limits=limits) for name, one in tenants.items()}

    return of


@pytest.fixture
def make_house(limited, secrets):
    return lambda **changed: House(limited(**changed), secrets)


def pay(house, request, number, **changed):
    """Start a payment of its own and return how it stands when everything waits."""
    payment = ids.derive(PAYMENT, str(number))
    house.pay(msgspec.structs.replace(request, payment_id=payment, **changed))
    return house.status(payment)


def counted(house, member="", tenant="buffalo"):
    day = usage.day_of(house.engine.now_ms)
    return usage.find(house.engine.state.rows, day, tenant, member).spent.get("KES", 0)


def test_payments_within_the_limits_complete_and_count(make_house, request_to_pay):
    house = make_house()
    assert pay(house, request_to_pay, 1).state == "COMPLETED"
    assert pay(house, request_to_pay, 2).state == "COMPLETED"
    assert (counted(house), counted(house, "A1")) == (20_100, 20_100)


@pytest.mark.parametrize(
    ("changed", "limit"),
    [
        ({"per_payment_minor": 10_049}, "payment"),
        ({"per_day_minor": 20_099}, "day"),
        ({"per_member_day_minor": 20_099}, "member-day"),
        ({"velocity_payments": 1}, "velocity"),
    ],
)
def test_a_limit_that_is_reached_is_told_with_when_to_try_again_and_nothing_is_held(
    make_house, request_to_pay, changed, limit
):
    house = make_house(**changed)
    if limit != "payment":
        assert pay(house, request_to_pay, 1).state == "COMPLETED"
    began_ms, before = house.engine.now_ms, balances(house)
    status = pay(house, request_to_pay, 2)
    midnight_ms = (began_ms // usage.DAY_MS + 1) * usage.DAY_MS
    retry_at = {"payment": None, "velocity": iso(began_ms + LIMITS.velocity_window_ms)}
    assert status.state == "FAILED"
    assert (status.error.code, status.error.limit) == ("4200", limit)
    assert status.error.retry_at == retry_at.get(limit, iso(midnight_ms))
    assert len(status.error.description) <= 128
    assert balances(house) == before
    assert house.banks["buffalo"].accounts["A1"].held() == 0
    reserved = [name for _, name, _, _ in house.banks["buffalo"].requests if name == "transfersPREPARE"]
    assert len(reserved) == (limit != "payment")
    house.run_until_all_ended()
    assert house.running() == []


def test_what_is_refused_by_the_bank_or_by_the_scheme_counts_no_more(make_house, request_to_pay):
    house = make_house()
    house.weather["POST transfers"] = ["refuse"]
    assert pay(house, request_to_pay, 1).state == "FAILED"
    assert counted(house) == counted(house, "A1") == 0
    account = house.banks["buffalo"].accounts["A1"]
    house.pay(msgspec.structs.replace(request_to_pay, confirm_quote=True))
    account.balance = Decimal(0)  # spent while the payer reads the terms
    house.confirm(accepted=True)
    assert house.status().error.code == "4001"
    assert counted(house) == counted(house, "A1") == 0


def test_while_the_outcome_is_unknown_it_counts(make_house, request_to_pay):
    house = make_house(per_member_day_minor=15_000)
    house.weather["POST transfers"] = ["drop"]
    house.weather["GET transfers"] = ["drop"] * 3
    assert pay(house, request_to_pay, 1).state == "PENDING"
    assert pay(house, request_to_pay, 2).error.limit == "member-day"


def test_the_whole_transfer_counts_and_no_fee_of_the_payer(make_house, request_to_pay):
    house = make_house()
    house.banks["buffalo"].fee = "1.500000"
    house.banks["lion"].payee_fee = "2.000000"
    assert pay(house, request_to_pay, 1, amount_type="RECEIVE").state == "COMPLETED"
    assert counted(house) == 10_250


def test_all_identifiers_of_an_account_are_one_member(make_house, request_to_pay):
    house = make_house(velocity_payments=1)
    house.banks["buffalo"].parties["ACCOUNT_ID/A1"] = "A1"
    other = PartyIdInfo(party_id_type="ACCOUNT_ID", party_identifier="A1")
    assert pay(house, request_to_pay, 1).state == "COMPLETED"
    assert pay(house, request_to_pay, 2, payer=other).error.limit == "velocity"


@pytest.mark.parametrize("use_case", ["merchant-payment", "cash-in", "cash-out"])
def test_every_use_counts_also_inside_one_bank(make_house, request_to_pay, use_case):
    house = make_house(velocity_payments=2, per_member_day_minor=60_000)
    neighbour = PartyIdInfo(party_id_type="MSISDN", party_identifier="254700200002")
    assert pay(house, request_to_pay, 1, use_case=use_case).state == "COMPLETED"
    assert pay(house, request_to_pay, 2, use_case=use_case, payee=neighbour).state == "COMPLETED"
    assert pay(house, request_to_pay, 3, use_case=use_case).error.limit == "velocity"


@pytest.mark.parametrize(("code", "counts"), [("", 10_050), ("loan-refused", 0)])
def test_a_loan_repayment_counts_unless_the_bank_refuses_it(limited, request_to_pay, code, counts):
    engine = Engine()
    for _, xml in load():
        engine.deploy(xml)
    engine.on_job("ams-quote-payer", lambda _: {"payerAccount": "A1", "payerFee": "0"})

    def repay(_):
        if code:
            raise BpmnError(code, "no", {"error": {"code": "4100", "description": "no"}})

    for job in ("ams-reserve", "ams-commit", "ams-release"):
        engine.on_job(job, lambda _: None)
    engine.on_job("ams-repay-loan", repay)
    payee = PartyIdInfo(party_id_type="ACCOUNT_ID", party_identifier="000000042")
    start = msgspec.structs.replace(request_to_pay, payee=payee, use_case="loan-repayment")
    variables = start_variables(start, limited()["buffalo"], NOW_MS)
    engine.start(PAYER_FUND_TRANSFER, variables, "buffalo", PAYMENT)
    found = usage.find(engine.state.rows, usage.day_of(engine.now_ms), "buffalo", "A1")
    assert found.spent.get("KES", 0) == counts


def test_a_request_to_pay_counts_for_who_accepts_it_and_is_refused_beyond_a_limit(make_house, request_to_pay):
    house = make_house(per_member_day_minor=15_000)
    for number, state in enumerate(["COMPLETED", "FAILED"]):
        wanted = StartRequest(
            payment_id=ids.derive("request", str(number)),
            idempotency_key="k-1",
            fingerprint="f",
            client_id="till",
            payee=request_to_pay.payee,
            payer=request_to_pay.payer,
            amount=request_to_pay.amount,
            expires_at_ms=house.engine.now_ms + 90_000,
        )
        house.ask_to_be_paid(wanted)
        [transaction] = house.unconfirmed()
        house.confirm(accepted=True, payment=transaction)
        house.run_until_all_ended()
        request = house.find(PAYEE_TRANSACTION_REQUEST, "lion", wanted.payment_id)
        assert request.variables["paymentState"] == state
    refused = [one for one in house.instances() if one.process == PAYER_FUND_TRANSFER][-1]
    assert refused.variables["error"]["limit"] == "member-day"
    assert (counted(house, "A1"), counted(house, "A2", "lion")) == (10_050, 0)


def test_a_request_beyond_what_one_payment_may_have_does_not_reach_the_member(make_house, request_to_pay):
    house = make_house(per_payment_minor=10_049)
    wanted = StartRequest(
        payment_id=house.payment,
        idempotency_key="k-1",
        fingerprint="f",
        client_id="till",
        payee=request_to_pay.payee,
        payer=request_to_pay.payer,
        amount=request_to_pay.amount,
        expires_at_ms=house.engine.now_ms + 90_000,
    )
    house.ask_to_be_paid(wanted)
    assert house.unconfirmed() == []
    assert house.find(PAYEE_TRANSACTION_REQUEST, "lion").variables["error"]["code"] == "4200"


def test_a_refund_counts_nowhere_and_no_limit_stops_it(make_house, request_to_pay):
    house = make_house(velocity_payments=1)
    house.pay(request_to_pay)
    for number in range(3):
        refund = StartRefund(
            payment_id=f"back-{number}",
            idempotency_key="k",
            fingerprint="f",
            client_id="till",
            amount=Money(1_000, "KES"),
        )
        transaction = house.pay_back(refund, PAYMENT)
        assert house.status(transaction, "lion").state == "COMPLETED"
    assert counted(house, tenant="lion") == 0


def test_who_asks_to_be_paid_cannot_call_it_a_refund(limited, request_to_pay):
    asked = TransactionRequest(
        transaction_request_id=ids.derive("request", "1"),
        payee=Party(party_id_info=FspPartyIdInfo(party_id_type="MSISDN", party_identifier="254700100001")),
        payer=FspPartyIdInfo(party_id_type="MSISDN", party_identifier="254700200001"),
        amount=FspMoney(amount="100.5", currency="KES"),
        transaction_type=TransactionType(scenario="REFUND", initiator="PAYEE", initiator_type="BUSINESS"),
    )
    charging = msgspec.structs.replace(
        limited()["buffalo"], fees=PaymentFees(payer=[FeeTier(from_minor=0, fixed_minor=5)])
    )
    assert "limits" in requested_payment(asked, "lion", charging, NOW_MS)
    assert service_fee(charging, "PAYER", request_to_pay.amount, asked.transaction_type).minor == 5


def test_where_limits_are_set_nothing_is_paid_in_a_currency_that_has_none(limited, request_to_pay):
    dollars = msgspec.structs.replace(request_to_pay, amount=Money(1, "USD"))
    tenant = limited()["buffalo"]
    assert charge_of(dollars, tenant).limits.per_payment_minor == 0
    assert start_variables(dollars, tenant, NOW_MS)["limits"]["per_payment_minor"] == 0
    assert charge_of(request_to_pay, tenant).limits == LIMITS


def test_another_currency_is_paid_within_limits_and_fees_of_its_own(limited, secrets, request_to_pay):
    few = msgspec.structs.replace(LIMITS, per_member_day_minor=250, per_day_minor=900)
    tenants = {
        name: msgspec.structs.replace(
            tenant,
            other_currencies=["USD"],
            other_limits={"USD": few},
            other_fees={"USD": PaymentFees(payer=[FeeTier(from_minor=0, fixed_minor=7)])},
        )
        for name, tenant in limited().items()
    }
    house = House(tenants, secrets)
    for fsp, account in (("buffalo", "A1"), ("lion", "A2")):
        house.banks[fsp].accounts[account].currency = "USD"
    dollars = Money(150, "USD")
    assert pay(house, request_to_pay, 1, amount=dollars).state == "COMPLETED"
    assert balances(house) == (Decimal("998.43"), Decimal("1.50"))
    assert pay(house, request_to_pay, 2, amount=dollars).error.limit == "member-day"
    assert pay(house, request_to_pay, 3, amount=Money(100, "USD")).state == "COMPLETED"
    assert pay(house, request_to_pay, 4).error.code == "4103"  # the account is one of dollars
    assert counted(house) == 0


def test_a_request_to_pay_in_another_currency_is_accepted_where_it_is_offered(
    tenants, secrets, request_to_pay
):
    for others, outcome in (["USD"], "COMPLETED"), ([], "FAILED"):
        offering = {
            name: msgspec.structs.replace(one, other_currencies=others) for name, one in tenants.items()
        }
        house = House(offering, secrets)
        for fsp, account in (("buffalo", "A1"), ("lion", "A2")):
            house.banks[fsp].accounts[account].currency = "USD"
        wanted = StartRequest(
            payment_id=house.payment,
            idempotency_key="k-1",
            fingerprint="f",
            client_id="till",
            payee=request_to_pay.payee,
            payer=request_to_pay.payer,
            amount=Money(150, "USD"),
            expires_at_ms=house.engine.now_ms + 90_000,
        )
        house.ask_to_be_paid(wanted)
        for transaction in house.unconfirmed():
            house.confirm(accepted=True, payment=transaction)
        request = house.find(PAYEE_TRANSACTION_REQUEST, "lion", wanted.payment_id)
        assert request.variables["paymentState"] == outcome


def test_without_limits_a_payment_says_nothing_of_them(tenants, request_to_pay):
    assert "limits" not in start_variables(request_to_pay, tenants["buffalo"], NOW_MS)
    assert charge_of(request_to_pay, tenants["buffalo"]) is None
