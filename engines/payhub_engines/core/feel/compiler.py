"""Parses an expression by precedence and compiles it to closures.

Supported: literals, names and paths, comparison, ``and``, ``or``, ``not()``, arithmetic, joining of strings,
``if then else``, lists and contexts. Precedence as in DMN 1.3: or, and, comparison, sum, product, sign, path.
"""

from collections import ChainMap
from collections.abc import Callable, Mapping
from decimal import Decimal, DecimalException
from typing import Any, Final, cast

from payhub_engines.core.feel import values
from payhub_engines.core.feel.errors import ExpressionError, ExpressionSyntaxError
from payhub_engines.core.feel.lexer import Token, string_value, tokens_of

Expression = Callable[[Mapping[str, Any]], Any]
"""Computes a value from variables; null where something is missing, ExpressionError at limits."""

DEPTH_MAX: Final = 32  # of brackets and nested conditions

_KEYWORDS: Final = frozenset("and or not if then else true false null".split())
_CONSTANTS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None}
_COMPARISONS: Final[dict[str, Callable[[int], bool]]] = {
    "<": lambda sign: sign < 0,
    "<=": lambda sign: sign <= 0,
    ">": lambda sign: sign > 0,
    ">=": lambda sign: sign >= 0,
}


def compile_expression(text: str) -> Expression:
    """Compile the text of an expression, with or without the leading ``=`` of a model.

    Raises:
        ExpressionSyntaxError: the text is no expression, or too large.
    """
    source = text.strip().removeprefix("=")
    compiled = _Parser(source).whole()

    def evaluate(variables: Mapping[str, Any]) -> Any:
        try:
            return compiled(variables)
        except (DecimalException, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise ExpressionError(f"{source.strip()!r} cannot be computed: {error}.") from error

    return evaluate


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = tokens_of(source)
        self._index = 0
        self._depth = 0

    def whole(self) -> Expression:
        compiled = self._expression()
        if self._next.kind != "end":
            raise self._unexpected()
        return compiled

    @property
    def _next(self) -> Token:
        return self._tokens[self._index]

    def _advance(self) -> Token:
        token = self._next
        self._index += 1
        return token

    def _take(self, *texts: str) -> str:
        """Take the next token when it is one of these words or signs, else return an empty text."""
        token = self._next
        if token.kind in {"name", "symbol"} and token.text in texts:
            self._index += 1
            return token.text
        return ""

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise self._unexpected(f", {text!r} was expected")

    def _unexpected(self, more: str = "") -> ExpressionSyntaxError:
        token = self._next
        what = "the end" if token.kind == "end" else repr(token.text)
        return ExpressionSyntaxError(f"Unexpected {what} in {self._source.strip()!r}{more}.")

    def _expression(self) -> Expression:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise ExpressionSyntaxError(f"Expressions nest at most {DEPTH_MAX} deep.")
        compiled = self._condition() if self._take("if") else self._disjunction()
        self._depth -= 1
        return compiled

    def _condition(self) -> Expression:
        condition = self._expression()
        self._expect("then")
        then = self._expression()
        self._expect("else")
        otherwise = self._expression()
        return lambda variables: then(variables) if condition(variables) is True else otherwise(variables)

    def _disjunction(self) -> Expression:
        left = self._conjunction()
        while self._take("or"):
            left = _binary(values.disjunction, left, self._conjunction())
        return left

    def _conjunction(self) -> Expression:
        left = self._comparison()
        while self._take("and"):
            left = _binary(values.conjunction, left, self._comparison())
        return left

    def _comparison(self) -> Expression:
        left = self._sum()
        sign = self._take("=", "!=", "<", "<=", ">", ">=")
        if not sign:
            return left
        right = self._sum()
        if sign == "=":
            return _binary(values.equals, left, right)
        if sign == "!=":
            return _binary(lambda a, b: values.negation(values.equals(a, b)), left, right)
        holds = _COMPARISONS[sign]

        def compare(a: object, b: object) -> bool | None:
            order = values.order(a, b)
            return None if order is None else holds(order)

        return _binary(compare, left, right)

    def _sum(self) -> Expression:
        left = self._product()
        while sign := self._take("+", "-"):
            left = _binary(values.add if sign == "+" else _calculation("-"), left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._sign()
        while sign := self._take("*", "/"):
            left = _binary(_calculation(sign), left, self._sign())
        return left

    def _sign(self) -> Expression:
        negative = False
        while self._take("-"):
            negative = not negative
        value = self._path()
        return _binary(_calculation("-"), lambda _: 0, value) if negative else value

    def _path(self) -> Expression:
        value = self._primary()
        while self._take("."):
            token = self._advance()
            if token.kind != "name":
                self._index -= 1
                raise self._unexpected(", a name was expected")
            value = _member(value, token.text)
        return value

    def _primary(self) -> Expression:
        token = self._advance()
        if token.kind == "number":
            return _constant(Decimal(token.text) if "." in token.text else int(token.text))
        if token.kind == "string":
            return _constant(string_value(token.text))
        if token.kind == "name":
            return self._named(token)
        if token.text == "(":
            inner = self._expression()
            self._expect(")")
            return inner
        if token.text == "[":
            return self._list()
        if token.text == "{":
            return self._context()
        self._index -= 1
        raise self._unexpected()

    def _named(self, token: Token) -> Expression:
        name = token.text
        if name in _CONSTANTS:
            return _constant(_CONSTANTS[name])
        if name == "not":
            self._expect("(")
            inner = self._expression()
            self._expect(")")
            return lambda variables: values.negation(inner(variables))
        if name in _KEYWORDS:
            self._index -= 1
            raise self._unexpected()
        if self._next.text == "(" and self._next.kind == "symbol":
            raise ExpressionSyntaxError(f"The function {name!r} is not known.")
        return lambda variables: variables.get(name)

    def _list(self) -> Expression:
        items: list[Expression] = []
        while not self._take("]"):
            if items:
                self._expect(",")
            items.append(self._expression())
        return lambda variables: [item(variables) for item in items]

    def _context(self) -> Expression:
        entries: list[tuple[str, Expression]] = []
        while not self._take("}"):
            if entries:
                self._expect(",")
            token = self._advance()
            if token.kind not in {"name", "string"}:
                self._index -= 1
                raise self._unexpected(", the name of an entry was expected")
            name = string_value(token.text) if token.kind == "string" else token.text
            self._expect(":")
            entries.append((name, self._expression()))

        def build(variables: Mapping[str, Any]) -> dict[str, Any]:
            context: dict[str, Any] = {}
            scope: Mapping[str, Any] = ChainMap(context, cast("dict[str, Any]", variables))
            for name, value in entries:
                context[name] = value(scope)
            return context

        return build


def _constant(value: object) -> Expression:
    return lambda _: value


def _binary(operation: Callable[[Any, Any], Any], left: Expression, right: Expression) -> Expression:
    return lambda variables: operation(left(variables), right(variables))


def _calculation(sign: str) -> Callable[[object, object], Any]:
    return lambda left, right: values.arithmetic(sign, left, right)


def _member(value: Expression, name: str) -> Expression:
    def get(variables: Mapping[str, Any]) -> Any:
        found = value(variables)
        return found.get(name) if isinstance(found, Mapping) else None

    return get
