"""What a replica tells of its leader, and waiting for another one."""

import asyncio

import pytest

from payhub_engines.server.leadership import LeadershipWatch, health


class Standing:
    """A replica that is told who leads."""

    def __init__(
        self, *, is_leader: bool = False, leader: str | None = None, is_stopping: bool = False
    ) -> None:
        self.is_leader = is_leader
        self.leader = leader
        self.is_stopping = is_stopping

    async def leadership_changed(self) -> None:
        await LeadershipWatch(self).changed()

    async def prepare_stop(self) -> None:
        self.is_stopping = True

    async def failure(self) -> BaseException | None:
        return None


@pytest.mark.parametrize(
    ("standing", "status", "leader"),
    [
        (Standing(), "starting", None),
        (Standing(leader="1"), "starting", None),  # elected, but not yet taking commands
        (Standing(leader="1", is_leader=True), "ready", "1"),
        (Standing(leader="2"), "ready", "2"),
        (Standing(leader="2", is_stopping=True), "stopping", "2"),
    ],
)
def test_a_replica_is_ready_where_it_leads_or_knows_who_does(standing: Standing, status: str, leader: str):
    told = health(standing, "1")
    assert (told.status, told.leader, told.replica) == (status, leader, "1")


async def test_each_change_wakes_who_waited_for_it():
    standing = Standing(leader="1")
    watch = LeadershipWatch(standing)
    given_up = asyncio.create_task(watch.changed())
    waiting = [asyncio.create_task(watch.changed()) for _ in range(3)]
    await asyncio.sleep(0)
    given_up.cancel()
    standing.leader = "2"
    late = asyncio.create_task(watch.changed())
    await asyncio.gather(*waiting)
    assert not late.done()  # it came after that change
    standing.is_leader = True
    await late


async def test_nobody_looks_when_nobody_waits():
    standing = Standing()
    watch = LeadershipWatch(standing)
    waiting = asyncio.create_task(watch.changed())
    await asyncio.sleep(0)
    waiting.cancel()
    looking = watch._looking
    assert looking is not None
    async with asyncio.timeout(20):
        await looking
