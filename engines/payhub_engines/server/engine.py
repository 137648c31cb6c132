"""One engine replica: its parts, put together, started and stopped in the right order."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

import aiohttp

from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.registry import handlers
from payhub_engines.consensus.disk import FileDisk
from payhub_engines.consensus.raft import RaftLog
from payhub_engines.core.bpmn.model import Catalogue
from payhub_engines.core.processor import Processor
from payhub_engines.export.exporter import Exporter
from payhub_engines.export.reader import LogReader
from payhub_engines.handover.origin import origin_of
from payhub_engines.handover.receiver import HandoverReceiver
from payhub_engines.handover.sender import HandoverSender
from payhub_engines.processes import load
from payhub_engines.server.definitions import kept_definitions
from payhub_engines.server.jobs import JobWorker
from payhub_engines.server.settings import EngineSettings
from payhub_engines.server.stream import StreamProcessor
from payhub_engines.server.timers import TimerWorker
from payhub_engines.storage.rocks import RocksState
from payhub_platform.bus.connection import Bus, connect
from payhub_platform.bus.directory import TenantDirectory
from payhub_platform.clock import Clock, system_clock
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.errors import UnavailableError
from payhub_platform.security.jws import PublicKey, load_public_key
from payhub_platform.security.secrets import SecretBox
from payhub_platform.telemetry.tracing import Tracing

_logger = logging.getLogger(__name__)

REPLICA: Final = "1"  # the one replica of the group
HTTP_CONNECTIONS_MAX: Final = 256
HTTP_TIMEOUT_S: Final = 10.0


class Engine:
    """A replica's parts. Everything outside the stream processor only reads its committed state."""

    def __init__(self, settings: EngineSettings, clock: Clock = system_clock) -> None:
        self.settings = settings
        self.clock = clock
        self._secrets = SecretBox(settings.secrets_key)
        self.tracing = Tracing(f"engine-{settings.engine_id}", settings.trace_file)
        self.directory = TenantDirectory(settings.data_dir / "tenants.cache")
        catalogue = _definitions(settings.data_dir / "definitions")
        self._state = RocksState(settings.data_dir / "state")
        self._log = RaftLog(
            FileDisk(settings.data_dir / "journal"), cluster=settings.engine_id, replica=REPLICA
        )
        self.stream = StreamProcessor(Processor(catalogue), self._state, self._log, clock)
        with contextlib.closing(FileDisk(settings.data_dir / "handover")) as disk:
            self._origin = origin_of(disk, settings.engine_id)
        self._keys: dict[str, PublicKey] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._bus: Bus | None = None
        self._http: aiohttp.ClientSession | None = None
        self._jobs: JobWorker | None = None
        self._receiver: HandoverReceiver | None = None

    async def start(self) -> None:
        """Replay the log, lead, and start the workers. Needs neither NATS nor anybody else."""
        engine_id = self.settings.engine_id
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=HTTP_CONNECTIONS_MAX),
            timeout=aiohttp.ClientTimeout(total=HTTP_TIMEOUT_S),
        )
        bus = self._bus = await connect(self.settings.nats_url, f"engine-{engine_id}")
        self.directory.watch(bus)
        context = ConnectorContext(
            tenant=self.tenant,
            http=self._http,
            secrets=self._secrets,
            clock=self.clock,
            tracing=self.tracing,
        )
        self._jobs = JobWorker(self.stream, handlers(), context, self.clock)
        timers = TimerWorker(self.stream, self.clock)
        sender = HandoverSender(self._origin, self.stream, bus)
        self._receiver = HandoverReceiver(engine_id, self.stream, bus)
        exporter = Exporter(engine_id, self.stream, LogReader(engine_id, self._log), bus)
        await self.stream.start()
        self._jobs.resume()
        self._work("timers", timers.run())
        self._work("handover-sender", sender.run())
        self._work("handover-receiver", self._receiver.run())
        self._work("exporter", exporter.run())
        self._work("replays", exporter.serve_replays())
        _logger.info("engine %s leads at position %d", engine_id, self.stream.view.next_position)

    async def stop(self) -> None:
        """Stop in the order in which work flows; what is not done is in the log."""
        if self._jobs is not None:
            await self._jobs.stop()
        if self._receiver is not None:
            await self._receiver.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.stream.stop()
        await self.directory.close()
        if self._bus is not None:
            await self._bus.close()
        if self._http is not None:
            await self._http.close()
        self._state.close()
        self.tracing.shutdown()

    async def failure(self) -> BaseException | None:
        """Wait until the replica can no longer go on, and return why.

        Any worker that ends by an error counts: an engine that no longer fires timers or hands over
        must be started again, not go on half alive.
        """
        watched: set[asyncio.Task[Any]] = {
            asyncio.create_task(self._log.wait_stopped(), name="log"),
            asyncio.create_task(self.stream.failure(), name="stream"),
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

    def source_key(self, fsp_id: str, tenant: TenantConfig) -> PublicKey | None:
        """Return the public key that messages of an FSP must be signed with; None where it is unknown."""
        if fsp_id == tenant.scheme.switch_fsp_id:
            pem = tenant.scheme.switch_public_key_pem
        else:
            peer = self.directory.by_fsp(fsp_id)
            if peer is None:
                return None
            pem = peer.signing_key.public_key_pem
        key = self._keys.get(pem)
        if key is None:
            key = self._keys[pem] = load_public_key(pem)
        return key

    def _work(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))


def _definitions(folder: Path) -> Catalogue:
    disk = FileDisk(folder)
    try:
        return kept_definitions(disk, (xml for _, xml in load()))
    finally:
        disk.close()
