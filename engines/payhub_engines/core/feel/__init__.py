"""FEEL, the expression language of BPMN models: compiled to closures once, bounded, without Python's eval."""

from payhub_engines.core.feel.errors import ExpressionError, ExpressionSyntaxError
from payhub_engines.core.feel.expressions import (
    Expression,
    UnaryTests,
    compile_expression,
    compile_unary_tests,
)

__all__ = [
    "Expression",
    "ExpressionError",
    "ExpressionSyntaxError",
    "UnaryTests",
    "compile_expression",
    "compile_unary_tests",
]
