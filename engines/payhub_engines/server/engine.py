"""One engine replica: its parts, put together, started and stopped in the right order."""

import asyncio
import logging
import uuid
from collections.abc import Coroutine
from typing import Any, Final, Literal

from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.http import CONNECTIONS_MAX
from payhub_engines.connectors.mojaloop.keys import KeyRing, PublicKeys
from payhub_engines.connectors.mojaloop.one_time_password import password_of
from payhub_engines.connectors.registry import handlers
from payhub_engines.consensus.disk import FileDisk
from payhub_engines.consensus.peers import TcpNetwork
from payhub_engines.consensus.raft import RaftLog
from payhub_engines.core.commands import Command, DeployProcess, FoundEngine
from payhub_engines.core.state import State
from payhub_engines.export.exporter import Exporter
from payhub_engines.export.reader import LogReader
from payhub_engines.handover.placing import Belongs, Placing
from payhub_engines.handover.recall import RecallServer, ask
from payhub_engines.handover.receiver import HandoverReceiver
from payhub_engines.handover.sender import HandoverSender
from payhub_engines.processes import load
from payhub_engines.server.disk_space import DiskSpace, Level
from payhub_engines.server.jobs import JobWorker
from payhub_engines.server.leadership import LeadershipWatch
from payhub_engines.server.maintenance import Maintenance, folder_bytes
from payhub_engines.server.neighbours import EngineNeighbours
from payhub_engines.server.settings import EngineSettings
from payhub_engines.server.stream import StreamProcessor
from payhub_engines.server.timers import TimerWorker
from payhub_engines.server.waiting import WAITING_MAX
from payhub_platform import cancellation
from payhub_platform.bus.connection import Bus, connect
from payhub_platform.bus.directory import TenantDirectory
from payhub_platform.clock import Clock, system_clock
from payhub_platform.contracts.engine import EngineLimits, RecallRequest, ReplicaView
from payhub_platform.contracts.handover import Callback
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.errors import UnavailableError
from payhub_platform.http_client import HttpClient
from payhub_platform.security.jws import PublicKey
from payhub_platform.security.secrets import SecretBox
from payhub_platform.telemetry.tracing import Tracing

_logger = logging.getLogger(__name__)

JOURNAL: Final = "journal"  # folder of the log
ENDED_KEPT_MS: Final = 90 * 86_400_000  # ended instances, for their status and against repeated requests


