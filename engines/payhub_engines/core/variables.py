"""Variables are JSON: what enters the log is bounded and means the same when it is read back.

Numbers are integers of 64 bits, or doubles that write the same decimal; money is whole minor units.
"""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from payhub_engines.core.feel import ExpressionError

VARIABLES_UNITS_MAX: Final = 256 * 1024  # UTF-8 bytes of texts, plus eight for every value
DEPTH_MAX: Final = 32
PLAIN_NAMES_MAX: Final = 64
PLAIN_CHARS_MAX: Final = 1_024
UNITS_A_NAME: Final = 16
_PLAIN_INTEGER_MAX: Final = 2**53
_UNITS_PER_VALUE: Final = 8
_INTEGER_MIN: Final = -(2**63)
_INTEGER_MAX: Final = 2**64 - 1


def json_variables(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return variables as plain JSON values.

    Raises:
        ExpressionError: a value that JSON does not know, or too large or deep.
    """
    if plain_units(variables) is not None:
        return dict(variables)
    checker = _Checker()
    checked = checker.value(variables, 0)
    return dict(checked)


def plain_units(variables: Mapping[str, Any]) -> int | None:
    """Return about how many bytes plain variables take, in ``limits.units_of``; None of any others.

    Plain are a few short texts, small numbers and truth values, as most often.
    """
    if len(variables) > PLAIN_NAMES_MAX:
        return None
    units = UNITS_A_NAME * len(variables)
    for name, value in variables.items():
        kind = type(value)
        if kind is str:
            if len(value) > PLAIN_CHARS_MAX or not value.isascii():
                return None
            units += len(value)
        elif kind is int:
            if not -_PLAIN_INTEGER_MAX < value < _PLAIN_INTEGER_MAX:
                return None
        elif kind is not bool and value is not None:
            return None
        if type(name) is not str or len(name) > PLAIN_CHARS_MAX or not name.isascii():
            return None
        units += len(name)
    return units


def assign(target: dict[str, Any], path: tuple[str, ...], value: object, existing: Mapping[str, Any]) -> None:
    """Set ``a.b.c`` in ``target``; contexts on the way start as copies of the existing ones."""
    name = path[0]
    if len(path) == 1:
        target[name] = value
        return
    inner = target.get(name, existing.get(name))
    copied = dict(inner) if isinstance(inner, Mapping) else {}
    target[name] = copied
    assign(copied, path[1:], value, {})


class _Checker:
    def __init__(self) -> None:
        self._units_left = VARIABLES_UNITS_MAX

    def value(self, value: object, depth: int) -> Any:
        self._spend(_UNITS_PER_VALUE)
        if isinstance(value, str):
            return self._text(value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float | Decimal):
            return _number(value)
        if depth >= DEPTH_MAX:
            raise ExpressionError(f"Values nest at most {DEPTH_MAX} deep.")
        if isinstance(value, Mapping):
            return {self._name(name): self.value(item, depth + 1) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item, depth + 1) for item in value]
        raise ExpressionError(f"A value of type {type(value).__name__} is no JSON.")

    def _name(self, name: object) -> str:
        if not isinstance(name, str):
            raise ExpressionError("Names of variables are texts.")
        return self._text(name)

    def _text(self, text: str) -> str:
        try:
            self._spend(len(text) if text.isascii() else len(text.encode()))
        except UnicodeEncodeError as error:
            raise ExpressionError("A text is not valid Unicode.") from error
        # Subclasses, as HTTP libraries have them, cannot be written to the log; their text can.
        return str.__str__(text)

    def _spend(self, units: int) -> None:
        self._units_left -= units
        if self._units_left < 0:
            raise ExpressionError(f"Variables have at most {VARIABLES_UNITS_MAX // 1024} KiB.")


def _number(value: float | Decimal) -> int | float:
    if isinstance(value, int):
        if not _INTEGER_MIN <= value <= _INTEGER_MAX:
            raise ExpressionError("An integer has at most 64 bits.")
        return int(value)
    if not math.isfinite(value):
        raise ExpressionError("A number must be finite.")
    return float(value)
