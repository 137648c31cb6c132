"""Admission of new payments: the limit follows latency, shares are fair, an idle engine is anybody's."""

import random
from collections import Counter, deque
from dataclasses import dataclass, field

import pytest

from payhub_engines.server import admission
from payhub_engines.server.admission import Admission, max_min_share
from payhub_engines.server.waiting import Queue, Waiting


@dataclass
class Time:
    now_ms: int = 1_000

    def __call__(self) -> int:
        return self.now_ms


def windows(limiter: Admission, time: Time, count: int, latency_ms: int, in_flight: int) -> None:
    for _ in range(count):
        limiter.refusal(in_flight, 0, lambda: [in_flight])
        time.now_ms += admission.WINDOW_MS
        for _ in range(admission.WINDOW_SAMPLES_MIN):
            limiter.observe(latency_ms)


def test_an_idle_engine_gives_one_tenant_everything():
    limiter = Admission(Time(), in_flight_max=100)
    assert all(limiter.refusal(count, count, lambda: [0]) is None for count in range(100))
    refusal = limiter.refusal(100, 100, lambda: [100])
    assert refusal is not None
    assert (refusal.code, refusal.status, refusal.headers()) == (
        "engine-overloaded",
        503,
        {"Retry-After": str(admission.RETRY_AFTER_S)},
    )


def test_a_tenant_below_its_share_is_taken_at_the_limit_and_the_overshoot_is_bounded():
    limiter = Admission(Time(), in_flight_max=100)
    counts = [90, 10]
    assert limiter.refusal(100, 90, lambda: counts) is not None
    assert limiter.refusal(100, 10, lambda: counts) is None
    assert limiter.refusal(100, 0, lambda: counts) is None
    assert limiter.refusal(100 * admission.OVERSHOOT, 0, lambda: counts) is not None


@pytest.mark.parametrize(
    ("wanted", "limit", "share"),
    [
        ([], 10, float("inf")),
        ([4, 5], 10, float("inf")),
        ([10], 10, 10),
        ([100, 100], 10, 5),
        ([1, 100], 10, 9),
        ([1, 2, 100, 100], 10, 3.5),
        ([7] * 100, 10, 1),
        ([5], 0, 0),
    ],
)
def test_what_small_tenants_leave_the_others_share(wanted, limit, share):
    assert max_min_share(wanted, limit) == share


def test_very_many_tenants_have_equal_shares():
    assert max_min_share([1] * (admission.TENANTS_MAX + 1) + [10**6], 10_010) == pytest.approx(10, rel=0.01)


def test_the_limit_falls_with_latency_to_what_is_in_flight_and_never_below_the_least():
    time = Time()
    limiter = Admission(time)
    windows(limiter, time, 1, latency_ms=5, in_flight=500)
    windows(limiter, time, 1, latency_ms=400, in_flight=1_000)
    assert limiter.limit == 900
    windows(limiter, time, 5, latency_ms=400, in_flight=950)
    assert limiter.limit == 900, "what is beyond the limit drains already"
    for _ in range(100):
        windows(limiter, time, 1, latency_ms=400, in_flight=limiter.limit)
    assert limiter.limit == admission.IN_FLIGHT_MIN


def test_the_limit_comes_back_within_seconds_and_only_where_it_binds():
    time = Time()
    limiter = Admission(time)
    windows(limiter, time, 1, latency_ms=5, in_flight=500)
    windows(limiter, time, 1, latency_ms=400, in_flight=500)
    assert limiter.limit == 450
    windows(limiter, time, 10, latency_ms=5, in_flight=10)
    assert limiter.limit == 450
    for _ in range(100):
        windows(limiter, time, 1, latency_ms=5, in_flight=limiter.limit)
    assert limiter.limit == admission.IN_FLIGHT_MAX


def test_a_slow_disk_does_not_stop_an_engine_that_does_its_best():
    time = Time()
    limiter = Admission(time)
    for _ in range(50):
        windows(limiter, time, 1, latency_ms=180, in_flight=300)
    assert limiter.target_ms == 4 * 180
    assert limiter.limit >= 300
    windows(limiter, time, 1, latency_ms=5_000, in_flight=300)
    assert limiter.limit < 300


def test_the_latency_of_the_idle_engine_is_learned_anew():
    time = Time()
    limiter = Admission(time)
    windows(limiter, time, 3, latency_ms=100, in_flight=1)
    assert limiter.target_ms == 400
    windows(limiter, time, 3, latency_ms=2, in_flight=1)
    assert limiter.target_ms == admission.TARGET_MS
    for _ in range(3):
        time.now_ms += admission.IDLE_MS
        windows(limiter, time, 2, latency_ms=100, in_flight=1)
    assert limiter.target_ms == 400


def test_a_low_disk_refuses_new_payments_though_nothing_is_in_flight():
    limiter = Admission(Time())
    limiter.is_disk_low = True
    refusal = limiter.refusal(0, 0, list)
    assert refusal is not None
    assert (refusal.code, refusal.status) == ("disk-nearly-full", 503)
    limiter.is_disk_low = False
    assert limiter.refusal(0, 0, list) is None