class Engine:
    """A replica's parts. Everything outside the stream processor only reads its committed state."""

    def __init__(self, settings: EngineSettings, clock: Clock = system_clock) -> None:
        self.settings = settings
        self.clock = clock
        self.is_stopping = False
        self._watch = LeadershipWatch(self)
        self._secrets = SecretBox(settings.secrets_key)
        self._tenant_keys = KeyRing()
        self.tracing = Tracing(f"engine-{settings.engine_id}", settings.trace_file, settings.trace_ratio)
        self.directory = TenantDirectory(settings.data_dir / "tenants.cache")
        self._log = _log(settings)
        self.disk = DiskSpace(settings.data_dir)
        self.stream = StreamProcessor(settings.data_dir / "state", self._log, clock, self._opening)
        self._keys = PublicKeys(self.directory.by_fsp)
        self.placing = Placing(settings.engine_id, lambda: self.stream.machine.state, self._ask)
        self._tasks: list[asyncio.Task[None]] = []
        self._leading: list[asyncio.Task[None]] = []
        self._ending: set[asyncio.Task[None]] = set()
        self._worker_failure: asyncio.Future[BaseException] | None = None
        self._bus: Bus | None = None
        self._http: HttpClient | None = None
        self._jobs: JobWorker | None = None
        self._receiver: HandoverReceiver | None = None
        self._recalls: RecallServer | None = None
        self._sender: HandoverSender | None = None
        self._exporter: Exporter | None = None

    @property
    def is_leader(self) -> bool:
        """Whether this replica leads and takes commands."""
        return self.stream.is_ready

    @property
    def leader(self) -> str | None:
        """The id of the replica that leads, as far as this one knows."""
        return self._log.leader

    def view(self) -> ReplicaView:
        """Return where this replica stands; a follower's state may be behind the leader's."""
        leader = self.settings.replica if self.is_leader else self._log.leader
        role: Literal["leader", "follower", "none"] = "leader" if self.is_leader else "follower"
        if leader is None or (leader == self.settings.replica and not self.is_leader):
            leader, role = None, "none"
        machine = self.stream.machine
        return ReplicaView(
            replica=self.settings.replica,
            role=role,
            leader=leader,
            term=self._log.term,
            commit_index=self._log.commit_index,
            applied_index=machine.applied_index,
            written_index=machine.written_index,
            first_index=self._log.first_index,
            log_bytes=folder_bytes(self.settings.data_dir / JOURNAL),
            next_position=machine.state.next_position,
        )

    def limits(self) -> EngineLimits:
        """Return beyond which bounds this engine refuses what is new."""
        return EngineLimits(
            in_flight=self.stream.admission.limit,
            waiting=WAITING_MAX,
            disk=self.disk.level.value,
            disk_free_bytes=self.disk.free_bytes,
        )

    async def leadership_changed(self) -> None:
        """Return once ``is_leader`` or ``leader`` is no longer what it was at the call."""
        await self._watch.changed()

    async def prepare_stop(self) -> None:
        """Let another replica lead; in a group of one nobody can.

        Raises:
            UnavailableError: ``engine-not-handed-over``: nobody took over in time.
        """
        self.is_stopping = True
        if not self.settings.is_alone and self._log.is_leader and await self.stream.hand_over() is None:
            raise UnavailableError("engine-not-handed-over", "No other replica took over in time.")

    async def start(self) -> None:
        """Replay the log, take part in the group, and start the workers. Needs nobody else."""
        engine_id = self.settings.engine_id
        self._http = HttpClient(CONNECTIONS_MAX)
        bus = self._bus = await connect(self.settings.nats_url, f"engine-{engine_id}")
        self.directory.watch(bus)
        context = ConnectorContext(
            tenant=self.tenant,
            http=self._http,
            secrets=self._secrets,
            clock=self.clock,
            tracing=self.tracing,
            neighbours=EngineNeighbours(engine_id, self.directory, self.stream),
        )
        self._jobs = JobWorker(self.stream, handlers(), context, self.clock)
        timers = TimerWorker(self.stream, self.clock, ENDED_KEPT_MS)
        self._receiver = HandoverReceiver(engine_id, self.stream, bus, self._belongs)
        self._recalls = RecallServer(engine_id, self.stream, bus)
        self._sender = HandoverSender(self.stream, bus)
        self._exporter = Exporter(engine_id, self.stream, LogReader(engine_id, self._log), bus)
        self.stream.on_role(self._take_role)
        self._work("timers", timers.run())
        journal = self.settings.data_dir / JOURNAL
        maintenance = Maintenance(self.stream.machine, self._log, journal, self._exporter.trim_below)
        self._work("maintenance", maintenance.run())
        self._work("disk-space", self.disk.watch(self._take_disk_level, self.stream.hand_over))
        await self.stream.start()
        self._work("replays-held", self._exporter.serve_held())
        self._work("confirmed", self._exporter.follow_confirmed())

    def _opening(self, state: State) -> list[Command]:
        """Return what a new leader decides first: the name of a new log, and this release's processes."""
        origin = f"{self.settings.engine_id}/{uuid.uuid4().hex}"
        found: list[Command] = [] if state.origin else [FoundEngine(origin=origin)]
        return [*found, *(DeployProcess(xml=xml) for _, xml in load())]

    def _take_role(self, is_leader: bool) -> None:
        """Start or stop what only the leader does towards the bus."""
        led, self._leading = self._leading, []
        ending = asyncio.create_task(cancellation.end(led), name="no-longer-leading")
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        if is_leader and self._receiver and self._recalls and self._exporter and self._sender:
            for name, work in (
                ("handover-sender", self._sender.run()),
                ("handover-receiver", self._receiver.run()),
                ("recalls", self._recalls.run()),
                ("exporter", self._exporter.run()),
                ("replays", self._exporter.serve_replays()),
            ):
                task = asyncio.create_task(work, name=name)
                task.add_done_callback(self._worker_ended)
                self._leading.append(task)
        engine_id, position = self.settings.engine_id, self.stream.machine.state.next_position
        _logger.info("engine %s %s at position %d", engine_id, "leads" if is_leader else "follows", position)

    def _worker_ended(self, task: asyncio.Task[None]) -> None:
        failure = None if task.cancelled() else task.exception()
        if failure is not None and self._worker_failure is not None and not self._worker_failure.done():
            self._worker_failure.set_result(failure)

    def _take_disk_level(self, level: Level) -> None:
        self.stream.admission.is_disk_low = level is not Level.ENOUGH

    async def stop(self) -> None:
        """Stop in the order in which work flows; what is not done is in the log."""
        if self._jobs is not None:
            await self._jobs.stop()
        if self._receiver is not None:
            await self._receiver.stop()
        await cancellation.end([*self._tasks, *self._leading])
        await asyncio.gather(*self._ending)
        await self.stream.stop()
        await self.directory.close()
        if self._bus is not None:
            await self._bus.close()
        if self._http is not None:
            await self._http.close()
        self.tracing.shutdown()

    async def failure(self) -> BaseException | None:
        """Wait until the replica can no longer go on, and return why.

        Any worker that ends by an error counts: an engine that no longer fires timers or hands over
        must be started again, not go on half alive.
        """
        self._worker_failure = asyncio.get_running_loop().create_future()
        watched: set[asyncio.Future[Any]] = {
            asyncio.create_task(self._log.wait_stopped(), name="log"),
            asyncio.create_task(self.stream.failure(), name="stream"),
            self._worker_failure,
            *self._tasks,
        }
        while watched:
            done, watched = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if task.cancelled():
                    continue
                error = task.exception()
                if error is None and isinstance(result := task.result(), BaseException):
                    error = result
                if error is not None:
                    return error
        return None

    def tenant(self, tenant_id: str) -> TenantConfig:
        """Return a tenant's configuration.

        Raises:
            UnavailableError: ``unknown-tenant``; its configuration may still be on its way here.
        """
        config = self.directory.get(tenant_id)
        if config is None:
            raise UnavailableError("unknown-tenant", "This engine does not know the tenant (yet).")
        return config

    async def _ask(self, engine: str, request: RecallRequest) -> bool:
        if self._bus is None:
            raise UnavailableError("engine-stopping", "The engine does not run.")
        return await ask(self._bus, engine, request)

    async def _belongs(self, callback: Callback) -> Belongs:
        """Tell where a message goes that another engine has handed over; it may be behind, or ahead.

        Raises:
            UnavailableError: it would begin something, and this engine does not know (yet) where.
        """
        tenant = self.directory.get(callback.tenant)
        if tenant is None and not callback.start_process:
            return Belongs(here=True)
        return await self.placing.of(tenant or self.tenant(callback.tenant), callback)

    def source_keys(self, fsp_id: str, tenant: TenantConfig) -> list[PublicKey]:
        """Return the public keys that messages of an FSP may be signed with; none where it is unknown."""
        return self._keys.of(fsp_id, tenant, self.clock())

    def one_time_password(self, tenant_id: str, transaction_id: str) -> str:
        """Return what a payer enters at the payee's device; for the payer's own channel alone."""
        key = self._tenant_keys.of(self.tenant(tenant_id), self._secrets)
        return password_of(transaction_id, key.ilp_secret)

    def _work(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))


def _log(settings: EngineSettings) -> RaftLog:
    """Return the replica's log, alone or in its group."""
    group = settings.group()
    disk = FileDisk(settings.data_dir / JOURNAL)
    if len(group.addresses) <= 1:
        return RaftLog(disk, cluster=group.cluster, replica=group.replica)
    return RaftLog(
        disk,
        cluster=group.cluster,
        replica=group.replica,
        members=group.addresses,
        network=TcpNetwork(group),
        snapshots=settings.data_dir / "snapshots",
    )
