"""When who was refused should come again: as if those refused stood in a line, at the speed it moves."""

from collections import Counter
from typing import Final

from payhub_engines.consensus.timers import MonotonicClock

RETRY_AFTER_S_MIN: Final = 1
RETRY_AFTER_S_MAX: Final = 30
WINDOW_MS: Final = 1_000
_SPREAD: Final = 0.618  # the golden section: its multiples are spread evenly


class RetryAfter:
    """Tells each refused payment of a tenant a later time than the one before, as many as there are.

    Nobody waits in that line, so that it costs a few numbers for each tenant of the last two seconds. It is
    the tenant's own: who comes again too early makes only the own line longer.
    """

    def __init__(self, clock: MonotonicClock) -> None:
        """Begin.

        Args:
            clock: monotonic milliseconds.
        """
        self._clock = clock
        self._since_ms = clock()
        self._taken: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._taken_before: Counter[str] = Counter()
        self._refused_before: Counter[str] = Counter()

    def take(self, tenant: str) -> None:
        """Note that a payment was taken."""
        self._turn_over()
        self._taken[tenant] += 1

    def refuse(self, tenant: str) -> int:
        """Note that one was refused; return the seconds after which it should come again."""
        self._turn_over()
        self._refused[tenant] += 1
        line = self._refused[tenant] + self._refused_before[tenant]
        moves_a_second = max(self._taken[tenant], self._taken_before[tenant], 1)
        wait_s = RETRY_AFTER_S_MIN + (line - 1) / moves_a_second
        # Up to half as long again, evenly: those that were refused together do not come back together.
        wait_s *= 1 + (line * _SPREAD % 1) / 2
        return min(int(wait_s), RETRY_AFTER_S_MAX)

    def has_refused(self, tenant: str) -> bool:
        """Tell whether one of a tenant was refused in the last second or two."""
        self._turn_over()
        return tenant in self._refused or tenant in self._refused_before

    def _turn_over(self) -> None:
        now_ms = self._clock()
        passed = (now_ms - self._since_ms) // WINDOW_MS
        if passed < 1:
            return
        is_next = passed == 1
        self._taken_before = self._taken if is_next else Counter()
        self._refused_before = self._refused if is_next else Counter()
        self._taken, self._refused = Counter(), Counter()
        self._since_ms += passed * WINDOW_MS
