"""Parses what begins with a word or bracket of its own: conditions, loops, functions, lists, ranges."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable
from typing import Final, TypeVar

from payhub_engines.core.feel import syntax
from payhub_engines.core.feel.errors import ExpressionSyntaxError
from payhub_engines.core.feel.limits import DEPTH_MAX
from payhub_engines.core.feel.syntax import Node
from payhub_engines.core.feel.tokens import TokenReader
from payhub_engines.core.feel.type_names import TYPE_WORDS, WITH_INSIDE

_WORDS: Final = "and or not if then else true false null for in return some every satisfies function between"
KEYWORDS: Final = frozenset([*_WORDS.split(), "instance"])
INPUT: Final = "?"
"""The name of the value that unary tests look at."""

Parsed = TypeVar("Parsed")


class ConstructParser(ABC):
    """The part of the parser that knows names and nesting; ``arithmetic`` and ``expression`` come on top."""

    def __init__(self, source: str, builtins: Collection[str], names: Iterable[str] = ()) -> None:
        self.tokens = TokenReader(source)
        self.builtins = builtins
        self.seen: set[str] = set()  # names of variables since the last look
        self.scopes: list[set[str]] = [set(names)]
        self.filters = 0  # inside a filter any name may be one of the item's
        self.ends_range = False  # the next opening bracket may close a range
        self._depth = 0

    @abstractmethod
    def arithmetic(self) -> Node:
        """Parse an operand of a comparison."""

    @abstractmethod
    def disjunction(self) -> Node:
        """Parse what ``or`` joins, the weakest operator."""

    def expression(self) -> Node:
        """Parse an expression inside brackets or behind a word; the only way to nest.

        Raises:
            ExpressionSyntaxError: it is none, or too deep.
        """
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise ExpressionSyntaxError(f"Expressions nest at most {DEPTH_MAX} deep.")
        ends_range, self.ends_range = self.ends_range, False
        node = self.disjunction()
        self.ends_range = ends_range
        self._depth -= 1
        return node

    def knows(self, name: str) -> bool:
        """Tell whether a name is, or inside a filter may be, a variable's."""
        return self.filters > 0 or any(name in scope for scope in self.scopes)

    def known_names(self) -> set[str]:
        """Return the names of all variables that are known here."""
        return set().union(*self.scopes)

    def within(self, names: Iterable[str], parse: Callable[[], Parsed]) -> Parsed:
        """Parse something that sees more names."""
        self.scopes.append(set(names))
        parsed = parse()
        self.scopes.pop()
        return parsed

    def watched(self, parse: Callable[[], Parsed]) -> tuple[Parsed, set[str]]:
        """Parse something and tell which names it sees."""
        before, self.seen = self.seen, set()
        parsed = parse()
        inside = self.seen
        self.seen = before | inside
        return parsed, inside

    def weighed(self, names: Iterable[str]) -> tuple[Node, int]:
        """Parse an expression that sees more names and is computed many times; count its tokens."""
        start = self.tokens.place
        node = self.within(names, self.expression)
        return node, self.tokens.place - start

    def condition(self) -> Node:
        """Parse behind ``if``."""
        condition = self.expression()
        self.tokens.expect("then")
        then = self.expression()
        self.tokens.expect("else")
        return syntax.If(condition, then, self.expression())

    def loop(self) -> Node:
        """Parse behind ``for``."""
        iterations, names = self._iterations()
        self.tokens.expect("return")
        (body, weight), seen = self.watched(lambda: self.weighed([*names, "partial"]))
        return syntax.For(iterations, body, "partial" in seen, weight)

    def quantified(self, word: str) -> Node:
        """Parse behind ``some`` or ``every``."""
        iterations, names = self._iterations()
        self.tokens.expect("satisfies")
        return syntax.Quantified(word, iterations, *self.weighed(names))

    def _iterations(self) -> tuple[tuple[syntax.Iteration, ...], list[str]]:
        iterations: list[syntax.Iteration] = []
        names: list[str] = []
        while not iterations or self.tokens.take(","):
            name = self._until("in")
            values = self.within(names, self.arithmetic)
            last = self.within(names, self.arithmetic) if self.tokens.take("..") else None
            iterations.append(syntax.Iteration(name, values, last))
            names.append(name)
        return tuple(iterations), names

    def _until(self, word: str) -> str:
        """Take a name of one or more words, and the word behind it."""
        words = [self.tokens.take_name(KEYWORDS)]
        while self.tokens.next.kind == "name" and not self.tokens.is_next(word):
            words.append(self.tokens.take_name(KEYWORDS))
        self.tokens.expect(word)
        return " ".join(words)

    def function(self) -> Node:
        """Parse behind ``function``."""
        self.tokens.expect("(")
        parameters: list[tuple[str, syntax.Type | None]] = []
        while not self.tokens.take(")"):
            if parameters:
                self.tokens.expect(",")
            name = self.tokens.take_spaced_name()
            parameters.append((name, self.type() if self.tokens.take(":") else None))
        if self.tokens.is_next("external"):
            raise self.tokens.unexpected(", functions are written in the language itself")
        return syntax.FunctionOf(tuple(parameters), *self.weighed(name for name, _ in parameters))

    def type(self) -> syntax.Type:
        """Parse the name of a type."""
        for words, name in TYPE_WORDS.items():
            if self.tokens.take_words(words):
                if name not in WITH_INSIDE or not self.tokens.take("<"):
                    return syntax.Type(name)
                inside = self.type()
                self.tokens.expect(">")
                return syntax.Type(name, inside)
        raise self.tokens.unexpected(", the name of a type was expected")

    def context(self) -> Node:
        """Parse behind an opening brace."""
        entries: list[tuple[str, Node]] = []
        self.scopes.append(set())
        while not self.tokens.take("}"):
            if entries:
                self.tokens.expect(",")
            key = self.tokens.take_key()
            self.tokens.expect(":")
            self.scopes[-1].add(key)
            entries.append((key, self.expression()))
        self.scopes.pop()
        return syntax.ContextOf(tuple(entries))

    def list_or_range(self) -> Node:
        """Parse behind an opening square bracket."""
        if self.tokens.take("]"):
            return syntax.ListOf(())
        items = [self.expression()]
        if self.tokens.is_next(".."):
            return self.range_from(items[0], included=True)
        while not self.tokens.take("]"):
            self.tokens.expect(",")
            items.append(self.expression())
        return syntax.ListOf(tuple(items))

    def group_or_range(self) -> Node:
        """Parse behind an opening round bracket."""
        inner = self.expression()
        if self.tokens.is_next(".."):
            return self.range_from(inner, included=False)
        self.tokens.expect(")")
        return inner

    def range_from(self, start: Node, *, included: bool) -> Node:
        """Parse a range from its two points on."""
        self.tokens.expect("..")
        before, self.ends_range = self.ends_range, True
        end = self.arithmetic()
        self.ends_range = before
        bracket = self.tokens.expect("]", ")", "[")
        return syntax.RangeOf(start, end, included, bracket == "]")
