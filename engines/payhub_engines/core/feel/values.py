"""FEEL's values: exact numbers, equality, order and three-valued logic; null instead of failure.

Numbers are int or Decimal; a float of a variable is read as the decimal that JSON would write for it. Lists
and contexts are Python's, null is None; dates, times and durations are those of ``temporal``.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Context, Decimal
from typing import Any, Final

from payhub_engines.core.feel.errors import ExpressionError
from payhub_engines.core.feel.evaluation import Run
from payhub_engines.core.feel.limits import (
    DECIMAL_EXPONENT_MAX,
    INTEGER_MAX,
    PRECISION_DIGITS,
    VALUE_DEPTH_MAX,
)
from payhub_engines.core.feel.temporal import DateTime, DaysTime, Time, YearsMonths

DECIMAL: Final = Context(prec=PRECISION_DIGITS, Emax=DECIMAL_EXPONENT_MAX, Emin=1 - DECIMAL_EXPONENT_MAX)
"""Calculates as decimal128; its functions are used, its flags never read."""

Number = int | Decimal

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Range:
    """An interval between two values of one type."""

    start: Any
    end: Any
    start_included: bool = True
    end_included: bool = True


def number_of(value: object) -> Number | None:
    """Return a value as an exact number, or None where it is none; booleans are no numbers."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return Decimal(repr(value))
    return None


def exact(result: Decimal) -> Number | None:
    """Return a calculation's result, whole numbers as int; null when it is too large to be exact."""
    if not result.is_finite() or result.copy_abs() >= INTEGER_MAX:
        return None
    return int(result) if result == result.to_integral_value() else result


def number_from(text: str) -> Number | None:
    """Read ``-12.50`` or ``1E3``; null for anything else. A fraction keeps its zeros."""
    if _NUMBER.fullmatch(text) is None:
        return None
    try:
        number = DECIMAL.create_decimal(text)
    except ArithmeticError:
        return None
    whole = exact(number)
    return number if whole is not None and "." in text and number.as_tuple().exponent != 0 else whole


def type_of(value: object) -> str:
    """Return the name of a value's type, as ``instance of`` knows it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, Mapping):
        return "context"
    if isinstance(value, str):
        return "string"
    return _TYPES.get(type(value), "function")


_TYPES: Final[dict[type, str]] = {
    int: "number",
    Decimal: "number",
    float: "number",
    list: "list",
    tuple: "list",
    date: "date",
    Time: "time",
    DateTime: "date and time",
    YearsMonths: "years and months duration",
    DaysTime: "days and time duration",
    Range: "range",
}


def equals(left: object, right: object, run: Run, depth: int = 0) -> bool | None:
    """Compare two values: null for different types, but nothing else is equal to null.

    Raises:
        ExpressionError: there is too much to compare.
    """
    if left is None or right is None:
        return left is None and right is None
    left_number, right_number = number_of(left), number_of(right)
    if left_number is not None and right_number is not None:
        return left_number == right_number
    if type_of(left) != type_of(right):
        return None
    if isinstance(left, list | Mapping):
        return _equal_inside(left, right, run, depth + 1)
    return left == right


def _equal_inside(left: Any, right: Any, run: Run, depth: int) -> bool:
    if depth > VALUE_DEPTH_MAX:
        raise ExpressionError(f"Values nest at most {VALUE_DEPTH_MAX} deep.")
    run.spend(1 + len(left))
    if len(left) != len(right):
        return False
    if isinstance(left, list):
        return all(equals(a, b, run, depth) is True for a, b in zip(left, right, strict=True))
    return left.keys() == right.keys() and all(
        equals(left[key], right[key], run, depth) is True for key in left
    )


def order(left: object, right: object) -> int | None:
    """Return -1, 0 or 1 for two values of one type that has an order, else None."""
    left_key, right_key = _order_key(left), _order_key(right)
    if left_key is None or right_key is None or left_key[0] != right_key[0]:
        return None
    a, b = left_key[1], right_key[1]
    return int(a > b) - int(a < b)


def _order_key(value: object) -> tuple[str, Any] | None:
    """Return a value's kind and what Python can compare; local and zoned times are different kinds."""
    number = number_of(value)
    if number is not None:
        return "number", number
    get_key = _ORDER_KEYS.get(type(value))
    return None if get_key is None else get_key(value)


_ORDER_KEYS: Final[dict[type, Callable[[Any], tuple[str, Any]]]] = {
    str: lambda text: ("string", text),
    date: lambda day: ("date", day),
    Time: lambda time: ("time" if time.offset_s is None else "zoned time", time.utc_ns),
    DateTime: lambda moment: ("local" if moment.time.offset_s is None else "zoned", moment.utc_ns),
    YearsMonths: lambda duration: ("months", duration.months),
    DaysTime: lambda duration: ("duration", duration.ns),
}


def in_range(value: object, interval: Range) -> bool | None:
    """Tell whether a value lies in a range; null when they cannot be compared."""
    after_start, before_end = order(value, interval.start), order(value, interval.end)
    if after_start is None or before_end is None:
        return None
    return (after_start > 0 or (after_start == 0 and interval.start_included)) and (
        before_end < 0 or (before_end == 0 and interval.end_included)
    )


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
