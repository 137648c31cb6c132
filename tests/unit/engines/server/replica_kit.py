"""A replica on a folder: a real journal, a real RocksDB, a small process, a clock that the test sets."""

import asyncio
from pathlib import Path

from payhub_engines.consensus.disk import FileDisk
from payhub_engines.consensus.log import ReplicatedLog
from payhub_engines.consensus.raft import RaftLog
from payhub_engines.core.commands import CorrelateMessage, DeployProcess, StartInstance
from payhub_engines.core.events import InstanceStarted, LogEntry
from payhub_engines.core.state import State, digest
from payhub_engines.server.stream import StreamProcessor
from payhub_platform.contracts.handover import Callback

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

    def __init__(
        self,
        folder: Path,
        xmls: tuple[bytes, ...] = (PROCESS,),
        log: ReplicatedLog | None = None,
        **limits: int,
    ) -> None:
        self.now_ms = 1_000
        self.log = log or RaftLog(FileDisk(folder / "journal"), cluster="north", replica="1")
        opening = [DeployProcess(xml=xml) for xml in xmls]
        self.stream = StreamProcessor(
            folder / "state", self.log, lambda: self.now_ms, lambda _: opening, **limits
        )
        self.entries: list[LogEntry] = []
        self.stream.on_committed(self.entries.append)

    @property
    def state(self) -> State:
        return self.stream.machine.state

    def instances_started(self) -> int:
        return sum(isinstance(event, InstanceStarted) for entry in self.entries for event in entry.events)

    def digest(self) -> str:
        self.stream.machine.flush()
        return digest(self.stream.machine.store)

    async def start(self) -> None:
        ready = asyncio.Event()
        self.stream.on_role(lambda _: ready.set())
        await self.stream.start()
        await ready.wait()

    async def stop(self) -> None:
        await self.stream.stop()


def start_command(number: int, fingerprint: str = "f", size: int = 0, tenant: str = "lion") -> StartInstance:
    variables = {"id": f"p{number}", "padding": "x" * size}
    return StartInstance(
        process="ask", tenant=tenant, payment=f"p{number}", fingerprint=fingerprint, variables=variables
    )


def answer(number: int) -> CorrelateMessage:
    callback = Callback(tenant="lion", name="answer", correlation_key=f"p{number}", variables={}, ttl_ms=50)
    return CorrelateMessage(callback=callback)
