"""Admission of new payments: the limit follows latency, shares are fair, an idle engine is anybody's."""

from dataclasses import dataclass

import pytest

from payhub_engines.server import admission
from payhub_engines.server.admission import Admission, max_min_share


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
        {"Retry-After": "1"},
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
    assert limiter.limit == 500
    windows(limiter, time, 5, latency_ms=400, in_flight=950)
    assert limiter.limit == 500, "what is beyond the limit drains already"
    for _ in range(100):
        windows(limiter, time, 1, latency_ms=400, in_flight=limiter.limit)
    assert limiter.limit == admission.IN_FLIGHT_MIN


def test_a_hiccup_refuses_nothing_of_a_tenant_that_is_alone():
    time = Time()
    limiter = Admission(time)

    def window(latency_ms):
        assert limiter.refusal(450, 450, lambda: [450], tenant="lion") is None
        time.now_ms += admission.WINDOW_MS
        for _ in range(admission.WINDOW_SAMPLES_MIN):
            limiter.observe(latency_ms)

    limit = limiter.limit
    for _ in range(3):
        for _ in range(admission.SLOW_WINDOWS - 1):
            window(400)
        window(5)
    assert limiter.limit >= limit
    for _ in range(admission.SLOW_WINDOWS):
        window(400)
    assert limiter.limit < 450


def test_a_little_too_slow_costs_as_little_of_the_limit():
    time = Time()
    limiter = Admission(time)
    windows(limiter, time, 1, latency_ms=5, in_flight=500)
    windows(limiter, time, 1, latency_ms=admission.TARGET_MS * 10 // 9, in_flight=1_000)
    assert limiter.limit == pytest.approx(900, abs=10)


def test_the_limit_comes_back_within_seconds_and_only_where_it_binds():
    time = Time()
    limiter = Admission(time)
    windows(limiter, time, 1, latency_ms=5, in_flight=800)
    windows(limiter, time, 1, latency_ms=400, in_flight=800)
    assert limiter.limit == 400
    windows(limiter, time, 10, latency_ms=5, in_flight=10)
    assert limiter.limit == 400
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


def test_who_begins_to_lead_takes_up_to_twice_what_runs_already():
    limiter = Admission(Time())
    assert limiter.limit == admission.IN_FLIGHT_FIRST
    assert limiter.refusal(5_000, 0, lambda: [5_000]) is None
    assert limiter.limit == 10_000


def test_small_tenants_are_taken_while_a_flood_is_on_its_way_down_to_a_lower_limit():
    time = Time()
    limiter = Admission(time)
    counts = [900, 2]
    windows(limiter, time, 1, latency_ms=5, in_flight=900)
    for _ in range(20):
        windows(limiter, time, 1, latency_ms=1_000, in_flight=limiter.limit)
    assert limiter.limit == admission.IN_FLIGHT_MIN
    time.now_ms += admission.WINDOW_MS
    assert limiter.refusal(902, 2, lambda: counts) is None
    assert limiter.refusal(902, 900, lambda: counts) is not None


def test_the_limit_falls_where_few_are_done_and_the_others_wait_long():
    time = Time()
    waiting_since_ms: list[int] = []
    limiter = Admission(time, oldest_start_ms=lambda: min(waiting_since_ms, default=None))
    windows(limiter, time, 3, latency_ms=2, in_flight=900)
    before = limiter.limit
    waiting_since_ms.append(time.now_ms - 10 * admission.TARGET_MS)
    windows(limiter, time, 1, latency_ms=2, in_flight=900)
    assert limiter.limit <= before * admission.DECREASE_MIN


def crowded(in_flight: int, own: int, counts: list[int]) -> bool:
    limiter = Admission(Time(), in_flight_max=100)
    limiter.refusal(in_flight, own, lambda: counts)
    return limiter.is_crowded


def test_an_engine_is_crowded_where_a_small_tenant_meets_a_full_engine():
    assert crowded(100, 1, [99, 1])
    assert crowded(100, 0, [100])
    assert crowded(100, 2, [32, 32, 34, 2])
    assert not crowded(100, 99, [99, 1]), "the flood itself asks"
    assert not crowded(100, 20, [20] * 5), "all have alike"
    assert not crowded(40, 1, [39, 1]), "there is room"
    assert not crowded(100, 100, [100]), "one is alone"


def test_who_was_refused_just_now_is_not_small_though_it_has_nothing_in_flight():
    time = Time()
    limiter = Admission(time, in_flight_max=100)
    assert limiter.refusal(100, 50, lambda: [50, 50], tenant="a") is not None
    limiter.refusal(100, 2, lambda: [98, 2], tenant="a")
    assert not limiter.is_crowded
    limiter.refusal(100, 2, lambda: [98, 2], tenant="b")
    assert limiter.is_crowded


def test_an_engine_is_crowded_before_the_limit_where_too_much_waits_and_for_a_while_after():
    time = Time()
    limiter = Admission(time, in_flight_max=1_000)
    limiter.refusal(300, 1, lambda: [299, 1])
    assert not limiter.is_crowded
    limiter.note_full()
    assert limiter.is_crowded
    time.now_ms += admission.CROWDED_MS - 1
    assert limiter.is_crowded
    time.now_ms += 1
    assert not limiter.is_crowded


def test_a_share_from_a_moment_of_peace_refuses_no_small_tenant_when_the_flood_is_back():
    time = Time()
    limiter = Admission(time, in_flight_max=100)
    limiter.note_full()
    assert limiter.refusal(4, 2, lambda: [2, 1, 1]) is None
    assert limiter.refusal(101, 3, lambda: [98, 3]) is None
    assert limiter.refusal(101, 98, lambda: [98, 3]) is not None
