"""The types that ``instance of`` and the parameters of functions name."""

from typing import Final

from payhub_engines.core.feel.syntax import Type
from payhub_engines.core.feel.values import Range, type_of

TYPE_WORDS: Final[dict[tuple[str, ...], str]] = {
    ("years", "and", "months", "duration"): "years and months duration",
    ("days", "and", "time", "duration"): "days and time duration",
    ("year", "-", "month", "-", "duration"): "years and months duration",
    ("day", "-", "time", "-", "duration"): "days and time duration",
    ("date", "and", "time"): "date and time",
    ("date", "time"): "date and time",
} | {(name,): name for name in "number string boolean date time list context range function null Any".split()}
"""Longer names come first, so that they are tried first."""

WITH_INSIDE: Final = frozenset({"list", "range"})


def is_instance(value: object, wanted: Type) -> bool:
    """Tell whether a value is of a type; null is of no type but null's own."""
    if wanted.name == "Any":
        return value is not None
    if type_of(value) != wanted.name:
        return False
    if wanted.inside is None:
        return True
    if isinstance(value, Range):
        return is_instance(value.start, wanted.inside) and is_instance(value.end, wanted.inside)
    return isinstance(value, list) and all(is_instance(item, wanted.inside) for item in value)
