import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payhub_sandbox.switch.climate import HELD_BACK_MS_MAX, Climate, Forecast
from payhub_sandbox.switch.message import Outgoing


def message(number, path="/transfers", destination="rhino"):
    return Outgoing(
        destination=destination, method="PUT", path=f"{path}/{number}", headers={}, body=b"", lane=0
    )


MESSAGES = [message(number) for number in range(1_000)]


def fate(climate, messages=MESSAGES):
    return [(one.path, one.delay_ms, one.copies) for one in Forecast(climate).deliveries(messages)]


def test_fair_weather_changes_nothing():
    assert Forecast(Climate(seed=7)).deliveries(MESSAGES) is MESSAGES


@given(seed=st.integers(0, 2**32), chunk=st.integers(1, 400))
@settings(max_examples=20)
def test_one_seed_is_one_fate_however_the_messages_come(seed, chunk):
    climate = Climate(seed=seed, latency_ms_max=90, loss_percent=20, duplicate_percent=20, reorder_percent=20)
    forecast = Forecast(climate)
    pieces = [
        fated
        for start in range(0, 1_000, chunk)
        for fated in forecast.deliveries(MESSAGES[start : start + chunk])
    ]
    assert [(one.path, one.delay_ms, one.copies) for one in pieces] == fate(climate)
    backwards = fate(climate, MESSAGES[::-1])
    assert sorted(backwards) == sorted(fate(climate))


def test_other_seeds_and_repeats_are_other_fates():
    rows = [fate(Climate(seed=seed, loss_percent=50)) for seed in (1, 2)]
    assert rows[0] != rows[1]
    repeated = fate(Climate(seed=1, loss_percent=50), [message(1)] * 100)
    assert 20 < len(repeated) < 80


@pytest.mark.parametrize(
    ("field", "holds"),
    [
        ("loss_percent", lambda rows: len(rows) == 0),
        ("duplicate_percent", lambda rows: all(copies == 2 for _, _, copies in rows)),
        ("reorder_percent", lambda rows: all(1 <= delay <= HELD_BACK_MS_MAX for _, delay, _ in rows)),
        ("late_percent", lambda rows: all(delay == 40_000 for _, delay, _ in rows)),
    ],
)
def test_chances_of_nothing_half_and_all(field, holds):
    assert holds(fate(Climate(**{field: 100})))
    assert fate(Climate(**{field: 0})) == fate(Climate())
    struck = [row for row in fate(Climate(**{field: 50})) if row[1] or row[2] == 2]
    struck_count = 1_000 - len(fate(Climate(**{field: 50}))) if field == "loss_percent" else len(struck)
    assert 400 < struck_count < 600


def test_latency_is_between_its_bounds_and_fixed_where_they_are_equal():
    delays = [delay for _, delay, _ in fate(Climate(latency_ms_min=10, latency_ms_max=20))]
    assert (min(delays), max(delays)) == (10, 20)
    assert {delay for _, delay, _ in fate(Climate(latency_ms_min=10, latency_ms_max=10))} == {10}
    assert {delay for _, delay, _ in fate(Climate(latency_ms_min=10))} == {10}


def test_only_the_named_resources_are_concerned():
    climate = Climate(loss_percent=100, resources=["quotes"])
    quotes = [message(1, "/quotes"), message(1)]
    assert [one.path for one in Forecast(climate).deliveries(quotes)] == ["/transfers/1"]


def test_delays_and_copies_that_were_forced_stay():
    forecast = Forecast(Climate(latency_ms_min=5, latency_ms_max=5, duplicate_percent=100))
    forced = Outgoing(
        destination="x", method="PUT", path="/quotes/1", headers={}, body=b"", lane=0, delay_ms=7, copies=2
    )
    [fated] = forecast.deliveries([forced])
    assert (fated.delay_ms, fated.copies) == (12, 4)
