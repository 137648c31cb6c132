"""One evaluation: how much it may still do, what time it is, and which names it sees."""

from collections.abc import Callable, Mapping
from typing import Any

from payhub_engines.core.feel.errors import ExpressionError
from payhub_engines.core.feel.limits import CALL_DEPTH_MAX, STEPS_MAX


class Run:
    """The budget and the time of one evaluation; ``now_ms`` is None where no time was given."""

    __slots__ = ("_calls", "_steps_left", "now_ms")

    def __init__(self, now_ms: int | None = None) -> None:
        self.now_ms = now_ms
        self._steps_left = STEPS_MAX
        self._calls = 0

    def spend(self, steps: int) -> None:
        """Take steps off the budget.

        Raises:
            ExpressionError: the budget is used up.
        """
        self._steps_left -= steps
        if self._steps_left < 0:
            raise ExpressionError(f"An evaluation takes at most {STEPS_MAX} steps.")

    def nested(self, call: Callable[[], Any]) -> Any:
        """Make a call of a function of the model.

        Raises:
            ExpressionError: functions call each other too deep.
        """
        self._calls += 1
        if self._calls > CALL_DEPTH_MAX:
            raise ExpressionError(f"Functions call each other at most {CALL_DEPTH_MAX} deep.")
        try:
            return call()
        finally:
            self._calls -= 1


class Scope:
    """Names with their values, and the scope around them."""

    __slots__ = ("around", "names", "run")

    def __init__(self, names: Mapping[str, Any], run: Run, around: "Scope | None" = None) -> None:
        self.names = names
        self.around = around
        self.run = run

    def get(self, name: str) -> Any:
        """Return the value of a name from the innermost scope that has it; null when there is none."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.around
        return None

    def inner(self, names: Mapping[str, Any]) -> "Scope":
        """Return a scope inside this one."""
        return Scope(names, self.run, self)


Compiled = Callable[[Scope], Any]
"""A compiled part of an expression."""
