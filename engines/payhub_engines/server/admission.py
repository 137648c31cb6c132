"""Which new payments are taken: as many in flight as are done in good time, fairly between the tenants.

The limit follows the latency of commands by additive increase and multiplicative decrease (AIMD), against
a target in milliseconds. Gradients (Vegas) compare with the latency of an idle engine, which would be
wrong here: a batch that shares one sync takes longer and is cheaper, so that latency grows well before the
engine has too much to do. Where even an idle disk is slow, the target is a multiple of its latency.

Results of jobs, timers, answers and hand-overs are never refused here: they finish what is in flight.
"""

from collections.abc import Callable, Collection
from typing import Final

from payhub_engines.consensus.timers import MonotonicClock
from payhub_engines.core.commands import (
    AcknowledgeHandover,
    Command,
    CompleteJob,
    ContinueBroadcast,
    CorrelateMessage,
    ExpireMessage,
    FailJob,
    FailTimer,
    ForgetInstances,
    PassBroadcastOver,
    StartInstance,
    ThrowJobError,
    TriggerTimer,
)
from payhub_engines.core.state import State
from payhub_platform.errors import UnavailableError

IN_FLIGHT_MAX: Final = 20_000
IN_FLIGHT_MIN: Final = 64  # the limit never falls below: what a batch takes at once costs no time
OVERSHOOT: Final = 2  # tenants below their share are taken beyond the limit, up to this many times the limit
SCHEME_HEADROOM: Final = 2  # messages may begin this many times more, to finish what others have begun
TARGET_MS: Final = 100
TARGET_MS_MAX: Final = 1_000
IDLE_FACTOR: Final = 4  # the target is at least so many times the latency of the idle engine
IDLE_MS: Final = 30_000  # the idle engine's latency is the lowest of this time, and of the one before
WINDOW_MS: Final = 100
WINDOW_SAMPLES_MIN: Final = 8
DECREASE: Final = 0.9
INCREASE: Final = 1.05
TENANTS_MAX: Final = 1_000  # beyond, all have the same share
RETRY_AFTER_S: Final = 1

_OWN: Final = frozenset(
    {
        AcknowledgeHandover,
        CompleteJob,
        ContinueBroadcast,
        ExpireMessage,
        FailJob,
        FailTimer,
        ForgetInstances,
        PassBroadcastOver,
        ThrowJobError,
        TriggerTimer,
    }
)


def headroom_of(command: Command, state: State) -> int:
    """Return how many times the limit may be in flight for a command to be taken; 0: it begins no payment."""
    if isinstance(command, StartInstance):
        return 1
    if not isinstance(command, CorrelateMessage) or not command.callback.start_process or command.origin:
        # What was handed over is acknowledged already and bounded by the other engine's outbox.
        return 0
    callback = command.callback
    is_answer = state.has_subscription(callback.tenant, callback.name, callback.correlation_key)
    return 0 if is_answer else SCHEME_HEADROOM


def is_own(command: Command) -> bool:
    """Tell whether a command is the engine's own: bounded by what it is about, and never refused."""
    return type(command) in _OWN or (isinstance(command, CorrelateMessage) and bool(command.origin))


