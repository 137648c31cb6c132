"""The log is forgotten behind the state: folders stay bounded, and who was away takes the state over."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from support.ports import free_ports
from unit.engines.server.replica_kit import PROCESS, Replica, start_command

from payhub_engines.consensus.disk import FileDisk
from payhub_engines.consensus.group import Address, Group
from payhub_engines.consensus.journal import Journal
from payhub_engines.consensus.peers import TcpNetwork
from payhub_engines.consensus.raft import RaftLog
from payhub_engines.core.commands import DeployProcess
from payhub_engines.core.state import digest
from payhub_engines.server.maintenance import Maintenance, folder_bytes
from payhub_engines.server.stream import StreamProcessor
from payhub_platform.clock import system_clock

SEGMENT_BYTES = 64 * 1024
ENTRIES_KEPT = 20
ENTRY_BYTES = 4_000
PAYMENTS = 200
# What is kept, what is being written, and the segment in which the first kept entry lies.
JOURNAL_BYTES_MAX = ENTRIES_KEPT * 2 * ENTRY_BYTES + 3 * SEGMENT_BYTES


def anything(_log_bytes: int) -> int:
    """Nobody outside needs the log."""
    return sys.maxsize


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Journal.__init__.__kwdefaults__, "segment_bytes", SEGMENT_BYTES)


class Member:
    """A replica's log, state and maintenance on a folder, in this process."""

    def __init__(self, folder: Path, replica: str, addresses: dict[str, Address]) -> None:
        self.journal = folder / "journal"
        group = Group(cluster="north", replica=replica, addresses=addresses, certificates=None)
        self.log = RaftLog(
            FileDisk(self.journal),
            cluster="north",
            replica=replica,
            members=addresses,
            network=TcpNetwork(group),
            snapshots=folder / "snapshots",
        )
        self.stream = StreamProcessor(
            folder / "state", self.log, system_clock, lambda _: [DeployProcess(xml=PROCESS)]
        )
        self.maintenance = Maintenance(
            self.stream.machine, self.log, self.journal, anything, entries_kept=ENTRIES_KEPT
        )

    def digest(self) -> str:
        self.stream.machine.flush()
        return digest(self.stream.machine.store)


class Members:
    """Three of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._addresses = {
            str(number): Address("127.0.0.1", port) for number, port in enumerate(free_ports(3), 1)
        }
        self.running: dict[str, Member] = {}

    async def start(self, replica: str) -> Member:
        member = Member(self._folder / replica, replica, self._addresses)
        self.running[replica] = member
        await member.stream.start()
        return member

    async def stop(self, replica: str) -> None:
        await self.running.pop(replica).stream.stop()

    async def leader(self) -> Member:
        await until(lambda: any(member.stream.is_ready for member in self.running.values()))
        return next(member for member in self.running.values() if member.stream.is_ready)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.02)


@pytest.fixture
async def members(tmp_path: Path) -> AsyncIterator[Members]:
    held = Members(tmp_path)
    for replica in ("1", "2", "3"):
        await held.start(replica)
    yield held
    for replica in list(held.running):
        await held.stop(replica)


async def test_folders_stay_bounded_and_who_was_away_takes_the_state_over(members: Members) -> None:
    leader = await members.leader()
    away = next(name for name, member in members.running.items() if member is not leader)
    await until(lambda: members.running[away].stream.machine.applied_index > 0)
    await members.stop(away)
    for number in range(PAYMENTS):
        await leader.stream.submit(start_command(number, size=ENTRY_BYTES))
        if number % 10 == 0:
            for member in members.running.values():
                await member.maintenance.once()
                assert folder_bytes(member.journal) < JOURNAL_BYTES_MAX
    assert leader.log.first_index > PAYMENTS // 2

    back = await members.start(away)
    await until(lambda: back.stream.machine.applied_index >= leader.stream.machine.applied_index)
    assert back.log.first_index > 1  # its log begins with the state that it took over
    assert back.digest() == leader.digest()
    assert folder_bytes(back.journal) < JOURNAL_BYTES_MAX

    # It counts as before: with it alone beside the leader the group goes on.
    other = next(name for name, member in members.running.items() if member not in (leader, back))
    await members.stop(other)
    await (await members.leader()).stream.submit(start_command(PAYMENTS))


async def test_what_the_audit_still_needs_stays(tmp_path: Path) -> None:
    replica = Replica(tmp_path)
    await replica.start()
    for number in range(60):
        await replica.stream.submit(start_command(number))
    needed = 10
    for allowed, first in ((needed, needed), (0, needed), (sys.maxsize, None)):
        maintenance = Maintenance(
            replica.stream.machine,
            replica.log,
            tmp_path / "journal",
            lambda _bytes, allowed=allowed: allowed,
            entries_kept=ENTRIES_KEPT,
        )
        await maintenance.once()
        kept_from = replica.stream.machine.applied_index + 1 - ENTRIES_KEPT
        assert replica.log.first_index == (kept_from if first is None else first)
    before = replica.digest()
    await replica.stop()

    again = Replica(tmp_path)
    await again.start()
    assert again.state.counts().instances == 60
    await again.stop()
    assert before
