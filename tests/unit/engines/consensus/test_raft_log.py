"""The replicated log of one replica: order, group commit, restart, refusals, fail-stop."""

import asyncio
import logging

import pytest
from unit.engines.consensus.raft_kit import Applied

from payhub_engines.consensus.disk import FileDisk
from payhub_engines.consensus.errors import (
    ApplyFailedError,
    EntriesTrimmedError,
    EntryTooLargeError,
    JournalDoubtfulError,
    JournalWriteError,
    LogFullError,
    LogStoppedError,
    NotLeaderError,
    ReplicaIdentityError,
    StateMismatchError,
)
from payhub_engines.consensus.log import ENTRY_BYTES_MAX, ReplicatedLog
from payhub_engines.consensus.raft import RaftLog
from payhub_engines.consensus.simulated_disk import SimulatedDisk


async def started(disk, applied=None, *, applied_index=0, **limits) -> RaftLog:
    log = RaftLog(disk, cluster="north", replica="north-0", **limits)
    applied = Applied() if applied is None else applied
    applied.held_index = applied_index
    await log.start(applied, lambda _: None)
    return log


@pytest.fixture
def disk():
    return SimulatedDisk()


def test_it_is_a_replicated_log():
    log: ReplicatedLog = RaftLog(SimulatedDisk(), cluster="north", replica="north-0")
    assert not log.is_leader


async def test_it_leads_as_soon_as_it_has_started(disk):
    log = await started(disk)
    assert log.is_leader
    assert (log.term, log.first_index) == (1, 1)
    await log.stop()
    assert not log.is_leader


async def test_append_returns_after_the_entry_was_applied(disk):
    applied = Applied()
    log = await started(disk, applied)
    index = await log.append(b"a")
    assert applied.entries == [(index, b"a")]
    assert log.commit_index == index
    await log.stop()


async def test_an_acknowledged_entry_survives_a_power_loss_at_once(disk):
    log = await started(disk)
    for number in range(30):
        index = await log.append(b"%d" % number)
        again = Applied()
        lived = await started(disk.after_power_loss(number), again)
        assert again.entries[-1] == (index, b"%d" % number)
        assert len(again.entries) == number + 1
        await lived.stop()
    await log.stop()


async def test_many_appends_share_a_sync_and_keep_their_order(disk):
    applied = Applied()
    log = await started(disk, applied)
    syncs = log._turns.journal.sync_count
    indices = await asyncio.gather(*(log.append(b"%d" % number) for number in range(500)))
    assert log._turns.journal.sync_count - syncs <= 2
    assert indices == sorted(indices)
    assert [data for _, data in applied.entries] == [b"%d" % number for number in range(500)]
    await log.stop()


async def test_a_restart_replays_only_what_the_state_lacks(disk):
    log = await started(disk)
    indices = [await log.append(b"%d" % number) for number in range(10)]
    await log.stop()
    for held in (0, *indices):
        again = Applied()
        log = await started(disk, again, applied_index=held)
        assert [index for index, _ in again.entries] == [index for index in indices if index > held]
        await log.stop()
    assert log.term == 12


async def test_entries_are_those_applied_without_changes_of_leadership(disk):
    for life in range(3):
        log = await started(disk)
        for number in range(4):
            await log.append(b"%d-%d" % (life, number))
        if life < 2:
            await log.stop()
    found = log.entries(0, 1 << 20)
    assert [data for _, data in found] == [b"%d-%d" % (life, n) for life in range(3) for n in range(4)]
    assert [index for index, _ in found] == [3, 4, 5, 6, 8, 9, 10, 11, 13, 14, 15, 16]
    assert log.entries(5, 6) == found[2:4]
    assert log.entries(5, 1) == found[2:3]
    assert log.entries(17, 100) == []
    await log.stop()


async def test_trimmed_entries_are_refused_not_skipped(disk):
    log = await started(disk)
    indices = [await log.append(b"%d" % number) for number in range(10)]
    log.trim(indices[5])
    assert log.first_index == indices[5]
    assert log.entries(indices[5], 1 << 20)[0] == (indices[5], b"5")
    with pytest.raises(EntriesTrimmedError):
        log.entries(indices[4], 1 << 20)
    await log.stop()
    again = Applied()
    log = await started(disk, again, applied_index=indices[4])
    assert log.first_index == indices[5]
    assert [data for _, data in again.entries] == [b"5", b"6", b"7", b"8", b"9"]
    await log.stop()


async def test_trim_never_goes_above_what_is_applied(disk):
    log = await started(disk)
    index = await log.append(b"a")
    log.trim(index + 100)
    assert log.first_index == index
    assert log.entries(index, 10) == [(index, b"a")]
    assert await log.append(b"b") == index + 1
    await log.stop()


async def test_a_state_that_is_ahead_of_the_journal_is_refused(disk):
    log = await started(disk)
    index = await log.append(b"a")
    await log.stop()
    with pytest.raises(StateMismatchError, match="journal-behind-state"):
        await started(disk, applied_index=index + 2)


