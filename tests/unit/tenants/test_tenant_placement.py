"""Engines are chosen by room, pinned by people, and never overbooked by choice."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import AsyncTestClient
from unit.tenants.tenants_kit import Plane, create_request

from payhub_tenants.placement.errors import NoHeadroomError
from payhub_tenants.placement.model import Automatic, EngineLoad, PlacementRecord, choose, loads_of

Api = AsyncTestClient[Litestar]


@given(
    st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 2_000)), max_size=8),
    st.integers(1, 2_000),
    st.integers(1, 4),
    st.integers(0, 9),
)
def test_a_choice_has_room_and_no_engine_twice(
    sizes: list[tuple[int, int]], expected: int, engines: int, home: int
):
    loads = [EngineLoad(engine=f"e{n}", capacity_per_s=c, load_per_s=u) for n, (c, u) in enumerate(sizes)]
    rooms = {load.engine: load.capacity_per_s * 70 // 100 - load.load_per_s for load in loads}
    wanted = Automatic(expected_per_s=expected, engines=engines)
    if max(rooms.values(), default=-1) < expected:
        with pytest.raises(NoHeadroomError):
            choose(loads, wanted, f"e{home}")
        return
    chosen = choose(loads, wanted, f"e{home}")
    assert len(set(chosen)) == len(chosen) == min(engines, len(loads))
    assert rooms[chosen[0]] >= expected
    if rooms.get(f"e{home}", -1) >= expected:
        assert chosen[0] == f"e{home}"
    else:
        assert rooms[chosen[0]] == max(rooms.values())


def test_load_is_spread_by_weights():
    def record(expected: int, *weights: int) -> PlacementRecord:
        return PlacementRecord(is_pinned=True, weights=list(weights), expected_per_s=expected)

    placements = [(["a", "b"], record(100, 70, 30)), (["b", "a"], record(11)), (["gone"], record(5))]
    loads = loads_of({"a": 500, "b": 500}, placements)
    assert {load.engine: load.load_per_s for load in loads} == {"a": 70, "b": 41}


async def test_tenants_are_spread_until_there_is_no_room(api: Api):
    homes = []
    for name in ("buffalo", "lion", "rhino"):
        await api.post("/v1/tenants", json=create_request(name))
    for name in ("buffalo", "lion", "rhino"):
        body = {"automatic": {"expectedPerS": 200}}
        answer = await api.put(f"/v1/tenants/{name}/placement", json=body)
        homes.append(answer.json().get("placement", [answer.json().get("code")])[0])
    assert homes == ["north", "south", "no-headroom"]
    again = await api.put("/v1/tenants/lion/placement", json={"automatic": {"expectedPerS": 250}})
    assert (again.json()["placement"][0], again.json()["epoch"]) == ("south", 2)  # it stays


async def test_weights_are_published_with_a_new_epoch(api: Api, plane: Plane):
    await api.post("/v1/tenants", json=create_request())
    body = {"placement": ["north", "south"], "weights": [60, 40]}
    for _ in range(2):
        assert (await api.put("/v1/tenants/buffalo/placement", json=body)).json()["epoch"] == 2
    await plane.publisher.publish_waiting()
    config = plane.bus.published[-1]
    assert (config.placement, config.weights, config.epoch) == (["north", "south"], [60, 40], 2)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid-field"),
        ({"placement": ["north"], "automatic": {"expectedPerS": 1}}, "invalid-field"),
        ({"placement": ["north"], "weights": [60, 40]}, "unfit-weights"),
        ({"placement": ["north", "south"], "weights": [60, 41]}, "unfit-weights"),
        ({"automatic": {"expectedPerS": 1}, "weights": [100]}, "unfit-weights"),
        ({"automatic": {"expectedPerS": 0}}, "invalid-field"),
    ],
)
async def test_unfit_placements_are_refused(api: Api, body: dict[str, Any], code: str):
    await api.post("/v1/tenants", json=create_request())
    answer = await api.put("/v1/tenants/buffalo/placement", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
