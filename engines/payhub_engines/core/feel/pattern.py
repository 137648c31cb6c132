"""Matches regular expressions in time that grows with text times pattern, whatever the pattern.

All ways through the program are followed at once, in order of preference (Pike's machine), so that there is
nothing to go back to; the result is that of a backtracking matcher.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from payhub_engines.core.feel.evaluation import Run
from payhub_engines.core.feel.limits import SIZE_PER_STEP, STATES_PER_STEP
from payhub_engines.core.feel.pattern_syntax import Program, program_of

Saved = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """Where a pattern was found; groups that took no part are None."""

    text: str
    saved: Saved

    @property
    def start(self) -> int:
        """The place of the first character."""
        return self.saved[0]

    @property
    def end(self) -> int:
        """The place behind the last character."""
        return self.saved[1]

    def group(self, number: int) -> str | None:
        """Return what a group took; 0 is the whole match.

        Raises:
            ValueError: there is no such group.
        """
        if 2 * number >= len(self.saved):
            raise ValueError(f"There is no group {number}.")
        start, end = self.saved[2 * number], self.saved[2 * number + 1]
        return None if end < 0 else self.text[start:end]


class Pattern:
    """A compiled regular expression; its work is taken off the evaluation's budget."""

    def __init__(self, pattern: str, flags: str, run: Run) -> None:
        self._program: Program = program_of(pattern, flags)
        self._run = run
        run.spend(1 + len(self._program.states) // SIZE_PER_STEP)

    def matches(self, text: str) -> Iterator[Match]:
        """Find all places, from left to right, that do not overlap."""
        at = 0
        while at <= len(text):
            found = self.search(text, at)
            if found is None:
                return
            yield found
            at = found.end + (found.end == found.start)

    def search(self, text: str, at: int = 0) -> Match | None:
        """Find the first place from ``at`` on."""
        nothing: Saved = (-1,) * (2 * self._program.groups)
        ways: list[tuple[int, Saved]] = []
        best: Saved | None = None
        for place in range(at, len(text) + 1):
            seen: set[int] = set()
            reached: list[tuple[int, Saved]] = []
            for number, saved in ways:
                self._follow(number, saved, text, place, seen, reached)
            if best is None:
                self._follow(0, nothing, text, place, seen, reached)
            self._run.spend(1 + len(seen) // STATES_PER_STEP)
            ways = []
            for number, saved in reached:
                state = self._program.states[number]
                if state.sign is None:
                    best = saved
                    break  # ways of lower preference do not count any more
                if place < len(text) and state.sign(text[place]):
                    ways.append((state.to[0], saved))
            if not ways and best is not None:
                break
        return None if best is None else Match(text, best)

    def _follow(
        self,
        number: int,
        saved: Saved,
        text: str,
        place: int,
        seen: set[int],
        reached: list[tuple[int, Saved]],
    ) -> None:
        """Add the states that can be reached without taking a character, the preferred first."""
        waiting = [(number, saved)]
        while waiting:
            number, saved = waiting.pop()
            if number in seen:
                continue
            seen.add(number)
            state = self._program.states[number]
            if state.sign is not None or not state.to:
                reached.append((number, saved))
                continue
            if state.place is not None and not state.place(text, place):
                continue
            if state.save is not None:
                saved = (*saved[: state.save], place, *saved[state.save + 1 :])
            waiting.extend((following, saved) for following in reversed(state.to))
