"""The generic cell rate algorithm (ITU-T I.371): one number says how much of a rate is left. Pure.

The number is the theoretical arrival time: when the next request would come if all came evenly. A request is
admitted while that is no more than a burst ahead of now. There are no windows, so there are no edges of
windows at which twice the rate passes, and how long to wait is known exactly.
"""

from typing import Final

import msgspec

SECOND_NS: Final = 1_000_000_000
WHOLE_PPM: Final = 1_000_000


class Rate(msgspec.Struct, frozen=True):
    """How often, and how many at once.

    Attributes:
        interval_ns: time in which one request is earned.
        burst: how many may have been earned and not used, at least 1.
    """

    interval_ns: int
    burst: int

    @classmethod
    def of(cls, per_s: int, burst: int, share_ppm: int = WHOLE_PPM) -> "Rate":
        """Return a share of a rate; rounded so that shares together are no more than the whole.

        A share always has a burst of 1, or it could admit nothing at all.
        """
        interval_ns = -(-SECOND_NS * WHOLE_PPM // (per_s * share_ppm))
        return cls(interval_ns, max(1, burst * share_ppm // WHOLE_PPM))


class Step(msgspec.Struct, frozen=True):
    """What became of one request.

    Attributes:
        admitted: whether it may pass.
        arrival_ns: the theoretical arrival time from now on.
        remaining: how many more may pass at once.
        wait_ns: until one may pass; 0 where ``remaining`` is not 0.
        full_ns: until the whole burst may pass.
    """

    admitted: bool
    arrival_ns: int
    remaining: int
    wait_ns: int
    full_ns: int


def step(rate: Rate, arrival_ns: int, now_ns: int, *, take: bool = True) -> Step:
    """Admit a request or refuse it; without ``take`` only tell how things stand."""
    ahead_ns = max(arrival_ns - now_ns, 0)
    room_ns = rate.burst * rate.interval_ns - ahead_ns
    admitted = take and room_ns >= rate.interval_ns
    if admitted:
        ahead_ns += rate.interval_ns
        room_ns -= rate.interval_ns
    remaining = max(room_ns, 0) // rate.interval_ns
    wait_ns = 0 if remaining else rate.interval_ns - room_ns
    return Step(admitted, now_ns + ahead_ns, remaining, wait_ns, ahead_ns)


def at_another_rate(old: Rate, new: Rate, arrival_ns: int, now_ns: int) -> int:
    """Return the theoretical arrival time when the rate changes: nobody gains a request by that."""
    left_ns = old.burst * old.interval_ns - max(arrival_ns - now_ns, 0)
    kept_ns = min(left_ns * new.interval_ns // old.interval_ns, new.burst * new.interval_ns)
    return now_ns + new.burst * new.interval_ns - kept_ns
