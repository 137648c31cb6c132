"""FEEL, the expression language of BPMN models: compiled to closures once, bounded, without Python's eval."""

from payhub_engines.core.feel.compiler import compile_expression
from payhub_engines.core.feel.errors import ExpressionError, ExpressionSyntaxError

__all__ = ["ExpressionError", "ExpressionSyntaxError", "compile_expression"]
