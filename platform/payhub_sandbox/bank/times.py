"""Dates and times as Fineract writes and reads them, in the bank's own zone."""

import re
from datetime import date, datetime, timedelta, timezone
from typing import Final

ZONE: Final = timezone(timedelta(hours=3), "EAT")

_EXPIRATION: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,3}", re.ASCII)


def business_date(at_ms: int) -> date:
    """Return the bank's date."""
    return datetime.fromtimestamp(at_ms / 1000, ZONE).date()


def date_array(day: date) -> list[int]:
    """Write a date as an array: ``[2026, 1, 31]``."""
    return [day.year, day.month, day.day]


def timestamp(at_ms: int) -> str:
    """Write a time with an offset without colon: ``2026-01-31T12:05:00+0300``."""
    return datetime.fromtimestamp(at_ms // 1000, ZONE).strftime("%Y-%m-%dT%H:%M:%S%z")


def local_time(text: str) -> datetime | None:
    """Read an ``expiration``: a local time with a fraction and without an offset; None otherwise."""
    if _EXPIRATION.fullmatch(text) is None:
        return None
    try:
        return datetime.fromisoformat(text[:19]).replace(tzinfo=ZONE)
    except ValueError:
        return None
