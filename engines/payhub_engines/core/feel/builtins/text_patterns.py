"""Built-ins of strings that take a regular expression; a pattern that cannot be understood gives null."""

import re
from typing import Final

from payhub_engines.core.feel.errors import ExpressionError
from payhub_engines.core.feel.evaluation import Run
from payhub_engines.core.feel.functions import Table
from payhub_engines.core.feel.limits import STRING_CHARS_MAX
from payhub_engines.core.feel.pattern import Match, Pattern

TABLE: Final = Table()

_REFERENCE: Final = re.compile(r"\\(.)|\$(\d)|([$\\])", re.DOTALL)


@TABLE.add("matches", "input:string, pattern:string, flags:string?", sees_run=True)
def _matches(run: Run, text: str, pattern: str, flags: str | None) -> bool:
    return Pattern(pattern, flags or "", run).search(text) is not None


@TABLE.add("replace", "input:string, pattern:string, replacement:string, flags:string?", sees_run=True)
def _replace(run: Run, text: str, pattern: str, replacement: str, flags: str | None) -> str:
    """Replace all matches; ``$1`` in the replacement stands for what the first group took."""
    parts: list[str] = []
    at = size = 0
    for match in Pattern(pattern, flags or "", run).matches(text):
        replaced = _written(replacement, match)
        parts += [text[at : match.start], replaced]
        at = match.end
        size += len(replaced)
        if size > STRING_CHARS_MAX:
            raise ExpressionError(f"A string may have at most {STRING_CHARS_MAX} characters.")
    return "".join([*parts, text[at:]])


def _written(replacement: str, match: Match) -> str:
    def reference(found: re.Match[str]) -> str:
        if found[3]:
            raise ValueError("A dollar sign stands before the number of a group.")
        return found[1] or match.group(int(found[2])) or ""

    return _REFERENCE.sub(reference, replacement)


@TABLE.add("split", "string:string, delimiter:string", sees_run=True)
def _split(run: Run, text: str, delimiter: str) -> list[str]:
    parts: list[str] = []
    at = 0
    for match in Pattern(delimiter, "", run).matches(text):
        if match.end > 0:  # an empty match at the beginning splits nothing off
            parts.append(text[at : match.start])
            at = match.end
    return [*parts, text[at:]]


@TABLE.add("extract", "input:string, pattern:string", sees_run=True)
def _extract(run: Run, text: str, pattern: str) -> list[str]:
    return [text[match.start : match.end] for match in Pattern(pattern, "", run).matches(text)]
