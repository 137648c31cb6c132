"""Time is injected: nothing below the edge of a process asks the machine for it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], int]
"""Returns milliseconds since the Unix epoch."""


def system_clock() -> int:
    """Return the machine's time in milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def iso(at_ms: int) -> str:
    """Write a time as FSPIOP's DateTime, always UTC with three digits: ``2026-01-31T09:05:00.000Z``."""
    moment = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"


def parse_iso(text: str) -> int:
    """Read an ISO 8601 date-time with an offset and return milliseconds since the Unix epoch.

    Raises:
        ValueError: the text is no date-time, or has no offset.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC")
    return round(moment.timestamp() * 1000)
