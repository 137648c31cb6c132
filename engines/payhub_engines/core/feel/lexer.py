"""Splits an expression's text into tokens."""

import re
from typing import Final, NamedTuple

from payhub_engines.core.feel.errors import ExpressionSyntaxError
from payhub_engines.core.feel.limits import TEXT_CHARS_MAX, TOKENS_MAX

# White space is DMN 1.5's (grammar rules 61 and 62): Python's and three more.
_SPACE: Final = re.compile(r"(?:[\s\u180e\u200b\ufeff]|//[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)*")
_TOKEN: Final = re.compile(
    r"""
      (?P<number>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)
    | (?P<string>"(?:[^"\\]|\\.)*")
    | (?P<quoted>`[^`]+`)
    | (?P<name>(?:[^\W\d]|\$)[\w$]*)
    | (?P<symbol>!=|<=|>=|\*\*|\.\.|->|[-=<>+*/().,\[\]{}:?@])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{6}|.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"} | {sign: sign for sign in "\"\\'/"}
_PATTERN_ESCAPES: Final = frozenset("dDwWsSpP.()[]{}*+?|^$-")
"""Stay as they are, as in Camunda: patterns are written "\\d+" without doubled backslashes."""


class Token(NamedTuple):
    """One word of an expression; ``at`` and ``end`` are its place in the text, from 0."""

    kind: str  # number, string, quoted, name, symbol or end
    text: str
    at: int
    end: int


def tokens_of(text: str) -> list[Token]:
    """Split a text; the last token is of kind ``end``.

    Raises:
        ExpressionSyntaxError: a character that the language does not know, or too much text.
    """
    if len(text) > TEXT_CHARS_MAX:
        raise ExpressionSyntaxError(f"An expression has at most {TEXT_CHARS_MAX} characters.")
    tokens: list[Token] = []
    at = _after_space(text, 0)
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise ExpressionSyntaxError(f"Unexpected {text[at : at + 10].strip()!r} in {text.strip()!r}.")
        tokens.append(Token(found.lastgroup, found[0], at, found.end()))
        if len(tokens) > TOKENS_MAX:
            raise ExpressionSyntaxError(f"An expression has at most {TOKENS_MAX} words and signs.")
        at = _after_space(text, found.end())
    tokens.append(Token("end", "", at, at))
    return tokens


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def string_value(quoted: str) -> str:
    """Read a string literal with its escapes.

    Raises:
        ExpressionSyntaxError: an escape that the language does not know, or half a surrogate pair.
    """
    if "\\" not in quoted:
        return quoted[1:-1]

    def replace(found: re.Match[str]) -> str:
        name = found[1]
        if len(name) > 1:
            return chr(int(name[1:], 16))
        if name in _PATTERN_ESCAPES:
            return found[0]
        if name not in _ESCAPES:
            raise ExpressionSyntaxError(f"Unknown escape \\{name} in {quoted}.")
        return _ESCAPES[name]

    try:
        text = _ESCAPE.sub(replace, quoted[1:-1])
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except ValueError as error:
        raise ExpressionSyntaxError(f"{quoted} is not valid Unicode.") from error
