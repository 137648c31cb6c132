"""Money as FSPIOP writes it: decimal text without trailing zeros."""

from decimal import Decimal
from typing import Any

from payhub_platform.money import Money, exponent_of


def fspiop_amount(money: Money) -> dict[str, str]:
    """Write an amount and its currency."""
    major = Decimal(money.minor).scaleb(-exponent_of(money.currency))
    text = format(major, "f")
    return {
        "currency": money.currency,
        "amount": text.rstrip("0").rstrip(".") if "." in text else text,
    }


def read_amount(value: dict[str, Any]) -> Money:
    """Read an amount that the switch has checked."""
    return Money.parse(value["amount"], value["currency"])
