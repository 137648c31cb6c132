"""When a timer of a model is due: ISO 8601 durations and dates, or milliseconds from now."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from payhub_engines.core.bpmn.model import TimerTrigger
from payhub_engines.core.feel import ExpressionError
from payhub_engines.core.feel.values import number_of
from payhub_platform.clock import parse_iso

DURATION_MS_MAX: Final = 10 * 366 * 86_400_000
INTERVAL_MS_MIN: Final = 100
DURATIONS_CACHED_MAX: Final = 1_024
_REPEATED: Final = re.compile(r"R(?:[1-9]\d{0,8})?")
_DURATION: Final = re.compile(
    r"P(?:(?P<weeks>\d{1,6})W)?(?:(?P<days>\d{1,6})D)?"
    r"(?:T(?:(?P<hours>\d{1,9})H)?(?:(?P<minutes>\d{1,9})M)?(?:(?P<seconds>\d{1,9}(?:\.\d{1,9})?)S)?)?"
)
_UNIT_MS: Final = {
    "weeks": 604_800_000,
    "days": 86_400_000,
    "hours": 3_600_000,
    "minutes": 60_000,
    "seconds": 1_000,
}


@lru_cache(DURATIONS_CACHED_MAX)
def duration_ms(text: str) -> int:
    """Read an ISO 8601 duration of weeks to seconds, such as ``PT0.5S``; months have no fixed length.

    Raises:
        ExpressionError: the text is no such duration.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None or text.strip().endswith(("P", "T")):
        raise ExpressionError(f"{text[:40]!r} is no ISO 8601 duration such as PT10S.")
    parts = {unit: value for unit, value in found.groupdict().items() if value is not None}
    return int(sum(Decimal(value) * _UNIT_MS[unit] for unit, value in parts.items()))


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a timer is due, and for a cycle how often again after that; -1 without end."""

    due_ms: int
    interval_ms: int = 0
    repetitions: int = 0


def schedule(trigger: TimerTrigger, variables: Mapping[str, Any], now_ms: int) -> Schedule:
    """Compute when a timer is due, in milliseconds since the epoch; what is past is due now.

    Raises:
        ExpressionError: its value is no duration, date, cycle or number, or is too far away.
    """
    value = trigger.value
    found = value if isinstance(value, str) else value(variables, now_ms=now_ms)
    number = number_of(found)
    if isinstance(found, str):
        scheduled = _scheduled(trigger.kind, found.strip(), now_ms)
    elif number is not None and trigger.kind == "duration":
        scheduled = Schedule(now_ms + int(number))
    else:
        raise ExpressionError(f"A timer's value must be a text or a number; it is {type(found).__name__}.")
    if scheduled.due_ms - now_ms > DURATION_MS_MAX:
        raise ExpressionError("A timer runs ten years at most.")
    return Schedule(max(scheduled.due_ms, now_ms), scheduled.interval_ms, scheduled.repetitions)


def _scheduled(kind: str, text: str, now_ms: int) -> Schedule:
    if kind == "date":
        return Schedule(_date_ms(text))
    if kind == "duration":
        return Schedule(now_ms + duration_ms(text))
    repeated, _, interval = text.partition("/")
    if not _REPEATED.fullmatch(repeated):
        raise ExpressionError(f"{text[:40]!r} is no cycle such as R3/PT10S.")
    interval_ms = duration_ms(interval)
    if interval_ms < INTERVAL_MS_MIN:
        raise ExpressionError(f"A cycle's interval has at least {INTERVAL_MS_MIN} ms.")
    repetitions = int(repeated[1:]) - 1 if len(repeated) > 1 else -1
    return Schedule(now_ms + interval_ms, interval_ms, repetitions)


def _date_ms(text: str) -> int:
    try:
        return parse_iso(text)
    except (ValueError, OverflowError) as error:
        raise ExpressionError(f"{text[:40]!r} is no ISO 8601 date-time with an offset.") from error
