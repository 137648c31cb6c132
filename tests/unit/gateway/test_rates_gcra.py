"""The algorithm against a bucket of tokens that is counted in fractions, which is slow and plain."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payhub_gateway.rates import gcra
from payhub_gateway.rates.gcra import SECOND_NS, WHOLE_PPM, Rate
from payhub_gateway.rates.shares import share_ppm

rates = st.builds(Rate, st.integers(1, 10**10), st.integers(1, 50))
pauses = st.lists(st.integers(0, 3 * 10**10), max_size=60)


class Tokens:
    """Tokens drip into a bucket and each request takes a whole one."""

    def __init__(self, rate: Rate, now_ns: int) -> None:
        self.rate, self.now_ns, self.tokens = rate, now_ns, Fraction(rate.burst)

    def take(self, now_ns: int) -> bool:
        dripped = Fraction(now_ns - self.now_ns, self.rate.interval_ns)
        self.tokens, self.now_ns = min(self.tokens + dripped, Fraction(self.rate.burst)), now_ns
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def wait_ns(self) -> Fraction:
        return max(Fraction(0), (1 - self.tokens) * self.rate.interval_ns)


@given(rates, pauses)
def test_it_admits_what_a_bucket_of_tokens_admits(rate: Rate, pauses: list[int]):
    now_ns, arrival_ns, model = 5, 0, Tokens(rate, 5)
    for pause in pauses:
        now_ns += pause
        step = gcra.step(rate, arrival_ns, now_ns)
        assert step.admitted == model.take(now_ns)
        assert step.remaining == int(model.tokens)
        assert step.wait_ns == model.wait_ns()
        assert step.full_ns == (rate.burst - model.tokens) * rate.interval_ns
        arrival_ns = step.arrival_ns


@given(rates, pauses)
def test_who_waits_as_long_as_told_is_admitted_and_not_a_moment_sooner(rate: Rate, pauses: list[int]):
    now_ns, arrival_ns = 0, 0
    for pause in pauses:
        now_ns += pause
        step = gcra.step(rate, arrival_ns, now_ns)
        arrival_ns = step.arrival_ns
        if step.wait_ns:
            assert not gcra.step(rate, arrival_ns, now_ns + step.wait_ns - 1).admitted
        assert gcra.step(rate, arrival_ns, now_ns + step.wait_ns).admitted


@given(rates, rates, st.integers(0, 60), st.integers(0, 10**10))
def test_a_change_of_the_rate_gives_nobody_a_request(old: Rate, new: Rate, taken: int, pause: int):
    now_ns, arrival_ns = 7, 0
    for _ in range(taken):
        arrival_ns = gcra.step(old, arrival_ns, now_ns).arrival_ns
    now_ns += pause
    before = gcra.step(old, arrival_ns, now_ns, take=False)
    changed = gcra.at_another_rate(old, new, arrival_ns, now_ns)
    after = gcra.step(new, changed, now_ns, take=False)
    assert after.remaining <= before.remaining
    assert after.remaining <= new.burst
    assert after.remaining >= min(before.remaining, new.burst)


def test_looking_takes_nothing():
    rate = Rate.of(10, 2)
    assert gcra.step(rate, 0, 0, take=False).remaining == 2
    assert not gcra.step(rate, 0, 0, take=False).admitted


def test_a_clock_that_stands_still_admits_the_burst_alone():
    rate, arrival_ns, admitted = Rate.of(1_000_000, 3), 0, 0
    for _ in range(100):
        step = gcra.step(rate, arrival_ns, 1)
        arrival_ns, admitted = step.arrival_ns, admitted + step.admitted
    assert admitted == 3


@given(st.integers(1, 10**9), st.integers(1, 10**9), st.lists(st.integers(0, 10**6), min_size=1, max_size=9))
def test_shares_together_are_never_more_than_the_whole(per_s: int, burst: int, demands: list[int]):
    copies = len(demands)
    shares = [share_ppm(copies, (own, own), sum(demands) - own) for own in demands]
    assert sum(shares) <= WHOLE_PPM
    assert min(shares) >= WHOLE_PPM // 5 // copies
    held = [Rate.of(per_s, burst, share) for share in shares]
    assert sum(Fraction(SECOND_NS, rate.interval_ns) for rate in held) <= per_s
    assert sum(rate.burst for rate in held if rate.burst > 1) <= burst


@given(st.lists(st.lists(st.integers(0, 1000), min_size=3, max_size=3), min_size=2, max_size=12))
def test_they_are_not_while_news_is_still_on_its_way(history: list[list[int]]):
    # Each copy knows its own two last words, and of the others' either the last or the one before as well.
    for before, last in itertools.pairwise(history):
        total = 0
        for copy in range(3):
            others = sum(max(before[i], last[i]) for i in range(3) if i != copy)
            total += share_ppm(3, (last[copy], before[copy]), others)
        assert total <= WHOLE_PPM


def test_a_client_with_one_connection_gets_nearly_all():
    assert share_ppm(4, (100, 100), 0) == 850_000
    assert share_ppm(4, (0, 0), 100) == 50_000
    assert share_ppm(4, (100, 0), 0) == 250_000  # not yet told long enough


@pytest.mark.parametrize("share", [WHOLE_PPM, 333_333, 1])
def test_a_share_can_always_admit_something(share: int):
    assert Rate.of(1, 1, share).burst == 1
