"""Payments paid back in parts, and never in sum more than was paid, whoever asks at the same time."""

import asyncio
from decimal import Decimal

import msgspec
import pytest
from unit.engines.connectors.connector_kit import PAYMENT
from unit.engines.connectors.process_house import House, balances

from payhub_engines.processes import PAYEE_QUOTE_TRANSFER, PAYER_FUND_TRANSFER
from payhub_engines.server.refunds import start_refund
from payhub_platform.contracts.channel import PartyIdInfo
from payhub_platform.contracts.engine import StartRefund
from payhub_platform.errors import UnprocessableError
from payhub_platform.money import Money


@pytest.fixture
def house(tenants, secrets):
    return House(tenants, secrets)


@pytest.fixture
def paid(house, request_to_pay):
    house.pay(request_to_pay)
    assert balances(house) == (Decimal("899.50"), Decimal("100.50"))
    return house


def asking(key, minor=None, fingerprint="f", currency="KES"):
    return StartRefund(
        payment_id=f"request-{key}",
        idempotency_key=key,
        fingerprint=fingerprint,
        client_id="till",
        amount=None if minor is None else Money(minor, currency),
        reason="broken",
    )


def refused(house, start, original=PAYMENT, tenant="lion"):
    with pytest.raises(UnprocessableError) as caught:
        house.pay_back(start, original, tenant)
    return caught.value.code


def test_parts_and_then_the_rest_are_paid_back(paid):
    first = paid.pay_back(asking("a", 4000), PAYMENT)
    assert paid.status(first, "lion").state == "COMPLETED"
    assert balances(paid) == (Decimal("939.50"), Decimal("60.50"))
    rest = paid.pay_back(asking("b"), PAYMENT)
    assert balances(paid) == (Decimal("1000.00"), Decimal("0.00"))
    assert paid.status(rest, "lion").amount.amount == "60.50"
    assert refused(paid, asking("c", 1)) == "refund-exceeds-payment"


def test_a_refund_is_linked_to_its_original_on_both_sides(paid):
    refund = paid.pay_back(asking("a", 4000), PAYMENT)
    quote = paid.find(PAYEE_QUOTE_TRANSFER, "buffalo", refund).variables["quote"]
    assert quote["transactionType"] == {
        "scenario": "REFUND",
        "initiator": "PAYER",
        "initiatorType": "CONSUMER",
        "refundInfo": {"originalTransactionId": PAYMENT, "refundReason": "broken"},
    }
    assert "GET parties" not in paid.names()[6:]


def test_the_same_request_again_is_the_same_refund(paid):
    first = paid.pay_back(asking("a", 4000), PAYMENT)
    assert paid.pay_back(asking("a", 4000), PAYMENT) == first
    assert balances(paid)[1] == Decimal("60.50")
    assert refused(paid, asking("a", 5000, fingerprint="other")) == "key-reused"


def test_more_than_was_paid_is_refused_and_so_is_nothing_and_another_currency(paid):
    assert refused(paid, asking("a", 10051)) == "refund-exceeds-payment"
    assert refused(paid, asking("a", 0)) == "refund-exceeds-payment"
    assert refused(paid, asking("a", 100, currency="UGX")) == "refund-exceeds-payment"
    assert balances(paid)[1] == Decimal("100.50")


@pytest.mark.parametrize("requests", [2, 5])
def test_of_refunds_at_once_only_as_many_are_started_as_the_payment_covers(paid, requests):
    paid.switch.decides = False  # all are on their way at the same time

    async def at_once():
        return await asyncio.gather(
            *(
                start_refund(
                    paid.read,
                    paid.submit,
                    asking(str(number), 6000),
                    PAYMENT,
                    paid.tenants["lion"],
                    paid.engine.now_ms,
                )
                for number in range(requests)
            ),
            return_exceptions=True,
        )

    outcomes = asyncio.run(at_once())
    started = [outcome for outcome in outcomes if isinstance(outcome, str)]
    codes = [outcome.code for outcome in outcomes if not isinstance(outcome, str)]
    assert len(started) == 1
    assert codes == ["refund-exceeds-payment"] * (requests - 1)
    paid.settle()
    assert paid.banks["lion"].accounts["A2"].held() == Decimal("60.00")
    paid.switch.decides = True
    paid.run_until_all_ended()
    assert balances(paid) == (Decimal("959.50"), Decimal("40.50"))


