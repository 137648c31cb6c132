"""A disk that fills up: new payments stop first, running ones finish, and what was acknowledged stays."""

import asyncio
import logging
import resource
from pathlib import Path
from typing import NamedTuple

import pytest
from unit.engines.server.fake_log import FakeLog
from unit.engines.server.replica_kit import Replica, answer, start_command

from payhub_engines.consensus.errors import JournalWriteError
from payhub_engines.consensus.raft import RaftLog
from payhub_engines.consensus.simulated_disk import SimulatedDisk
from payhub_engines.core.commands import CompleteJob
from payhub_engines.core.reply import Accepted
from payhub_engines.server import disk_space
from payhub_engines.server.disk_space import DiskFullError, DiskSpace, Level
from payhub_engines.storage.errors import StateError
from payhub_platform.errors import UnavailableError

MIB = 1024**2
SMALL = 10 * 1024 * MIB  # low below 512 MiB, critical below 102 MiB
LARGE = 4096 * 1024 * MIB  # low below 2 GiB, critical below 256 MiB


class Space(NamedTuple):
    f_frsize: int
    f_blocks: int
    f_bavail: int


class FakeDisk:
    """Has as much room as the test says."""

    def __init__(self, total: int, free_mib: int) -> None:
        self.total = total
        self.free_mib = free_mib
        self.fails = False

    def __call__(self, _folder: Path) -> Space:
        if self.fails:
            raise OSError("gone")
        return Space(4096, self.total // 4096, self.free_mib * MIB // 4096)


def levels(space: DiskSpace, fake: FakeDisk, *free_mib: int) -> list[Level]:
    found = []
    for free in free_mib:
        fake.free_mib = free
        found.append(space.check())
    return found


@pytest.mark.parametrize(
    ("total", "free_mib", "level"),
    [
        (SMALL, 513, Level.ENOUGH),
        (SMALL, 511, Level.LOW),
        (SMALL, 101, Level.CRITICAL),
        (LARGE, 2049, Level.ENOUGH),
        (LARGE, 2047, Level.LOW),
        (LARGE, 255, Level.CRITICAL),
    ],
)
def test_small_disks_are_low_by_share_and_large_ones_by_bytes(total, free_mib, level):
    assert DiskSpace(Path(), FakeDisk(total, free_mib)).check() is level


def test_a_level_is_left_only_when_clearly_more_is_free():
    fake = FakeDisk(LARGE, 0)
    space = DiskSpace(Path(), fake)
    found = levels(space, fake, 3000, 2000, 2100, 2500, 2600, 2500, 255, 300, 321, 2100, 2600)
    assert [level.value for level in found] == [
        *("enough", "low", "low", "low", "enough", "enough"),
        *("critical", "critical", "low", "low", "enough"),
    ]


def test_what_cannot_be_told_changes_nothing():
    fake = FakeDisk(LARGE, 1000)
    space = DiskSpace(Path(), fake)
    assert space.check() is Level.LOW
    fake.fails = True
    assert space.check() is Level.LOW


def test_each_change_is_told_loudly_and_once(caplog):
    caplog.set_level(logging.WARNING)
    fake = FakeDisk(LARGE, 0)
    levels(DiskSpace(Path("state"), fake), fake, 3000, 2000, 1999, 3000)
    assert [record.levelname for record in caplog.records] == ["CRITICAL", "WARNING"]
    assert "2000 MiB free; new payments are refused" in caplog.text


def test_a_real_file_system_can_be_told(tmp_path):
    space = DiskSpace(tmp_path)
    space.check()
    assert space.free_bytes > 0


async def test_hardly_any_room_hands_over_first_and_then_stops_with_a_clear_message(monkeypatch):
    monkeypatch.setattr(disk_space, "CHECK_EVERY_S", 0)
    fake, seen, left = FakeDisk(LARGE, 1000), [], []

    def on_level(level: Level) -> None:
        seen.append(level)
        fake.free_mib -= 400

    async def leave() -> None:
        left.append(fake.free_mib)

    with pytest.raises(DiskFullError, match="MiB are free for"):
        await DiskSpace(Path("data"), fake).watch(on_level, leave)
    assert seen == [Level.LOW, Level.LOW, Level.CRITICAL]
    assert len(left) == 1


async def test_a_hand_over_that_hangs_does_not_keep_the_replica_from_stopping(monkeypatch):
    monkeypatch.setattr(disk_space, "LEAVE_S_MAX", 0)

    with pytest.raises(DiskFullError):
        await DiskSpace(Path("data"), FakeDisk(LARGE, 1)).watch(lambda _: None, asyncio.Event().wait)


async def test_running_payments_finish_while_the_disk_is_low(replica_on):
    replica = await replica_on()
    await replica.stream.submit(start_command(1))
    replica.stream.admission.is_disk_low = True
    with pytest.raises(UnavailableError) as caught:
        await replica.stream.submit(start_command(2))
    assert caught.value.code == "disk-nearly-full"
    assert caught.value.headers() == {"Retry-After": "10"}
    [job] = replica.state.jobs()
    assert isinstance(await replica.stream.submit(CompleteJob(job=job.key, variables={})), Accepted)
    assert isinstance(await replica.stream.submit(answer(1)), Accepted)
    assert replica.stream.instances_running == 0
    replica.stream.admission.is_disk_low = False
    assert isinstance(await replica.stream.submit(start_command(2)), Accepted)


async def test_a_journal_on_a_full_disk_acknowledges_nothing_and_loses_nothing(tmp_path):
    disk = SimulatedDisk()
    replica = Replica(tmp_path / "one", log=RaftLog(disk, cluster="north", replica="1"))
    await replica.start()
    await replica.stream.submit(start_command(1))
    disk.full = True
    with pytest.raises(UnavailableError):
        await replica.stream.submit(start_command(2))
    with pytest.raises(JournalWriteError, match="No space left"):
        await replica.log.wait_stopped()
    assert not replica.stream.is_ready
    await replica.stop()
    found = disk.after_power_loss(1)
    again = Replica(tmp_path / "two", log=RaftLog(found, cluster="north", replica="1"))
    await again.start()
    assert again.state.find_instance("lion", "ask", "p1") is not None
    assert isinstance(await again.stream.submit(start_command(2)), Accepted)
    await again.stop()


async def test_a_state_that_cannot_be_written_is_never_written_with_a_hole(tmp_path):
    """A file may grow no further, as on a full disk; that it may again later must not hide what was lost."""
    log = FakeLog()
    replica = Replica(tmp_path / "one", log=log)
    await replica.stream.start()
    log.lead()
    while not replica.stream.is_ready:
        await asyncio.sleep(0)
    for number in range(30):
        await replica.stream.submit(start_command(number, size=100_000))
    before = replica.stream.machine.written_index
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(StateError, match="state-unwritten"):
            replica.stream.machine.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    # A copy for a follower is asked for, whose failure the log survives: it must not get a state with a hole.
    with pytest.raises(StateError, match="state-unwritten"):
        replica.stream.machine.checkpoint(tmp_path / "copy")
    with pytest.raises((StateError, UnavailableError)):
        await replica.stream.submit(start_command(99))
    assert replica.stream.machine.written_index == before
    await replica.stop()
    again = Replica(tmp_path / "one", log=FakeLog())
    again.log.committed = list(log.committed)
    await again.stream.start()
    assert again.state.index.running == 30
    assert all(again.state.find_instance("lion", "ask", f"p{number}") for number in range(30))
    await again.stop()
