"""A whole engine group in one thread, one virtual time and one seed: faults, then healing, then the books."""

import asyncio
import contextlib
import contextvars
import hashlib
import random
import tempfile
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulation.engine_audit import AuditBus
from simulation.engine_checks import History
from simulation.engine_clients import Clients
from simulation.engine_faults import Faults
from simulation.engine_handover import HandoverBus
from simulation.engine_loop import Life, ProcessLoop
from simulation.engine_network import Hub
from simulation.engine_outside import Outside
from simulation.engine_processes import xmls
from simulation.engine_releases import NEW, OLD, two_releases
from simulation.engine_replica import Replica
from simulation.engine_setting import bounded_time, chosen_sizes, engine_log
from simulation.raft_checks import SafetyViolationError
from simulation.raft_world import LivenessViolationError

from payhub_engines.consensus.errors import ConsensusError
from payhub_engines.consensus.simulated_disk import PowerLossError
from payhub_engines.storage.errors import StateError
from payhub_platform.errors import UnavailableError

ENGINES = ("north", "south")
FAULTS_S = 12.0
CAUGHT_UP_WITHIN_S = 30.0
ENDED_WITHIN_S = 240.0
LOOK_S = 0.2
_WITH_LIFE = (ConsensusError, OSError, PowerLossError, StateError, UnavailableError)


@dataclass(frozen=True)
class Result:
    digest: str
    payments: int
    events: int
    healed_ms: int
    ended_ms: int
    seen: Counter[str]


