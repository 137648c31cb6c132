"""One replica of the engine that is measured: the real log, state, stream, workers and export."""

import asyncio
import sys
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Final, cast

import msgspec

from payhub_cli.bench.connectors import PAYER, handlers
from payhub_cli.bench.protocol import (
    ENGINE,
    Answers,
    Entries,
    Look,
    Message,
    ReadLog,
    ReplicaSettings,
    Start,
    Status,
    frame,
    read,
)
from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.consensus.disk import FileDisk
from payhub_engines.consensus.group import Certificates, Group, parse_addresses
from payhub_engines.consensus.peers import TcpNetwork
from payhub_engines.consensus.raft import RaftLog
from payhub_engines.core.commands import Command, DeployProcess, StartInstance
from payhub_engines.core.events import InstanceCompleted, LogEntry
from payhub_engines.core.reply import Rejected, Reply
from payhub_engines.export.exporter import Exporter
from payhub_engines.export.reader import LogReader
from payhub_engines.server.jobs import JobWorker
from payhub_engines.server.maintenance import MAINTAIN_EVERY_S
from payhub_engines.server.stream import StreamProcessor
from payhub_engines.server.timers import TimerWorker
from payhub_platform import event_loop
from payhub_platform.bus.connection import connect
from payhub_platform.clock import system_clock
from payhub_platform.errors import PayhubError
from payhub_platform.garbage import spare_what_lives

KEPT_MS: Final = 86_400_000

READ_BYTES: Final = 1024 * 1024


