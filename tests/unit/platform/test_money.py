import json
from decimal import Decimal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support.shared_data import shared_file

from payhub_platform.errors import InvalidInputError
from payhub_platform.money import CURRENCIES, MINOR_DIGITS_MAX, Money, exponent_of


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [("10.50", "KES", 1050), ("0.01", "KES", 1), ("7", "UGX", 7), ("1.234", "KWD", 1234), ("5", "KES", 500)],
)
def test_reads_plain_decimals(amount: str, currency: str, minor: int) -> None:
    assert Money.parse(amount, currency) == Money(minor, currency)


@pytest.mark.parametrize(
    ("amount", "currency", "code", "where"),
    [
        ("-1", "KES", "invalid-amount", "/amount/amount"),
        ("1e3", "KES", "invalid-amount", "/amount/amount"),
        ("", "KES", "invalid-amount", "/amount/amount"),
        (" 1", "KES", "invalid-amount", "/amount/amount"),
        ("01", "KES", "invalid-amount", "/amount/amount"),
        (".5", "KES", "invalid-amount", "/amount/amount"),
        ("٣", "KES", "invalid-amount", "/amount/amount"),
        ("9" * (MINOR_DIGITS_MAX - 1), "KES", "invalid-amount", "/amount/amount"),
        ("9" * (MINOR_DIGITS_MAX + 1), "UGX", "invalid-amount", "/amount/amount"),
        ("1.001", "KES", "too-many-decimals", "/amount/amount"),
        ("1.0", "UGX", "too-many-decimals", "/amount/amount"),
        ("1", "KEX", "unknown-currency", "/amount/currency"),
        ("1", "kes", "unknown-currency", "/amount/currency"),
    ],
)
def test_refuses_what_is_no_amount(amount: str, currency: str, code: str, where: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Money.parse(amount, currency)
    assert (caught.value.code, caught.value.where) == (code, where)


@given(st.integers(0, 10**MINOR_DIGITS_MAX - 1), st.sampled_from(sorted(CURRENCIES)))
def test_every_text_form_reads_back_exactly(minor: int, currency: str) -> None:
    money = Money(minor, currency)
    assert Money.parse(money.decimal_text(), currency) == money
    assert Money.parse(money.fspiop_text(), currency) == money
    assert Decimal(money.decimal_text()) == money.decimal()


def test_fspiop_amounts_have_no_trailing_zeros() -> None:
    assert [Money(m, "KES").fspiop_text() for m in (1050, 1000, 100000, 5)] == ["10.5", "10", "1000", "0.05"]
    assert Money(100, "UGX").fspiop_text() == "100"


def test_exponents_are_mojaloops() -> None:
    table = json.loads(shared_file("vectors", "currency_decimals.json").read_text())
    ours = {currency: exponent_of(currency) for currency in CURRENCIES & table.keys()}
    assert ours == {currency: table[currency] for currency in ours}


def test_currencies_are_those_of_the_specification() -> None:
    text = shared_file("specs", "fspiop", "fspiop-v1.1-openapi3.yaml").read_text()
    codes = yaml.safe_load(text)["components"]["schemas"]["Currency"]["enum"]
    assert set(codes) - {"XDR", "SPL", "TVD", "XXX", "GIP"} <= CURRENCIES