class World:
    """Implements ``Ground`` for its replicas, and ``Group`` for faults and clients."""

    def __init__(
        self,
        name: str,
        engine: str,
        replica_count: int,
        folder: Path,
        *,
        has_real_store: bool,
        has_limits: bool = False,
    ) -> None:
        self.name = name
        self.engine = engine
        self.neighbour: World | None = None
        self.healed_ms = self.caught_up_ms = self.ended_ms = 0.0
        self.chooser = random.Random(self.name)
        self.folder = folder
        self.has_real_store = has_real_store
        self.has_faults = True
        self.seen: Counter[str] = Counter()
        self.xmls = xmls(has_limits=has_limits)
        self.history = History(self.xmls, self.seen)
        self.hub = Hub(self._chooser(), self.seen)
        self.audit = AuditBus(self._chooser())
        self.handover = HandoverBus(self._chooser())
        self.replicas: dict[str, Replica] = {}
        self.clients = Clients(
            self, self._chooser(), has_bench=self.chooser.random() < 0.4, has_limits=has_limits
        )
        self.outside = Outside(self._chooser(), self.history, self.clients.deliver)
        self._works: dict[asyncio.Task[None], None] = {}
        self._outside = contextvars.copy_context()  # of no process
        self._count = replica_count
        members = [str(number) for number in range(1, replica_count + 1)]
        for member in members:
            self._add(member, members)
        if self.chooser.random() < 0.3:
            for replica in self.replicas.values():
                replica.release = OLD
        self.faults = Faults(self, self._chooser())
        if self.chooser.random() < 0.7:
            self.hub.loss = self.chooser.choice([0, 0.02, 0.1])
            self.hub.repeat = self.chooser.choice([0, 0.02, 0.1])
            self.hub.slow = self.chooser.choice([0, 0.02, 0.2])
            self.hub.is_ordered = self.chooser.random() < 0.7

    def start(self) -> None:
        self.begin(self.hub.run())
        for replica in self.replicas.values():
            replica.start()
        payments = self.chooser.choice([5, 20, 40])
        self.clients.begin(payments, FAULTS_S * 0.9)

    async def bear(self) -> None:
        """Go through faults, and have them healed."""
        await asyncio.sleep(self.chooser.uniform(0, 1.5))
        self.begin(self.faults.run())
        while self.now_ms() < FAULTS_S * 1000:
            await asyncio.sleep(LOOK_S)
            self.check()
        await self._heal()
        self.healed_ms = self.now_ms()

    async def catch_up(self) -> None:
        await self.until(self.is_caught_up, CAUGHT_UP_WITHIN_S, "not caught up")
        self.caught_up_ms = self.now_ms()

    def check_all(self) -> None:
        """Check the books, when all is over."""
        self.history.check_states({name: replica.look() for name, replica in self.replicas.items()})
        self.history.check_end()
        self.history.check_audit(self.audit.batches)
        self.outside.check_end()

    def result(self) -> Result:
        return Result(
            self._digest(),
            len(self.history.acknowledged),
            self.history.traces.next_position - 1,
            round(self.caught_up_ms - self.healed_ms),
            round(self.ended_ms - self.healed_ms),
            self.seen,
        )

    # What replicas, clients and faults ask for.

    @property
    def exported_index(self) -> int:
        return self.history.index_of(self.audit.last_position)

    def now_ms(self) -> float:
        return asyncio.get_running_loop().time() * 1000

    def begin(self, work: Awaitable[None]) -> None:
        """Do something that belongs to no process."""
        loop = asyncio.get_running_loop()
        task: asyncio.Task[None] = loop.create_task(work, context=self._outside.copy())  # type: ignore[arg-type]
        self._works[task] = None
        task.add_done_callback(self._done, context=self._outside.copy())

    def power_lost(self, replica: Replica) -> None:
        if replica.life is not None and not replica.life.is_dying:
            replica.life.is_dying = True
            self.begin(self.faults.down(replica, loses_power=True))

    def failed(self, replica: Replica, life: Life, error: BaseException | None) -> None:
        """Judge whether a process had to end."""
        if life.is_dying or replica.life is not life or replica.is_stopping:
            return
        if replica is self.faults.suspect and isinstance(error, ConsensusError):
            self.seen[f"refused to start: {error.code}"] += 1
            self.begin(self.replace(replica))
            return
        if life.release < NEW and _is_newer_log(error):
            # An older release stops at what it cannot follow; then it is its turn to be upgraded.
            self.seen["stopped by a newer log"] += 1
            replica.release = NEW
            self.begin(self.faults.down(replica, loses_power=False))
            return
        if not replica.disk.has_failed:
            wrong = SafetyViolationError(f"replica {replica.name} has stopped: {error!r}")
            wrong.__cause__ = error
            self.history.fail(wrong)
        self.seen["stopped by its disk"] += 1
        self.begin(self.faults.down(replica, loses_power=False))

    async def replace(self, replica: Replica) -> None:
        """Replace a dead replica as docs/operating.md says: stop all, name a new id instead, start all."""
        self.faults.is_replacing = True
        self.seen["replica replaced"] += 1
        for each in self.replicas.values():
            while each.life is not None:
                await each.kill(loses_power=False)
                await asyncio.sleep(0.01)
        self._count += 1
        replica.is_retired = True
        del self.replicas[replica.name]
        members = sorted([*self.replicas, str(self._count)])
        self._add(str(self._count), members)
        for each in self.replicas.values():
            each.members = members
            each.start()
        self.faults.is_replacing = False
        while not self.replicas[str(self._count)].has_joined:
            await asyncio.sleep(LOOK_S)
        self.faults.suspect = None

    def _chooser(self) -> random.Random:
        return random.Random(self.chooser.getrandbits(64))

    def _add(self, name: str, members: list[str]) -> None:
        folder = self.folder / name
        folder.mkdir()
        replica = self.replicas[name] = Replica(self, name, members, folder, self.name)
        replica.clock_rate = self.chooser.uniform(0.9, 1.1)

    # Faults are over.

    async def _heal(self) -> None:
        self.has_faults = self.outside.is_bad = self.audit.is_bad = self.audit.is_down = False
        self.hub.heal()
        self.handover.heal()
        while self.faults.is_replacing:
            await asyncio.sleep(LOOK_S)
        for replica in self.replicas.values():
            replica.disk.power_loss_after = replica.disk.error_after = None
            replica.disk.full = False
            replica.disk_ms = 3.0
            replica.clock_off_ms = 0.0
            if replica.life is not None:
                replica.life.go_on()
            elif not replica.is_ending:
                replica.start()
        await self._upgrade()

    async def _upgrade(self) -> None:
        """Bring the rest to the newer release, one after the other."""
        for replica in list(self.replicas.values()):
            if replica.release < NEW:
                await self.until(self._is_up, CAUGHT_UP_WITHIN_S, "not up for the upgrade")
                await self.faults.upgrade(replica)

    def _is_up(self) -> bool:
        return all(replica.is_up for replica in self.replicas.values()) and any(
            replica.leads for replica in self.replicas.values()
        )

    def is_caught_up(self) -> bool:
        suspect = self.faults.suspect
        if suspect is not None and suspect.has_joined and not suspect.is_retired:
            self.faults.suspect = None  # the flip has harmed nothing
        parts = [each.parts for each in self.replicas.values() if each.is_up and each.parts is not None]
        return (
            len(parts) == len(self.replicas)
            and self.faults.suspect is None
            and sum(each.leads for each in self.replicas.values()) == 1
            and all(each.stream.machine.applied_index == self.history.last_index for each in parts)
            and len({each.log.term for each in parts}) == 1
        )

    def is_over(self) -> bool:
        traces = self.history.traces
        return (
            not self.clients.busy
            and not traces.running
            and not traces.kept
            and not traces.outbox
            and self.audit.last_position == traces.next_position - 1
            and self.is_caught_up()
        )

    async def until(self, holds: Any, within_s: float, what: str) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + within_s
        while not holds():
            self.check()
            if loop.time() > until_s:
                raise LivenessViolationError(f"{what} within {within_s} s\n{self._describe()}")
            await asyncio.sleep(LOOK_S)
        self.check()

    async def end(self) -> None:
        self.ended_ms = self.now_ms()
        for task in list(self._works):
            task.cancel()
        for replica in self.replicas.values():
            await replica.kill(loses_power=False)

    # What goes wrong.

    def check(self) -> None:
        if self.history.violation is not None:
            raise self.history.violation

    def _done(self, task: asyncio.Task[None]) -> None:
        self._works.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.history.fail(error)

    def unhandled(self, _loop: object, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, _WITH_LIFE):
            self.history.fail(error or SafetyViolationError(str(context)))

    def _describe(self) -> str:
        traces, last = self.history.traces, self.history.last_index
        exported = f"{self.audit.last_position} of {traces.next_position - 1} positions are exported"
        lines = [
            f"{self.clients.busy} clients are busy, {traces.running} instances run, the last entry is {last}",
            f"{len(traces.kept)} messages are kept, {exported}",
        ]
        lines += [f"open: {trace.key} {trace.open}" for trace in traces.instances.values() if trace.open][:5]
        for replica in self.replicas.values():
            parts = replica.parts
            if not replica.is_up or parts is None:
                lines.append(f"{replica.name}: down")
                continue
            with contextlib.suppress(UnavailableError):
                lines.append(
                    f"{replica.name}: leads {replica.leads}, knows {parts.log.leader}, "
                    f"term {parts.log.term}, log from {parts.log.first_index}, "
                    f"commit {parts.log.commit_index}, applied {parts.stream.machine.applied_index}"
                )
        return "\n".join(lines)

    def _digest(self) -> str:
        told = (self.ended_ms, self.history.entries, sorted(self.seen.items()), len(self.audit.batches))
        return hashlib.sha256(repr(told).encode()).hexdigest()


