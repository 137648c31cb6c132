"""Replicas in processes of their own, over mutual TLS: killed, restarted, trimmed, handed over, replaced."""

import asyncio
import json
import signal
import sys
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from integration.raft_certificates import Authority
from integration.raft_member import CLUSTER
from support.ports import free_ports

PROGRAM = Path(__file__).with_name("raft_member.py")
NAMES = ("1", "2", "3")
WAIT_S = 30.0


class Processes:
    def __init__(self, folder: Path, names: tuple[str, ...], spare: tuple[str, ...] = ()) -> None:
        self.folder = folder
        everybody = names + spare
        ports = free_ports(2 * len(everybody))
        self.addresses = dict(zip(everybody, ports, strict=False))
        self.control = dict(zip(everybody, ports[len(everybody) :], strict=True))
        self.members = names
        self.running: dict[str, asyncio.subprocess.Process] = {}
        authority = Authority()
        for name in everybody:
            authority.write(folder, name, f"payhub://{CLUSTER}/{name}")

    @property
    def peers(self) -> str:
        return ",".join(f"{name}=127.0.0.1:{self.addresses[name]}" for name in self.members)

    async def start(self, name: str) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            PROGRAM,
            self.folder,
            name,
            str(self.control[name]),
            self.peers,
            stdout=asyncio.subprocess.PIPE,
        )
        self.running[name] = process
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), WAIT_S) == b"started\n"

    async def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.send_signal(signal.SIGKILL)
        await process.wait()

    async def ask(self, name: str, line: str) -> str:
        """Return a replica's answer; ``gone`` where it ended meanwhile."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.control[name], limit=1 << 24)
            writer.write(line.encode() + b"\n")
            answer = await reader.readline()
            writer.close()
        except OSError:
            return "gone" if line.startswith("append") else ""
        return answer.decode().strip() or "gone"

    async def status(self, name: str) -> tuple[bool, str | None, int, int]:
        answer = await self.ask(name, "status")
        return tuple(json.loads(answer[3:])) if answer.startswith("ok") else (False, None, 0, 0)

    async def leader(self) -> str:
        async with asyncio.timeout(WAIT_S):
            while True:
                for name in list(self.running):
                    if (await self.status(name))[0]:
                        return name
                await asyncio.sleep(0.02)

    async def append(self, data: str) -> str:
        """Append as a client does: refusals are repeated, what is unknown is not."""
        async with asyncio.timeout(WAIT_S):
            while True:
                answer = await self.ask(await self.leader(), f"append {data}")
                if answer != "not-leader":
                    return answer

    async def equal(self) -> list[str]:
        """Wait until all replicas hold the same; return it."""
        async with asyncio.timeout(WAIT_S):
            while True:
                await self.ask(await self.leader(), "read")
                states = [await self.ask(name, "entries") for name in self.running]
                if len(set(states)) == 1 and states[0].startswith("ok"):
                    return [data for _, data in json.loads(states[0][3:])]
                await asyncio.sleep(0.05)


@asynccontextmanager
async def running(folder: Path, names: tuple[str, ...] = NAMES, spare: tuple[str, ...] = ()):
    processes = Processes(folder, names, spare)
    try:
        await asyncio.gather(*(processes.start(name) for name in names))
        yield processes
    finally:
        for name in list(processes.running):
            await processes.kill(name)


class Clients:
    """Clients that append for ever and know what was acknowledged."""

    def __init__(self, processes: Processes, count: int = 6, prefix: str = "") -> None:
        self.processes = processes
        self.prefix = prefix
        self.acknowledged: list[str] = []
        self.outcomes: Counter[str] = Counter()
        self.is_over = False
        self.tasks = [asyncio.create_task(self._work(number)) for number in range(count)]

    async def _work(self, client: int) -> None:
        number = 0
        while not self.is_over:
            number += 1
            name = f"{self.prefix}{client}-{number}"
            answer = await self.processes.append(name)
            self.outcomes[answer.split()[0]] += 1
            if answer.startswith("ok"):
                self.acknowledged.append(name)

    async def more(self, count: int) -> None:
        """Wait until so many more were acknowledged."""
        target = len(self.acknowledged) + count
        async with asyncio.timeout(WAIT_S):
            while len(self.acknowledged) < target:
                await asyncio.sleep(0.01)

    async def end(self) -> None:
        self.is_over = True
        await asyncio.gather(*self.tasks)


def check(clients: Clients, held: list[str]) -> None:
    times = Counter(held)
    assert [name for name in clients.acknowledged if times[name] != 1] == []
    assert max(times.values()) == 1


@pytest.mark.timeout(120)
async def test_a_leader_killed_under_load_costs_nothing_that_was_acknowledged(tmp_path):
    async with running(tmp_path) as processes:
        clients = Clients(processes)
        await clients.more(100)
        for _ in range(3):
            name = await processes.leader()
            await processes.kill(name)
            await clients.more(100)
            await processes.start(name)
            await clients.more(30)
        await clients.end()
        check(clients, await processes.equal())


@pytest.mark.timeout(120)
async def test_all_are_killed_and_start_again(tmp_path):
    async with running(tmp_path) as processes:
        clients = Clients(processes)
        for _ in range(2):
            await clients.more(100)
            for name in NAMES:
                await processes.kill(name)
            await asyncio.gather(*(processes.start(name) for name in NAMES))
        await clients.more(20)
        await clients.end()
        check(clients, await processes.equal())


@pytest.mark.timeout(120)
async def test_a_follower_behind_a_trimmed_log_gets_the_state_under_load(tmp_path):
    async with running(tmp_path) as processes:
        clients = Clients(processes, 3)
        await clients.more(50)
        leader = await processes.leader()
        away = next(name for name in NAMES if name != leader)
        await processes.kill(away)
        await clients.more(100)
        for name in processes.running:
            assert (await processes.ask(name, "trim")).startswith("ok")
        await processes.start(away)
        await clients.more(50)
        await clients.end()
        check(clients, await processes.equal())
        assert (await processes.status(away))[2] == 1
        assert clients.outcomes["unknown"] == clients.outcomes["gone"] == 0


@pytest.mark.timeout(120)
async def test_leadership_is_handed_over_without_a_failed_append(tmp_path):
    async with running(tmp_path) as processes:
        clients = Clients(processes)
        for _ in range(3):
            await clients.more(50)
            old = await processes.leader()
            answer = await processes.ask(old, "hand-over")
            assert answer in {f"ok {name}" for name in NAMES if name != old}
        await clients.more(50)
        await clients.end()
        assert set(clients.outcomes) == {"ok"}
        check(clients, await processes.equal())


@pytest.mark.timeout(120)
async def test_a_dead_replica_is_replaced_by_a_new_id_that_gets_the_state(tmp_path):
    async with running(tmp_path, spare=("4",)) as processes:
        clients = Clients(processes, 3)
        await clients.more(50)
        dead = await processes.leader()
        await processes.kill(dead)
        await clients.more(50)
        for name in processes.running:
            assert (await processes.ask(name, "trim")).startswith("ok")
        await clients.end()
        left = tuple(processes.running)
        processes.members = (*left, "4")
        for name in left:  # one after the other, with the new list
            await processes.kill(name)
            await processes.start(name)
        late = Clients(processes, 3, "late-")
        await processes.start("4")
        await late.more(50)
        await late.end()
        held = await processes.equal()
        check(clients, held)
        check(late, held)
        assert (await processes.status("4"))[2] == 1
        await processes.kill(left[0])  # the new one counts like any other
        assert (await processes.append("last")).startswith("ok")
        assert (await processes.equal())[-1] == "last"


@pytest.mark.timeout(120)
async def test_a_group_of_five_outlives_two(tmp_path):
    async with running(tmp_path, tuple("12345")) as processes:
        clients = Clients(processes, 3)
        await clients.more(50)
        for _ in range(2):
            await processes.kill(await processes.leader())
            await clients.more(50)
        for name in set("12345") - set(processes.running):
            await processes.start(name)
        await clients.end()
        check(clients, await processes.equal())
