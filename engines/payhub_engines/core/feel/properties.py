"""Properties of dates, times, durations and ranges: ``@"2026-01-31".month`` (DMN 1.5, tables 60 to 65)."""

from collections.abc import Callable
from datetime import date
from typing import Any, Final

from payhub_engines.core.feel.temporal import SECOND_NS, DateTime, DaysTime, Time, YearsMonths
from payhub_engines.core.feel.values import Range


def property_of(value: object, name: str) -> Any:
    """Return a property, or null where the value has none of this name."""
    getter = _PROPERTIES.get(type(value), {}).get(name)
    return None if getter is None else getter(value)


def _toward_zero(value: int, unit: int) -> int:
    return value // unit if value >= 0 else -(-value // unit)


def _second(time: Time) -> int:
    return time.ns // SECOND_NS % 60


def _offset(time: Time) -> DaysTime | None:
    return None if time.offset_s is None else DaysTime(time.offset_s * SECOND_NS)


def _part(unit_s: int, modulus: int) -> Callable[[DaysTime], int]:
    """Return how many of a unit a duration shows; all parts of a negative duration are negative."""

    def get(duration: DaysTime) -> int:
        part = abs(duration.ns) // SECOND_NS // unit_s % modulus
        return -part if duration.ns < 0 else part

    return get


_DATE: Final[dict[str, Callable[[Any], Any]]] = {
    "year": lambda day: day.year,
    "month": lambda day: day.month,
    "day": lambda day: day.day,
    "weekday": lambda day: day.isoweekday(),
}
_TIME: Final[dict[str, Callable[[Any], Any]]] = {
    "hour": lambda time: time.ns // SECOND_NS // 3600,
    "minute": lambda time: time.ns // SECOND_NS // 60 % 60,
    "second": _second,
    "time offset": _offset,
    "timezone": lambda time: time.zone or None,
}


def _inside(getter: Callable[[Any], Any], part: str) -> Callable[[Any], Any]:
    return lambda value: getter(getattr(value, part))


_PROPERTIES: Final[dict[type, dict[str, Callable[[Any], Any]]]] = {
    date: _DATE,
    Time: _TIME,
    DateTime: {name: _inside(getter, "date") for name, getter in _DATE.items()}
    | {name: _inside(getter, "time") for name, getter in _TIME.items()},
    YearsMonths: {
        "years": lambda duration: _toward_zero(duration.months, 12),
        "months": lambda duration: duration.months - 12 * _toward_zero(duration.months, 12),
    },
    DaysTime: {
        "days": _part(86_400, 10**12),
        "hours": _part(3_600, 24),
        "minutes": _part(60, 60),
        "seconds": _part(1, 60),
    },
    Range: {
        "start": lambda interval: interval.start,
        "end": lambda interval: interval.end,
        "start included": lambda interval: interval.start_included,
        "end included": lambda interval: interval.end_included,
    },
}
