"""Which new payments are taken: as many in flight as are done in good time, fairly between the tenants.

The limit follows the latency of commands against a target in milliseconds. It falls by Little's law: what is
in flight is the rate times the latency, so half as much takes half as long. It grows by a part of itself.
Gradients (Vegas) compare with the latency of an idle engine, which would be wrong here: a batch that shares
one sync takes longer and is cheaper, so that latency grows well before the engine has too much to do. Where
even an idle disk is slow, the target is a multiple of its latency.

What was taken is never refused any more, and shares every batch. So while some tenants have more in flight
than is done in good time, and others little, batches are bounded too (``is_crowded``, ``Rounds``).

Results of jobs, timers, answers and hand-overs are never refused here: they finish what is in flight.
"""

import math
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
from payhub_engines.server.retry_after import RetryAfter
from payhub_platform.errors import UnavailableError

IN_FLIGHT_MAX: Final = 20_000
IN_FLIGHT_FIRST: Final = 1_000  # the limit of a process that knows nothing yet; or twice what runs already
IN_FLIGHT_MIN: Final = (
    256  # the limit never falls below: one batch takes it, and small tenants need their share
)
OVERSHOOT: Final = 2  # up to so many times the fixed limit, tenants below their share are taken beyond any
BINDING: Final = 2  # the limit binds, and may grow, where so many times what is in flight is above it
SCHEME_HEADROOM: Final = 2  # messages may begin this many times more, to finish what others have begun
TARGET_MS: Final = 100
TARGET_MS_MAX: Final = 1_000
IDLE_FACTOR: Final = 4  # the target is at least so many times the latency of the idle engine
IDLE_MS: Final = 30_000  # the idle engine's latency is the lowest of this time, and of the one before
WINDOW_MS: Final = 100
WINDOW_SAMPLES_MIN: Final = 8
SLOW_WINDOWS: Final = 5  # so many in a row are no hiccup of disk or machine; with other tenants one counts
DECREASE_MIN: Final = 0.5  # of the limit is left at least, however long commands took
INCREASE: Final = 1.05
TENANTS_MAX: Final = 1_000  # beyond, all have the same share
SMALL: Final = 4  # a tenant is small that has less in flight than its share divided by this, and none refused
CROWDED_MS: Final = 1_000  # batches stay bounded so long after a small tenant and a full engine were seen
DISK_RETRY_AFTER_S: Final = 10

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
    """Decides whether a new payment is taken, and when who was refused should come again.

    Attributes:
        limit: how many payments may be in flight: running instances, and those that wait to begin.
        is_disk_low: whether new payments are refused whatever is in flight.
    """

    def __init__(
        self,
        clock: MonotonicClock,
        in_flight_max: int = IN_FLIGHT_MAX,
        oldest_start_ms: Callable[[], int | None] = lambda: None,
    ) -> None:
        """Begin with a limit that binds only a flood: what was seen of an earlier process says nothing.

        Args:
            clock: monotonic milliseconds.
            in_flight_max: what memory and replay are planned for.
            oldest_start_ms: tells when the new payment came that waits longest.
        """
        self._clock = clock
        self._oldest_start_ms = oldest_start_ms
        self._in_flight_max = in_flight_max
        self._in_flight_min = min(IN_FLIGHT_MIN, in_flight_max)
        self.limit = min(IN_FLIGHT_FIRST, in_flight_max)
        self.is_disk_low = False
        now_ms = clock()
        self._window_since_ms = now_ms
        self._latency_sum_ms = 0
        self._samples = 0
        self._in_flight_seen: tuple[int, int] | None = None  # least and most, when somebody asked
        self._is_first = True
        self._has_others = False  # several tenants were in flight, in this window
        self._slow_windows = 0  # in a row, in which commands took too long
        self._idle_since_ms = now_ms
        self._idle_ms: tuple[float | None, float | None] = (None, None)  # this time, and the one before
        self._share = 0.0
        self._largest = 0  # of the tenants' counts, when the share was last computed
        self._share_at_ms: int | None = None
        self._full_at_ms: int | None = None  # last time that more was there than is done in good time
        self._small_at_ms: int | None = None  # last time that a small tenant began a payment then
        self._retry_after = RetryAfter(clock)

    @property
    def target_ms(self) -> float:
        """The latency above which the limit falls."""
        known = [found for found in self._idle_ms if found is not None]
        return min(max(TARGET_MS, IDLE_FACTOR * min(known, default=0)), TARGET_MS_MAX)

    @property
    def is_crowded(self) -> bool:
        """Whether some have more in flight than is done in good time, while small tenants go on.

        Where all have alike, however much, nobody would gain by small batches, and all would lose.
        """
        if self._full_at_ms is None or self._small_at_ms is None:
            return False
        return self._clock() - min(self._full_at_ms, self._small_at_ms) < CROWDED_MS

    def observe(self, latency_ms: int) -> None:
        """Take note how long a command from outside took until it was committed."""
        self._latency_sum_ms += latency_ms
        self._samples += 1
        now_ms = self._clock()
        if now_ms - self._window_since_ms >= WINDOW_MS and self._samples >= WINDOW_SAMPLES_MIN:
            mean_ms = self._latency_sum_ms / self._samples
            self._note_idle(mean_ms, now_ms)
            # Of a tenant that has its turn rarely few are done, so that what still waits counts as well.
            oldest_ms = self._oldest_start_ms()
            self._follow(max(mean_ms, 0 if oldest_ms is None else now_ms - oldest_ms))
            self._window_since_ms = now_ms
            self._latency_sum_ms = self._samples = 0
            self._in_flight_seen = None
            self._has_others = False

    def note_full(self) -> None:
        """Take note that the engine decides most of its time, or soon will."""
        self._full_at_ms = self._clock()

    def note_taken(self, tenant: str) -> None:
        """Take note that a new payment of a tenant waits to be decided."""
        self._retry_after.take(tenant)

    def is_flooding(self, tenant: str) -> bool:
        """Tell whether payments of a tenant were refused in the last second or two."""
        return self._retry_after.has_refused(tenant)

    def refusal(
        self,
        in_flight: int,
        own: int,
        all_of: Callable[[], Collection[int]],
        headroom: int = 1,
        tenant: str = "",
    ) -> UnavailableError | None:
        """Return why a new payment is refused, or None.

        Args:
            in_flight: payments of all tenants.
            own: those of the tenant that asks.
            all_of: counts them by tenant, those in flight; called a few times a second at most.
            headroom: multiplies the limit.
            tenant: who asks.
        """
        if self.is_disk_low:
            detail = "The engine's disk is nearly full: it finishes what runs, and takes no new payments."
            return UnavailableError("disk-nearly-full", detail, retry_after_s=DISK_RETRY_AFTER_S)
        self._look(in_flight, own, all_of, tenant)
        limit = self.limit * headroom
        if in_flight < limit:
            return None
        # Those below their share have little more than the limit together. A multiple of the limit would
        # refuse them too, when it has just fallen and a flood is still on its way down.
        most = self._in_flight_max * OVERSHOOT * headroom
        if in_flight < most and own < self._share_now(in_flight, all_of) * headroom:
            return None
        detail = "Too many payments are in flight."
        return UnavailableError("engine-overloaded", detail, retry_after_s=self._retry_after.refuse(tenant))

    def _look(self, in_flight: int, own: int, all_of: Callable[[], Collection[int]], tenant: str) -> None:
        """Take note of what is in flight, and of who asks while it is much."""
        if self._is_first:
            # What runs when a process begins to lead was taken in good time by an earlier one.
            self._is_first = False
            self.limit = min(max(self.limit, in_flight * BINDING), self._in_flight_max)
        least, most = self._in_flight_seen or (in_flight, in_flight)
        self._in_flight_seen = (min(least, in_flight), max(most, in_flight))
        self._has_others = self._has_others or own < in_flight
        if in_flight < self._in_flight_min and self._full_at_ms is None:
            return
        now_ms = self._clock()
        if in_flight >= self.limit:
            self._full_at_ms = now_ms
        has_little = own < in_flight and own * SMALL < min(self._share_now(in_flight, all_of), self._largest)
        # A flood has little too, at times: what was refused waits outside.
        if has_little and not self.is_flooding(tenant):
            self._small_at_ms = now_ms

    def _follow(self, latency_ms: float) -> None:
        if self._in_flight_seen is None:
            return  # nobody asked
        least, most = self._in_flight_seen
        target_ms = self.target_ms
        self._slow_windows = self._slow_windows + 1 if latency_ms > target_ms else 0
        if self._slow_windows:
            if not self._has_others and self._slow_windows < SLOW_WINDOWS:
                return  # it holds nobody else up, and who is refused for a hiccup waits a second
            # All the time beyond the limit, what is in flight is on its way down already; to cut again
            # would only make the way back longer.
            if least <= self.limit:
                kept = max(target_ms / latency_ms, DECREASE_MIN)
                self.limit = max(self._in_flight_min, int(min(most, self.limit) * kept))
        elif most * BINDING >= self.limit:
            self.limit = min(self._in_flight_max, int(self.limit * INCREASE) + 1)

    def _note_idle(self, mean_ms: float, now_ms: int) -> None:
        lowest, before = self._idle_ms
        if now_ms - self._idle_since_ms >= IDLE_MS:
            self._idle_since_ms, lowest, before = now_ms, None, lowest
        self._idle_ms = (mean_ms if lowest is None else min(lowest, mean_ms), before)

    def _share_now(self, in_flight: int, all_of: Callable[[], Collection[int]]) -> float:
        now_ms = self._clock()
        was_below = math.isinf(self._share) and in_flight >= self.limit
        if was_below or self._share_at_ms is None or now_ms - self._share_at_ms >= WINDOW_MS:
            self._share_at_ms = now_ms
            counts = all_of()
            self._share = max_min_share(counts, self.limit)
            self._largest = max(counts, default=0)
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
