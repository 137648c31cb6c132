"""Splits an expression's text into tokens."""

import re
from typing import Final, NamedTuple

from payhub_engines.core.feel.errors import ExpressionSyntaxError

TEXT_CHARS_MAX: Final = 4_096
TOKENS_MAX: Final = 400  # bounds how deep the compiled closures can nest

_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<number>\d+(?:\.\d+)?|\.\d+)
    | (?P<string>"(?:[^"\\]|\\.)*")
    | (?P<name>[A-Za-z_]\w*)
    | (?P<symbol>!=|<=|>=|[-=<>+*/().,\[\]{}:])
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "'": "'", "/": "/"}


class Token(NamedTuple):
    """One word of an expression; ``at`` is its place in the text, from 0."""

    kind: str  # number, string, name, symbol or end
    text: str
    at: int


def tokens_of(text: str) -> list[Token]:
    """Split a text; the last token is of kind ``end``.

    Raises:
        ExpressionSyntaxError: a character that the language does not know, or too much text.
    """
    if len(text) > TEXT_CHARS_MAX:
        raise ExpressionSyntaxError(f"An expression has at most {TEXT_CHARS_MAX} characters.")
    tokens: list[Token] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise ExpressionSyntaxError(f"Unexpected {text[at : at + 10].strip()!r} in {text.strip()!r}.")
        kind = found.lastgroup
        tokens.append(Token(kind, found[kind], found.start(kind)))
        if len(tokens) > TOKENS_MAX:
            raise ExpressionSyntaxError(f"An expression has at most {TOKENS_MAX} words and signs.")
        at = found.end()
    tokens.append(Token("end", "", end))
    return tokens


def string_value(quoted: str) -> str:
    """Read a string literal with its escapes.

    Raises:
        ExpressionSyntaxError: an escape that the language does not know.
    """

    def replace(found: re.Match[str]) -> str:
        name = found[1]
        if len(name) > 1:
            return chr(int(name[1:], 16))
        if name not in _ESCAPES:
            raise ExpressionSyntaxError(f"Unknown escape \\{name} in {quoted}.")
        return _ESCAPES[name]

    return _ESCAPE.sub(replace, quoted[1:-1])
