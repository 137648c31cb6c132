"""The stream processor over a real journal and a real RocksDB: batches, replies after the commit, restart."""

import asyncio

import msgspec
import pytest
from support.listed_log import positions_of
from unit.engines.server.replica_kit import Replica, answer, start_command

from payhub_engines.core.commands import Command, CompleteJob, CorrelateMessage, QueueHandover
from payhub_engines.core.events import encode_entry
from payhub_engines.core.processor import Batch
from payhub_engines.core.reply import Accepted, Rejected
from payhub_engines.export.reader import LogReader
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
    assert replica.state.next_position == expected
    assert replica.stream.instances_running == 50


async def test_a_reply_means_that_a_restart_finds_it(replica_on) -> None:
    replica = await replica_on()
    await replica.stream.submit(start_command(1))
    [job] = replica.state.jobs()
    await replica.stream.submit(CompleteJob(job=job.key, variables={"sent": True}))
    before, position = replica.digest(), replica.state.next_position
    again = await replica_on()
    assert again.digest() == before
    assert again.state.next_position == position
    await again.stream.submit(answer(1))
    instance = again.state.find_instance("lion", "ask", "p1")
    assert instance.ended_at_ms == again.now_ms
    assert again.stream.instances_running == 0


async def test_a_lost_state_is_rebuilt_from_the_log_byte_for_byte(replica_on, tmp_path) -> None:
    replica = await replica_on()
    await asyncio.gather(*(replica.stream.submit(start_command(n)) for n in range(20)))
    for job in list(replica.state.jobs()):
        await replica.stream.submit(CompleteJob(job=job.key, variables={}))
    before = replica.digest()
    await replica.stop()
    (tmp_path / "state").rename(tmp_path / "state.lost")
    rebuilt = Replica(tmp_path)
    await rebuilt.start()
    assert rebuilt.digest() == before
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
    assert replica.state.find_instance("lion", "ask", "p99") is None


async def test_too_much_is_refused_with_retry_after_and_nothing_done(replica_on) -> None:
    replica = await replica_on(instances_running_max=0)
    with pytest.raises(UnavailableError) as caught:
        await replica.stream.submit(start_command(1))
    assert caught.value.headers() == {"Retry-After": "1"}
    assert replica.instances_started() == 0


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


async def test_the_log_reads_back_from_any_position(replica_on) -> None:
    replica = await replica_on()
    for n in range(40):
        await replica.stream.submit(start_command(n))
    await replica.stream.submit(QueueHandover(owner="south", callback=answer(1).callback))
    total = replica.state.next_position - 1
    reader = LogReader("north", replica.log)
    for first in range(1, total + 1):
        batch = reader.read(first)
        assert batch is not None
        positions = positions_of(batch.entries)
        assert positions == list(range(batch.first_position, total + 1))
        assert first in positions_of(batch.entries[:1])
    assert reader.read(total + 1) is None
    assert reader.read(1).entries == [encode_entry(entry) for entry in replica.entries]


class Poisoned(Batch):
    """Fails at one payment, when it is decided already, as a defect would."""

    def decide(self, command):
        reply = super().decide(command)
        if getattr(command, "payment", "") == "p1":
            raise RuntimeError("poison")
        return reply


async def test_a_command_that_meets_a_defect_is_refused_alone_and_leaves_nothing(
    replica_on, monkeypatch
) -> None:
    monkeypatch.setattr("payhub_engines.server.commits.Batch", Poisoned)
    replica = await replica_on()
    results = await asyncio.gather(
        *(replica.stream.submit(start_command(number)) for number in range(5)), return_exceptions=True
    )
    assert [getattr(result, "code", "") for result in results] == ["", "command-failed", "", "", ""]
    assert replica.state.find_instance("lion", "ask", "p1") is None
    assert replica.stream.instances_running == 4
    before = replica.digest()
    await replica.stop()
    again = await replica_on()
    assert again.digest() == before


async def test_a_flood_is_refused_beyond_its_share_and_the_others_wait_for_one_entry(replica_on) -> None:
    replica = await replica_on(instances_running_max=300)
    flood = [
        asyncio.create_task(replica.stream.submit(start_command(number, tenant="flood")))
        for number in range(3_000)
    ]
    await asyncio.sleep(0)
    others = [
        asyncio.create_task(replica.stream.submit(start_command(number, tenant=tenant)))
        for tenant in ("b", "c", "d", "e")
        for number in range(10)
    ]
    assert all(isinstance(reply, Accepted) for reply in await asyncio.gather(*others))
    replies = await asyncio.gather(*flood, return_exceptions=True)
    assert sum(isinstance(reply, Accepted) for reply in replies) == 300
    refused = {reply.code for reply in replies if isinstance(reply, UnavailableError)}
    assert refused == {"engine-overloaded"}
    first = {}
    for number, entry in enumerate(replica.entries):
        for scope in entry.scopes.values():
            first.setdefault(scope.tenant, number)
    assert max(first.values()) <= first["flood"] + 2


async def test_results_are_taken_when_the_queue_is_full_of_what_can_wait(replica_on, monkeypatch) -> None:
    replica = await replica_on()
    await replica.stream.submit(start_command(1))
    [job] = replica.state.jobs()
    monkeypatch.setattr(replica.stream._queue, "_waiting_max", 0)
    with pytest.raises(UnavailableError, match="engine-overloaded"):
        await replica.stream.submit(start_command(2))
    with pytest.raises(UnavailableError, match="engine-overloaded"):
        await replica.stream.read(lambda state: state.next_position)
    assert isinstance(await replica.stream.submit(CompleteJob(job=job.key, variables={})), Accepted)