class _Caller:
    """A connection of the client. Answers of one turn of the event loop leave in one frame."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.is_told = False  # of payments that end: who starts some is
        self.accepted: list[str] = []
        self.completed: list[str] = []
        self.known: list[str] = []
        self.refused: list[str] = []
        self.retry_after_s: list[int] = []
        self._codes: set[str] = set()
        self._is_due = False

    def refuse(self, payment: str, code: str, retry_after_s: int | None) -> None:
        self.refused.append(payment)
        self.retry_after_s.append(retry_after_s or 1)
        self._codes.add(code)
        self.answer_soon()

    def answer_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._answer)

    def _answer(self) -> None:
        codes = sorted(self._codes)
        told = (self.accepted, self.completed, self.known, self.refused, codes, self.retry_after_s)
        self.writer.write(frame(Answers(*told)))
        self.accepted, self.completed, self.known, self.refused, self.retry_after_s = [], [], [], [], []
        self._codes.clear()
        self._is_due = False


class Replica:
    """The parts of an engine that a payment passes, and a socket for the client."""

    def __init__(self, settings: ReplicaSettings) -> None:
        folder = Path(settings.data_dir)
        self._settings = settings
        self._log = make_log(settings, folder)
        self._stream = StreamProcessor(folder / "state", self._log, system_clock, lambda _: _opening())
        payload = "x" * settings.payload_bytes
        context = cast("ConnectorContext", SimpleNamespace())  # nothing outside is asked
        self._jobs = JobWorker(self._stream, handlers(self._stream, payload), context, system_clock)
        self._timers = TimerWorker(self._stream, system_clock, KEPT_MS)
        self._variables = {"amount": 10_000, "currency": "TZS", "feeMax": 10, "extension": payload}
        self._callers: set[_Caller] = set()
        self._exporter: Exporter | None = None
        self._exporting: asyncio.Task[None] | None = None
        self._stream.on_committed(self._on_committed)
        self._stream.on_role(self._on_role)

    async def run(self) -> None:
        """Serve until killed."""
        if self._settings.nats_url:
            bus = await connect(self._settings.nats_url, f"bench-{self._settings.replica}")
            self._exporter = Exporter(ENGINE, self._stream, LogReader(ENGINE, self._log), bus)
        await self._stream.start()
        server = await asyncio.start_server(self._serve, "127.0.0.1", self._settings.port)
        spare_what_lives()
        async with server, asyncio.TaskGroup() as group:
            group.create_task(self._log.wait_stopped())
            group.create_task(self._timers.run())
            group.create_task(self._maintain())
            group.create_task(self._watch())

    async def _maintain(self) -> None:
        while True:
            await asyncio.sleep(MAINTAIN_EVERY_S)
            self._stream.machine.flush()
            await asyncio.to_thread(self._stream.machine.sync)

    async def _watch(self) -> None:
        failure = await self._stream.failure()
        if failure is not None:
            raise failure

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = _Caller(writer)
        self._callers.add(caller)
        try:
            while True:
                self._take(await read(reader), caller)
                await asyncio.sleep(0)  # what is read already must not hold up what else there is to do
        except (asyncio.IncompleteReadError, ConnectionError):
            self._callers.discard(caller)
            writer.close()

    def _take(self, message: Message, caller: _Caller) -> None:
        match message:
            case Start(tenant, payments):
                caller.is_told = True
                for payment in payments:
                    self._start(tenant, payment, caller)
            case Look():
                caller.writer.write(frame(self._status()))
            case ReadLog(from_index):
                entries = self._log.entries(from_index, READ_BYTES)
                caller.writer.write(frame(Entries(self._log.first_index, entries)))
            case _:
                raise ValueError(f"A replica takes no {type(message).__name__}.")

    def _start(self, tenant: str, payment: str, caller: _Caller) -> None:
        refusal = self._stream.refusal_of_payment(tenant)
        if refusal is not None:
            caller.refuse(payment, refusal.code, refusal.retry_after_s)
            return
        command = StartInstance(
            process=PAYER,
            tenant=tenant,
            payment=payment,
            fingerprint="f",
            variables={"transactionId": payment, **self._variables},
        )
        self._stream.offer(command, tenant, lambda reply: self._answered(payment, caller, reply))

    def _answered(self, payment: str, caller: _Caller, reply: Reply | PayhubError) -> None:
        if isinstance(reply, PayhubError | Rejected):
            caller.refuse(payment, reply.code, getattr(reply, "retry_after_s", None))
            return
        caller.accepted.append(payment)
        if reply.duplicate:
            found = self._stream.machine.state.document(reply.key)
            if found is not None and not found.is_running:
                caller.known.append(payment)
        caller.answer_soon()

    def _on_role(self, is_leader: bool) -> None:
        if self._exporting is not None:
            self._exporting.cancel()
            self._exporting = None
        if is_leader and self._exporter is not None:
            self._exporting = asyncio.create_task(self._exporter.run())

    def _on_committed(self, entry: LogEntry) -> None:
        told = [caller for caller in self._callers if caller.is_told]
        if not told:
            return  # a follower is asked for nothing and does nothing here
        state = self._stream.machine.state
        for event in entry.events:
            if type(event) is InstanceCompleted:
                ended = state.document(event.instance)
                if ended is not None and ended.process == PAYER:
                    for caller in told:
                        caller.completed.append(ended.payment)
                        caller.answer_soon()

    def _status(self) -> Status:
        machine = self._stream.machine
        return Status(
            is_leader=self._stream.is_ready,
            position=machine.state.next_position - 1,
            applied_index=machine.applied_index,
            running=self._stream.instances_running,
        )


def make_log(settings: ReplicaSettings, folder: Path) -> RaftLog:
    """Return the replica's log, alone or in a group."""
    disk = FileDisk(folder / "journal")
    if not settings.peers:
        return RaftLog(disk, cluster=ENGINE, replica=settings.replica)
    certificates = None
    if settings.certificate and settings.key and settings.authority:
        certificates = Certificates(Path(settings.certificate), Path(settings.key), Path(settings.authority))
    group = Group(ENGINE, settings.replica, parse_addresses(settings.peers), certificates)
    return RaftLog(
        disk,
        cluster=ENGINE,
        replica=settings.replica,
        members=group.addresses,
        network=TcpNetwork(group),
        snapshots=folder / "snapshots",
    )


def opening_files() -> list[bytes]:
    """Return the three processes of the payment."""
    folder = resources.files("payhub_cli.bench") / "processes"
    names = ("payer-fund-transfer", "payee-party-lookup", "payee-quote-transfer")
    return [(folder / f"{name}.bpmn").read_bytes() for name in names]


def _opening() -> list[Command]:
    return [DeployProcess(xml=xml) for xml in opening_files()]


def main() -> None:
    """Run one replica; the one argument names the file with its settings, as JSON."""
    settings = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=ReplicaSettings)
    event_loop.run(_run(settings))


async def _run(settings: ReplicaSettings) -> None:
    await Replica(settings).run()


if __name__ == "__main__":
    main()
