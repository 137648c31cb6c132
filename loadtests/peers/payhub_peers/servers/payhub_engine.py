"""payhub's engine with the workflow as a BPMN process and one in-process connector for its steps.

The seam to the engine is this module: it puts the engine's own log, state, stream processor and job worker
together, without the bus, for the peers have none either.
"""

import asyncio
from types import SimpleNamespace
from typing import Any, Final, cast

from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.job import Job
from payhub_engines.consensus.disk import FileDisk
from payhub_engines.consensus.group import Group, parse_addresses
from payhub_engines.consensus.peers import TcpNetwork
from payhub_engines.consensus.raft import RaftLog
from payhub_engines.core.commands import DeployProcess, StartInstance
from payhub_engines.core.events import InstanceCompleted, LogEntry
from payhub_engines.core.reply import Rejected
from payhub_engines.server.jobs import JobWorker
from payhub_engines.server.stream import StreamProcessor
from payhub_peers.servers.front import Arguments, arguments, serve
from payhub_peers.workflow import JOB_TYPE, PROCESS_ID, Effects, service_task_process, step_of
from payhub_platform.clock import system_clock
from payhub_platform.errors import UnavailableError

TENANT: Final = "peers"


class EngineWorkflows:
    """Implements ``Workflows`` on one replica, alone or in a group."""

    def __init__(self, told: Arguments, effects: Effects) -> None:
        self._effects = effects
        xml = service_task_process().encode()
        self._stream = StreamProcessor(
            told.data / "state", _log(told), system_clock, lambda _: [DeployProcess(xml=xml)]
        )
        self._ended: dict[str, asyncio.Event] = {}
        context = cast("ConnectorContext", SimpleNamespace())  # nothing outside is asked
        self._jobs = JobWorker(self._stream, {JOB_TYPE: self._effect}, context, system_clock)
        self._stream.on_committed(self._on_committed)

    @property
    def is_ready(self) -> bool:
        """Whether this replica leads."""
        return self._stream.is_ready

    async def open(self) -> None:
        """Replay the log and take part in the group."""
        await self._stream.start()

    async def start(self, workflow_id: str) -> None:
        """Start an instance; the workflow's id is its business key."""
        command = StartInstance(
            process=PROCESS_ID, tenant=TENANT, payment=workflow_id, fingerprint="", variables={}
        )
        reply = await self._stream.submit(command)
        if isinstance(reply, Rejected):
            raise UnavailableError(reply.code, reply.detail)

    async def wait(self, workflow_id: str) -> bool:
        """Wait until the committed log says that the instance has ended."""
        event = self._ended.setdefault(workflow_id, asyncio.Event())
        record = await self._stream.read(lambda state: state.find_instance(TENANT, PROCESS_ID, workflow_id))
        if record is None or record.ended_at_ms is not None:
            self._ended.pop(workflow_id, None)
            return record is not None
        await event.wait()
        return True

    async def close(self) -> None:
        """Stop in the order in which work flows."""
        await self._jobs.stop()
        await self._stream.stop()

    def _effect(self, job: Job, _context: ConnectorContext) -> dict[str, Any]:
        self._effects.append(job.payment, step_of(job.element), job.attempt)
        return {}

    def _on_committed(self, entry: LogEntry) -> None:
        for event in entry.events:
            if isinstance(event, InstanceCompleted):
                ended = self._ended.pop(entry.scopes[event.instance].payment, None)
                if ended is not None:
                    ended.set()


def _log(told: Arguments) -> RaftLog:
    disk = FileDisk(told.data / "journal")
    if not told.peers:
        return RaftLog(disk, cluster=TENANT, replica=told.replica)
    group = Group(TENANT, told.replica, parse_addresses(told.peers))
    return RaftLog(
        disk,
        cluster=TENANT,
        replica=told.replica,
        members=group.addresses,
        network=TcpNetwork(group),
        snapshots=told.data / "snapshots",
    )


def main() -> None:
    """Run one replica until SIGTERM."""
    told = arguments()
    serve(EngineWorkflows(told, Effects(told.effects)), told.port)


if __name__ == "__main__":
    main()