class Admission:
    """Decides whether a new payment is taken. Knows no tenant by name and keeps nothing about any.

    Attributes:
        limit: how many payments may be in flight: running instances, and those that wait to begin.
        is_disk_low: whether new payments are refused whatever is in flight.
    """

    def __init__(self, clock: MonotonicClock, in_flight_max: int = IN_FLIGHT_MAX) -> None:
        """Begin without a limit but the fixed one: what was seen of an earlier process says nothing.

        Args:
            clock: monotonic milliseconds.
            in_flight_max: what memory and replay are planned for.
        """
        self._clock = clock
        self._in_flight_max = in_flight_max
        self._in_flight_min = min(IN_FLIGHT_MIN, in_flight_max)
        self.limit = in_flight_max
        self.is_disk_low = False
        now_ms = clock()
        self._window_since_ms = now_ms
        self._latency_sum_ms = 0
        self._samples = 0
        self._in_flight_seen: tuple[int, int] | None = None  # least and most, when somebody asked
        self._idle_since_ms = now_ms
        self._idle_ms: tuple[float | None, float | None] = (None, None)  # this time, and the one before
        self._share = 0.0
        self._share_at_ms: int | None = None

    @property
    def target_ms(self) -> float:
        """The latency above which the limit falls."""
        known = [found for found in self._idle_ms if found is not None]
        return min(max(TARGET_MS, IDLE_FACTOR * min(known, default=0)), TARGET_MS_MAX)

    def observe(self, latency_ms: int) -> None:
        """Take note how long a command from outside took until it was committed."""
        self._latency_sum_ms += latency_ms
        self._samples += 1
        now_ms = self._clock()
        if now_ms - self._window_since_ms >= WINDOW_MS and self._samples >= WINDOW_SAMPLES_MIN:
            mean_ms = self._latency_sum_ms / self._samples
            self._note_idle(mean_ms, now_ms)
            self._follow(mean_ms)
            self._window_since_ms = now_ms
            self._latency_sum_ms = self._samples = 0
            self._in_flight_seen = None

    def refusal(
        self, in_flight: int, own: int, all_of: Callable[[], Collection[int]], headroom: int = 1
    ) -> UnavailableError | None:
        """Return why a new payment is refused, or None.

        Args:
            in_flight: payments of all tenants.
            own: those of the tenant that asks.
            all_of: counts them by tenant, those in flight; called a few times a second at most.
            headroom: multiplies the limit.
        """
        if self.is_disk_low:
            detail = "The engine's disk is nearly full: it finishes what runs, and takes no new payments."
            return UnavailableError("disk-nearly-full", detail, retry_after_s=RETRY_AFTER_S)
        least, most = self._in_flight_seen or (in_flight, in_flight)
        self._in_flight_seen = (min(least, in_flight), max(most, in_flight))
        limit = self.limit * headroom
        if in_flight < limit:
            return None
        if in_flight < limit * OVERSHOOT and own < self._share_now(all_of) * headroom:
            return None
        detail = "Too many payments are in flight."
        return UnavailableError("engine-overloaded", detail, retry_after_s=RETRY_AFTER_S)

    def _follow(self, mean_ms: float) -> None:
        if self._in_flight_seen is None:
            return  # nobody asked
        least, most = self._in_flight_seen
        if mean_ms > self.target_ms:
            # All the time beyond the limit, what is in flight is on its way down already; to cut again
            # would only make the way back longer.
            if least <= self.limit:
                self.limit = max(self._in_flight_min, int(min(most, self.limit) * DECREASE))
        elif most * OVERSHOOT >= self.limit:
            self.limit = min(self._in_flight_max, int(self.limit * INCREASE) + 1)

    def _note_idle(self, mean_ms: float, now_ms: int) -> None:
        lowest, before = self._idle_ms
        if now_ms - self._idle_since_ms >= IDLE_MS:
            self._idle_since_ms, lowest, before = now_ms, None, lowest
        self._idle_ms = (mean_ms if lowest is None else min(lowest, mean_ms), before)

    def _share_now(self, all_of: Callable[[], Collection[int]]) -> float:
        now_ms = self._clock()
        if self._share_at_ms is None or now_ms - self._share_at_ms >= WINDOW_MS:
            self._share_at_ms = now_ms
            self._share = max_min_share(all_of(), self.limit)
        return self._share


def max_min_share(wanted: Collection[int], limit: int) -> float:
    """Return the most that each may have so that all have the limit: what small ones leave, others get.

    At least 1, where the limit is; without end where all together want less than the limit.
    """
    if not limit:
        return 0.0
    left, count = limit, len(wanted)
    if count > TENANTS_MAX:
        return max(1.0, limit / count)
    for one in sorted(wanted):
        if one * count >= left:
            return max(1.0, left / count)
        left -= one
        count -= 1
    return float("inf")
