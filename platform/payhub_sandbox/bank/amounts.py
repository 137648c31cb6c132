"""Amounts on their way in and out of the bank: exact decimals outside, minor units inside."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

import msgspec

from payhub_platform.money import exponent_of

SCALE: Final = 6  # Fineract writes amounts with the scale of its columns, DECIMAL(19,6)

_SIX_PLACES: Final = Decimal(1).scaleb(-SCALE)


def rounded_minor(amount: Decimal, currency: str) -> int:
    """Return an amount in minor units, rounded half to even as the bank's tenant setting says."""
    return int(amount.scaleb(exponent_of(currency)).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def is_exact(amount: Decimal, currency: str) -> bool:
    """Tell whether an amount has no more decimals than its currency."""
    scaled = amount.scaleb(exponent_of(currency))
    return scaled == scaled.to_integral_value()


def number(minor: int, currency: str) -> msgspec.Raw:
    """Write minor units as a JSON number with six decimals, such as ``1000.000000``."""
    major = Decimal(minor).scaleb(-exponent_of(currency))
    return msgspec.Raw(str(major.quantize(_SIX_PLACES)).encode())
