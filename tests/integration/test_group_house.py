"""The whole house with engines of three replicas: leaders and followers die, pause and restart."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from support.house import House, running_house
from support.load import continuous_load

from payhub_cli.demo.books import Books
from payhub_cli.demo.story import PlannedPayment

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

REPLICAS = ("1", "2", "3")
PAUSE_S = 3.0


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def house(server_folder: Path) -> AsyncIterator[House]:
    async with running_house(server_folder / "group-house", replicas=3) as running:
        yield running


class Paying:
    """Payments under way, and when each was final."""

    def __init__(self, house: House, planned: list[PlannedPayment], before: Books) -> None:
        self._house = house
        self._planned = planned
        self._before = before
        self.final_at: list[float] = []
        self._task = asyncio.create_task(
            house.pay(planned, on_final=lambda: self.final_at.append(time.monotonic()))
        )

    async def until_final(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.final_at) < count:
                await asyncio.sleep(0.01)

    def next_after(self, moment: float) -> str:
        """Say how long after a moment the next payment was final: for the record, never judged."""
        return f"{min((at for at in self.final_at if at > moment), default=moment) - moment:.2f} s"

    async def assert_right(self) -> None:
        statuses = await self._task
        assert {status.state for status in statuses} == {"COMPLETED"}, [one for one in statuses if one.error]
        await self._house.assert_books(self._before, self._planned, statuses)
        await self._house.assert_audit_complete()


async def begin(house: House, *, lion: int, rhino: int) -> Paying:
    """Begin to pay; lion's home is the payer's engine, rhino's the other one."""
    before = await house.books()
    return Paying(house, house.plan(lion, "lion") + house.plan(rhino, "rhino"), before)


async def test_kill_9_of_a_follower_is_noticed_by_nobody(house: House) -> None:
    leader = await house.leader("north")
    paying = await begin(house, lion=6, rhino=6)
    await paying.until_final(1)
    house.kill(house.replica("north", next(other for other in REPLICAS if other != leader)))
    await paying.assert_right()
    assert await house.leader("north") == leader


async def test_kill_9_of_the_leader_loses_and_doubles_nothing(
    house: House, record_property: Callable[[str, object], None]
) -> None:
    leader = await house.leader("north")
    paying = await begin(house, lion=15, rhino=15)
    await paying.until_final(3)
    killed_at = time.monotonic()
    house.kill(house.replica("north", leader))
    await paying.assert_right()
    record_property("next completion after the leader's kill", paying.next_after(killed_at))
    assert await house.leader("north") != leader


async def test_the_owner_of_callbacks_loses_its_leader_while_they_are_handed_over(house: House) -> None:
    paying = await begin(house, lion=0, rhino=16)
    await paying.until_final(1)
    for engine in ("south", "north"):
        house.kill(house.replica(engine, await house.leader(engine)))
    await paying.assert_right()
    await house.leader("south")
    await house.leader("north")


async def test_a_leader_that_was_paused_is_fenced(house: House) -> None:
    leader = await house.leader("north")
    name = house.replica("north", leader)
    restarts = house.child(name).restarts
    paying = await begin(house, lion=6, rhino=6)
    await paying.until_final(1)
    house.signal(name, signal.SIGSTOP)
    try:
        await asyncio.sleep(PAUSE_S)
    finally:
        house.signal(name, signal.SIGCONT)
    await paying.assert_right()
    assert await house.leader("north") != leader
    assert house.child(name).restarts == restarts


async def test_all_replicas_killed_at_once_go_on_where_they_were(house: House) -> None:
    await house.leader("north")
    paying = await begin(house, lion=5, rhino=5)
    await paying.until_final(1)
    for replica in REPLICAS:
        house.kill(house.replica("north", replica))
    await paying.assert_right()
    await house.leader("north")


async def test_a_rolling_restart_fails_no_request(house: House) -> None:
    leader = await house.leader("north")
    followers = [replica for replica in REPLICAS if replica != leader]
    before = await house.books()
    supervisor = house.installation.supervisor
    async with continuous_load(house, at=followers[0]) as load:
        for replica in [*followers, leader]:
            spared = {replica, await house.leader("north")}
            load.at = next(other for other in REPLICAS if other not in spared)
            await load.some_more()
            name = house.replica("north", replica)
            await supervisor.stop_one(name)
            assert house.ended_cleanly(name)
            await load.some_more()
            await supervisor.start_one(name)
            await house.until_ready(name)
            assert load.failed == []
        await house.leader("north")
        await load.some_more()
    assert load.failed == []
    assert {status.state for status in load.statuses} == {"COMPLETED"}, [
        status.error for status in load.statuses if status.error
    ]
    await house.assert_books(before, load.planned, load.statuses)
    await house.assert_audit_complete()
