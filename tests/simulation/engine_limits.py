"""Limits of the simulated payments: added up again from the log, whoever led when it was decided."""

from collections import Counter, defaultdict
from typing import Any, Final

from simulation.raft_checks import SafetyViolationError

from payhub_engines.core.events import (
    AllowanceRefused,
    AllowanceReturned,
    AllowanceTaken,
    InstanceStarted,
    LogEntry,
)
from payhub_engines.core.records import Usage
from payhub_engines.core.state import State
from payhub_engines.core.usage import day_of, find

DAY_MINOR: Final = 900
MEMBER_MINOR: Final = 600
PAYMENTS: Final = 3
LIMITS: Final = {
    "per_payment_minor": 450,
    "per_day_minor": DAY_MINOR,
    "per_member_day_minor": MEMBER_MINOR,
    "velocity_payments": PAYMENTS,
    "velocity_window_ms": 60_000,
}


def limited(payment: str, amount: int) -> dict[str, Any]:
    """Return what a payment that is limited starts with besides."""
    member = f"member-{int(payment[1:]) % 3}"
    return {"limits": LIMITS, "member": member, "money": {"amount": str(amount), "currency": "UGX"}}


class Counted:
    """What counts, by instance; no more of it at any position than the limits allow."""

    def __init__(self, seen: Counter[str]) -> None:
        self._seen = seen
        self._tenants: dict[int, str] = {}
        self._counts: dict[int, AllowanceTaken] = {}

    def take(self, entry: LogEntry) -> None:
        """Take the next entry of the log.

        Raises:
            SafetyViolationError: more counts than a limit allows, or something was counted twice.
        """
        for event in entry.events:
            match event:
                case InstanceStarted():
                    self._tenants[event.instance] = event.tenant
                case AllowanceTaken():
                    if event.instance in self._counts:
                        raise SafetyViolationError(f"{event} is counted twice")
                    self._counts[event.instance] = event
                    self._check(event)
                case AllowanceReturned():
                    self._seen["allowance returned"] += 1
                    del self._counts[event.instance]
                case AllowanceRefused():
                    self._seen["limit reached"] += 1

    def check(self, state: State) -> None:
        """Check that the counters of a state are what the log adds up to."""
        sums: defaultdict[tuple[int, str, str], Counter[str]] = defaultdict(Counter)
        times: defaultdict[tuple[int, str, str], list[int]] = defaultdict(list)
        for instance, event in self._counts.items():
            for member in ("", event.member):
                place = (day_of(event.at_ms), self._tenants[instance], member)
                sums[place][event.currency] += event.minor
                if member:
                    times[place].append(event.at_ms)
        for place, spent in sums.items():
            found = find(state.rows, *place)
            if (found.spent, sorted(found.times)) != (dict(spent), sorted(times[place])):
                raise SafetyViolationError(f"{place} counts {found}, not {Usage(dict(spent), times[place])}")

    def _check(self, taken: AllowanceTaken) -> None:
        tenant, day = self._tenants[taken.instance], day_of(taken.at_ms)
        same = [
            one
            for instance, one in self._counts.items()
            if self._tenants[instance] == tenant and day_of(one.at_ms) == day
        ]
        own = [one for one in same if one.member == taken.member]
        near = [one for one in own if abs(one.at_ms - taken.at_ms) < LIMITS["velocity_window_ms"]]
        told: dict[str, Any] = {"day": _sum(same), "member": _sum(own), "payments": len(near)}
        if told["day"] > DAY_MINOR or told["member"] > MEMBER_MINOR or told["payments"] > PAYMENTS:
            raise SafetyViolationError(f"{taken} is beyond a limit: {told}")


def _sum(taken: list[AllowanceTaken]) -> int:
    return sum(one.minor for one in taken)
