"""The fixed rates of the sandbox's currency provider, printed in docs/sandbox.md."""

from decimal import ROUND_DOWN, ROUND_UP, Decimal
from typing import Final

from payhub_platform.money import Money, exponent_of

FXP_ID: Final = "fxp"
RATES: Final[dict[tuple[str, str], Decimal]] = {
    ("KES", "TZS"): Decimal(20),
    ("KES", "UGX"): Decimal(28),
    ("KES", "USD"): Decimal("0.0075"),
    ("TZS", "KES"): Decimal("0.05"),
    ("UGX", "KES"): Decimal("0.035"),
    ("USD", "KES"): Decimal(130),
}
"""Units of the target currency for one unit of the source currency."""


def providers(source: str | None = None, target: str | None = None) -> list[str]:
    """Return who converts from one currency into the other; without currencies, who converts at all."""
    return [FXP_ID] if source is None or (source, target) in RATES else []


def target_of(source: Money, currency: str) -> Money | None:
    """Return what a source amount buys, rounded down; None where there is no rate."""
    rate = RATES.get((source.currency, currency))
    if rate is None:
        return None
    major = Decimal(source.minor).scaleb(-exponent_of(source.currency)) * rate
    return Money(int(major.scaleb(exponent_of(currency)).to_integral_value(ROUND_DOWN)), currency)


def source_of(target: Money, currency: str) -> Money | None:
    """Return what a target amount costs, rounded up; None where there is no rate."""
    rate = RATES.get((currency, target.currency))
    if rate is None:
        return None
    major = Decimal(target.minor).scaleb(-exponent_of(target.currency)) / rate
    return Money(int(major.scaleb(exponent_of(currency)).to_integral_value(ROUND_UP)), currency)
