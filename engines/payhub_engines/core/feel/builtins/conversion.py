"""Built-ins that turn one type into another."""

import json
from datetime import date
from decimal import Decimal
from typing import Any, Final

import msgspec

from payhub_engines.core.feel.display import json_of, string_of
from payhub_engines.core.feel.evaluation import Run
from payhub_engines.core.feel.functions import Table
from payhub_engines.core.feel.temporal import (
    HOUR_NS,
    MINUTE_NS,
    SECOND_NS,
    DateTime,
    DaysTime,
    Time,
    YearsMonths,
    at_instant,
    in_zone,
    months_between,
    standard_offset_s,
)
from payhub_engines.core.feel.temporal_text import (
    OFFSET_S_MAX,
    date_of,
    date_time_of,
    duration_of,
    time_of,
)
from payhub_engines.core.feel.values import Number, number_from, number_of

TABLE: Final = Table()

_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


@TABLE.add("string", "from:any", sees_run=True)
def _string(run: Run, value: object) -> str | None:
    return None if value is None else string_of(value, run)


@TABLE.add("number", "from:string, grouping separator:string?, decimal separator:string?")
def _number(text: str, grouping: str | None, point: str | None) -> Number | None:
    """Read a number, whose thousands are grouped by a space, comma or point."""
    if grouping == point and grouping is not None:
        return None
    if grouping not in {None, " ", ",", "."} or point not in {None, ",", "."}:
        return None
    ungrouped = text if grouping is None else text.replace(grouping, "")
    return number_from(ungrouped if point is None else ungrouped.replace(point, "."))


@TABLE.add("date", "from|year:any, month:integer?, day:integer?")
def _date(value: object, month: int | None, day: int | None) -> date | None:
    """Read a date, take it from a date and time, or build it from year, month and day."""
    year = number_of(value)
    if year is not None:
        return None if month is None or day is None else date(int(year), month, day)
    if month is not None or day is not None:
        return None
    if isinstance(value, str):
        return date_of(value)
    if isinstance(value, DateTime):
        return value.date
    return value if isinstance(value, date) else None


@TABLE.add("time", "from|hour:any, minute:integer?, second:number?, offset:any?")
def _time(value: object, minute: int | None, second: Number | None, offset: object) -> Time | None:
    """Read a time, take it from a date and time, or build it from hour, minute, second and offset."""
    hour = number_of(value)
    if hour is not None:
        return None if minute is None or second is None else _built(int(hour), minute, second, offset)
    if minute is not None or second is not None or offset is not None:
        return None
    if isinstance(value, str):
        return time_of(value)
    if isinstance(value, DateTime):
        return value.time
    return Time(0, 0) if isinstance(value, date) else value if isinstance(value, Time) else None


def _built(hour: int, minute: int, second: Number, offset: object) -> Time | None:
    offset_s = offset.ns // SECOND_NS if isinstance(offset, DaysTime) else None
    if (offset is not None and offset_s is None) or abs(offset_s or 0) > OFFSET_S_MAX:
        return None
    in_clock = 0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60  # noqa: PLR2004 - a clock
    ns = hour * HOUR_NS + minute * MINUTE_NS + int(Decimal(second) * SECOND_NS)
    return Time(ns, offset_s) if in_clock else None


@TABLE.add("date and time", "from|date:any, time|timezone:any?")
def _date_and_time(value: object, time: object) -> DateTime | None:
    """Read a date and time, join a date and a time, or show one in another zone."""
    if time is None:
        return date_time_of(value) if isinstance(value, str) else None
    if isinstance(time, str):
        return _in_other_zone(value, time)
    day = value.date if isinstance(value, DateTime) else value
    if not isinstance(day, date) or not isinstance(time, Time):
        return None
    return in_zone(day, time.ns, time.zone) if time.zone else DateTime(day, time)


def _in_other_zone(value: object, zone: str) -> DateTime | None:
    """Show a date and time in a zone, or with an offset; a local one is taken to be of that zone."""
    if not isinstance(value, DateTime):
        return None
    offset = time_of(f"00:00:00{zone}")
    if offset is not None and not offset.zone:
        if value.time.offset_s is None:
            return DateTime(value.date, Time(value.time.ns, offset.offset_s))
        return at_instant(value.utc_ns, offset)
    if value.time.offset_s is None:
        return in_zone(value.date, value.time.ns, zone)
    return at_instant(value.utc_ns, Time(0, standard_offset_s(zone), zone))


@TABLE.add("duration", "from:string")
def _duration(text: str) -> YearsMonths | DaysTime | None:
    return duration_of(text)


@TABLE.add("years and months duration", "from:any, to:any")
def _years_and_months_duration(start: object, end: object) -> YearsMonths | None:
    first = start.date if isinstance(start, DateTime) else start
    last = end.date if isinstance(end, DateTime) else end
    return months_between(first, last) if isinstance(first, date) and isinstance(last, date) else None


@TABLE.add("from json", "json:string", sees_run=True)
def _from_json(run: Run, text: str) -> Any:
    run.spend(len(text))
    try:
        return json.loads(text, parse_int=_json_number, parse_float=_json_number, parse_constant=_json_number)
    except RecursionError as error:
        raise ValueError("The JSON nests too deep.") from error


def _json_number(text: str) -> Number:
    number = number_from(text)
    if number is None:
        raise ValueError("The JSON has a number that cannot be exact.")
    return number


@TABLE.add("to json", "value:any", sees_run=True)
def _to_json(run: Run, value: object) -> str:
    return _ENCODER.encode(json_of(value, run)).decode()
