"""What can be called: functions of the model, and built-ins with checked parameters."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from payhub_engines.core.feel.errors import ExpressionError
from payhub_engines.core.feel.evaluation import Compiled, Run, Scope
from payhub_engines.core.feel.limits import (
    LIST_ITEMS_MAX,
    POWER_MAX,
    SIZE_PER_STEP,
    STRING_CHARS_MAX,
)
from payhub_engines.core.feel.syntax import Type
from payhub_engines.core.feel.type_names import is_instance
from payhub_engines.core.feel.values import Range, number_of

Implementation = TypeVar("Implementation", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Function:
    """A function that the model defines, with the scope it was defined in."""

    parameters: tuple[tuple[str, Type | None], ...]
    body: Compiled
    scope: Scope
    weight: int

    def call(self, arguments: Sequence[Any], names: Sequence[str]) -> Any:
        """Call it; null when the arguments do not fit its parameters."""
        known = [name for name, _ in self.parameters]
        if names:
            if not set(names) <= set(known):
                return None
            given = dict(zip(names, arguments, strict=True))
        elif len(arguments) == len(known):
            given = dict(zip(known, arguments, strict=True))
        else:
            return None
        values = {name: given.get(name) for name in known}
        for name, wanted in self.parameters:
            if wanted is not None and values[name] is not None and not is_instance(values[name], wanted):
                return None
        run = self.scope.run
        run.spend(self.weight)
        return run.nested(lambda: self.body(self.scope.inner(values)))


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a built-in: the names it goes by, the kind of value, and whether it may be missing."""

    names: tuple[str, ...]
    kind: str
    optional: bool
    repeated: bool


@dataclass(frozen=True, slots=True)
class Builtin:
    """A built-in: arguments are checked and converted first, errors of calculation give null."""

    parameters: tuple[Parameter, ...]
    function: Callable[..., Any]
    sees_run: bool

    def call(self, arguments: Sequence[Any], names: Sequence[str], run: Run) -> Any:
        """Call it.

        Raises:
            ExpressionError: the result is too large, or the evaluation takes too long.
        """
        run.spend(1 + sum(_size(argument) for argument in arguments) // SIZE_PER_STEP)
        bound = (
            self._by_name(dict(zip(names, arguments, strict=True))) if names else self._by_place(arguments)
        )
        checked = None if bound is None else self._checked(bound)
        if checked is None:
            return None
        try:
            result = self.function(run, *checked) if self.sees_run else self.function(*checked)
        except (ArithmeticError, ValueError):
            return None
        _check_size(result)
        run.spend(_size(result) // SIZE_PER_STEP)
        return result

    def _by_place(self, arguments: Sequence[Any]) -> list[Any] | None:
        if self.parameters and self.parameters[-1].repeated:
            fixed = len(self.parameters) - 1
            if len(arguments) < fixed:
                return None
            rest = list(arguments[fixed:])
            # The items of one list, or all the arguments: min([1, 2]) is min(1, 2).
            if fixed == 0 and len(rest) == 1 and isinstance(rest[0], list):
                rest = rest[0]
            return [*arguments[:fixed], rest]
        required = sum(not parameter.optional for parameter in self.parameters)
        if not required <= len(arguments) <= len(self.parameters):
            return None
        return [*arguments, *([None] * (len(self.parameters) - len(arguments)))]

    def _by_name(self, given: Mapping[str, Any]) -> list[Any] | None:
        bound: list[Any] = []
        used = 0
        for parameter in self.parameters:
            name = next((name for name in parameter.names if name in given), None)
            used += name is not None
            bound.append(None if name is None else given[name])
        return bound if used == len(given) else None

    def _checked(self, bound: list[Any]) -> list[Any] | None:
        for place, parameter in enumerate(self.parameters):
            value = bound[place]
            if value is None and (parameter.optional or parameter.kind == "any"):
                continue
            converted = _CONVERSIONS[parameter.kind](value)
            if converted is None:
                return None
            bound[place] = converted
        return bound


class Table:
    """The built-ins of one topic, by name."""

    def __init__(self) -> None:
        self.builtins: dict[str, Builtin] = {}

    def add(
        self, names: str, parameters: str = "", *, sees_run: bool = False
    ) -> Callable[[Implementation], Implementation]:
        """Register a function under names that commas separate.

        ``parameters`` reads ``name|other name:kind, name:kind?, name:kind*``: a question mark for what may be
        missing or null, an asterisk for a list that may also be written as separate arguments.
        """
        parsed = tuple(_parameter(text.strip()) for text in parameters.split(",") if text)

        def register(function: Implementation) -> Implementation:
            for name in names.split(","):
                self.builtins[name.strip()] = Builtin(parsed, function, sees_run)
            return function

        return register


def _parameter(text: str) -> Parameter:
    names, _, kind = text.partition(":")
    return Parameter(tuple(names.split("|")), kind.rstrip("?*"), kind.endswith("?"), kind.endswith("*"))


def _integer(value: object) -> int | None:
    number = number_of(value)
    return None if number is None or not -POWER_MAX <= number <= POWER_MAX else int(number)


def _of(*types: type) -> Callable[[Any], Any]:
    return lambda value: value if isinstance(value, types) else None


_CONVERSIONS: Final[dict[str, Callable[[Any], Any]]] = {
    "any": lambda value: value,
    "number": number_of,
    "integer": _integer,
    "string": _of(str),
    "boolean": _of(bool),
    "list": _of(list),
    "context": _of(Mapping),
    "range": _of(Range),
    "function": _of(Function),
}


def _size(value: object) -> int:
    return len(value) if isinstance(value, str | list | Mapping) else 0


def _check_size(value: object) -> None:
    if isinstance(value, str) and len(value) > STRING_CHARS_MAX:
        raise ExpressionError(f"A string may have at most {STRING_CHARS_MAX} characters.")
    if isinstance(value, list | Mapping) and len(value) > LIST_ITEMS_MAX:
        raise ExpressionError(f"A list may have at most {LIST_ITEMS_MAX} items.")
