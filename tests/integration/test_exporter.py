"""The exporter against a real JetStream that forgets everything, or holds what nobody of ours wrote."""

import asyncio
import contextlib
from pathlib import Path

import msgspec
import pytest
from nats.errors import Error as NatsError
from support.servers import running_nats
from unit.engines.server.replica_kit import Replica, start_command

from payhub_engines.export.exporter import Exporter
from payhub_engines.export.reader import LogReader
from payhub_platform.bus import subjects
from payhub_platform.bus.connection import connect
from payhub_platform.bus.streams import ensure_audit_stream
from payhub_platform.contracts.audit import AuditBatch

pytestmark = pytest.mark.timeout(60)


@contextlib.asynccontextmanager
async def exporting(replica, bus):
    exporter = Exporter("north", replica.stream, LogReader("north", replica.log), bus)
    task = asyncio.create_task(exporter.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_exported(bus, replica, task) -> AuditBatch:
    """Wait until the last message on the subject reaches the end of the log."""
    while True:
        assert not task.done(), task.exception()
        # No stream yet, no message yet, or one that is not ours: all of that is to be waited out.
        with contextlib.suppress(NatsError, TimeoutError, msgspec.MsgspecError):
            last = await bus.jetstream().get_last_msg(subjects.AUDIT_STREAM, subjects.audit("north"))
            batch = msgspec.msgpack.decode(last.data, type=AuditBatch)
            if batch.first_position + len(batch.records) == replica.stream.view.next_position:
                return batch
        await asyncio.sleep(0.1)


@pytest.fixture
async def replica(tmp_path: Path):
    replica = Replica(tmp_path / "replica")
    await replica.stream.start()
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