async def test_a_state_that_is_older_than_the_trimmed_journal_is_refused(disk):
    log = await started(disk)
    indices = [await log.append(b"a") for _ in range(5)]
    log.trim(indices[3])
    await log.stop()
    with pytest.raises(StateMismatchError, match="state-behind-journal"):
        await started(disk, applied_index=indices[1])


async def test_a_poison_entry_stops_the_replica_loudly(disk, caplog):
    applied = Applied()
    log = await started(disk, applied)
    good = await log.append(b"good")
    with caplog.at_level(logging.CRITICAL):
        results = await asyncio.gather(log.append(b"poison"), log.append(b"after"), return_exceptions=True)
    assert [type(result) for result in results] == [LogStoppedError, LogStoppedError]
    with pytest.raises(ApplyFailedError) as failure:
        await log.wait_stopped()
    assert failure.value.index == good + 1
    assert "apply-failed" in caplog.text
    assert "poison" not in caplog.text
    assert not log.is_leader
    with pytest.raises(LogStoppedError):
        await log.append(b"more")
    await log.stop()
    assert applied.entries == [(good, b"good")]
    # A restart meets it again: it is not skipped.
    with pytest.raises(ApplyFailedError):
        await started(disk)


async def test_a_full_disk_stops_the_replica_and_a_restart_goes_on(disk):
    log = await started(disk)
    index = await log.append(b"a")
    disk.full = True
    with pytest.raises(LogStoppedError):
        await log.append(b"b")
    with pytest.raises(JournalWriteError):
        await log.wait_stopped()
    disk.full = False
    applied = Applied()
    log = await started(disk.after_power_loss(5), applied)
    assert applied.entries[0] == (index, b"a")
    await log.append(b"c")
    await log.stop()


async def test_what_cannot_wait_is_refused(disk):
    log = await started(disk, queue_entries_max=3, queue_bytes_max=100)
    results = await asyncio.gather(*(log.append(b"x") for _ in range(5)), return_exceptions=True)
    assert [type(result) for result in results] == [int, int, int, LogFullError, LogFullError]
    assert results[3].headers() == {"Retry-After": "1"}
    results = await asyncio.gather(*(log.append(bytes(60)) for _ in range(2)), return_exceptions=True)
    assert [type(result) for result in results] == [int, LogFullError]
    await log.stop()


async def test_an_entry_may_be_as_large_as_the_limit_and_no_larger(disk):
    log = await started(disk)
    index = await log.append(bytes(ENTRY_BYTES_MAX))
    with pytest.raises(EntryTooLargeError):
        await log.append(bytes(ENTRY_BYTES_MAX + 1))
    await log.stop()
    applied = Applied()
    await (await started(disk, applied)).stop()
    assert applied.entries == [(index, bytes(ENTRY_BYTES_MAX))]


async def test_stop_finishes_what_waits(disk):
    log = await started(disk)
    waiting = [asyncio.create_task(log.append(b"%d" % number)) for number in range(50)]
    await asyncio.sleep(0)
    await log.stop()
    assert len(set(await asyncio.gather(*waiting))) == 50
    await log.stop()
    await log.wait_stopped()
    with pytest.raises(LogStoppedError):
        await log.append(b"late")


async def test_a_caller_that_gives_up_does_not_disturb_the_others(disk):
    log = await started(disk)
    waiting = [asyncio.create_task(log.append(b"%d" % number)) for number in range(10)]
    await asyncio.sleep(0)
    waiting[3].cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[3], asyncio.CancelledError)
    assert await log.append(b"next") > results[9]
    await log.stop()


async def test_before_the_start_there_is_no_leader(disk):
    log = RaftLog(disk, cluster="north", replica="north-0")
    with pytest.raises(NotLeaderError):
        await log.append(b"a")
    with pytest.raises(NotLeaderError):
        log.entries(0, 10)
    await log.stop()
    with pytest.raises(LogStoppedError):
        await log.start(Applied(), lambda _: None)


async def test_real_files_and_one_process_at_a_time(tmp_path):
    directory = tmp_path / "deep" / "journal"
    log = await started(FileDisk(directory))
    index = await log.append(b"a")
    with pytest.raises(ReplicaIdentityError, match="replica-in-use"):
        FileDisk(directory)
    await log.stop()
    applied = Applied()
    log = await started(FileDisk(directory), applied)
    assert applied.entries == [(index, b"a")]
    await log.stop()


async def test_a_refused_start_leaves_the_folder_free(tmp_path):
    await (await started(FileDisk(tmp_path))).stop()
    with pytest.raises(StateMismatchError):
        await started(FileDisk(tmp_path), applied_index=99)
    await (await started(FileDisk(tmp_path))).stop()


async def test_one_replica_alone_does_not_drop_what_it_may_have_acknowledged(disk):
    log = await started(disk)
    index = await log.append(b"a")
    await log.stop()
    [name] = [name for name in disk.names() if name.endswith(".log")]
    length = disk.size(name)
    disk.flip_bit(name, length - 60)
    with pytest.raises(JournalDoubtfulError, match="restore a backup") as doubt:
        await started(disk)
    assert disk.size(name) == length
    disk.truncate(name, doubt.value.offset)  # who knows that power was lost follows the advice
    applied = Applied()
    log = await started(disk, applied)
    assert log.commit_index >= index
    await log.stop()
