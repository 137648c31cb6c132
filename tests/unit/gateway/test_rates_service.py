"""Limits of clients in one copy, and in several that tell one another late."""

import random

import pytest
from unit.gateway.gateway_kit import StillClock

from payhub_gateway.rates.errors import LimitExceededError
from payhub_gateway.rates.exchange import LIVE_INTERVALS, View
from payhub_gateway.rates.headers import fields
from payhub_gateway.rates.model import DAY_MS, ClientCount, CopyCounts
from payhub_gateway.rates.service import Others, RateLimits, require
from payhub_platform.contracts.tenant import ApiLimits

LIMITS = ApiLimits(rate_per_s=10, burst=20, quota_per_day=1000)
TODAY = StillClock().now_ms // DAY_MS


def rate_limits(clock: StillClock, copies: int = 1, clients_max: int = 100) -> RateLimits:
    return RateLimits(clock, clock.monotonic_ns, copies, clients_max)


def admitted(limits: RateLimits, times: int, client: str = "app", tenant: str = "lion") -> int:
    return sum(limits.admit(tenant, client, LIMITS)[1] for _ in range(times))


def test_a_burst_passes_and_then_the_rate():
    clock = StillClock()
    limits = rate_limits(clock)
    assert admitted(limits, 30) == 20
    clock.advance(0.5)
    assert admitted(limits, 30) == 5
    clock.advance(60)
    assert admitted(limits, 30) == 20


def test_clients_and_tenants_do_not_share_a_limit():
    limits = rate_limits(StillClock())
    assert admitted(limits, 30) == 20
    assert admitted(limits, 30, client="other") == 20
    assert admitted(limits, 30, tenant="buffalo") == 20


def test_a_quota_ends_with_its_day_and_refusals_use_none_of_it():
    clock = StillClock()
    clock.now_ms = (TODAY + 1) * DAY_MS - 500_000
    limits = rate_limits(clock)
    total = 0
    for _ in range(300):
        total += admitted(limits, 15)
        clock.advance(1)
    assert total == 1000
    verdict, passes = limits.admit("lion", "app", LIMITS)
    assert (passes, verdict.quota_left, verdict.step.remaining) == (False, 0, 20)
    with pytest.raises(LimitExceededError) as refused:
        require(verdict, passes)
    assert (refused.value.code, refused.value.retry_after_s) == ("quota-exceeded", 200)
    clock.advance(200)
    assert admitted(limits, 1) == 1


def test_a_clock_that_is_set_back_gives_no_second_quota():
    clock = StillClock()
    limits = rate_limits(clock)
    limits.hear(Others(0, {"lion/app": 995}, {}))
    assert admitted(limits, 10) == 5
    clock.advance(-86_400)
    assert admitted(limits, 10) == 0


def test_limits_that_change_hold_at_once():
    clock = StillClock()
    limits = rate_limits(clock)
    assert admitted(limits, 5) == 5
    stricter = ApiLimits(rate_per_s=1, burst=3, quota_per_day=1000)
    assert sum(limits.admit("lion", "app", stricter)[1] for _ in range(10)) == 3
    assert admitted(limits, 10) == 0


def test_memory_is_bounded():
    limits = rate_limits(StillClock(), clients_max=3)
    for number in range(10):
        admitted(limits, 1, client=str(number))
    assert sorted(limits.report().clients) == ["lion/7", "lion/8", "lion/9"]


def test_fields_tell_what_is_left():
    clock = StillClock()
    clock.now_ms = TODAY * DAY_MS + 1000
    verdict, _ = rate_limits(clock).admit("lion", "app", LIMITS)
    assert fields(verdict) == [
        (b"ratelimit-policy", b'"rate";q=20;w=2, "day";q=1000;w=86400'),
        (b"ratelimit", b'"rate";r=19;t=1, "day";r=999;t=86399'),
    ]


