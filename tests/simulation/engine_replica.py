"""One replica over its lives: the real log, stream, workers and exporter on simulated ground."""

import asyncio
import contextlib
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

from simulation.engine_audit import AuditBus
from simulation.engine_checks import History
from simulation.engine_disk import Devices, FaultyDisk
from simulation.engine_handover import HandoverBus
from simulation.engine_loop import Life, SimulatedThread, SimulatedWorker
from simulation.engine_network import End, Hub
from simulation.engine_outside import PROMPT, SLOW, Outside
from simulation.engine_releases import NEW

from payhub_engines.consensus.raft import RaftLog
from payhub_engines.core.commands import Command, DeployProcess, FoundEngine
from payhub_engines.core.records import Counts
from payhub_engines.core.state import State, digest
from payhub_engines.export.exporter import Exporter
from payhub_engines.export.reader import LogReader
from payhub_engines.handover.receiver import HandoverReceiver
from payhub_engines.handover.sender import HandoverSender
from payhub_engines.server.jobs import JobWorker
from payhub_engines.server.machine import StateStore
from payhub_engines.server.stream import StreamProcessor
from payhub_engines.server.timers import TimerWorker
from payhub_engines.storage.rocks import RocksState

START_MS = 1_767_225_600_000
KEPT_MS = 10 * 86_400_000


class Ground(Protocol):
    """What a replica stands on."""

    engine: str
    hub: Hub
    handover: HandoverBus
    history: History
    outside: Outside
    audit: AuditBus
    xmls: list[bytes]
    has_real_store: bool

    def now_ms(self) -> float: ...
    def power_lost(self, replica: "Replica") -> None: ...
    def failed(self, replica: "Replica", life: Life, error: BaseException | None) -> None: ...


class Replica:
    """Attributes:
    disk: the journal's.
    devices: the folders with the rows of the state.
    life: the process that runs, None while there is none.
    clock_rate: how fast its monotonic clock goes.
    clock_off_ms: how wrong its wall clock is.
    disk_ms: how long a sync takes, at most.
    release: which one is installed; it counts from the next start on.
    is_retired: its id was given up.
    """

    def __init__(self, ground: Ground, name: str, members: list[str], folder: Path, seed: str) -> None:
        self.ground = ground
        self.name = name
        self.members = members
        self.folder = folder
        self.chooser = random.Random(f"{seed} {name}")
        self.disk = FaultyDisk()
        self.devices = Devices()
        self.life: Life | None = None
        self.parts: Parts | None = None
        self.clock_rate = 1.0
        self.clock_off_ms = 0.0
        self.disk_ms = 3.0
        self.release = NEW
        self.is_retired = False
        self.is_ending = False
        self.is_stopping = False
        self.store: StateStore | None = None

    @property
    def is_up(self) -> bool:
        return self.life is not None and not self.life.is_dying

    @property
    def leads(self) -> bool:
        return self.is_up and self.parts is not None and self.parts.stream.is_ready

    @property
    def has_joined(self) -> bool:
        """Whether it is a member that votes."""
        turns = None if self.parts is None else self.parts.log._turns
        return turns is not None and turns._membership.is_member and turns._membership.can_vote

    def monotonic(self) -> int:
        return int(self.ground.now_ms() * self.clock_rate)

    def wall(self) -> int:
        return START_MS + int(self.ground.now_ms() + self.clock_off_ms)

    def start(self) -> None:
        assert self.life is None
        self.is_stopping = False
        self.life = life = Life(self.name, self.release)
        self.disk.on_power_loss = lambda: self.ground.power_lost(self)
        life.start(self._live(life))

    async def kill(self, *, loses_power: bool) -> None:
        """End the process, at once; what is not on disk is gone."""
        life = self.life
        if life is None or self.is_ending:
            return
        self.is_ending = True
        before = self.disk
        before.is_detached = True
        await life.end()
        if self.store is not None:
            self.store.close()
        self.parts = self.life = self.store = None
        self.disk = (
            before.after_loss(self.chooser) if loses_power or before.lost_writes else before.after_kill()
        )
        if loses_power:
            self.devices.lose_power(self.chooser)
        self.is_ending = False

    async def stop(self) -> None:
        """Stop as a rolling restart does: hand over, then end in order."""
        life, parts = self.life, self.parts
        if life is None or parts is None or self.is_ending or life.is_paused:
            return
        self.is_stopping = True
        with contextlib.suppress(Exception):
            # A replica that cannot hand over, or fails meanwhile, is ended all the same.
            await asyncio.wait({life.start(parts.stop())}, timeout=8)
        await self.kill(loses_power=False)

    def wipe(self) -> None:
        """Lose the folder."""
        self.disk, self.devices = FaultyDisk(), Devices()
        self.folder = self.folder.with_name(f"{self.folder.name}x")

    def look(self) -> tuple[int, str, Counts]:
        """Return the last entry applied, a digest of the whole state, and what is open."""
        assert self.parts is not None
        machine = self.parts.stream.machine
        machine.flush()
        loaded = State(machine.store)
        assert loaded.counts() == machine.state.counts()
        return machine.applied_index, digest(machine.store), loaded.counts()

    async def _live(self, life: Life) -> None:
        error: BaseException | None = None
        try:
            parts = self.parts = Parts(self, life)
            error = await parts.run()
            if error is not None and not life.is_dying and self.chooser.random() < 0.5:
                # As a process does that must not go on: it closes what it can, then it ends.
                await asyncio.wait({asyncio.create_task(parts.close())}, timeout=8)
        except Exception as failure:  # noqa: BLE001 - the world judges whether it had to come to that
            error = failure
        self.ground.failed(self, life, error)


