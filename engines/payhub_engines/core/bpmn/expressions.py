"""Attributes of the model that may be expressions."""

from collections.abc import Mapping
from typing import Any

from payhub_engines.core.bpmn.model import Attribute, Value
from payhub_engines.core.bpmn.problems import EXPRESSION_CHARS_MAX, Problem, Report
from payhub_engines.core.feel import ExpressionSyntaxError, compile_expression


def is_expression(text: str) -> bool:
    """Tell whether an attribute is an expression: it begins with ``=``."""
    return text.lstrip().startswith("=")


def value_of(text: str, element: str, line: int, report: Report) -> Attribute:
    """Return an attribute: a static text as it stands, else the compiled expression.

    What cannot be understood is reported, and has no value.
    """
    return expression_of(text, element, line, report) if is_expression(text) else text


def expression_of(text: str, element: str, line: int, report: Report) -> Value:
    """Compile what must be an expression, with or without its ``=``; reports as above."""
    if not report.may_compile(text):
        detail = f"The expressions of a file have at most {EXPRESSION_CHARS_MAX} characters together."
        report.add(Problem("file-too-large", detail, element, line))
        return constant(None)
    try:
        return compile_expression(text)
    except ExpressionSyntaxError as error:
        report.add(Problem("expression-syntax", error.detail, element, line))
        return constant(None)


def constant(value: object) -> Value:
    """Return an expression that always has this value."""

    def evaluate(_: Mapping[str, Any], /, *, now_ms: int | None = None) -> Any:  # noqa: ARG001 - a Value
        return value

    return evaluate
