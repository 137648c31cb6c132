"""What the bench's client sends when, and what it counts."""

import math

import pytest

from payhub_cli.bench.load import RAMP_S, RUDE_RETRY_S, Load, Plan, percentile


def load(**plan) -> Load:
    made = Load(Plan(**{"prefix": "x", "tenant": "A", "seconds": 10.0} | plan))
    made.begin(100.0)
    return made


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (50, 5), (90, 9), (99, 10), (99.9, 10), (100, 10)])
def test_a_percentile_is_the_nearest_rank(percent, value):
    assert percentile(range(1, 11), percent) == value


def test_no_values_have_no_percentile():
    with pytest.raises(ValueError, match="no percentile"):
        percentile([], 50)


def test_a_closed_loop_fills_slowly_and_then_replaces_what_has_ended():
    closed = load(in_flight=4)
    assert closed.take_due(100.0) == []
    assert closed.take_due(100.0 + RAMP_S / 2) == ["x-1", "x-2"]
    assert closed.take_due(100.0 + RAMP_S) == ["x-3", "x-4"]
    assert closed.take_due(102.0) == []
    closed.complete("x-2", 103.0)
    assert closed.take_due(103.0) == ["x-5"]
    assert list(closed.latencies_ms) == [pytest.approx((3.0 - RAMP_S / 2) * 1000)]


def test_a_closed_loop_ends_with_its_time_or_its_payments():
    timed = load(in_flight=1, seconds=5.0)
    assert timed.take_due(101.0) == ["x-1"]
    timed.complete("x-1", 105.0)
    assert timed.take_due(105.0) == []
    assert timed.is_done(105.0)
    counted = load(in_flight=5, payments_max=2)
    assert counted.take_due(101.0) == ["x-1", "x-2"]
    counted.complete("x-1", 101.5)
    assert counted.take_due(102.0) == []
    assert not counted.is_done(102.0)
    counted.complete("x-2", 103.0)
    assert counted.is_done(103.0)
    assert (counted.completed, counted.seconds) == (2, 3.0)


def test_an_open_loop_owes_what_it_could_not_send_and_its_time_runs_from_when_it_was_due():
    rated = load(rate=10.0, offset_s=0.05, seconds=1.0)
    assert rated.take_due(100.0) == []
    assert rated.take_due(100.1) == ["x-1"]
    assert len(rated.take_due(100.5)) == 4
    assert rated.due_at["x-3"] == pytest.approx(100.25)
    rated.complete("x-3", 100.75)
    assert rated.latencies_ms[0] == pytest.approx(500.0)
    assert len(rated.take_due(200.0)) == 5
    assert rated.take_due(201.0) == []


def test_an_open_loop_is_bounded_and_what_is_due_waits():
    rated = load(rate=10.0, in_flight=2)
    assert rated.take_due(101.0) == ["x-1", "x-2"]
    rated.complete("x-1", 101.1)
    assert rated.take_due(101.1) == ["x-3"]
    assert rated.due_at["x-3"] == pytest.approx(100.2)


def test_a_payment_that_is_told_twice_or_is_unknown_counts_once():
    closed = load(in_flight=1)
    closed.take_due(101.0)
    for payment in ("x-1", "x-1", "x-9"):
        closed.complete(payment, 102.0)
    assert closed.completed == 1
    assert closed.plan.payments_max == math.inf


def refused(**plan) -> Load:
    made = load(**{"in_flight": 100} | plan)
    for payment in made.take_due(101.0):
        made.refuse(payment, 4, 101.0)
    return made


def test_who_was_refused_comes_again_when_told_and_not_all_at_once():
    polite = refused()
    assert (polite.refusals, polite.take_again(104.9)) == (100, [])
    early = polite.take_again(106.0)
    late = polite.take_again(107.0)
    assert 45 <= len(early) <= 55
    assert sorted(early + late) == sorted(polite.due_at)
    assert polite.take_again(109.0) == []


def test_who_is_rude_comes_again_at_once():
    assert len(refused(is_rude=True).take_again(101.0 + RUDE_RETRY_S)) == 100


def test_what_is_refused_at_the_end_of_the_time_is_let_go_and_what_ended_meanwhile_is_not_sent():
    closing = refused(seconds=3.0)
    closing.complete("x-1", 101.5)
    assert closing.take_again(103.0) == []
    assert closing.is_done(103.0)
    assert closing.completed == 1


def test_what_ended_while_it_waited_is_not_sent_again():
    closing = refused(in_flight=1)
    closing.complete("x-1", 102.0)
    assert closing.take_again(109.0) == []
