"""Groups of replicas in one event loop in virtual time: disks, network and threads are simulated."""

import asyncio
import json
import random
import shutil
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Self

from payhub_engines.consensus.errors import NotLeaderError
from payhub_engines.consensus.messages import Message, Welcome, decode, encode
from payhub_engines.consensus.raft import RaftLog
from payhub_engines.consensus.simulated_disk import SimulatedDisk

DELAY_S = 0.001


class Applied:
    """A state machine: keeps what was committed, in memory and in copies; fails on entries that say so."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, bytes]] = []
        self.held_index = 0  # what a state from before holds
        self.installed = 0

    @property
    def applied_index(self) -> int:
        return self.entries[-1][0] if self.entries else self.held_index

    def apply(self, index: int, data: bytes) -> None:
        if data == b"poison":
            raise ValueError(data)
        assert index > self.applied_index
        self.entries.append((index, data))

    def checkpoint(self, folder: Path) -> int:
        (folder / "sub").mkdir(parents=True)
        text = json.dumps([(index, data.hex()) for index, data in self.entries])
        (folder / "sub" / "entries.json").write_text(text)
        (folder / "EMPTY").touch()
        (folder / "filler.bin").write_bytes(random.Random(1).randbytes(700_000))
        return self.applied_index

    def install(self, folder: Path) -> None:
        assert (folder / "EMPTY").stat().st_size == 0
        assert (folder / "filler.bin").read_bytes() == random.Random(1).randbytes(700_000)
        text = (folder / "sub" / "entries.json").read_text()
        self.entries = [(index, bytes.fromhex(data)) for index, data in json.loads(text)]
        self.installed += 1
        shutil.rmtree(folder)


class Inline(Executor):
    """Runs at once what a thread would run."""

    def submit(self, function, /, *arguments, **named):
        future: Future = Future()
        try:
            future.set_result(function(*arguments, **named))
        except Exception as error:  # noqa: BLE001 - a future tells it, whatever it is
            future.set_exception(error)
        return future


class AtOnce:
    """Implements ``Worker``: a disk that is done before the loop's next round."""

    def __init__(self, _name: str = "") -> None:
        self.delay_s = 0.0

    def run(self, work, done) -> None:
        asyncio.get_running_loop().call_later(self.delay_s, self._finish, work, done)

    def _finish(self, work, done) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - told, whatever it is
            done(error)
        else:
            done(None)

    def close(self) -> None:
        return


class Hub:
    """The network of a group in one event loop: messages take a millisecond, links can be cut."""

    def __init__(self) -> None:
        self.ends: dict[str, Link] = {}
        self.cut: set[str] = set()
        self.lost: list[type] = []  # kinds of messages that do not arrive
        self.sent: list[tuple[str, str, Message]] = []

    def can_reach(self, one: str, other: str) -> bool:
        ends = [self.ends.get(name) for name in (one, other)]
        is_cut = bool({one, other} & self.cut)
        return not is_cut and None not in ends and ends[0].members == ends[1].members

    def isolate(self, name: str) -> None:
        for other in list(self.ends):
            if other != name and self.can_reach(name, other):
                self.ends[other].listener.disconnected(name)
                self.ends[name].listener.disconnected(other)
        self.cut.add(name)

    def rejoin(self, name: str) -> None:
        self.cut.discard(name)
        self.connect(name)

    def connect(self, name: str) -> None:
        for other in list(self.ends):
            if other != name and self.can_reach(name, other):
                self.introduce(name, other)
                self.introduce(other, name)

    def introduce(self, one: str, other: str) -> None:
        welcome: Welcome = self.ends[other].listener.greet(one)
        self.ends[one].listener.connected(other, welcome)

    def deliver(self, sender: str, receiver: str, data: bytes) -> None:
        if self.can_reach(sender, receiver):
            self.ends[receiver].listener.received(sender, decode(data))
            self.ends[receiver].listener.arrived()


class Link:
    """Implements ``Network`` for one replica."""

    def __init__(self, hub: Hub, name: str, members: list[str]) -> None:
        self.hub = hub
        self.members = members
        self.name = name
        self.listener = None

    async def start(self, listener) -> None:
        self.listener = listener
        self.hub.ends[self.name] = self
        self.hub.connect(self.name)

    def send(self, replica: str, message: Message) -> None:
        self.hub.sent.append((self.name, replica, message))
        if type(message) not in self.hub.lost:
            loop = asyncio.get_running_loop()
            loop.call_later(DELAY_S, self.hub.deliver, self.name, replica, encode(message))

    async def stop(self) -> None:
        if self.hub.ends.pop(self.name, None) is not None:
            for end in self.hub.ends.values():
                end.listener.disconnected(self.name)


class Member:
    """One replica of a group: what outlives its process, and the process."""

    def __init__(self, group: "Group", name: str) -> None:
        self.group = group
        self.name = name
        self.disk = SimulatedDisk()
        self.machine = Applied()
        self.roles: list[bool] = []
        self.log: RaftLog | None = None
        self.disk_options: dict = {}

    async def start(self, members: str | None = None) -> "Member":
        self.roles.clear()
        ids = self.group.names if members is None else list(members)
        self.log = RaftLog(
            self.disk,
            cluster="north",
            replica=self.name,
            members=ids,
            network=Link(self.group.hub, self.name, ids),
            snapshots=self.group.folder / self.name,
            clock=lambda: int(asyncio.get_running_loop().time() * 1000),
            chooser=random.Random(self.name),
            make_worker=AtOnce,
            make_executor=lambda _: Inline(),
        )
        await self.log.start(self.machine, self.roles.append)
        return self

    async def stop(self) -> None:
        await self.log.stop()

    @property
    def journal(self):
        return self.log._turns.journal

    @property
    def core(self):
        return self.log._turns.core


class Group:
    def __init__(self, folder: Path, names: str = "123") -> None:
        self.folder = folder
        self.hub = Hub()
        self.names = list(names)
        self.members = {name: Member(self, name) for name in names}

    async def __aenter__(self) -> Self:
        for member in self.members.values():
            await member.start()
        return self

    async def __aexit__(self, *_) -> None:
        for member in self.members.values():
            if member.log is not None:
                await member.stop()

    def __getitem__(self, name: str) -> Member:
        return self.members[name]

    async def leader(self) -> Member:
        """Wait until one leads."""
        for _ in range(1000):
            for member in self.members.values():
                if member.log is not None and member.log.is_leader and member.name not in self.hub.cut:
                    return member
            await asyncio.sleep(0.01)
        raise AssertionError("nobody leads")

    def followers(self) -> list[Member]:
        return [member for member in self.members.values() if not member.log.is_leader]

    async def append(self, data: bytes) -> int:
        """Append as a client does that follows the leader, and repeats what was refused."""
        while True:
            member = await self.leader()
            try:
                return await member.log.append(data)
            except NotLeaderError:
                await asyncio.sleep(0.01)

    async def equal(self) -> list[tuple[int, bytes]]:
        """Wait until all running replicas hold the same state, and logs that end there; return the state."""
        for _ in range(3000):
            running = [member for member in self.members.values() if member.log is not None]
            states = [member.machine.entries for member in running]
            indices = {
                (member.core.applied_index, member.journal.last_index)
                for member in running
                if member.core is not None
            }
            if all(state == states[0] for state in states) and len(indices) == 1:
                return states[0]
            await asyncio.sleep(0.01)
        raise AssertionError({name: member.machine.entries[-3:] for name, member in self.members.items()})
