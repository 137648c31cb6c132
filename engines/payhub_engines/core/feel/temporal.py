"""Dates, times and durations of the language, exact to the nanosecond.

A date is Python's; the rest is kept here because Python's times stop at microseconds and because a time of
the language may have an offset, a named zone, or neither (DMN 1.5, chapters 10.3.2.3.4 to 10.3.2.3.8).
"""

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

SECOND_NS: Final = 10**9
MINUTE_NS: Final = 60 * SECOND_NS
HOUR_NS: Final = 60 * MINUTE_NS
DAY_NS: Final = 24 * HOUR_NS
MONTHS_MAX: Final = 12 * 10**9  # of a duration
DURATION_NS_MAX: Final = 10**10 * DAY_NS

_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_SOME_WINTER_AND_SUMMER: Final = (datetime(2024, 1, 1), datetime(2024, 7, 1))  # noqa: DTZ001 - local on purpose


@dataclass(frozen=True, slots=True)
class YearsMonths:
    """A years and months duration."""

    months: int

    def __post_init__(self) -> None:
        if abs(self.months) > MONTHS_MAX:
            raise OverflowError("The duration is too long.")


@dataclass(frozen=True, slots=True)
class DaysTime:
    """A days and time duration, in nanoseconds."""

    ns: int

    def __post_init__(self) -> None:
        if abs(self.ns) > DURATION_NS_MAX:
            raise OverflowError("The duration is too long.")


@dataclass(frozen=True, slots=True)
class Time:
    """A time of day in nanoseconds; ``offset_s`` is None for a local time, ``zone`` empty without a name."""

    ns: int
    offset_s: int | None = None
    zone: str = ""

    @property
    def utc_ns(self) -> int:
        """Nanoseconds from midnight in UTC, for comparing times of different offsets."""
        return self.ns - (self.offset_s or 0) * SECOND_NS


@dataclass(frozen=True, slots=True)
class DateTime:
    """A date and time; the time knows the offset and the zone."""

    date: date
    time: Time

    @property
    def utc_ns(self) -> int:
        """Nanoseconds since the epoch, as if in UTC where it is local."""
        return (self.date.toordinal() - _EPOCH_DAY) * DAY_NS + self.time.utc_ns


Temporal = date | Time | DateTime | YearsMonths | DaysTime


def zone_of(name: str) -> ZoneInfo:
    """Return a zone by its name.

    Raises:
        ValueError: this machine's tables have no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError) as error:
        raise ValueError(f"There is no time zone {name!r}.") from error


def standard_offset_s(name: str) -> int:
    """Return a zone's offset outside daylight saving time, for times that have no date."""
    zone = zone_of(name)
    offsets = [zone.utcoffset(moment) for moment in _SOME_WINTER_AND_SUMMER]
    return min(int(offset.total_seconds()) for offset in offsets if offset is not None)


def in_zone(day: date, ns: int, zone: str) -> DateTime:
    """Return what the clocks of a zone show as a date and time with the offset of that day."""
    local = datetime(day.year, day.month, day.day) + timedelta(seconds=ns // SECOND_NS)  # noqa: DTZ001 - local
    offset = zone_of(zone).utcoffset(local)
    return DateTime(day, Time(ns, 0 if offset is None else int(offset.total_seconds()), zone))


def at_instant(utc_ns: int, like: Time) -> DateTime:
    """Return an instant with the offset or zone of another time."""
    offset_s = like.offset_s or 0
    if like.zone:
        zone: tzinfo = zone_of(like.zone)
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=utc_ns // SECOND_NS)
        offset = moment.astimezone(zone).utcoffset()
        offset_s = 0 if offset is None else int(offset.total_seconds())
    days, ns = divmod(utc_ns + offset_s * SECOND_NS, DAY_NS)
    shown = None if like.offset_s is None else offset_s
    return DateTime(date.fromordinal(_EPOCH_DAY + days), Time(ns, shown, like.zone))


def plus_months(day: date, months: int) -> date:
    """Return the same day of a later or earlier month, or that month's last day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, days_of_month(year, month + 1)))


def days_of_month(year: int, month: int) -> int:
    """Return how many days a month has.

    Raises:
        ValueError: the year is not between 1 and 9999.
    """
    if not date.min.year <= year <= date.max.year:
        raise ValueError("Years go from 1 to 9999.")
    return calendar.monthrange(year, month)[1]


def plus(moment: date | Time | DateTime, duration: YearsMonths | DaysTime, sign: int) -> Temporal | None:
    """Add a duration, or with ``sign`` -1 subtract it; null where that has no meaning."""
    if isinstance(duration, YearsMonths):
        return _plus_months(moment, sign * duration.months)
    ns = sign * duration.ns
    if isinstance(moment, Time):
        return Time((moment.ns + ns) % DAY_NS, moment.offset_s, moment.zone)
    if isinstance(moment, DateTime):
        return at_instant(moment.utc_ns + ns, moment.time)
    return date.fromordinal(moment.toordinal() + ns // DAY_NS)


def _plus_months(moment: date | Time | DateTime, months: int) -> Temporal | None:
    if isinstance(moment, Time):
        return None
    if not isinstance(moment, DateTime):
        return plus_months(moment, months)
    day, time = plus_months(moment.date, months), moment.time
    return in_zone(day, time.ns, time.zone) if time.zone else DateTime(day, time)


def months_between(start: date, end: date) -> YearsMonths:
    """Return the whole months from one date to another, negative when the second is earlier."""
    months = (end.year - start.year) * 12 + end.month - start.month
    if months > 0 and end.day < start.day:
        months -= 1
    elif months < 0 and end.day > start.day:
        months += 1
    return YearsMonths(months)


def instant_of(at_ms: int) -> DateTime:
    """Return milliseconds since the epoch as a date and time in UTC."""
    return at_instant(at_ms * 10**6, Time(0, 0))