def test_refunds_at_once_that_fit_are_all_started_once(paid):
    async def at_once():
        starts = [asking("a", 4000), asking("b", 4000), asking("a", 4000)]
        tenant, now_ms = paid.tenants["lion"], paid.engine.now_ms
        return await asyncio.gather(
            *(start_refund(paid.read, paid.submit, start, PAYMENT, tenant, now_ms) for start in starts)
        )

    first, second, again = asyncio.run(at_once())
    assert first == again != second
    paid.settle()
    assert balances(paid) == (Decimal("979.50"), Decimal("20.50"))


def test_one_key_with_two_contents_at_once_starts_one_refund_and_the_rest_is_exact(paid):
    async def at_once():
        starts = [asking("a", 4000), asking("a", 5000, fingerprint="g"), asking("b", 6050), asking("c", 6051)]
        tenant, now_ms = paid.tenants["lion"], paid.engine.now_ms
        return await asyncio.gather(
            *(start_refund(paid.read, paid.submit, start, PAYMENT, tenant, now_ms) for start in starts),
            return_exceptions=True,
        )

    first, other, rest, too_much = asyncio.run(at_once())
    assert (other.code, too_much.code) == ("key-reused", "refund-exceeds-payment")
    assert first != rest
    paid.settle()
    assert balances(paid) == (1000, 0)


def test_what_a_failed_refund_has_not_paid_back_is_left(paid):
    paid.banks["buffalo"].accounts["A1"].sub_status = "BLOCK_CREDIT"
    failed = paid.pay_back(asking("a", 10000), PAYMENT)
    assert paid.status(failed, "lion").error.code == "5400"
    assert balances(paid)[1] == Decimal("100.50")
    paid.banks["buffalo"].accounts["A1"].sub_status = "NONE"
    paid.pay_back(asking("b", 10000), PAYMENT)
    assert balances(paid)[1] == Decimal("0.50")


def test_only_completed_payments_that_were_received_are_paid_back(house, request_to_pay):
    assert refused(house, asking("a"), "22222222-2222-4222-8222-222222222222") == "not-refundable"
    house.weather["PUT quotes"] = ["drop"]
    house.pay(request_to_pay)
    assert refused(house, asking("a")) == "not-refundable"
    house.run_until_all_ended()
    assert refused(house, asking("a")) == "not-refundable"


def test_who_has_paid_cannot_pay_back_and_a_refund_is_not_refunded(paid):
    assert refused(paid, asking("a"), tenant="buffalo") == "not-refundable"
    refund = paid.pay_back(asking("a", 4000), PAYMENT)
    assert refused(paid, asking("a"), refund, "buffalo") == "not-refundable"


def test_a_payment_inside_one_bank_is_paid_back_inside_it(house, request_to_pay):
    payee = PartyIdInfo(party_id_type="MSISDN", party_identifier="254700200002", fsp_id="buffalo")
    house.pay(msgspec.structs.replace(request_to_pay, payee=payee))
    assert house.banks["buffalo"].accounts["A3"].balance == Decimal("100.50")
    refund = house.pay_back(asking("a", 5050), PAYMENT, "buffalo")
    assert house.status(refund).state == "COMPLETED"
    assert house.banks["buffalo"].accounts["A1"].balance == Decimal("950.00")
    assert house.sent == []
    assert house.find(PAYER_FUND_TRANSFER, "buffalo", refund).variables["payeeFsp"] == "buffalo"


def test_a_payment_is_paid_back_in_a_bounded_number_of_parts(paid):
    for number in range(32):
        paid.pay_back(asking(str(number), 1), PAYMENT)
    assert refused(paid, asking("one more", 1)) == "too-many-refunds"
