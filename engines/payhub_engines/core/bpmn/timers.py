"""When a timer of a model is due: ISO 8601 durations and dates, or milliseconds from now."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from payhub_engines.core.bpmn.model import TimerDefinition
from payhub_engines.core.feel import ExpressionError
from payhub_engines.core.feel.values import number_of
from payhub_platform.clock import parse_iso

DURATION_MS_MAX: Final = 10 * 366 * 86_400_000
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


def due_ms(timer: TimerDefinition, variables: Mapping[str, Any], now_ms: int) -> int:
    """Compute when a timer is due, in milliseconds since the epoch; what is past is due now.

    Raises:
        ExpressionError: its value is no duration, date or number, or is too far away.
    """
    value = timer.value(variables)
    number = number_of(value)
    if isinstance(value, str):
        due = _date_ms(value) if timer.is_date else now_ms + duration_ms(value)
    elif number is not None and not timer.is_date:
        due = now_ms + int(number)
    else:
        raise ExpressionError(f"A timer's value must be a text or a number; it is {type(value).__name__}.")
    if due - now_ms > DURATION_MS_MAX:
        raise ExpressionError("A timer runs ten years at most.")
    return max(due, now_ms)


def _date_ms(text: str) -> int:
    try:
        return parse_iso(text)
    except (ValueError, OverflowError) as error:
        raise ExpressionError(f"{text[:40]!r} is no ISO 8601 date-time with an offset.") from error
