"""What met a defect is tried again, later and later, so that it costs the rest nothing."""

import asyncio
from typing import Final

WAIT_S_MIN: Final = 0.1
WAIT_S_MAX: Final = 60.0
SUBJECTS_MAX: Final = (
    10_000  # that are remembered; of more the oldest is tried again as if for the first time
)


class Retries:
    """How often a subject (timer, message or broadcast, by its key) has failed, and until when it waits."""

    def __init__(self) -> None:
        self._failures: dict[int, tuple[int, float]] = {}  # count and time of the loop

    def failed(self, subject: int) -> int:
        """Note a failure; return how many there have been."""
        count = self._failures.pop(subject, (0, 0.0))[0] + 1
        wait_s = min(WAIT_S_MIN * 2 ** min(count - 1, 16), WAIT_S_MAX)
        self._failures[subject] = (count, asyncio.get_running_loop().time() + wait_s)
        if len(self._failures) > SUBJECTS_MAX:
            del self._failures[next(iter(self._failures))]
        return count

    def done(self, subject: int) -> None:
        """Forget the failures of what has succeeded, or is over."""
        self._failures.pop(subject, None)

    def has_failed(self, subject: int) -> bool:
        """Tell whether it failed the last time."""
        return subject in self._failures

    def held(self) -> set[int]:
        """Return what is not to be tried now."""
        if not self._failures:
            return set()
        now_s = asyncio.get_running_loop().time()
        return {subject for subject, (_, until_s) in self._failures.items() if until_s > now_s}
