"""Whether an engine that did not answer is asked again. Pure: the time is given.

Closed: every call is made. After some calls in a row without an answer it is open, and calls fail at once
instead of each waiting its full time. When it has been open long enough one call tries: it closes the
breaker, or opens it for twice as long.
"""

from typing import Final

FAILURES_MAX: Final = 5
OPEN_S: Final = 0.5
OPEN_MAX_S: Final = 4.0


class CircuitBreaker:
    """One of each engine. A call that ``begin`` allows ends in ``succeeded``, ``failed`` or ``gave_up``."""

    def __init__(self) -> None:
        self._failures = 0
        self._open_s = OPEN_S
        self._open_until_s: float | None = None
        self._is_trying = False

    def begin(self, now_s: float) -> float:
        """Return 0 where a call may be made now, else the seconds after which one may be."""
        if self._open_until_s is None:
            return 0.0
        if self._is_trying:
            return OPEN_S
        if now_s < self._open_until_s:
            return self._open_until_s - now_s
        self._is_trying = True
        return 0.0

    def succeeded(self) -> None:
        """The engine answered, whatever it said."""
        self._failures = 0
        self._open_s = OPEN_S
        self._open_until_s = None
        self._is_trying = False

    def failed(self, now_s: float) -> None:
        """No replica answered for the engine."""
        self._failures += 1
        if self._is_trying:
            self._open_s = min(2 * self._open_s, OPEN_MAX_S)
        elif self._open_until_s is not None or self._failures < FAILURES_MAX:
            return  # a call from before it opened
        self._open_until_s = now_s + self._open_s
        self._is_trying = False

    def gave_up(self) -> None:
        """The caller went away before there was an answer: nothing is known of the engine."""
        self._is_trying = False
