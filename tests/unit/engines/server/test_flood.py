"""Floods in virtual time: whoever floods, the others' payments take at most half as long again.

The model's costs are those that ``payhub bench engine`` has measured; real time is measured there.
"""

from functools import cache

import pytest
from unit.engines.server.flood_model import Model, Tenant, p99

from payhub_engines.server.admission import TARGET_MS

RATIO = 1.5
CALM_S = 1.0
SECONDS = 9.0
FLOOD = 2_000  # payments at once


def others(rate: float = 20.0) -> list[Tenant]:
    return [Tenant(name, rate=rate) for name in "bcde"]


def flood(name: str = "a", **how) -> Tenant:
    return Tenant(name, **({"in_flight": FLOOD, "from_ms": CALM_S * 1000} | how))


def taken_ms(tenants: list[Tenant], from_s: float) -> float:
    return p99([took for tenant in tenants for due, took in tenant.seen if due >= from_s * 1000])


def measured(
    floods: list[Tenant], rate: float = 20.0, from_s: float = CALM_S, **how: float
) -> tuple[float, list[Tenant]]:
    """Return how much longer the others' payments take, and the others."""
    during = others(rate)
    Model(seed=2, **how).run([*during, *floods], SECONDS)
    return taken_ms(during, from_s) / calm_ms(rate, from_s, **how), during


@cache
def calm_ms(rate: float, from_s: float, **how: float) -> float:
    calm = others(rate)
    Model(seed=1, **how).run(calm, SECONDS)
    return taken_ms(calm, from_s)


FLOODS = {
    "one that comes again when it was told": [flood()],
    "one that comes again ten times a second": [flood(is_rude=True)],
    "three": [flood("a1"), flood("a2", is_rude=True), flood("a3")],
    "one with large payloads": [flood(bytes=200_000)],
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_leaves_the_others_p99_within_half_as_long_again(name):
    floods = [Tenant(**{field: getattr(one, field) for field in _GIVEN}) for one in FLOODS[name]]
    ratio, during = measured(floods)
    assert ratio <= RATIO
    assert sum(one.refusals for one in during) == 0
    assert all(len(one.seen) >= 20 * (SECONDS - 1) for one in during)
    assert all(one.seen for one in floods), "a flood goes on too"


def test_of_two_floods_the_one_with_large_payloads_has_its_share_of_the_time():
    floods = [flood("a1", bytes=200_000, in_flight=500), flood("a2", in_flight=500)]
    ratio, _ = measured(floods, from_s=CALM_S + 1)  # what the first ones cost nobody knows before
    assert ratio <= RATIO
    assert len(floods[1].seen) > 20 * len(floods[0].seen)


def test_who_fills_up_slowly_is_busy_first_and_a_flood_when_more_waits_than_others_bear():
    ratio, during = measured([flood(in_flight=200)], from_s=CALM_S + 1)
    assert ratio <= RATIO
    assert sum(one.refusals for one in during) == 0


@pytest.mark.parametrize(
    "how", [{"rate": 5.0}, {"rate": 60.0}, {"log_factor": 5.0}, {"busy": 0.1}, {"busy": 0.4}]
)
def test_neither_the_others_load_nor_a_slow_disk_nor_a_busy_machine_changes_that(how):
    ratio, during = measured([flood()], **how)
    assert ratio <= RATIO
    assert sum(one.refusals for one in during) == 0


def test_a_tenant_that_wakes_up_after_an_idle_hour_finds_the_flood_squeezed():
    model = Model()
    woken_ms = 4_000.0
    flooding, woken = Tenant("a", in_flight=FLOOD), Tenant("b", rate=20.0, from_ms=woken_ms)
    model.now_ms = 3_600_000.0  # nothing is known of that hour; the engine is as old
    for tenant in (flooding, woken):
        tenant.from_ms += model.now_ms
    model.run([flooding, woken], 3_600 + 14.0)
    alone = Tenant("b", rate=20.0)
    Model().run([alone], 10.0)
    assert woken.seen[0][1] <= 2 * alone.p99_ms(), "the first one met one full batch"
    assert woken.p99_ms() <= RATIO * alone.p99_ms()
    assert woken.refusals == 0


def test_a_flood_alone_has_full_batches_and_is_done_in_good_time_once_it_is_taken():
    model, flooding = Model(), Tenant("a", in_flight=FLOOD)
    model.run([flooding], 8.0)
    assert len(flooding.seen) / 8 >= 850
    assert model.admission.limit < FLOOD
    assert not model.admission.is_crowded


@pytest.mark.parametrize("in_flight", [100, 200])
def test_a_busy_tenant_alone_is_refused_nothing(in_flight):
    model, busy = Model(), Tenant("a", in_flight=in_flight)
    model.run([busy], 5.0)
    assert busy.refusals == 0
    assert busy.p99_ms() <= 250
    assert len(busy.seen) / 5 >= 800


def test_where_all_are_busy_alike_nobody_is_squeezed():
    model = Model()
    busy = [Tenant(name, in_flight=40) for name in "abcde"]
    model.run(busy, 5.0)
    assert sum(len(one.seen) for one in busy) / 5 >= 850
    assert not model.admission.is_crowded
    assert max(len(one.seen) for one in busy) <= 1.1 * min(len(one.seen) for one in busy)


def test_where_all_flood_alike_batches_stay_full():
    model = Model()
    floods = [Tenant(name, in_flight=1_000) for name in "abcde"]
    model.run(floods, 8.0)
    assert sum(len(one.seen) for one in floods) / 8 >= 850


def test_three_floods_have_alike():
    floods = [flood(name) for name in ("a1", "a2", "a3")]
    measured(floods)
    done = sorted(len(one.seen) for one in floods)
    assert done[-1] <= 1.2 * done[0]


def test_what_is_taken_of_a_flood_does_not_wait_for_ever():
    model, flooding = Model(), flood()
    model.run([*others(), flooding], SECONDS)
    assert model.admission.limit <= 300
    assert model.longest_wait_ms() <= 15 * TARGET_MS


_GIVEN = ("name", "rate", "in_flight", "bytes", "is_rude", "from_ms")
