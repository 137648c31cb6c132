"""Amounts as banks tell them: exact, or none."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payhub_engines.connectors.ams import decoding
from payhub_engines.connectors.ams.contract_api import MoneyBody
from payhub_engines.connectors.ams.errors import DisagreementError
from payhub_platform.money import Money

TEN = Money(1_000, "KES")


@given(st.decimals(allow_nan=True, allow_infinity=True) | st.integers().map(Decimal))
def test_an_amount_is_told_exactly_or_not_at_all(amount):
    told = decoding.signed(amount, "KES")
    assert told is None or Fraction(told.minor, 100) == Fraction(amount)


@pytest.mark.parametrize("text", ["10", "10.00", "10." + "0" * 25, "1E+1"])
def test_zeros_that_a_currency_does_not_have_change_nothing(text):
    assert decoding.signed(Decimal(text), "KES") == TEN
    assert MoneyBody(text, "KES").is_exactly(TEN)


@pytest.mark.parametrize("text", ["10.001", "10." + "0" * 40 + "1", "9." + "9" * 40, "-0." + "0" * 29 + "1"])
def test_an_amount_finer_than_the_currency_is_none(text):
    assert decoding.signed(Decimal(text), "KES") is None
    assert not MoneyBody(text, "KES").is_exactly(TEN)


@pytest.mark.parametrize(
    "text", ["NaN", "sNaN", "-sNaN1", "Infinity", "", "ten", "1e999999999", "\u0661\u0660"]
)
def test_what_is_no_number_is_no_amount(text):
    body = MoneyBody(text, "KES")
    assert not body.is_exactly(TEN)
    with pytest.raises(DisagreementError):
        body.money("GET fee", "KES")
