"""Amounts and fees of both sides against the equations of FSPIOP 1.1 section 5.1, written down once more."""

import random
from decimal import Decimal

import pytest

from payhub_engines.connectors.pricing import TermsError, agreed_terms, offered_terms
from payhub_engines.connectors.variables import Payment
from payhub_platform.contracts.fspiop import (
    FspMoney,
    Party,
    PartyIdInfo,
    QuoteRequest,
    QuoteResponse,
    TransactionType,
)
from payhub_platform.money import Money

EXPIRATION = "2026-01-01T00:00:30.000Z"
KIND = TransactionType(scenario="TRANSFER", initiator="PAYER", initiator_type="CONSUMER")
SOMEBODY = PartyIdInfo(party_id_type="MSISDN", party_identifier="254700100001")
RUNS = 300


def fspiop(amount, currency="KES"):
    text = format(Decimal(amount).normalize(), "f")
    return FspMoney(amount=text, currency=currency)


def asking(amount_type, amount, fees=None):
    return QuoteRequest(
        quote_id="q",
        transaction_id="t",
        payee=Party(party_id_info=SOMEBODY),
        payer=Party(party_id_info=SOMEBODY),
        amount_type=amount_type,
        amount=fspiop(amount),
        fees=None if fees is None else fspiop(fees),
        transaction_type=KIND,
    )


def paying(amount_type, amount, currency="KES"):
    return Payment(
        transaction_id="t",
        quote_id="q",
        transfer_id="x",
        payer=SOMEBODY,
        payee=SOMEBODY,
        amount=fspiop(amount, currency),
        amount_type=amount_type,
    )


def quoted(transfer, fee=None, commission=None, receive=None, currency="KES"):
    return QuoteResponse(
        transfer_amount=fspiop(transfer, currency),
        expiration=EXPIRATION,
        ilp_packet="p",
        condition="c",
        payee_fsp_fee=None if fee is None else fspiop(fee),
        payee_fsp_commission=None if commission is None else fspiop(commission),
        payee_receive_amount=None if receive is None else fspiop(receive),
    )


def minor(amount):
    return int(Decimal(amount) * 100)


def amounts(terms):
    return Decimal(terms.transfer_amount.amount), Decimal(terms.payee_receive_amount.amount)


@pytest.mark.parametrize(
    ("amount_type", "amount", "fee", "disclosed", "transfer", "receive"),
    [
        ("SEND", "100", "0", None, "100", "100"),
        ("SEND", "100", "2", None, "100", "98"),
        ("SEND", "100", "2", "1", "99", "97"),  # listing 10: the payer's fee comes out of what is sent
        ("RECEIVE", "100", "0", None, "100", "100"),
        ("RECEIVE", "100", "2", None, "102", "100"),  # 5.1.6.5: customer-initiated cash-out
        ("RECEIVE", "100", "2", "1", "102", "100"),
        ("RECEIVE", "0.01", "0.01", None, "0.02", "0.01"),
    ],
)
def test_the_payees_terms(amount_type, amount, fee, disclosed, transfer, receive):
    terms = offered_terms(asking(amount_type, amount, disclosed), Money(minor(fee), "KES"), EXPIRATION)
    assert amounts(terms) == (Decimal(transfer), Decimal(receive))
    assert (terms.payee_fsp_fee is None) == (Decimal(fee) == 0)


@pytest.mark.parametrize("fee", ["100", "100.01"])
def test_a_fee_that_leaves_nothing_is_no_offer(fee):
    with pytest.raises(TermsError):
        offered_terms(asking("SEND", "100"), Money(minor(fee), "KES"), EXPIRATION)


@pytest.mark.parametrize(
    ("amount_type", "amount", "quote", "transfer", "receive"),
    [
        ("SEND", "100", quoted("100"), "100", "100"),
        ("SEND", "100", quoted("100", fee="2"), "100", "98"),
        ("SEND", "100", quoted("97", commission="3"), "97", "100"),
        ("SEND", "100", quoted("100", receive="95"), "100", "95"),  # the payee's bank charges the payee
        ("RECEIVE", "100", quoted("102", fee="2"), "102", "100"),
        ("RECEIVE", "100", quoted("99", commission="1"), "99", "100"),  # 5.1.6.1: P2P
        ("RECEIVE", "100", quoted("101", fee="2", commission="1", receive="100"), "101", "100"),
    ],
)
def test_terms_that_a_payer_accepts(amount_type, amount, quote, transfer, receive):
    terms = agreed_terms(paying(amount_type, amount), quote, EXPIRATION)
    assert amounts(terms) == (Decimal(transfer), Decimal(receive))


@pytest.mark.parametrize(
    ("amount_type", "quote"),
    [
        ("SEND", quoted("100.01")),
        ("SEND", quoted("99")),
        ("SEND", quoted("102", fee="2")),
        ("SEND", quoted("100", fee="100")),
        ("SEND", quoted("100", currency="UGX")),
        ("RECEIVE", quoted("102")),  # a fee that is not told
        ("RECEIVE", quoted("100", fee="2")),
        ("RECEIVE", quoted("102", fee="2", receive="99")),
        ("RECEIVE", quoted("0", commission="100")),
    ],
)
def test_terms_that_a_payer_does_not_accept(amount_type, quote):
    with pytest.raises(TermsError):
        agreed_terms(paying(amount_type, "100"), quote, EXPIRATION)


@pytest.mark.parametrize("seed", range(4))
def test_what_our_payee_offers_our_payer_accepts_and_nothing_is_lost_on_the_way(seed):
    chance = random.Random(seed)
    for _ in range(RUNS):
        amount_type = chance.choice(("SEND", "RECEIVE"))
        amount, fee = chance.randint(2, 10**9), chance.choice((0, 1, chance.randint(0, 10**5)))
        quote = asking(amount_type, Decimal(amount) / 100)
        if amount_type == "SEND" and fee >= amount:
            continue
        offered = offered_terms(quote, Money(fee, "KES"), EXPIRATION)
        answer = QuoteResponse(
            transfer_amount=offered.transfer_amount,
            payee_receive_amount=offered.payee_receive_amount,
            payee_fsp_fee=offered.payee_fsp_fee,
            expiration=EXPIRATION,
            ilp_packet="p",
            condition="c",
        )
        assert agreed_terms(paying(amount_type, Decimal(amount) / 100), answer, EXPIRATION) == offered
        transferred, received = amounts(offered)
        assert transferred - received == Decimal(fee) / 100
        exact = received if amount_type == "RECEIVE" else transferred
        assert exact == Decimal(amount) / 100
        other = QuoteResponse(
            transfer_amount=fspiop(transferred + Decimal("0.01")),
            payee_fsp_fee=offered.payee_fsp_fee,
            expiration=EXPIRATION,
            ilp_packet="p",
            condition="c",
        )
        with pytest.raises(TermsError):
            agreed_terms(paying(amount_type, Decimal(amount) / 100), other, EXPIRATION)
