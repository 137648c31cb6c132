"""A move goes on until the engines before have ended what they began, whoever fails on the way."""

from typing import Any, cast

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from unit.tenants.tenants_kit import Plane, create_request

from payhub_platform.contracts.tenant import FormerEngine, TenantConfig
from payhub_tenants.placement.model import begins, formers_after

Api = AsyncTestClient[Litestar]
PATH = "/v1/tenants/buffalo/placement"


class Mover:
    """Moves the tenant buffalo, and looks how far that is."""

    def __init__(self, api: Api, plane: Plane) -> None:
        self.api = api
        self.plane = plane
        self.placements = plane.services().placements

    async def place(self, *engines: str, **more: Any) -> dict[str, Any]:
        answer = await self.api.put(PATH, json={"placement": list(engines), **more})
        return cast("dict[str, Any]", answer.json())

    async def look(self) -> dict[str, Any]:
        await self.plane.publisher.publish_waiting()
        await self.placements.run_waiting()
        await self.plane.publisher.publish_waiting()
        return cast("dict[str, Any]", (await self.api.get(PATH)).json())

    @property
    def config(self) -> TenantConfig:
        return self.plane.bus.published[-1]


@pytest.fixture
async def mover(api: Api, plane: Plane) -> Mover:
    await api.post("/v1/tenants", json=create_request(placement=["north"]))
    await plane.publisher.publish_waiting()
    return Mover(api, plane)


async def test_a_move_ends_when_the_former_engine_has_nothing_open(mover: Mover, plane: Plane):
    plane.engines.open["north", "buffalo"] = ["p-1"]
    plane.engines.begun.add(("north", "buffalo"))
    assert (await mover.place("south"))["epoch"] == 2
    view = await mover.look()
    assert view["isMoving"]
    [former] = view["former"]
    assert (former["engine"], former["open"], former["openPayments"]) == ("north", 1, ["p-1"])
    assert former["waitsFor"] == "1 payments under way, 0 callbacks to hand over"
    assert (mover.config.placement, mover.config.former) == (["south"], [FormerEngine(engine="north")])
    assert plane.engines.fences["north", "buffalo"] == 2
    plane.engines.open.clear()
    view = await mover.look()
    assert not view["isMoving"]
    assert view["former"][0]["drainedAtMs"] == plane.now_ms
    assert mover.config.former == [FormerEngine(engine="north", is_drained=True)]
    assert mover.config.epoch == 2  # only what is asked of whom has changed
    assert (await mover.look()) == view
    await mover.placements.forget()
    assert (await mover.look()) == view  # it still knows what it has begun
    plane.engines.silent.add("north")
    await mover.placements.forget()
    assert (await mover.look()) == view
    plane.engines.silent.clear()
    plane.engines.begun.clear()
    await mover.placements.forget()
    assert (await mover.look())["former"] == mover.config.former == []


async def test_the_former_engine_is_asked_once_gateways_can_know(mover: Mover, plane: Plane):
    await mover.place("south")
    await mover.placements.run_waiting()
    [former] = (await mover.api.get(PATH)).json()["former"]
    assert former["waitsFor"] == "publication to gateways and engines"
    assert plane.engines.fences == {}


async def test_an_engine_that_is_silent_or_behind_is_asked_again(mover: Mover, plane: Plane):
    await mover.place("south")
    plane.engines.begun.add(("north", "buffalo"))
    plane.engines.silent.add("north")
    assert (await mover.look())["former"][0]["waitsFor"] == "engine north does not answer: HTTP 503"
    plane.engines.silent.clear()
    plane.engines.behind.add("north")
    view = await mover.look()
    assert (view["isMoving"], view["former"][0]["waitsFor"]) == (
        True,
        "the engine has not heard of the placement",
    )
    plane.engines.behind.clear()
    assert not (await mover.look())["isMoving"]


async def test_an_engine_that_began_nothing_is_forgotten(mover: Mover):
    await mover.place("south")
    view = await mover.look()
    assert (view["isMoving"], view["former"], mover.config.former) == (False, [], [])


async def test_there_and_back_again_both_are_former(mover: Mover, plane: Plane):
    plane.engines.begun |= {("north", "buffalo"), ("south", "buffalo")}
    await mover.place("south")
    await mover.look()
    await mover.place("north")
    assert [each["engine"] for each in (await mover.look())["former"]] == ["south", "north"]
    assert {former.engine for former in mover.config.former} == {"north", "south"}
    assert mover.config.formers(but="north") == ["south"]
    assert (await mover.place("north"))["epoch"] == 3


async def test_a_move_again_meanwhile_is_not_overwritten(mover: Mover, plane: Plane):
    await mover.place("south")
    await plane.publisher.publish_waiting()
    drain = plane.engines.drain

    async def moved_meanwhile(engine: str, tenant_id: str, epoch: int) -> Any:
        plane.engines.drain = drain  # type: ignore[method-assign]
        await mover.place("north", "south", weights=[50, 50])
        return await drain(engine, tenant_id, epoch)

    plane.engines.drain = moved_meanwhile  # type: ignore[method-assign]
    await mover.placements.run_waiting()
    view = (await mover.api.get(PATH)).json()
    assert (view["epoch"], view["isMoving"]) == (3, True)
    assert [each["engine"] for each in view["former"]] == ["south", "north"]


async def test_automatic_placement_goes_by_what_engines_say(mover: Mover, plane: Plane):
    automatic = {"automatic": {"expectedPerS": 100, "engines": 1}}
    plane.engines.in_flight["north"] = 900  # of 1,000
    assert (await mover.api.put(PATH, json=automatic)).json()["placement"] == ["south"]
    plane.engines.in_flight.clear()
    plane.engines.disks["south"] = "low"
    assert (await mover.api.put(PATH, json=automatic)).json()["placement"] == ["north"]
    plane.engines.silent.add("north")
    assert (await mover.api.put(PATH, json=automatic)).json()["code"] == "no-headroom"


def test_who_began_something_is_former():
    assert begins(["north", "south", "west"], [0, 60, 40]) == ["north", "south", "west"]
    assert begins(["north", "south"], [100, 0]) == begins(["north", "south"], []) == ["north"]
    first = formers_after([], ["north"], 2)
    assert [(each.engine, each.epoch) for each in first] == [("north", 2)]
    assert [each.engine for each in formers_after(first, ["south"], 3)] == ["south", "north"]
    assert [(each.engine, each.epoch) for each in formers_after(first, ["north"], 3)] == [("north", 3)]
