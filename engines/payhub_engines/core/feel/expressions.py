"""The way into the language: compile a text once, then call it with variables and, where known, the time."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from payhub_engines.core.feel.builtins import BUILTINS
from payhub_engines.core.feel.compiler import compiled, compiled_tests
from payhub_engines.core.feel.constructs import INPUT
from payhub_engines.core.feel.direct import direct
from payhub_engines.core.feel.display import json_of
from payhub_engines.core.feel.errors import ExpressionError, ExpressionSyntaxError
from payhub_engines.core.feel.evaluation import Compiled, Run, Scope
from payhub_engines.core.feel.parser import parse_expression, parse_unary_tests

T = TypeVar("T")


class Expression(Protocol):
    """A compiled expression."""

    def __call__(self, variables: Mapping[str, Any], /, *, now_ms: int | None = None) -> Any:
        """Compute the value: plain JSON, with dates, times and durations as ISO 8601.

        What is missing or has no meaning gives null, and so do ranges and functions, which are no JSON.

        Args:
            variables: the names that the expression sees.
            now_ms: milliseconds since the epoch, for ``now()`` and ``today()``; without it they are null.

        Raises:
            ExpressionError: a limit was reached, or an ``assert`` of the model failed.
        """


class UnaryTests(Protocol):
    """Compiled unary tests."""

    def __call__(
        self, input_value: object, variables: Mapping[str, Any], /, *, now_ms: int | None = None
    ) -> bool | None:
        """Test a value; null when it cannot be compared. Arguments and errors as of an expression."""


def compile_expression(text: str, names: Iterable[str] = ()) -> Expression:
    """Compile the text of an expression, with or without the leading ``=`` of a model.

    Args:
        text: the expression.
        names: variables with spaces in their names that it may use without backticks.

    Raises:
        ExpressionSyntaxError: the text is no expression, or too large.
    """
    source = text.strip().removeprefix("=")
    node = _compiled(lambda: parse_expression(source, BUILTINS, names))
    expression = _compiled(lambda: compiled(node))

    def evaluate(variables: Mapping[str, Any], /, *, now_ms: int | None = None) -> Any:
        run = Run(now_ms)
        return _computed(source, expression, Scope(variables, run))

    return _compiled(lambda: direct(node, evaluate))


def compile_unary_tests(text: str, names: Iterable[str] = ()) -> UnaryTests:
    """Compile unary tests such as ``< 10, [20..30]`` or ``not("a", "b")``; arguments and errors as above."""
    tests = _compiled(lambda: compiled_tests(parse_unary_tests(text, BUILTINS, names)))

    def evaluate(
        input_value: object, variables: Mapping[str, Any], /, *, now_ms: int | None = None
    ) -> bool | None:
        scope = Scope(variables, Run(now_ms)).inner({INPUT: input_value})
        found = _computed(text, tests, scope)
        return found if isinstance(found, bool) else None

    return evaluate


def _compiled(compile_text: Callable[[], T]) -> T:
    try:
        return compile_text()
    except RecursionError as error:
        raise ExpressionSyntaxError("The expression nests too deep.") from error


def _computed(source: str, expression: Compiled, scope: Scope) -> Any:
    try:
        return json_of(expression(scope), scope.run)
    except RecursionError as error:
        raise ExpressionError(f"{source.strip()!r} nests too deep.") from error
