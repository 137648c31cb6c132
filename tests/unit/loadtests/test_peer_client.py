"""The client of the comparison, against the front that the peers have."""

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from payhub_peers.client import Client, Plan, Target
from payhub_peers.processes import PeerError
from payhub_peers.servers.front import application


class Memory:
    """Implements ``Workflows``: each ends at once, but for those that are said to be forgotten."""

    def __init__(self, ready=True, forgets=()):
        self.is_ready = ready
        self.started = []
        self._forgets = forgets

    async def open(self):
        pass

    async def start(self, workflow_id):
        if not self.is_ready:
            raise ConnectionError("not here")
        self.started.append(workflow_id)

    async def wait(self, workflow_id):
        return workflow_id in self.started and workflow_id not in self._forgets

    async def close(self):
        pass


def target(*servers):
    addresses = tuple(str(server.make_url("")).rstrip("/") for server in servers)
    return Target(addresses, lambda name: f"/start/{name}", lambda name: f"/done/{name}")


def plan(workflows, clients=2):
    return Plan("w", clients=clients, seconds=60.0, workflows_max=workflows)


async def test_every_workflow_is_submitted_and_waited_for():
    workflows = Memory()
    async with TestServer(application(workflows)) as server:
        load = await Client(target(server), plan(5)).run()
    assert sorted(load.completed) == sorted(load.accepted) == ["w-1", "w-2", "w-3", "w-4", "w-5"]
    assert workflows.started == load.accepted
    assert len(load.latencies_ms) == len(load.completed_at) == 5
    assert load.lost == []


async def test_an_accepted_workflow_that_is_unknown_later_is_lost():
    async with TestServer(application(Memory(forgets={"w-2"}))) as server:
        load = await Client(target(server), plan(3)).run()
    assert (sorted(load.completed), load.lost) == (["w-1", "w-3"], ["w-2"])


async def test_a_replica_that_does_not_lead_is_left_for_the_next():
    follower, leader = Memory(ready=False), Memory()
    async with TestServer(application(follower)) as first, TestServer(application(leader)) as second:
        load = await Client(target(first, second), plan(3)).run()
    assert sorted(load.completed) == ["w-1", "w-2", "w-3"]
    assert follower.started == []


async def test_a_dead_replica_is_left_for_the_next():
    dead = TestServer(application(Memory()))
    await dead.start_server()
    gone = target(dead).addresses
    await dead.close()
    async with TestServer(application(Memory())) as server:
        both = Target(
            (*gone, *target(server).addresses), target(server).submit_path, target(server).wait_path
        )
        load = await Client(both, plan(3)).run()
    assert len(load.completed) == 3


async def test_a_refusal_for_good_ends_the_load():
    async with TestServer(web.Application()) as server:
        with pytest.raises(PeerError, match="POST /start/w-1 is refused with 404"):
            await Client(target(server), plan(1, clients=1)).run()


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
async def test_only_a_ready_front_says_so(ready, status):
    async with (
        TestServer(application(Memory(ready))) as server,
        aiohttp.ClientSession() as session,
        session.get(server.make_url("/ready")) as response,
    ):
        assert response.status == status
