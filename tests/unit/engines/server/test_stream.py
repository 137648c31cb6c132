"""The stream processor over a real journal and a real RocksDB: batches, replies after the commit, restart."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from payhub_engines.consensus.disk import FileDisk
from payhub_engines.consensus.raft import RaftLog
from payhub_engines.core.bpmn.model import Catalogue
from payhub_engines.core.bpmn.parse import parse
from payhub_engines.core.commands import Command, CompleteJob, CorrelateMessage, QueueHandover, StartInstance
from payhub_engines.core.events import LogEntry
from payhub_engines.core.processor import Processor
from payhub_engines.core.reply import Accepted, Rejected
from payhub_engines.core.state import digest
from payhub_engines.export.reader import RECORDS_A_BATCH_MAX, LogReader
from payhub_engines.server.stream import StreamProcessor
from payhub_engines.storage.rocks import RocksState
from payhub_platform.contracts.handover import Callback
from payhub_platform.errors import UnavailableError

PROCESS = b"""<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"
    xmlns:zeebe="http://camunda.org/schema/zeebe/1.0" targetNamespace="test">
  <message id="m" name="answer"><extensionElements>
    <zeebe:subscription correlationKey="=id"/></extensionElements></message>
  <process id="ask" isExecutable="true">
    <startEvent id="start"/><sequenceFlow id="f1" sourceRef="start" targetRef="send"/>
    <serviceTask id="send">
      <extensionElements><zeebe:taskDefinition type="send"/></extensionElements></serviceTask>
    <sequenceFlow id="f2" sourceRef="send" targetRef="wait"/>
    <receiveTask id="wait" messageRef="m"/>
    <sequenceFlow id="f3" sourceRef="wait" targetRef="end"/><endEvent id="end"/>
  </process>
</definitions>"""


class Replica:
    """An engine's log, state and stream processor on one folder, with a clock that the test sets."""

    def __init__(self, folder: Path, **limits: int) -> None:
        self.now_ms = 1_000
        self.state = RocksState(folder / "state")
        self.log = RaftLog(FileDisk(folder / "journal"), cluster="north", replica="1")
        processor = Processor(Catalogue((parse(PROCESS),)))
        self.stream = StreamProcessor(processor, self.state, self.log, lambda: self.now_ms, **limits)
        self.entries: list[LogEntry] = []
        self.stream.on_committed(self.entries.append)

    async def stop(self) -> None:
        await self.stream.stop()
        self.state.close()


@pytest.fixture
async def replica_on(tmp_path: Path) -> AsyncIterator[Callable[[], Any]]:
    started: list[Replica] = []

    async def start(**limits: int) -> Replica:
        if started:
            await started.pop().stop()
        replica = Replica(tmp_path, **limits)
        await replica.stream.start()
        started.append(replica)
        return replica

    yield start
    for replica in started:
        await replica.stop()


def start_command(number: int, fingerprint: str = "f", size: int = 0) -> StartInstance:
    variables = {"id": f"p{number}", "padding": "x" * size}
    return StartInstance(
        process="ask", tenant="lion", payment=f"p{number}", fingerprint=fingerprint, variables=variables
    )


def answer(number: int) -> CorrelateMessage:
    callback = Callback(tenant="lion", name="answer", correlation_key=f"p{number}", variables={}, ttl_ms=50)
    return CorrelateMessage(callback=callback)


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
