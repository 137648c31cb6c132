"""What is wrong with a process file: where, what, and what to do about it."""

from dataclasses import dataclass
from typing import Final, Literal

PROBLEMS_MAX: Final = 1_000  # errors of a report, and as many warnings; nobody reads more
EXPRESSION_CHARS_MAX: Final = 128 * 1024  # of all expressions of a file: compiled within some two seconds
EXPRESSION_CHARS_LEAST: Final = 16  # that each expression counts for besides

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong; an error refuses the deployment.

    Attributes:
        code: stable, listed in docs/errors.md.
        element: id of the element or flow; empty where the file as a whole is meant.
        line: where that stands in the file, from 1; 0 where no line is to blame.
    """

    code: str
    detail: str
    element: str = ""
    line: int = 0
    severity: Severity = "error"

    @property
    def is_error(self) -> bool:
        """Tell whether the process cannot be deployed because of it."""
        return self.severity == "error"


class Report:
    """Collects what is wrong, in the order in which it is found, and counts what compiling costs."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._numbers: dict[Severity, int] = {"error": 0, "warning": 0}
        self._chars_left = EXPRESSION_CHARS_MAX

    def add(self, problem: Problem) -> None:
        """Take a problem; beyond ``PROBLEMS_MAX`` of its severity it is dropped."""
        self._numbers[problem.severity] += 1
        if self._numbers[problem.severity] <= PROBLEMS_MAX:
            self.problems.append(problem)

    def may_compile(self, text: str) -> bool:
        """Count an expression; false when the file has more of them than is compiled."""
        self._chars_left -= EXPRESSION_CHARS_LEAST + len(text)
        return self._chars_left >= 0
