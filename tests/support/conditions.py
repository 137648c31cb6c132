"""Finds variables for which conditions hold and others do not: what a scripted worker answers.

The values tried for a variable are those that the process compares it with, their neighbours and null.
What is not found this way is not proved impossible.
"""

import re
from functools import cache

from payhub_engines.core.feel import compile_expression

WORDS = frozenset(
    "true false null and or not if then else some every in satisfies for return between".split()
)
_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?!\w*\()")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.])")
_BOUND = re.compile(r"\b(?:some|every|for)\s+(\w+)\s+in\s+([\w.]+)")
_compiled = cache(compile_expression)

Constraint = tuple[str, bool]
"""A condition's text, and whether it is to be true; what is not to be true may be false or null."""


def names(text):
    """Return the variables of an expression, as dotted paths."""
    bound = {match[0] for match in _BOUND.findall(text)}
    found = _NAME.findall(_TEXT.sub("", text))
    return sorted(set(found) - WORDS - bound)


def nested(values):
    """Turn dotted paths into contexts."""
    result = {}
    for path, value in values.items():
        *outer, last = path.split(".")
        place = result
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = value
    return result


class Conditions:
    """The conditions of one process."""

    def __init__(self, texts):
        self._candidates = {}
        self._solved = {}
        for text in texts:
            for name in names(text):
                found = self._candidates.setdefault(name, [])
                found += [value for value in _candidates(text, name) if not _among(value, found)]
        for found in self._candidates.values():
            found.append(None)

    def solve(self, constraints):
        """Return values by dotted path that meet all constraints, or None where none were found."""
        wanted = frozenset(constraints)
        if wanted not in self._solved:
            ordered = sorted(wanted)
            variables = list(dict.fromkeys(name for text, _ in ordered for name in names(text)))
            self._solved[wanted] = self._search(ordered, variables, {})
        return self._solved[wanted]

    def _search(self, constraints, variables, values):
        known = [item for item in constraints if all(name in values for name in names(item[0]))]
        if not all(holds(text, values) is wanted for text, wanted in known):
            return None
        left = [item for item in constraints if item not in known]
        if not variables:
            return values
        name, *others = variables
        for candidate in self._candidates[name]:
            found = self._search(left, others, {**values, name: candidate})
            if found is not None:
                return found
        return None


def holds(text, values):
    """Tell whether a condition is true."""
    return _compiled(text)(nested(values)) is True


def _candidates(text, name):
    if any(name == collection for _, collection in _BOUND.findall(text)):
        return [[0], [100]]
    words = set(re.findall(r"\w+", _TEXT.sub("", text)))
    texts, numbers = _TEXT.findall(text), [int(number) for number in _NUMBER.findall(text)]
    found = [near for number in numbers for near in (number, number - 1, number + 1)]
    found += [*texts, "other"] if texts else []
    found += [True, False] if words & {"true", "false"} or not found else []
    # Two variables that are compared with each other need values of their own.
    found += [0, 1, 2] if len(names(text)) > 1 or _BOUND.search(text) else []
    return found


def _among(value, found):
    return any(value is other or (type(value) is type(other) and value == other) for other in found)
