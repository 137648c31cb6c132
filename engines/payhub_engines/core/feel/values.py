"""FEEL's operators over JSON values: exact decimals, three-valued logic, null instead of failure.

Numbers are int or Decimal; a float of a variable is read as the decimal that JSON would write for it.
"""

import math
from collections.abc import Mapping
from decimal import Context, Decimal, DecimalException
from typing import Final

from payhub_engines.core.feel.errors import ExpressionError

PRECISION_DIGITS: Final = 34  # IEEE 754 decimal128, as the DMN specification demands
INTEGER_MAX: Final = 10**PRECISION_DIGITS
STRING_CHARS_MAX: Final = 65_536

_CONTEXT: Final = Context(prec=PRECISION_DIGITS)

Number = int | Decimal


def number_of(value: object) -> Number | None:
    """Return a value as an exact number, or None where it is none; booleans are no numbers."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return Decimal(repr(value))
    return None


def equals(left: object, right: object) -> bool | None:
    """Compare two values: null for different types, but nothing else is equal to null."""
    if left is None or right is None:
        return left is None and right is None
    left_number, right_number = number_of(left), number_of(right)
    if left_number is not None and right_number is not None:
        return left_number == right_number
    if isinstance(left, bool | str):
        return left == right if type(left) is type(right) else None
    if isinstance(left, list) and isinstance(right, list):
        same = len(left) == len(right)
        return same and all(equals(a, b) is True for a, b in zip(left, right, strict=True))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(equals(left[key], right[key]) is True for key in left)
    return None


def order(left: object, right: object) -> int | None:
    """Return -1, 0 or 1 for two numbers or two strings, else None."""
    left_number, right_number = number_of(left), number_of(right)
    if left_number is not None and right_number is not None:
        return (left_number > right_number) - (left_number < right_number)
    if isinstance(left, str) and isinstance(right, str):
        return (left > right) - (left < right)
    return None


def conjunction(left: object, right: object) -> bool | None:
    """Combine with three-valued ``and``; what is no boolean counts as null."""
    if left is False or right is False:
        return False
    return True if left is True and right is True else None


def disjunction(left: object, right: object) -> bool | None:
    """Combine with three-valued ``or``; what is no boolean counts as null."""
    if left is True or right is True:
        return True
    return False if left is False and right is False else None


def negation(value: object) -> bool | None:
    """Turn a boolean round; anything else gives null."""
    return not value if isinstance(value, bool) else None


def add(left: object, right: object) -> Number | str | None:
    """Add two numbers or join two strings; anything else gives null.

    Raises:
        ExpressionError: the string would be too long.
    """
    if isinstance(left, str) and isinstance(right, str):
        if len(left) + len(right) > STRING_CHARS_MAX:
            raise ExpressionError(f"A string may have at most {STRING_CHARS_MAX} characters.")
        return left + right
    return arithmetic("+", left, right)


def arithmetic(sign: str, left: object, right: object) -> Number | None:
    """Calculate exactly up to 34 digits; no number, overflow and division by zero give null."""
    a, b = number_of(left), number_of(right)
    if a is None or b is None:
        return None
    if isinstance(a, int) and isinstance(b, int) and sign != "/":
        result = a + b if sign == "+" else a - b if sign == "-" else a * b
        return result if abs(result) < INTEGER_MAX else None
    try:
        return _decimal(sign, Decimal(a), Decimal(b))
    except DecimalException:
        return None


def _decimal(sign: str, a: Decimal, b: Decimal) -> Number | None:
    operations = {"+": _CONTEXT.add, "-": _CONTEXT.subtract, "*": _CONTEXT.multiply, "/": _CONTEXT.divide}
    result = operations[sign](a, b)
    if not result.is_finite():
        return None
    is_integer = abs(result) < INTEGER_MAX and result == result.to_integral_value()
    return int(result) if is_integer else result
