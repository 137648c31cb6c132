"""The circuit breaker of one bank: a pure state machine, given the time with each call.

```
             FAILURES_TO_OPEN in a row               the wait is over
   CLOSED ─────────────────────────────▶ OPEN ─────────────────────────▶ PROBING
      ▲                                   ▲       one call may go out       │
      │                                   └────────── it fails ─────────────┤
      └─────────────────────────────── it is answered ──────────────────────┘
```
"""

from enum import StrEnum
from typing import Final

import msgspec

FAILURES_TO_OPEN: Final = 5
WAIT_FIRST_MS: Final = 1_000
WAIT_MAX_MS: Final = 30_000  # doubled with each failed probe up to this
PROBE_WAIT_MS: Final = 500  # when others may ask again while one call tries the bank


class Circuit(StrEnum):
    """Where a breaker is."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


class Admission(msgspec.Struct, frozen=True):
    """Whether a call may go out; where not, how long to wait."""

    wait_ms: int = 0
    is_probe: bool = False


_ADMITTED: Final = Admission()
_PROBE: Final = Admission(is_probe=True)


class Breaker:
    """Leaves a bank alone that does not answer, and tries it with one call at a time.

    Only the probe closes or reopens an open circuit: calls that went out before it opened end in any
    order, and say nothing new.
    """

    def __init__(self) -> None:
        self.circuit = Circuit.CLOSED
        self._failures = 0
        self._wait_ms = WAIT_FIRST_MS
        self._until_ms = 0

    def admit(self, now_ms: int) -> Admission:
        """Ask to call the bank; who is admitted tells how it ended, exactly once."""
        wait_ms = self.wait_ms(now_ms)
        if wait_ms:
            return Admission(wait_ms=wait_ms)
        if self.circuit is Circuit.CLOSED:
            return _ADMITTED
        self.circuit = Circuit.PROBING
        return _PROBE

    def wait_ms(self, now_ms: int) -> int:
        """Return how long nobody is admitted; 0 where somebody is."""
        if self.circuit is Circuit.CLOSED:
            return 0
        if self.circuit is Circuit.PROBING:
            return PROBE_WAIT_MS
        # A clock that was set back must not shut a bank out for longer than was meant.
        self._until_ms = min(self._until_ms, now_ms + self._wait_ms)
        return max(0, self._until_ms - now_ms)

    def answered(self, admission: Admission) -> None:
        """The bank has answered, whatever it said."""
        if self.circuit is Circuit.CLOSED or admission.is_probe:
            self.circuit = Circuit.CLOSED
            self._failures = 0
            self._wait_ms = WAIT_FIRST_MS

    def failed(self, admission: Admission, now_ms: int) -> None:
        """The bank has not answered, or only that it cannot."""
        if admission.is_probe:
            self._wait_ms = min(self._wait_ms * 2, WAIT_MAX_MS)
            self._open(now_ms)
        elif self.circuit is Circuit.CLOSED:
            self._failures += 1
            if self._failures >= FAILURES_TO_OPEN:
                self._open(now_ms)

    def abandoned(self, admission: Admission) -> None:
        """The call was given up before it could end; another one may probe at once."""
        if admission.is_probe:
            self.circuit = Circuit.OPEN

    def _open(self, now_ms: int) -> None:
        self.circuit = Circuit.OPEN
        self._failures = 0
        self._until_ms = now_ms + self._wait_ms