def _is_newer_log(error: BaseException | None) -> bool:
    while error is not None:
        if getattr(error, "code", "") == "log-version":
            return True
        error = error.__cause__
    return False


async def _tell(worlds: list[World]) -> None:
    """Tell a whole story: faults, healing, then the books."""
    asyncio.get_running_loop().set_exception_handler(worlds[0].unhandled)
    for world in worlds:
        world.start()
    await asyncio.gather(*(world.bear() for world in worlds))
    await asyncio.gather(*(world.catch_up() for world in worlds))
    for world in worlds:
        await world.until(lambda: all(each.is_over() for each in worlds), ENDED_WITHIN_S, "not ended")
    for world in worlds:
        world.check_all()
        if world.neighbour is not None:
            world.history.check_handover(world.engine, world.neighbour.history)
    for world in worlds:
        await world.end()
        world.check()


def _neighbours(name: str, replica_count: int, folder: Path) -> list[World]:
    """Return two engines that hand over to each other."""
    worlds = []
    for engine in ENGINES:
        (folder / engine).mkdir()
        world = World(f"{name} {engine}", engine, replica_count, folder / engine, has_real_store=False)
        worlds.append(world)
    north, south = worlds
    north.neighbour, south.neighbour = south, north
    south.handover = north.handover
    return worlds


def simulate(
    seed: int,
    replica_count: int,
    *,
    has_real_store: bool = False,
    has_neighbour: bool = False,
    has_limits: bool = False,
) -> Result:
    """Run one seed to its end; of two engines, the first one's result is returned.

    Raises:
        SafetyViolationError: what must never happen did.
        LivenessViolationError: after all faults had healed, something did not come to its end.
    """
    name = f"{seed} {replica_count} {has_real_store}"
    with (
        tempfile.TemporaryDirectory() as folder,
        chosen_sizes(random.Random(f"settings {seed}")),
        two_releases(),
        engine_log() as logged,
        bounded_time(),
        asyncio.Runner(loop_factory=ProcessLoop) as runner,
    ):
        if has_neighbour:
            worlds = _neighbours(name, replica_count, Path(folder))
        else:
            more = {"has_real_store": has_real_store, "has_limits": has_limits}
            worlds = [World(name, ENGINES[0], replica_count, Path(folder), **more)]
        runner.run(_tell(worlds))
        if logged:
            cause = logged[0].exc_info[1] if logged[0].exc_info else None
            raise SafetyViolationError(f"the engine logged: {logged[0].getMessage()}") from cause
        return worlds[0].result()
