"""The exporter against a real JetStream that forgets everything, or holds what nobody of ours wrote."""

import asyncio
import contextlib
from pathlib import Path

import msgspec
import pytest
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.errors import APIError
from support.listed_log import positions_of
from support.servers import running_nats
from unit.engines.server.replica_kit import Replica, start_command

from payhub_engines.core.audit import audit_records
from payhub_engines.core.events import encode_entry
from payhub_engines.export.exporter import HEADER_CHAIN, Exporter
from payhub_engines.export.reader import LogReader
from payhub_platform.bus import subjects
from payhub_platform.bus.connection import connect
from payhub_platform.bus.streams import ensure_audit_stream
from payhub_platform.contracts.audit import AuditBatch, Confirmed, ReplayRequest

pytestmark = pytest.mark.timeout(60)


@contextlib.asynccontextmanager
async def exporting(replica, bus, exporter=None):
    exporter = exporter or exporter_of(replica, bus)
    async with running(exporter.run()) as task:
        yield task


def next_position(replica) -> int:
    """The position behind all that is committed."""
    last = replica.entries[-1]
    return last.first_position + len(last.events)


def exporter_of(replica, bus, **options) -> Exporter:
    return Exporter("north", replica.stream, LogReader("north", replica.log), bus, **options)


@contextlib.asynccontextmanager
async def running(work):
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(reached) -> None:
    """Wait until something holds; the test's own limit ends it."""
    while not reached():
        await asyncio.sleep(0.02)


async def exported(bus) -> list[AuditBatch]:
    """All messages on the subject, in the order of the stream."""
    subscription = await bus.jetstream().subscribe(subjects.audit("north"), ordered_consumer=True)
    last = await bus.jetstream().get_last_msg(subjects.AUDIT_STREAM, subjects.audit("north"))
    batches = []
    while True:
        message = await subscription.next_msg(timeout=20)
        batches.append(msgspec.msgpack.decode(message.data, type=AuditBatch))
        if message.metadata.sequence.stream == last.seq:
            await subscription.unsubscribe()
            return batches


def assert_contiguous(batches, end) -> None:
    expected = 1
    for batch in batches:
        assert batch.first_position == expected
        assert positions_of(batch.entries) == list(range(expected, expected + batch.count))
        expected += batch.count
    assert expected == end


@contextlib.asynccontextmanager
async def operations_saying(bus, position):
    """Operations, as far as it tells how much it has stored; the list's one item is its answer."""

    async def answer(message) -> None:
        await message.respond(msgspec.msgpack.encode(Confirmed(next_position=position[0])))

    subscription = await bus.subscribe(subjects.confirmed("*"), cb=answer)
    await bus.flush()
    yield
    await subscription.unsubscribe()


async def until_exported(bus, replica, task) -> AuditBatch:
    """Wait until the last message on the subject reaches the end of the log."""
    while True:
        assert not task.done(), task.exception()
        # No stream yet, no message yet, or one that is not ours: all of that is to be waited out.
        with contextlib.suppress(NatsError, TimeoutError, msgspec.MsgspecError):
            last = await bus.jetstream().get_last_msg(subjects.AUDIT_STREAM, subjects.audit("north"))
            batch = msgspec.msgpack.decode(last.data, type=AuditBatch)
            if batch.first_position + batch.count == next_position(replica):
                return batch
        await asyncio.sleep(0.1)


@pytest.fixture
async def replica(tmp_path: Path):
    replica = Replica(tmp_path / "replica")
    await replica.start()
    yield replica
    await replica.stop()


@pytest.fixture
async def bus(tmp_path: Path):
    with running_nats(tmp_path / "nats") as server:
        bus = await connect(server.url, "test")
        while not bus.is_connected:
            await asyncio.sleep(0.05)
        yield bus
        await bus.close()


async def test_a_message_of_somebody_else_does_not_stop_the_engine(replica, bus) -> None:
    await ensure_audit_stream(bus.jetstream())
    await bus.jetstream().publish(subjects.audit("north"), b"\xc1 no batch")
    await replica.stream.submit(start_command(1))
    async with exporting(replica, bus) as task:
        batch = await until_exported(bus, replica, task)
    assert batch.first_position == 1


async def test_a_stream_that_was_wiped_gets_the_whole_log_again(replica, bus) -> None:
    await replica.stream.submit(start_command(1))
    async with exporting(replica, bus) as task:
        await until_exported(bus, replica, task)
        await bus.jetstream().delete_stream(subjects.AUDIT_STREAM)
        await replica.stream.submit(start_command(2))
        batch = await until_exported(bus, replica, task)
    assert batch.first_position == 1


async def test_the_stream_has_the_bytes_of_the_log(replica, bus) -> None:
    async with exporting(replica, bus) as task:
        for number in range(200):
            await replica.stream.submit(start_command(number))
        await until_exported(bus, replica, task)
    batches = await exported(bus)
    assert_contiguous(batches, next_position(replica))
    assert sum(len(batch.entries) for batch in batches) == len(replica.entries)
    assert [entry for batch in batches for entry in batch.entries] == [*map(encode_entry, replica.entries)]


