"""Retry-After grows with what was refused for each that was taken, and spreads those who come again."""

from collections import Counter
from itertools import pairwise

from payhub_engines.server import retry_after
from payhub_engines.server.retry_after import RetryAfter


class Time:
    now_ms = 5_000

    def __call__(self) -> int:
        return self.now_ms


def test_the_more_were_refused_the_later_and_never_beyond_the_bound():
    line = RetryAfter(Time())
    for _ in range(100):
        line.take("a")
    told = [line.refuse("a") for _ in range(20_000)]
    assert told[0] == retry_after.RETRY_AFTER_S_MIN
    means = [sum(told[at : at + 200]) for at in range(0, 1_600, 200)]
    assert all(after > before for before, after in pairwise(means))
    assert max(told) == told[-1] == retry_after.RETRY_AFTER_S_MAX


def test_those_refused_together_do_not_come_back_together():
    line = RetryAfter(Time())
    for _ in range(100):
        line.take("a")
    told = Counter(line.refuse("a") for _ in range(1_000))
    assert max(told.values()) <= 150, "about as many a second as were taken"
    assert len(told) >= 10


def test_each_tenant_has_its_own_line():
    line = RetryAfter(Time())
    for _ in range(5_000):
        line.refuse("rude")
    line.take("polite")
    assert line.refuse("polite") <= 3


def test_a_line_is_forgotten_two_seconds_later():
    time = Time()
    line = RetryAfter(time)
    for _ in range(100):
        line.refuse("a")
    time.now_ms += retry_after.WINDOW_MS
    assert line.refuse("a") == retry_after.RETRY_AFTER_S_MAX, "the second before counts"
    time.now_ms += 2 * retry_after.WINDOW_MS
    assert line.refuse("a") <= 3
