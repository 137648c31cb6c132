"""Compiles a regular expression to a program for ``pattern``.

Known are literals, the point, classes, the escapes ``d w s p{L} b`` and their opposites, both line ends,
groups, alternatives, and greedy or lazy repetition. There are no back-references and nothing that looks
around: those cannot be matched in time that grows with the text alone.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from payhub_engines.core.feel.limits import DEPTH_MAX, PATTERN_CHARS_MAX, PATTERN_STATES_MAX

Test = Callable[[str], bool]
Place = Callable[[str, int], bool]

_SETS: Final[dict[str, Test]] = {
    "d": lambda sign: "0" <= sign <= "9",
    "w": lambda sign: sign.isascii() and (sign.isalnum() or sign == "_"),
    "s": lambda sign: sign in " \t\n\v\f\r",
}
_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_QUANTIFIERS: Final = {"*": (0, None), "+": (1, None), "?": (0, 1)}


@dataclass(frozen=True, slots=True)
class State:
    """One step of a program: exactly one of its fields beside ``to`` says what it does.

    ``to`` are the states that follow, the preferred one first; a state without any is the end.
    """

    to: tuple[int, ...] = ()
    sign: Test | None = None  # takes one character
    place: Place | None = None  # holds at a place of the text
    save: int | None = None  # remembers the place as the start or end of a group


@dataclass(slots=True)
class Program:
    """States, the first first; ``groups`` counts the brackets, with the whole match as group 0."""

    states: list[State] = field(default_factory=list)
    groups: int = 1

    def add(self, state: State) -> int:
        """Append a state and return its number.

        Raises:
            ValueError: the pattern is too large.
        """
        if len(self.states) >= PATTERN_STATES_MAX:
            raise ValueError("The pattern is too large.")
        self.states.append(state)
        return len(self.states) - 1

    @property
    def end(self) -> int:
        """The number of the state that comes next."""
        return len(self.states)


Emit = Callable[[Program], None]


def program_of(pattern: str, flags: str = "") -> Program:
    """Compile a pattern with flags ``i`` (any case), ``s`` (``.`` takes line ends), ``m`` (lines) and ``x``.

    Raises:
        ValueError: the pattern cannot be understood, or is too large.
    """
    if len(pattern) > PATTERN_CHARS_MAX or not set(flags) <= set("imsx"):
        raise ValueError("The pattern is too long, or a flag is not known.")
    parser = _PatternParser(pattern, flags)
    emit = parser.whole()
    program = Program(groups=parser.groups)
    program.add(State((1,), save=0))
    emit(program)
    program.add(State((program.end + 1,), save=1))
    program.add(State())
    return program


class _PatternParser:
    def __init__(self, pattern: str, flags: str) -> None:
        self._pattern = pattern
        self._flags = flags
        self._at = 0
        self._depth = 0
        self.groups = 1

    def whole(self) -> Emit:
        emit = self._alternatives()
        if self._at < len(self._pattern):
            raise ValueError("A bracket is closed that was not opened.")
        return emit

    @property
    def _next(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _take(self, text: str) -> bool:
        found = self._pattern.startswith(text, self._at)
        self._at += len(text) if found else 0
        return found

    def _advance(self) -> str:
        sign = self._next
        if not sign:
            raise ValueError("The pattern ends too early.")
        self._at += 1
        return sign

    def _alternatives(self) -> Emit:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise ValueError("The pattern nests too deep.")
        branches = [self._sequence()]
        while self._take("|"):
            branches.append(self._sequence())
        self._depth -= 1
        return branches[0] if len(branches) == 1 else _either(branches)

    def _sequence(self) -> Emit:
        parts: list[Emit] = []
        while self._next and self._next not in "|)":
            if "x" in self._flags and self._skip_comment():
                continue
            parts.append(self._quantified(self._atom()))

        def emit(program: Program) -> None:
            for part in parts:
                part(program)

        return emit

    def _skip_comment(self) -> bool:
        if self._next.isspace():
            self._at += 1
            return True
        if self._next == "#":
            end = self._pattern.find("\n", self._at)
            self._at = len(self._pattern) if end < 0 else end + 1
            return True
        return False

    def _quantified(self, emit: Emit) -> Emit:
        while self._next and self._next in "*+?{":
            low, high = self._counts(self._advance())
            if self._next == "+" or (high is not None and high < low):
                raise ValueError("This repetition is not known.")
            emit = _repeat(emit, low, high, lazy=self._take("?"))
            if self._next and self._next in "*+{":
                raise ValueError("A repetition is repeated.")
        return emit

    def _counts(self, sign: str) -> tuple[int, int | None]:
        if sign in _QUANTIFIERS:
            return _QUANTIFIERS[sign]
        text, closed, _ = self._pattern[self._at :].partition("}")
        low, comma, high = text.partition(",")
        if not closed or not low.isdecimal() or not (high.isdecimal() or not high):
            raise ValueError("A repetition is written {2}, {2,} or {2,5}.")
        self._at += len(text) + 1
        return int(low), (int(high) if high else None) if comma else int(low)

    def _atom(self) -> Emit:
        sign = self._advance()
        match sign:
            case "(":
                return self._group()
            case "[":
                return _taking(self._any_case(self._class()))
            case ".":
                return _taking(
                    (lambda _: True) if "s" in self._flags else (lambda found: found not in "\n\r")
                )
            case "^" | "$":
                return _standing(_line_place(sign, lines="m" in self._flags))
            case "\\":
                return self._escape()
            case "*" | "+" | "?" | "{":
                raise ValueError("There is nothing to repeat.")
            case _:
                return _taking(self._any_case(lambda found: found == sign))

    def _group(self) -> Emit:
        if self._take("?:"):
            emit = self._alternatives()
            self._close()
            return emit
        if self._next == "?":
            raise ValueError("Patterns cannot look around or name groups.")
        group, self.groups = self.groups, self.groups + 1
        inner = self._alternatives()
        self._close()

        def save(program: Program) -> None:
            program.add(State((program.end + 1,), save=2 * group))
            inner(program)
            program.add(State((program.end + 1,), save=2 * group + 1))

        return save

    def _close(self) -> None:
        if not self._take(")"):
            raise ValueError("A bracket is not closed.")

    def _escape(self) -> Emit:
        sign = self._advance()
        if sign in "bB":
            return _standing(_word_border if sign == "b" else lambda text, at: not _word_border(text, at))
        return _taking(self._any_case(self._escaped(sign)))

    def _escaped(self, sign: str) -> Test:
        if sign.lower() in _SETS or sign in "pP":
            test = self._property() if sign in "pP" else _SETS[sign.lower()]
            return (lambda found: not test(found)) if sign.isupper() else test
        if sign.isascii() and sign.isalnum() and sign not in _CONTROLS:
            raise ValueError(f"The escape \\{sign} is not known.")
        wanted = _CONTROLS.get(sign, sign)
        return lambda found: found == wanted

    def _property(self) -> Test:
        if not self._take("{"):
            raise ValueError("A property is written \\p{L}.")
        name, closed, _ = self._pattern[self._at :].partition("}")
        if not closed or name[:1] not in set("LMNPSZC") or len(name) > 2:  # noqa: PLR2004 - Unicode's letters
            raise ValueError("Properties are Unicode's categories, such as \\p{L} or \\p{Nd}.")
        self._at += len(name) + 1
        return lambda found: unicodedata.category(found).startswith(name)

    def _class(self) -> Test:
        negated = self._take("^")
        tests: list[Test] = []
        while not (self._next == "]" and tests):
            tests.append(self._class_part())
        self._advance()
        if negated:
            return lambda found: not any(test(found) for test in tests)
        return lambda found: any(test(found) for test in tests)

    def _class_part(self) -> Test:
        first = self._advance()
        if first == "[" or self._pattern.startswith("&&", self._at - 1):
            raise ValueError("Classes inside classes are not known.")
        if first == "\\":
            escape = self._advance()
            if escape.isalpha() and escape not in _CONTROLS:
                return self._escaped(escape)
            first = _CONTROLS.get(escape, escape)
        after = self._pattern[self._at + 1 : self._at + 2]
        if self._next != "-" or not after or after == "]":
            return lambda found: found == first
        self._advance()
        last = self._advance()
        if last == "\\":
            last = self._advance()
        if last < first:
            raise ValueError("A class's range is the wrong way round.")
        return lambda found: first <= found <= last

    def _any_case(self, test: Test) -> Test:
        if "i" not in self._flags:
            return test
        return lambda found: test(found) or test(found.lower()) or test(found.upper())


def _taking(test: Test) -> Emit:
    def emit(program: Program) -> None:
        program.add(State((program.end + 1,), sign=test))

    return emit


def _standing(place: Place) -> Emit:
    def emit(program: Program) -> None:
        program.add(State((program.end + 1,), place=place))

    return emit


def _either(branches: list[Emit]) -> Emit:
    def emit(program: Program) -> None:
        ends: list[int] = []
        for branch in branches[:-1]:
            fork = program.add(State())
            branch(program)
            ends.append(program.add(State()))
            program.states[fork] = State((fork + 1, program.end))
        branches[-1](program)
        for end in ends:
            program.states[end] = State((program.end,))

    return emit


def _repeat(inner: Emit, low: int, high: int | None, *, lazy: bool) -> Emit:
    def ways(into: int, past: int) -> tuple[int, ...]:
        return (past, into) if lazy else (into, past)

    def emit(program: Program) -> None:
        for _ in range(low):
            inner(program)
        forks: list[int] = []
        for _ in range(1 if high is None else high - low):
            forks.append(program.add(State()))
            inner(program)
        if high is None:
            program.add(State((forks[0],)))
        for fork in forks:
            program.states[fork] = State(ways(fork + 1, program.end))

    return emit


def _line_place(sign: str, *, lines: bool) -> Place:
    if sign == "^":
        return lambda text, at: at == 0 or (lines and text[at - 1] == "\n")
    return lambda text, at: at == len(text) or (lines and text[at] == "\n")


def _word_border(text: str, at: int) -> bool:
    is_word = _SETS["w"]
    before = at > 0 and is_word(text[at - 1])
    return before != (at < len(text) and is_word(text[at]))