async def test_two_who_think_that_they_export_leave_one_chain(replica, bus) -> None:
    async with exporting(replica, bus) as old, exporting(replica, bus) as new:
        for number in range(300):
            await replica.stream.submit(start_command(number))
            if number % 10 == 0:
                await asyncio.sleep(0.01)
        await until_exported(bus, replica, old)
        await until_exported(bus, replica, new)
    assert_contiguous(await exported(bus), next_position(replica))


async def test_the_late_message_of_an_old_leader_is_refused_and_the_new_one_goes_on(replica, bus) -> None:
    await replica.stream.submit(start_command(1))
    async with exporting(replica, bus) as task:
        await until_exported(bus, replica, task)
    stream = bus.jetstream()
    last = await stream.get_last_msg(subjects.AUDIT_STREAM, subjects.audit("north"))
    await replica.stream.submit(start_command(2))
    async with exporting(replica, bus) as task:
        await until_exported(bus, replica, task)
        with pytest.raises(APIError, match="wrong last sequence"):
            await stream.publish(
                subjects.audit("north"), b"late", timeout=20, headers={HEADER_CHAIN: str(last.seq)}
            )
        await replica.stream.submit(start_command(3))
        await until_exported(bus, replica, task)
    assert_contiguous(await exported(bus), next_position(replica))


async def test_the_export_goes_on_behind_records_of_the_release_before(replica, bus) -> None:
    await replica.stream.submit(start_command(1))
    await ensure_audit_stream(bus.jetstream())
    records = audit_records(replica.entries[0])
    old = {"engine": "north", "first_position": 1, "records": records}
    await bus.jetstream().publish(subjects.audit("north"), msgspec.msgpack.encode(old))
    await replica.stream.submit(start_command(2))
    async with exporting(replica, bus) as task:
        batch = await until_exported(bus, replica, task)
    assert batch.first_position == len(records) + 1


async def test_a_wiped_stream_gets_only_what_operations_lacks(replica, bus) -> None:
    for number in range(3):
        await replica.stream.submit(start_command(number))
    second = replica.entries[1].first_position
    async with operations_saying(bus, [second]), exporting(replica, bus) as task:
        await until_exported(bus, replica, task)
        assert (await exported(bus))[0].first_position == second


async def test_the_log_may_go_behind_operations_and_not_before(replica, bus, caplog) -> None:
    for number in range(3):
        await replica.stream.submit(start_command(number))
    exporter = exporter_of(replica, bus)
    log, position = replica.log, [replica.entries[1].first_position]
    assert exporter.trim_below(0) == log.first_index
    async with exporting(replica, bus, exporter) as task:
        await until_exported(bus, replica, task)
        assert exporter.trim_below(0) == log.first_index
        async with operations_saying(bus, position), running(exporter.follow_confirmed()):
            await until(lambda: exporter.confirmed_position == position[0])
        found = log.entries(exporter.trim_below(0), 1)
        assert found[0][1] == encode_entry(replica.entries[1])
        assert "CRITICAL" not in {record.levelname for record in caplog.records}
        # A position that this log has not reached belongs to another life of it.
        async with operations_saying(bus, [10_000]), running(exporter.follow_confirmed()):
            await until(lambda: exporter.confirmed_position == 10_000)
        assert exporter.trim_below(0) == log.first_index
        full = exporter_of(replica, bus, bytes_kept_max=1000)
        assert full.trim_below(10_000) > log.first_index
        assert "operations has not confirmed them" in caplog.text


async def test_replays_end_with_leadership_and_what_is_held_is_still_given(replica, bus) -> None:
    await replica.stream.submit(start_command(1))
    exporter = exporter_of(replica, bus)
    request = msgspec.msgpack.encode(ReplayRequest(from_position=1, count=1))

    async def ask(subject) -> AuditBatch:
        while True:
            try:
                answer = await bus.request(subject, request, timeout=20)
            except NoRespondersError:
                await asyncio.sleep(0.02)
            else:
                return msgspec.msgpack.decode(answer.data, type=AuditBatch)

    async with running(exporter.serve_held()):
        async with running(exporter.serve_replays()):
            assert (await ask(subjects.replay("north"))).entries == [encode_entry(replica.entries[0])]
        await bus.flush()
        with pytest.raises(NoRespondersError):
            await bus.request(subjects.replay("north"), request, timeout=20)
        assert (await ask(subjects.replay_held("north"))).entries == [encode_entry(replica.entries[0])]
        beyond = msgspec.msgpack.encode(ReplayRequest(from_position=10_000, count=1))
        with pytest.raises(NatsTimeoutError):
            await bus.request(subjects.replay_held("north"), beyond, timeout=0.3)
