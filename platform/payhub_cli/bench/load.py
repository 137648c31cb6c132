"""What the client is to send, and what became of it. Knows no socket and no clock."""

import heapq
import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

RAMP_S: Final = 1.0  # a closed loop fills within this time: begun at once, all would move in step for ever
RUDE_RETRY_S: Final = 0.1
RETRY_SPREAD: Final = 0.5  # a client comes again up to so much later than it was told, as clients should
OPEN_IN_FLIGHT_MAX: Final = 20_000  # beyond, what is due in an open loop waits in the client; its time runs
_GOLDEN: Final = 0.618  # multiples of the golden section are spread evenly


@dataclass(frozen=True, slots=True)
class Plan:
    """Payments of one tenant.

    Attributes:
        prefix: of the payments' ids; no two plans of a log share it.
        in_flight: closed loop: so many at once, each end begins the next.
        rate: open loop where above 0: payments a second, whatever the engine does.
        offset_s: open loop: when the first is due, so that several loads do not move in step.
        is_rude: sends what was refused again ten times a second, whatever Retry-After says.
        seconds: how long new ones are begun; what is under way then is finished.
        payments_max: how many at most.
    """

    prefix: str
    tenant: str
    seconds: float
    in_flight: int = OPEN_IN_FLIGHT_MAX
    rate: float = 0.0
    payments_max: float = math.inf
    offset_s: float = 0.0
    is_rude: bool = False


@dataclass(slots=True)
class Load:
    """A plan under way; times are seconds of one monotonic clock.

    Attributes:
        due_at: payments under way, and when each was (to be) begun.
        accepted: all that the engine has committed itself to.
        latencies_ms: from due to completed, of each that has ended.
    """

    plan: Plan
    began_at: float = 0.0
    last_at: float = 0.0  # when the last one ended
    due_at: dict[str, float] = field(default_factory=dict)
    accepted: set[str] = field(default_factory=set)
    latencies_ms: "array[float]" = field(default_factory=lambda: array("d"))
    refusals: int = 0
    _begun: int = 0
    _again: list[tuple[float, str]] = field(default_factory=list)  # heap: when to send it, what was refused

    @property
    def completed(self) -> int:
        """How many have ended."""
        return len(self.latencies_ms)

    @property
    def seconds(self) -> float:
        """From the beginning to the end of the last payment."""
        return max(self.last_at - self.began_at, 0.0)

    def begin(self, now: float) -> None:
        """Note when the load begins."""
        self.began_at = self.last_at = now

    def is_over(self, now: float) -> bool:
        """Tell whether no new payments are begun any more."""
        return now - self.began_at >= self.plan.seconds or self._begun >= self.plan.payments_max

    def is_done(self, now: float) -> bool:
        """Tell whether nothing is under way and nothing will be."""
        return not self.due_at and self.is_over(now)

    def take_due(self, now: float) -> list[str]:
        """Return the ids of the payments to send now; their times run from when they were due."""
        plan, elapsed_s = self.plan, now - self.began_at
        left = min(plan.in_flight - len(self.due_at), plan.payments_max - self._begun)
        if plan.rate <= 0:
            if self.is_over(now):
                return []
            ramp = math.ceil(plan.in_flight * elapsed_s / RAMP_S) - len(self.due_at)
            return self._begin([now] * int(min(left, ramp)))
        # An open loop owes what was due so far, also what it could not send in time.
        due = math.ceil((min(elapsed_s, plan.seconds) - plan.offset_s) * plan.rate)
        first_at = self.began_at + plan.offset_s
        numbers = range(self._begun, self._begun + int(min(left, due - self._begun)))
        return self._begin([first_at + number / plan.rate for number in numbers])

    def refuse(self, payment: str, retry_after_s: float, now: float) -> None:
        """Note that a payment was refused."""
        self.refusals += 1
        spread = self.refusals * _GOLDEN % 1 * RETRY_SPREAD
        wait_s = RUDE_RETRY_S if self.plan.is_rude else retry_after_s * (1 + spread)
        heapq.heappush(self._again, (now + wait_s, payment))

    def take_again(self, now: float) -> list[str]:
        """Return the ids to send again now of those refused; after the load's time they are let go."""
        again = self._again
        if again and now - self.began_at >= self.plan.seconds:
            for _, payment in again:
                self.due_at.pop(payment, None)
            again.clear()
        found = []
        while again and again[0][0] <= now:
            _, payment = heapq.heappop(again)
            if payment in self.due_at:
                found.append(payment)
        return found

    def complete(self, payment: str, now: float) -> None:
        """Note that a payment has ended; what is told twice counts once."""
        due = self.due_at.pop(payment, None)
        if due is not None:
            self.latencies_ms.append((now - due) * 1000)
            self.last_at = now

    def _begin(self, times: Sequence[float]) -> list[str]:
        found = []
        for due_at in times:
            self._begun += 1
            payment = f"{self.plan.prefix}-{self._begun}"
            self.due_at[payment] = due_at
            found.append(payment)
        return found


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least ``percent`` of all are not above (nearest rank).

    Args:
        values: in order, the smallest first.
        percent: 0 to 100.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("No values have no percentile.")
    return values[max(math.ceil(len(values) * percent / 100), 1) - 1]
