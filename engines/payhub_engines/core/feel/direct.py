"""A short way for what models ask most: a variable, a path, comparisons of them, their ``and`` and ``or``.

Such an expression needs no budget and no scope as long as its values are plain. Where one is not, the general
way computes it; so both always give the same.
"""

import operator
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import NoneType
from typing import Any, Final, Protocol

from payhub_engines.core.feel import syntax
from payhub_engines.core.feel.syntax import Node

_UNDECIDED: Final[Any] = object()
"""What a short way gives where only the general way knows."""

_PLAIN: Final = frozenset({str, bool, int, float, Decimal, NoneType})
"""Types of variables that are JSON already."""
_EQUATED: Final = frozenset({str, bool, int})
_ORDERED: Final = frozenset({str, int})
_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_Short = Callable[[Mapping[str, Any]], Any]


class Evaluate(Protocol):
    """Computes an expression's value from variables, and the time where it is known."""

    def __call__(self, variables: Mapping[str, Any], /, *, now_ms: int | None = None) -> Any:
        """Compute it."""


def direct(node: Node, general: Evaluate) -> Evaluate:
    """Return the short way to an expression's value if it has one, else the general way."""
    if isinstance(node, syntax.Name):
        return _variable(node.name, general)
    short = _short(node)
    if short is None or isinstance(node, syntax.Literal):
        return general

    def evaluate(variables: Mapping[str, Any], /, *, now_ms: int | None = None) -> Any:
        value = short(variables)
        # What is undecided is not plain either.
        return value if type(value) in _PLAIN else general(variables, now_ms=now_ms)

    return evaluate


def _variable(name: str, general: Evaluate) -> Evaluate:
    def evaluate(variables: Mapping[str, Any], /, *, now_ms: int | None = None) -> Any:
        value = variables.get(name)
        return value if type(value) in _PLAIN else general(variables, now_ms=now_ms)

    return evaluate


def _short(node: Node) -> _Short | None:
    match node:
        case syntax.Literal(value=value) if type(value) in _PLAIN:
            return lambda _: value
        case syntax.Name(name=name):
            return lambda variables: variables.get(name)
        case syntax.Path():
            return _path(node)
        case syntax.Comparison():
            return _comparison(node)
        case syntax.Logic():
            return _logic(node)
        case _:
            return None


def _path(node: syntax.Path) -> _Short | None:
    names = [node.name]
    base: Node = node.base
    while isinstance(base, syntax.Path):
        names.append(base.name)
        base = base.base
    if not isinstance(base, syntax.Name):
        return None
    first, rest = base.name, tuple(reversed(names))

    def follow(variables: Mapping[str, Any]) -> Any:
        value = variables.get(first)
        for name in rest:
            if type(value) is not dict:
                return _UNDECIDED
            value = value.get(name)
        return value

    return follow


def _comparison(node: syntax.Comparison) -> _Short | None:
    left = _short(node.left)
    if left is None or isinstance(node.left, syntax.Comparison | syntax.Logic):
        return None
    if isinstance(node.right, syntax.Literal):
        return _with_literal(left, node.sign, node.right.value)
    right = _short(node.right)
    if right is None or isinstance(node.right, syntax.Comparison | syntax.Logic):
        return None
    if node.sign in _ORDERS:
        compare, types = _ORDERS[node.sign], _ORDERED
    else:
        compare, types = (operator.eq if node.sign == "=" else operator.ne), _EQUATED

    def test(variables: Mapping[str, Any]) -> Any:
        a, b = left(variables), right(variables)
        return compare(a, b) if type(a) is type(b) and type(a) in types else _UNDECIDED

    return test


def _with_literal(left: _Short, sign: str, literal: Any) -> _Short | None:
    """Compare with a text, number or boolean that stands in the expression."""
    kind = type(literal)
    if sign in _ORDERS:
        compare = _ORDERS[sign]
        if kind not in _ORDERED:
            return None

        def test_order(variables: Mapping[str, Any]) -> Any:
            value = left(variables)
            return compare(value, literal) if type(value) is kind else _UNDECIDED

        return test_order
    wanted = sign == "="
    if literal is None:
        return _with_null(left, wanted=wanted)
    if kind not in _EQUATED:
        return None

    def test(variables: Mapping[str, Any]) -> Any:
        value = left(variables)
        if type(value) is kind:
            return (value == literal) is wanted
        return not wanted if value is None else _UNDECIDED  # nothing but null is equal to null

    return test


def _with_null(left: _Short, *, wanted: bool) -> _Short:
    def test(variables: Mapping[str, Any]) -> Any:
        value = left(variables)
        return _UNDECIDED if value is _UNDECIDED else (value is None) is wanted

    return test


def _logic(node: syntax.Logic) -> _Short | None:
    """Decide a chain; long ones do not nest."""
    steps: list[tuple[bool, _Short]] = []
    left: Node = node
    while isinstance(left, syntax.Logic):
        operand = _short(left.right)
        if operand is None:
            return None
        steps.append((left.word == "or", operand))
        left = left.left
    start = _short(left)
    if start is None:
        return None
    steps.reverse()

    def decide(variables: Mapping[str, Any]) -> Any:
        result = start(variables)
        for decisive, operand in steps:
            if result is not decisive:
                if result is not (not decisive):
                    return _UNDECIDED
                result = operand(variables)
        return result if result is True or result is False else _UNDECIDED

    return decide