@dataclass
class Tenant:
    """Starts payments at a rate, tries what was refused again, counts how long each step waited in turns."""

    rate: float  # a turn
    waits: list[int] = field(default_factory=list)
    took: list[int] = field(default_factory=list)
    refused: int = 0
    due: float = 0.0


class Simulated:
    """An engine by turns: each decides a batch in its time; a payment is a start and five results.

    A result comes back a few turns after its job was committed, as a bank or the switch would take.
    """

    BATCH = 64
    TURN_MS = 20
    STEPS = 6

    def __init__(self, rates: dict[str, float], seed: int = 1) -> None:
        self.time = Time()
        self.limiter = Admission(self.time, in_flight_max=2_000)
        self.queue = Queue()
        self.tenants = {name: Tenant(rate) for name, rate in rates.items()}
        self.running: Counter[str] = Counter()
        self.outside: deque[tuple[int, str, int, int]] = deque()  # turn, tenant, steps left, began
        self.chooser = random.Random(seed)
        self.turn = 0
        self.peak = 0

    def run(self, turns: int) -> None:
        for _ in range(turns):
            self.turn += 1
            self.time.now_ms += self.TURN_MS
            self._arrive()
            self._decide()

    def _arrive(self) -> None:
        for name, tenant in self.tenants.items():
            tenant.due += tenant.rate * (0.5 + self.chooser.random())
            while tenant.due >= 1:
                tenant.due -= 1
                self._start(name, tenant)
        for _ in range(len(self.outside)):
            due, name, left, began = self.outside.popleft()
            if due <= self.turn:
                self._put(name, left, began, is_new=False)
            else:
                self.outside.append((due, name, left, began))

    def _start(self, name: str, tenant: Tenant) -> None:
        in_flight = self.running.total() + self.queue.starting
        own = self.running[name] + self.queue.starting_of(name)
        if self.limiter.refusal(in_flight, own, self._counts) is None:
            self._put(name, self.STEPS, self.turn, is_new=True)
            self.peak = max(self.peak, in_flight + 1)
        else:
            tenant.refused += 1

    def _counts(self) -> list[int]:
        return list((self.running + Counter(dict(self.queue.starting_by_tenant()))).values())

    def _put(self, name: str, left: int, began: int, *, is_new: bool) -> None:
        step = Waiting(None, None, is_new=is_new, since_ms=self.time.now_ms)
        step.on_reply = lambda _, put=self.turn: self._done(name, left, began, put, is_new=is_new)
        self.queue.put(name, step)

    def _decide(self) -> None:
        for step in self.queue.take(self.BATCH):
            if step.is_new and step.since_ms is not None:
                self.limiter.observe(self.time.now_ms + self.TURN_MS - step.since_ms)
            step.answer(None)

    def _done(self, name: str, left: int, began: int, put: int, *, is_new: bool) -> None:
        tenant = self.tenants[name]
        tenant.waits.append(self.turn - put + 1)
        self.running[name] += is_new
        if left > 1:
            self.outside.append((self.turn + self.chooser.randint(1, 5), name, left - 1, began))
        else:
            self.running[name] -= 1
            tenant.took.append(self.turn - began + 1)


def p99(values: list[int]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


STEADY = {"b": 0.5, "c": 0.5, "d": 0.4, "e": 0.2}  # payments a turn; the engine does about ten


def test_one_tenants_flood_leaves_the_others_p99_within_half_more():
    calm, flooded = Simulated(STEADY), Simulated({"a": 200.0, **STEADY})
    for engine in (calm, flooded):
        engine.run(1_000)
    assert flooded.tenants["a"].refused > 50_000
    for name in STEADY:
        before, after = calm.tenants[name], flooded.tenants[name]
        assert after.refused <= len(after.took) * 0.01, name
        assert len(after.took) >= len(before.took) * 0.95, name
        assert p99(after.waits) <= 1.5 * p99(before.waits), name
        assert p99(after.took) <= 1.5 * p99(before.took), name
    # The flood gets what the others leave, the engine stays busy, and even the flood is done in good time.
    assert flooded.limiter.limit < 500
    assert p99(flooded.tenants["a"].waits[-5_000:]) * Simulated.TURN_MS <= 5 * admission.TARGET_MS
    done = sum(len(tenant.took) for tenant in flooded.tenants.values())
    assert done * Simulated.STEPS >= 0.9 * 1_000 * Simulated.BATCH
    assert flooded.peak <= 2_000 * admission.OVERSHOOT


def test_an_overloaded_engine_settles_at_a_latency_near_its_target():
    engine = Simulated({"a": 100.0})
    engine.run(1_000)
    late = engine.tenants["a"].waits[-10_000:]
    assert sum(late) / len(late) * Simulated.TURN_MS <= 2 * admission.TARGET_MS
    assert engine.limiter.limit < 2_000
