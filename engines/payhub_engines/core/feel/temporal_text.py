"""Reads and writes dates, times and durations as ISO 8601 with the language's ``@zone``."""

import re
from datetime import date
from typing import Final

from payhub_engines.core.feel.temporal import (
    DAY_NS,
    HOUR_NS,
    MINUTE_NS,
    SECOND_NS,
    DateTime,
    DaysTime,
    Temporal,
    Time,
    YearsMonths,
    in_zone,
    standard_offset_s,
)

OFFSET_S_MAX: Final = 18 * 3600

_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_TIME: Final = re.compile(
    r"T?(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,9}))?)?"
    r"(?P<offset>Z|[+-][0-9]{2}:[0-9]{2}(?::[0-9]{2})?)?(?:@(?P<zone>[\w+/-]{1,64})|\[(?P<zone2>[\w+/-]{1,64})\])?"
)
_YEARS_MONTHS: Final = re.compile(r"(-?)P(?:(-?[0-9]{1,10})Y)?(?:(-?[0-9]{1,10})M)?")
_DAYS_TIME: Final = re.compile(
    r"(-?)P(?:(-?[0-9]{1,12})D)?(?:T(?:(-?[0-9]{1,12})H)?(?:(-?[0-9]{1,12})M)?"
    r"(?:(-?)([0-9]{1,15})(?:\.([0-9]{0,9}))?S)?)?"
)


def date_of(text: str) -> date | None:
    """Read ``2026-01-31``; null for anything else."""
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    try:
        return date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        return None


def time_of(text: str) -> Time | None:
    """Read ``10:30:00`` with, possibly, a fraction and an offset or ``@zone``; null for anything else."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    hour, minute, second = int(found["hour"]), int(found["minute"]), int(found["second"] or 0)
    zone = found["zone"] or found["zone2"] or ""
    try:
        offset_s = _offset_s(found["offset"], zone)
    except ValueError:
        return None
    if hour > 23 or minute > 59 or second > 59 or abs(offset_s or 0) > OFFSET_S_MAX:  # noqa: PLR2004 - a clock
        return None
    fraction_ns = int((found["fraction"] or "").ljust(9, "0"))
    return Time(hour * HOUR_NS + minute * MINUTE_NS + second * SECOND_NS + fraction_ns, offset_s, zone)


def _offset_s(text: str | None, zone: str) -> int | None:
    if text is None:
        return standard_offset_s(zone) if zone else None
    if text == "Z":
        return 0
    hours, minutes, *seconds = (int(part) for part in text[1:].split(":"))
    total = hours * 3600 + minutes * 60 + sum(seconds)
    return -total if text[0] == "-" else total


def date_time_of(text: str) -> DateTime | None:
    """Read a date, ``T`` and a time, or a date alone for its midnight; null for anything else."""
    date_text, letter, time_text = text.partition("T")
    day = date_of(date_text)
    if day is None or not letter:
        return None if day is None else DateTime(day, Time(0))
    time = time_of(time_text)
    if time is None or time_text.startswith("T"):
        return None
    try:
        return in_zone(day, time.ns, time.zone) if time.zone else DateTime(day, time)
    except (ValueError, OverflowError):
        return None


def duration_of(text: str) -> YearsMonths | DaysTime | None:
    """Read ``P1Y2M`` or ``P1DT2H3M4.5S``; null for anything else."""
    if text.endswith(("P", "T")):
        return None
    found = _YEARS_MONTHS.fullmatch(text)
    sign = -1 if text.startswith("-") else 1
    try:
        if found is not None:
            return YearsMonths(sign * (int(found[2] or 0) * 12 + int(found[3] or 0)))
        found = _DAYS_TIME.fullmatch(text)
        if found is None:
            return None
        seconds_ns = int(found[6] or 0) * SECOND_NS + int((found[7] or "").ljust(9, "0"))
        ns = int(found[2] or 0) * DAY_NS + int(found[3] or 0) * HOUR_NS + int(found[4] or 0) * MINUTE_NS
        return DaysTime(sign * (ns + (-seconds_ns if found[5] else seconds_ns)))
    except OverflowError:
        return None


def temporal_of(text: str) -> Temporal | None:
    """Read what stands after ``@``; null when it is neither date nor time nor duration."""
    readers = (date_of, time_of, date_time_of, duration_of)
    return next((found for found in (read(text) for read in readers) if found is not None), None)


def text_of(value: Temporal, *, iso: bool = False) -> str:
    """Write a value so that it can be read again; with ``iso`` zones are told by their offset only."""
    if isinstance(value, Time):
        return _clock(value) + _zone(value, iso=iso)
    if isinstance(value, DateTime):
        return f"{value.date.isoformat()}T{_clock(value.time)}{_zone(value.time, iso=iso)}"
    if isinstance(value, YearsMonths):
        return _years_months(value.months)
    if isinstance(value, DaysTime):
        return _days_time(value.ns)
    return value.isoformat()


def _clock(time: Time) -> str:
    seconds, fraction = divmod(time.ns, SECOND_NS)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return text + (f".{fraction:09d}".rstrip("0") if fraction else "")


def _zone(time: Time, *, iso: bool) -> str:
    if time.offset_s is None:
        return ""
    if time.zone and not iso:
        return f"@{time.zone}"
    if time.offset_s == 0:
        return "Z"
    minutes, seconds = divmod(abs(time.offset_s), 60)
    text = f"{'-' if time.offset_s < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"
    return text + (f":{seconds:02d}" if seconds else "")


def _years_months(months: int) -> str:
    if months == 0:
        return "P0Y"
    years, rest = divmod(abs(months), 12)
    text = (f"{years}Y" if years else "") + (f"{rest}M" if rest else "")
    return f"{'-' if months < 0 else ''}P{text}"


def _days_time(ns: int) -> str:
    if ns == 0:
        return "P0D"
    seconds, fraction = divmod(abs(ns), SECOND_NS)
    days, hours, minutes = seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60
    second = f"{seconds % 60}" + (f".{fraction:09d}".rstrip("0") if fraction else "")
    clock = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "")
    clock += f"{second}S" if second != "0" else ""
    return f"{'-' if ns < 0 else ''}P{f'{days}D' if days else ''}{f'T{clock}' if clock else ''}"