class Parts:
    """What ``server.engine.Engine`` puts together, without its bus and its HTTP."""

    def __init__(self, replica: Replica, life: Life) -> None:
        ground, self._replica = replica.ground, replica
        chooser = random.Random(replica.chooser.getrandbits(32))
        self.log = RaftLog(
            replica.disk,
            cluster=ground.engine,
            replica=replica.name,
            members=replica.members,
            network=End(ground.hub, replica.name, replica.members, life),
            snapshots=replica.folder / "snapshots",
            clock=replica.monotonic,
            chooser=random.Random(replica.chooser.getrandbits(32)),
            make_worker=lambda _: SimulatedWorker(lambda: chooser.uniform(0.05, replica.disk_ms)),
            make_executor=lambda _: SimulatedThread(chooser, lambda: chooser.uniform(0.05, replica.disk_ms)),
        )
        self.stream = StreamProcessor(
            replica.folder / "state",
            self.log,
            replica.wall,
            self._opening,
            monotonic=replica.monotonic,
            open_store=self._open,
        )
        self.stream.machine.stagger = random.Random(replica.name).random
        machine, apply = self.stream.machine, self.stream.machine.apply

        def watched(index: int, data: bytes) -> None:
            ground.history.apply(replica.name, index, data)
            apply(index, data)

        machine.apply = watched  # type: ignore[method-assign]
        install = machine.install

        def noted(folder: Path) -> None:
            ground.history.seen["state taken over"] += 1
            install(folder)

        machine.install = noted  # type: ignore[method-assign]
        handlers: dict[str, Any] = {name: ground.outside.slow_handler(life) for name in SLOW}
        handlers |= {name: ground.outside.prompt_handler(life) for name in PROMPT}
        tracing = SimpleNamespace(span=lambda *_, **__: contextlib.nullcontext())
        context: Any = SimpleNamespace(tracing=tracing)
        self.jobs = JobWorker(self.stream, handlers, context, replica.wall)
        self.timers = TimerWorker(self.stream, replica.wall, KEPT_MS)
        bus: Any = ground.audit.connection(life)
        self.exporter = Exporter(ground.engine, self.stream, LogReader(ground.engine, self.log), bus)
        nats: Any = ground.handover.connection(life)
        self._receiver = HandoverReceiver(ground.engine, self.stream, nats)
        self._sender = HandoverSender(self.stream, nats)
        self._leading: list[asyncio.Task[None]] = []
        self.stream.on_role(self._take_role)
        self.synced_index = 0

    async def run(self) -> BaseException | None:
        """Take part until something fails; return what."""
        await self.stream.start()
        works = (self.timers.run(), self._maintain(), self.log.wait_stopped(), self.stream.failure())
        tasks = [asyncio.create_task(work) for work in works]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task in done and not task.cancelled():
                found = task.exception() or task.result()
                if found is not None:
                    return found
        return None

    async def stop(self) -> None:
        if self.log.is_leader:
            await self.log.hand_over()
        await self.close()

    async def close(self) -> None:
        await self.jobs.stop()
        await self._receiver.stop()
        await self.stream.stop()

    def trim(self, exported_index: int) -> bool:
        """Forget what the state holds durably and operations has."""
        below = min(self.synced_index, exported_index) + 1
        if below <= self.log.first_index:
            return False
        self.log.trim(below)
        return True

    def _open(self, path: Path) -> StateStore:
        replica = self._replica
        if replica.ground.has_real_store:
            replica.store = RocksState(path)
        else:
            replica.store = replica.devices.open(path, replica.disk)
        return replica.store

    def _opening(self, state: State) -> list[Command]:
        found: list[Command] = (
            [] if state.origin else [FoundEngine(origin=f"{self._replica.ground.engine}/1")]
        )
        return [*found, *(DeployProcess(xml=xml) for xml in self._replica.ground.xmls)]

    async def _maintain(self) -> None:
        while True:
            await asyncio.sleep(self._replica.chooser.uniform(0.05, 2))
            self.stream.machine.flush()
            self.synced_index = self.stream.machine.sync()

    def _take_role(self, is_leader: bool) -> None:
        for task in self._leading:
            task.cancel()
        self._leading.clear()
        if is_leader:
            works = (self.exporter.run(), self._receiver.run(), self._sender.run())
            self._leading += [asyncio.create_task(work) for work in works]