class Copy:
    """A copy of the gateway, with what it has heard."""

    def __init__(self, clock: StillClock, name: str) -> None:
        self.name, self.limits, self.view = name, rate_limits(clock, copies=2), View(name)

    def end_interval(self, copies: "list[Copy]", *, is_connected: bool = True) -> None:
        counts = self.limits.report()
        if is_connected:
            for copy in copies:
                copy.view.take(self.name, counts)
        self.view.end_interval()
        if is_connected and self.view.is_fresh:
            self.limits.hear(self.view.others(counts.day))


@pytest.mark.parametrize("seed", range(20))
def test_copies_together_admit_no_more_than_one_would(seed: int):
    """However demand wanders between them, and while NATS is away for a part of the time."""
    rng = random.Random(seed)
    clock = StillClock()
    copies = [Copy(clock, name) for name in ("a", "b")]
    away = range(rng.randrange(20, 30), rng.randrange(30, 50))
    times: list[float] = []
    weights = [1.0, 1.0]
    for interval in range(60):
        if rng.random() < 0.3:
            weights = [rng.choice([0.0, 0.1, 1.0]), rng.choice([0.1, 1.0])]
        for tenth in range(10):
            clock.advance(0.1)
            for copy in rng.choices(copies, weights, k=rng.randrange(8)):
                times += [interval + tenth / 10] * admitted(copy.limits, 1)
            if tenth in (3, 7):
                copies[tenth > 5].end_interval(copies, is_connected=interval not in away)
    for start in range(0, 60, 3):
        for end in range(start + 1, 61, 7):
            inside = sum(start <= at < end for at in times)
            assert inside <= LIMITS.burst + (end - start) * LIMITS.rate_per_s + 1


def test_a_client_of_one_connection_gets_most_of_the_rate_after_a_moment():
    clock = StillClock()
    copies = [Copy(clock, name) for name in ("a", "b")]
    for copy in copies * 2:
        copy.end_interval(copies)
    passed = []
    for _ in range(15):
        clock.advance(1)
        passed.append(admitted(copies[0].limits, 30))
        for copy in copies:
            copy.end_interval(copies)
    assert passed[:2] == [10, 5]  # half of the burst, then half of the rate
    assert passed[-5:] == [9] * 5


def test_a_copy_that_ends_leaves_its_share_and_what_it_admitted():
    view = View("a")
    view.take("b", CopyCounts(day=TODAY, turn=1, clients={"lion/app": ClientCount(7, 5)}))
    assert view.others(TODAY) == Others(1, {"lion/app": 7}, {"lion/app": 5})
    last = CopyCounts(day=TODAY, turn=2, clients={"lion/app": ClientCount(9, 5)}, is_last=True)
    view.take("b", last)
    assert view.others(TODAY) == Others(0, {"lion/app": 9}, {})
    assert view.others(TODAY + 1) == Others(0, {}, {})


def test_demand_that_falls_is_believed_an_interval_later():
    view = View("a")
    for turn, demand in ((1, 9), (2, 2)):
        view.end_interval()
        view.take("b", CopyCounts(day=TODAY, turn=turn, clients={"lion/app": ClientCount(9, demand)}))
    assert view.others(TODAY).demand == {"lion/app": 9}
    view.end_interval()
    assert view.others(TODAY).demand == {"lion/app": 2}


def test_a_copy_that_was_killed_is_missed_after_a_while():
    view = View("a")
    view.take("b", CopyCounts(day=TODAY, turn=1, clients={}))
    for _ in range(LIVE_INTERVALS - 1):
        view.end_interval()
    assert view.others(TODAY).copies == 1
    view.end_interval()
    assert view.others(TODAY).copies == 0


def test_words_that_come_again_are_old():
    view = View("a")
    view.take("a", CopyCounts(day=TODAY, turn=2, clients={}))
    for _ in range(20):
        view.end_interval()
        view.take("a", CopyCounts(day=TODAY, turn=1, clients={}))
    assert not view.is_fresh
