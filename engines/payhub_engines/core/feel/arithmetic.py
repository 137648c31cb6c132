"""FEEL's ``+ - * / **`` over numbers, strings, dates and durations; what has no meaning gives null."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any, Final

from payhub_engines.core.feel.errors import ExpressionError
from payhub_engines.core.feel.limits import INTEGER_MAX, POWER_MAX, STRING_CHARS_MAX
from payhub_engines.core.feel.temporal import DAY_NS, DateTime, DaysTime, Time, YearsMonths, plus
from payhub_engines.core.feel.values import DECIMAL, Number, exact, number_of

Duration = YearsMonths | DaysTime
_DURATIONS: Final = (YearsMonths, DaysTime)
_MOMENTS: Final = (date, Time, DateTime)


def add(left: object, right: object) -> Any:
    """Add numbers or durations, move a date by a duration, or join two strings.

    Raises:
        ExpressionError: the string would be too long.
    """
    if isinstance(left, str) and isinstance(right, str):
        if len(left) + len(right) > STRING_CHARS_MAX:
            raise ExpressionError(f"A string may have at most {STRING_CHARS_MAX} characters.")
        return left + right
    a, b = number_of(left), number_of(right)
    if a is not None and b is not None:
        return _whole(a + b) if isinstance(a, int) and isinstance(b, int) else _decimal(DECIMAL.add, a, b)
    return _null_if_impossible(_add_duration, left, right)


def subtract(left: object, right: object) -> Any:
    """Subtract numbers, durations, dates of one kind, or a duration from a date."""
    a, b = number_of(left), number_of(right)
    if a is not None and b is not None:
        return (
            _whole(a - b) if isinstance(a, int) and isinstance(b, int) else _decimal(DECIMAL.subtract, a, b)
        )
    return _null_if_impossible(_subtract_temporal, left, right)


def multiply(left: object, right: object) -> Any:
    """Multiply numbers, or a duration by a number."""
    a, b = number_of(left), number_of(right)
    if a is not None and b is not None:
        return (
            _whole(a * b) if isinstance(a, int) and isinstance(b, int) else _decimal(DECIMAL.multiply, a, b)
        )
    if isinstance(left, _DURATIONS) and b is not None:
        return _null_if_impossible(_scaled, left, b)
    if isinstance(right, _DURATIONS) and a is not None:
        return _null_if_impossible(_scaled, right, a)
    return None


def divide(left: object, right: object) -> Any:
    """Divide numbers, durations of one kind, or a duration by a number; by zero gives null."""
    a, b = number_of(left), number_of(right)
    if a is not None and b is not None:
        return _decimal(DECIMAL.divide, a, b)
    if isinstance(left, YearsMonths) and isinstance(right, YearsMonths):
        return _decimal(DECIMAL.divide, left.months, right.months)
    if isinstance(left, DaysTime) and isinstance(right, DaysTime):
        return _decimal(DECIMAL.divide, left.ns, right.ns)
    if isinstance(left, _DURATIONS) and b:
        return _null_if_impossible(_scaled, left, b, DECIMAL.divide)
    return None


def power(left: object, right: object) -> Number | None:
    """Raise a number to a power; anything to the power of zero is one."""
    a, b = number_of(left), number_of(right)
    if a is None or b is None or not -POWER_MAX <= b <= POWER_MAX:
        return None
    return 1 if b == 0 else _decimal(DECIMAL.power, a, b)


def negate(value: object) -> Any:
    """Turn the sign of a number or duration."""
    number = number_of(value)
    if number is not None:
        return -number if isinstance(number, int) else number.copy_negate()
    if isinstance(value, YearsMonths):
        return YearsMonths(-value.months)
    return DaysTime(-value.ns) if isinstance(value, DaysTime) else None


def modulo(dividend: Number, divisor: Number) -> Number | None:
    """Return what remains of a division that rounds down: it has the divisor's sign."""
    if divisor == 0:
        return None
    if isinstance(dividend, int) and isinstance(divisor, int):
        return dividend % divisor
    rest = DECIMAL.remainder(Decimal(dividend), Decimal(divisor))
    differs = rest != 0 and (rest < 0) != (divisor < 0)
    return exact(DECIMAL.add(rest, Decimal(divisor)) if differs else rest)


OPERATIONS: Final[dict[str, Callable[[object, object], Any]]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "**": power,
}


def _whole(result: int) -> int | None:
    return result if -INTEGER_MAX < result < INTEGER_MAX else None


def _decimal(operation: Callable[[Decimal, Decimal], Decimal], a: Number, b: Number) -> Number | None:
    try:
        return exact(operation(Decimal(a), Decimal(b)))
    except ArithmeticError:
        return None


def _null_if_impossible(operation: Callable[..., Any], *arguments: Any) -> Any:
    """Calculate with dates: beyond the years 1 to 9999, and the longest duration, is null."""
    try:
        return operation(*arguments)
    except (ArithmeticError, ValueError):
        return None


def _add_duration(left: object, right: object) -> Any:
    if isinstance(left, _MOMENTS) and isinstance(right, _DURATIONS):
        return plus(left, right, 1)
    if isinstance(right, _MOMENTS) and isinstance(left, _DURATIONS):
        return plus(right, left, 1)
    if isinstance(left, YearsMonths) and isinstance(right, YearsMonths):
        return YearsMonths(left.months + right.months)
    if isinstance(left, DaysTime) and isinstance(right, DaysTime):
        return DaysTime(left.ns + right.ns)
    return None


def _subtract_temporal(left: object, right: object) -> Any:
    if isinstance(left, _MOMENTS) and isinstance(right, _DURATIONS):
        return plus(left, right, -1)
    if isinstance(left, _DURATIONS) and isinstance(right, _DURATIONS):
        return _add_duration(left, negate(right))
    if isinstance(left, Time | DateTime) and type(left) is type(right):
        return _between(left, right)
    if isinstance(left, date) and isinstance(right, date):
        return DaysTime((left.toordinal() - right.toordinal()) * DAY_NS)
    return None


def _between(left: Time | DateTime, right: Any) -> DaysTime | None:
    """Return the time from the right to the left; both are local, or both know their offset."""
    left_time = left if isinstance(left, Time) else left.time
    right_time = right if isinstance(right, Time) else right.time
    if (left_time.offset_s is None) != (right_time.offset_s is None):
        return None
    return DaysTime(left.utc_ns - right.utc_ns)


def _scaled(
    duration: Duration,
    factor: Number,
    operation: Callable[[Decimal, Decimal], Decimal] = DECIMAL.multiply,
) -> Duration:
    """Multiply or divide a duration; what is less than a month or nanosecond is cut off."""
    if isinstance(duration, YearsMonths):
        return YearsMonths(int(operation(Decimal(duration.months), Decimal(factor))))
    return DaysTime(int(operation(Decimal(duration.ns), Decimal(factor))))
