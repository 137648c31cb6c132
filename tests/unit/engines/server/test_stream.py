"""The stream processor over a real journal and a real RocksDB: batches, replies after the commit, restart."""

import asyncio

import msgspec
import pytest
from unit.engines.server.replica_kit import Replica, answer, start_command

from payhub_engines.core.commands import Command, CompleteJob, CorrelateMessage, QueueHandover
from payhub_engines.core.processor import Processor
from payhub_engines.core.reply import Accepted, Rejected
from payhub_engines.core.state import digest
from payhub_engines.export.reader import RECORDS_A_BATCH_MAX, LogReader
from payhub_platform.errors import UnavailableError


async def test_commands_that_wait_become_one_entry_and_positions_have_no_gap(replica_on) -> None:
    replica = await replica_on()
    replies = await asyncio.gather(*(replica.stream.submit(start_command(n)) for n in range(50)))
    assert all(isinstance(reply, Accepted) for reply in replies)
    assert len(replica.entries) < 10
    expected = 1
    for entry in replica.entries:
        assert entry.first_position == expected
        expected += len(entry.events)
    assert replica.stream.view.next_position == expected
    assert replica.stream.instances_running == 50


async def test_a_reply_means_that_a_restart_finds_it(replica_on) -> None:
    replica = await replica_on()
    await replica.stream.submit(start_command(1))
    [job] = replica.stream.view.jobs()
    await replica.stream.submit(CompleteJob(job=job.key, variables={"sent": True}))
    before, position = digest(replica.state.reader()), replica.stream.view.next_position
    again = await replica_on()
    assert digest(again.state.reader()) == before
    assert again.stream.view.next_position == position
    await again.stream.submit(answer(1))
    instance = again.stream.view.find_instance("lion", "ask", "p1")
    assert instance.ended_at_ms == again.now_ms
    assert again.stream.instances_running == 0


async def test_a_lost_state_is_rebuilt_from_the_log_byte_for_byte(replica_on, tmp_path) -> None:
    replica = await replica_on()
    await asyncio.gather(*(replica.stream.submit(start_command(n)) for n in range(20)))
    for job in list(replica.stream.view.jobs()):
        await replica.stream.submit(CompleteJob(job=job.key, variables={}))
    before = digest(replica.state.reader())
    await replica.stop()
    (tmp_path / "state").rename(tmp_path / "state.lost")
    rebuilt = Replica(tmp_path)
    await rebuilt.stream.start()
    assert digest(rebuilt.state.reader()) == before
    await rebuilt.stop()
    (tmp_path / "state").rename(tmp_path / "state.rebuilt")
    (tmp_path / "state.lost").rename(tmp_path / "state")


async def test_the_same_key_is_one_instance_and_another_body_is_refused(replica_on) -> None:
    replica = await replica_on()
    first, second, other = await asyncio.gather(
        replica.stream.submit(start_command(1)),
        replica.stream.submit(start_command(1)),
        replica.stream.submit(start_command(1, fingerprint="other")),
    )
    assert (first.duplicate, second.duplicate) == (False, True)
    assert first.key == second.key
    assert isinstance(other, Rejected)
    assert other.code == "key-reused"
    assert replica.stream.instances_running == 1


async def test_a_batch_too_large_for_one_entry_is_halved_and_one_command_too_large_refused(
    replica_on,
) -> None:
    replica = await replica_on()
    commands: list[Command] = [start_command(n, size=200_000) for n in range(40)]
    replies = await asyncio.gather(*(replica.stream.submit(command) for command in commands))
    assert all(isinstance(reply, Accepted) for reply in replies)
    results = await asyncio.gather(
        replica.stream.submit(start_command(99, size=5_000_000)),
        replica.stream.submit(start_command(100)),
        return_exceptions=True,
    )
    assert getattr(results[0], "code", None) == "entry-too-large" or isinstance(results[0], Rejected)
    assert isinstance(results[1], Accepted)
    assert replica.stream.view.find_instance("lion", "ask", "p99") is None


async def test_too_much_is_refused_with_retry_after_and_nothing_done(replica_on) -> None:
    replica = await replica_on(instances_running_max=0)
    with pytest.raises(UnavailableError) as caught:
        await replica.stream.submit(start_command(1))
    assert caught.value.headers() == {"Retry-After": "1"}
    assert replica.entries == []


async def test_messages_that_start_instances_are_bounded_too_and_answers_are_not(replica_on) -> None:
    replica = await replica_on(instances_running_max=1)

    def starting(number: int) -> CorrelateMessage:
        started = {"start_process": "ask", "payment": f"p{number}", "variables": {"id": f"p{number}"}}
        return CorrelateMessage(callback=msgspec.structs.replace(answer(number).callback, **started))

    for number in (1, 2):
        assert isinstance(await replica.stream.submit(starting(number)), Accepted)
    with pytest.raises(UnavailableError, match="engine-overloaded"):
        await replica.stream.submit(starting(3))
    handed_over = msgspec.structs.replace(starting(3), origin="south", sequence=1)
    assert isinstance(await replica.stream.submit(handed_over), Accepted)
    assert isinstance(await replica.stream.submit(answer(1)), Accepted)


async def test_stopping_refuses_what_waits(replica_on) -> None:
    replica = await replica_on()
    waiting = asyncio.create_task(replica.stream.submit(start_command(1)))
    await asyncio.sleep(0)
    await replica.stream.stop()
    result = (await asyncio.gather(waiting, return_exceptions=True))[0]
    assert isinstance(result, Accepted | UnavailableError)
    with pytest.raises(UnavailableError):
        await replica.stream.submit(start_command(2))


async def test_the_log_reads_back_as_audit_records_from_any_position(replica_on) -> None:
    replica = await replica_on()
    for n in range(40):
        await replica.stream.submit(start_command(n))
    await replica.stream.submit(QueueHandover(owner="south", callback=answer(1).callback))
    total = replica.stream.view.next_position - 1
    reader = LogReader("north", replica.log)
    for first in range(1, total + 1):
        batch = reader.read(first)
        assert batch is not None
        positions = [record.position for record in batch.records]
        assert positions[0] == batch.first_position == first
        assert positions == list(range(first, first + len(positions)))
        assert len(positions) <= RECORDS_A_BATCH_MAX
        assert positions[-1] == total or len(positions) == RECORDS_A_BATCH_MAX
    assert reader.read(total + 1) is None
    assert {record.tenant for record in reader.read(1).records} == {"lion"}


class Poisoned(Processor):
    """Fails at one payment, as it would on a damaged state."""

    def process(self, command, store, now_ms):
        if getattr(command, "payment", "") == "p1":
            raise RuntimeError("poison")
        return super().process(command, store, now_ms)


async def test_a_loop_that_failed_answers_all_who_wait_and_stops_in_order(replica_on, monkeypatch) -> None:
    monkeypatch.setattr("payhub_engines.server.stream.COMMANDS_A_BATCH_MAX", 1)
    monkeypatch.setattr("unit.engines.server.replica_kit.Processor", Poisoned)
    replica = await replica_on()
    waiting = [asyncio.create_task(replica.stream.submit(start_command(number))) for number in range(1, 4)]
    failure = await replica.stream.failure()
    assert str(failure) == "poison"
    done, pending = await asyncio.wait(waiting, timeout=5)
    assert not pending
    assert all(isinstance(task.exception(), UnavailableError) for task in done)
    await replica.stream.stop()
    assert not replica.log.is_leader
    await replica.log.wait_stopped()
