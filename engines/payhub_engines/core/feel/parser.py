"""Parses the text of an expression by precedence; DMN 1.5, chapter 10.3.1, with Camunda's liberties.

From weak to strong: or, and, comparison, sum, product, power, sign, then path, filter and call. A power is
left-associative and a sign binds closer, as in the grammar of DMN: ``-2 ** 2`` is 4.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Final

from payhub_engines.core.feel import syntax
from payhub_engines.core.feel.constructs import INPUT, KEYWORDS, ConstructParser, Parsed
from payhub_engines.core.feel.errors import ExpressionSyntaxError
from payhub_engines.core.feel.lexer import string_value
from payhub_engines.core.feel.syntax import Node
from payhub_engines.core.feel.temporal_text import temporal_of
from payhub_engines.core.feel.tokens import PROPERTIES
from payhub_engines.core.feel.values import number_from

_CONSTANTS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None}
_COMPARISONS: Final = ("=", "!=", "<", "<=", ">", ">=")
_SIGNS: Final = (("+", "-"), ("*", "/"), ("**",))  # weak to strong


def parse_expression(source: str, builtins: Collection[str], names: Iterable[str] = ()) -> Node:
    """Parse a text; ``names`` are variables that are known, for names with spaces.

    Raises:
        ExpressionSyntaxError: it is no expression, or too large.
    """
    parser = _Parser(source, builtins, names)
    return parser.whole(parser.expression)


def parse_unary_tests(source: str, builtins: Collection[str], names: Iterable[str] = ()) -> syntax.Tests:
    """Parse a text as unary tests; parameters and errors as ``parse_expression``."""
    parser = _Parser(source, builtins, names)
    return parser.whole(parser.unary_tests)


class _Parser(ConstructParser):
    def whole(self, parse: Callable[[], Parsed]) -> Parsed:
        """Parse the text to its end."""
        parsed = parse()
        if self.tokens.next.kind != "end":
            raise self.tokens.unexpected()
        return parsed

    def disjunction(self) -> Node:
        left = self._conjunction()
        while self.tokens.take("or"):
            left = syntax.Logic("or", left, self._conjunction())
        return left

    def _conjunction(self) -> Node:
        left = self._comparison()
        while self.tokens.take("and"):
            left = syntax.Logic("and", left, self._comparison())
        return left

    def _comparison(self) -> Node:
        return self._compared(self.arithmetic())

    def _compared(self, left: Node) -> Node:
        sign = self.tokens.take(*_COMPARISONS)
        if sign:
            return syntax.Comparison(sign, left, self.arithmetic())
        if self.tokens.take("between"):
            low = self.arithmetic()
            self.tokens.expect("and")
            return syntax.Between(left, low, self.arithmetic())
        if self.tokens.take_words(("instance", "of")):
            return syntax.InstanceOf(left, self.type())
        if self.tokens.take("in"):
            before = set(self.seen)
            tests = self._in_tests()
            self.seen = before | (self.seen - {INPUT})
            return syntax.In(left, tests)
        return left

    def arithmetic(self, level: int = 0) -> Node:
        if level == len(_SIGNS):
            return self._signed()
        left = self.arithmetic(level + 1)
        while sign := self.tokens.take(*_SIGNS[level]):
            left = syntax.Arithmetic(sign, left, self.arithmetic(level + 1))
        return left

    def _signed(self) -> Node:
        negative = False
        while self.tokens.take("-"):
            negative = not negative
        value = self._with_postfix(self._primary())
        return syntax.Negative(value) if negative else value

    def _with_postfix(self, base: Node) -> Node:
        while True:
            if self.tokens.take("."):
                name = self.tokens.take_known(PROPERTIES | self.known_names())
                base = syntax.Path(base, name or self.tokens.take_name())
            elif self.tokens.is_next("(") and isinstance(base, syntax.Path | syntax.Call | syntax.FunctionOf):
                base = self._call(base, "")
            elif self.tokens.is_next("[") and (not self.ends_range or self.tokens.starts_value()):
                base = self._filter(base)
            else:
                return base

    def _filter(self, base: Node) -> Node:
        self.tokens.expect("[")
        self.filters += 1
        condition, weight = self.weighed({"item"})
        self.filters -= 1
        self.tokens.expect("]")
        return syntax.Filter(base, condition, weight)

    def _primary(self) -> Node:
        token = self.tokens.next
        if token.kind == "name":
            return self._word()
        if token.kind == "quoted":
            return self._named(self.tokens.take_name())
        if token.kind == "number":
            return self._number()
        if token.kind == "string":
            return syntax.Literal(string_value(self.tokens.advance().text))
        return self._symbol()

    def _number(self) -> Node:
        token = self.tokens.advance()
        number = number_from(token.text)
        if number is None:
            raise ExpressionSyntaxError(f"{token.text} has too many digits.")
        return syntax.Literal(number)

    def _symbol(self) -> Node:
        match self.tokens.take("(", "[", "{", "]", "@", INPUT):
            case "(":
                return self._with_call(self.group_or_range())
            case "[":
                return self.list_or_range()
            case "{":
                return self.context()
            case "]":
                return self.range_from(self.arithmetic(), included=False)
            case "@":
                if self.tokens.next.kind != "string":
                    raise self.tokens.unexpected(", a date, time or duration in quotes was expected")
                return syntax.Literal(temporal_of(string_value(self.tokens.advance().text)))
            case sign if sign:
                self.seen.add(INPUT)
                return syntax.Name(INPUT)
            case _:
                raise self.tokens.unexpected()

    def _with_call(self, group: Node) -> Node:
        """A function in brackets is called at once: ``(function(a) a + 1)(2)``."""
        return self._call(group, "") if self.tokens.is_next("(") else group

    def _word(self) -> Node:
        called = self.tokens.take_known(self.builtins, called=True)
        if called:
            return self._named_call(called)
        known = self.tokens.take_known(self.known_names())
        if known:
            return self._named(known)
        word = self.tokens.next.text
        if word in self.builtins and self.tokens.after_next.text == "(":
            return self._named(self.tokens.advance().text)
        if word not in KEYWORDS:
            return self._named(self.tokens.take_name())
        return self._keyword(word)

    def _keyword(self, word: str) -> Node:
        if word in _CONSTANTS:
            self.tokens.advance()
            return syntax.Literal(_CONSTANTS[word])
        match self.tokens.take("if", "for", "some", "every", "function"):
            case "if":
                return self.condition()
            case "for":
                return self.loop()
            case "some" | "every":
                return self.quantified(word)
            case "function":
                return self.function()
            case _:
                raise self.tokens.unexpected()

    def _named(self, name: str) -> Node:
        if self.tokens.is_next("("):
            return self._named_call(name)
        self.seen.add(name)
        return syntax.Name(name)

    def _named_call(self, name: str) -> Node:
        if self.knows(name):
            self.seen.add(name)
            return self._call(syntax.Name(name), name)
        if name not in self.builtins:
            raise ExpressionSyntaxError(f"The function {name!r} is not known.")
        return self._call(None, name)

    def _call(self, function: Node | None, name: str) -> Node:
        self.tokens.expect("(")
        arguments: list[Node] = []
        names: list[str] = []
        by_name = self.tokens.is_named()
        while not self.tokens.take(")"):
            if arguments:
                self.tokens.expect(",")
            if by_name:
                names.append(self.tokens.take_spaced_name())
                self.tokens.expect(":")
            arguments.append(self.expression())
        if len(set(names)) != len(names):
            raise ExpressionSyntaxError(f"A parameter is given twice in {self.tokens.source.strip()!r}.")
        return syntax.Call(function, name, tuple(arguments), tuple(names))

    def unary_tests(self) -> syntax.Tests:
        """Parse ``-``, tests with commas between them, or ``not(tests)``."""
        if self.tokens.next.text == "-" and self.tokens.after_next.kind == "end":
            self.tokens.advance()
            return syntax.Tests(())
        if self.tokens.take_words(("not", "(")):
            tests = self._tests()
            self.tokens.expect(")")
            return syntax.Tests(tests, negated=True)
        return syntax.Tests(self._tests())

    def _tests(self) -> tuple[syntax.InputComparison | syntax.InputValue, ...]:
        tests = [self._test(self.expression)]
        while self.tokens.take(","):
            tests.append(self._test(self.expression))
        return tuple(tests)

    def _test(self, parse: Callable[[], Node]) -> syntax.InputComparison | syntax.InputValue:
        sign = self.tokens.take(*_COMPARISONS)
        if sign:
            return syntax.InputComparison(sign, self.arithmetic())
        node, seen = self.watched(parse)
        return syntax.InputValue(node, INPUT in seen)

    def _in_operand(self) -> Node:
        """Parse a test without brackets; only one that names the input goes on to a comparison."""
        node, seen = self.watched(self.arithmetic)
        return self._compared(node) if INPUT in seen else node

    def _in_tests(self) -> syntax.Tests:
        if not self.tokens.take("("):
            return syntax.Tests((self._test(self._in_operand),))
        first = self._test(self.expression)
        if self.tokens.is_next("..") and isinstance(first, syntax.InputValue):
            return syntax.Tests(
                (syntax.InputValue(self.range_from(first.value, included=False), first.sees_input),)
            )
        tests = (first, *self._tests()) if self.tokens.take(",") else (first,)
        self.tokens.expect(")")
        return syntax.Tests(tests)
