"""Reads tokens one after the other, and the names that several of them can make."""

from collections.abc import Iterable, Mapping

from payhub_engines.core.feel.errors import ExpressionSyntaxError
from payhub_engines.core.feel.lexer import Token, string_value, tokens_of
from payhub_engines.core.feel.limits import NAME_WORDS_MAX

PROPERTIES = frozenset({"time offset", "start included", "end included"})
"""Names with spaces behind a point."""


class TokenReader:
    """A place in the tokens of a text."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._tokens = tokens_of(source)
        self._index = 0

    @property
    def place(self) -> int:
        """How many tokens were taken."""
        return self._index

    @property
    def next(self) -> Token:
        """The token that comes next."""
        return self._tokens[self._index]

    @property
    def after_next(self) -> Token:
        """The token behind the next; the end when there is none."""
        return self._tokens[min(self._index + 1, len(self._tokens) - 1)]

    def advance(self) -> Token:
        """Take the next token."""
        token = self.next
        self._index += token.kind != "end"
        return token

    def is_next(self, *texts: str) -> bool:
        """Tell whether the next token is one of these words or signs."""
        return self.next.kind in {"name", "symbol"} and self.next.text in texts

    def take(self, *texts: str) -> str:
        """Take the next token when it is one of these words or signs, else return an empty text."""
        return self.advance().text if self.is_next(*texts) else ""

    def expect(self, *texts: str) -> str:
        """Take one of these words or signs.

        Raises:
            ExpressionSyntaxError: something else comes next.
        """
        taken = self.take(*texts)
        if not taken:
            raise self.unexpected(f", {texts[0]!r} was expected")
        return taken

    def unexpected(self, more: str = "") -> ExpressionSyntaxError:
        """Return the error that tells what comes next."""
        token = self.next
        what = "the end" if token.kind == "end" else repr(token.text)
        return ExpressionSyntaxError(f"Unexpected {what} in {self.source.strip()!r}{more}.")

    def words(self) -> list[str]:
        """Return the words that come next, as far as they could be one name with spaces."""
        found: list[str] = []
        for token in self._tokens[self._index : self._index + NAME_WORDS_MAX]:
            if token.kind != "name":
                break
            found.append(token.text)
        return found

    def take_known(self, names: Iterable[str] | Mapping[str, object], *, called: bool = False) -> str:
        """Take the longest name of several words that is known, with ``called`` only before ``(``."""
        words = self.words()
        for count in range(len(words), 1, -1):
            name = " ".join(words[:count])
            if name in names and (not called or self._tokens[self._index + count].text == "("):
                self._index += count
                return name
        return ""

    def take_words(self, words: tuple[str, ...]) -> bool:
        """Take these words and signs when they come next."""
        coming = self._tokens[self._index : self._index + len(words)]
        if tuple(token.text for token in coming) != words or any(token.kind == "string" for token in coming):
            return False
        self._index += len(words)
        return True

    def take_name(self, keywords: frozenset[str] = frozenset()) -> str:
        """Take a name that may be quoted by backticks.

        Raises:
            ExpressionSyntaxError: something else comes next, or a keyword.
        """
        token = self.next
        if token.kind == "quoted":
            return self.advance().text[1:-1]
        if token.kind != "name" or token.text in keywords:
            raise self.unexpected(", a name was expected")
        return self.advance().text

    def take_spaced_name(self) -> str:
        """Take a name of a parameter or variable: all words that follow each other."""
        if self.next.kind != "name":
            return self.take_name()
        words = self.words()
        self._index += len(words)
        return " ".join(words)

    def take_key(self) -> str:
        """Take the key of a context's entry, up to its colon: a string, or a name with spaces and signs.

        Raises:
            ExpressionSyntaxError: something else comes next.
        """
        if self.next.kind == "string":
            return string_value(self.advance().text)
        if self.next.kind == "quoted":
            return self.take_name()
        if self.next.kind != "name":
            raise self.unexpected(", the name of an entry was expected")
        start = end = self.advance()
        while self.next.kind in {"name", "number"} or self.is_next("+", "-", "*", "/", "**", ".", "?"):
            end = self.advance()
        return " ".join(self.source[start.at : end.end].split())

    def is_named(self) -> bool:
        """Tell whether a parameter's name and its colon come next."""
        return self._tokens[self._index + len(self.words())].text == ":" and bool(self.words())

    def starts_value(self) -> bool:
        """Tell whether the token behind the next can begin a value."""
        token = self.after_next
        if token.kind in {"number", "string", "quoted"}:
            return True
        if token.kind == "name":
            return token.text not in {"and", "or", "then", "else", "return", "satisfies", "in", "between"}
        return token.text in {"(", "[", "{", "-", "@", "?", "<", "<=", ">", ">="}
