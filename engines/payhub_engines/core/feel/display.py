"""Values as text, and as the JSON that variables are made of."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

from payhub_engines.core.feel.errors import ExpressionError
from payhub_engines.core.feel.evaluation import Run
from payhub_engines.core.feel.limits import SIZE_PER_STEP, VALUE_DEPTH_MAX
from payhub_engines.core.feel.temporal import DateTime, DaysTime, Time, YearsMonths
from payhub_engines.core.feel.temporal_text import text_of
from payhub_engines.core.feel.values import Range, number_of, type_of

_TEMPORALS: Final = (date, Time, DateTime, YearsMonths, DaysTime)


def json_of(value: object, run: Run, depth: int = 0) -> Any:
    """Return a value as plain JSON: dates and durations as ISO 8601, ranges and functions as null.

    Raises:
        ExpressionError: it is too large or deep.
    """
    if value is None or isinstance(value, str | bool | int | float | Decimal):
        return value
    _enter(run, depth)
    if isinstance(value, Mapping):
        return {name: json_of(item, run, depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [json_of(item, run, depth + 1) for item in value]
    return text_of(value, iso=True) if isinstance(value, _TEMPORALS) else None


def string_of(value: object, run: Run, depth: int = 0) -> str:
    """Write a value as the language would; strings inside lists and contexts are quoted.

    Raises:
        ExpressionError: it is too large or deep.
    """
    _enter(run, depth)
    if isinstance(value, str):
        run.spend(len(value) // SIZE_PER_STEP)
        return f'"{value}"' if depth else value
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{name}:{string_of(item, run, depth + 1)}" for name, item in value.items()) + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(string_of(item, run, depth + 1) for item in value) + "]"
    if isinstance(value, Range):
        start, end = string_of(value.start, run, depth + 1), string_of(value.end, run, depth + 1)
        return f"{'[' if value.start_included else '('}{start}..{end}{']' if value.end_included else ')'}"
    return _scalar(value)


def _scalar(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    number = number_of(value)
    if number is not None:
        return format(number, "f") if isinstance(number, Decimal) else str(number)
    return text_of(value) if isinstance(value, _TEMPORALS) else type_of(value)


def _enter(run: Run, depth: int) -> None:
    run.spend(1)
    if depth > VALUE_DEPTH_MAX:
        raise ExpressionError(f"Values nest at most {VALUE_DEPTH_MAX} deep.")
