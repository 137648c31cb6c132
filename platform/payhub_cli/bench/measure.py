"""What a measurement is made of: loads, costs, the wait for the export, the reading of the log."""

import asyncio
import contextlib
import resource
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from payhub_cli.bench.client import Client
from payhub_cli.bench.exported import exported_position
from payhub_cli.bench.group import Replicas, cpu_s
from payhub_cli.bench.ledger import Ledger, Verdict
from payhub_cli.bench.load import Load, Plan
from payhub_cli.bench.protocol import ENGINE
from payhub_cli.local.disk_use import DiskUse, disk_use
from payhub_platform.bus.connection import Bus

WARM_UP_PAYMENTS: Final = 1_000
WARM_UP_S: Final = 5.0
PROGRESS_S: Final = 2.0
QUIET_S_MAX: Final = 15.0  # until the last payment's other processes have ended
EXPORT_S_MAX: Final = 60.0
CATCH_UP_S_MAX: Final = 60.0
POLL_S: Final = 0.02

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Cost:
    """What the processes have used so far; seconds of processor time."""

    replicas: dict[str, float]
    client_s: float
    nats_s: float

    def since(self, earlier: "Cost") -> "Cost":
        """Return what was added since; a replica that was started meanwhile has no place in it."""
        replicas = {
            each: used - earlier.replicas[each]
            for each, used in self.replicas.items()
            if used >= earlier.replicas.get(each, used + 1)
        }
        return Cost(replicas, self.client_s - earlier.client_s, self.nats_s - earlier.nats_s)


@dataclass(frozen=True, slots=True)
class Written:
    """What was written so far: by the device's account, where it tells, and by the processes' own."""

    device: DiskUse | None
    processes_bytes: int


class Bench:
    """One engine under measurement.

    Args:
        replicas: its processes.
        client: what loads it.
        nats: connection and process id of the NATS server; None: nothing is exported.
        folder: of the engine's data.
        say: is told of the progress.
    """

    def __init__(
        self, replicas: Replicas, client: Client, nats: tuple[Bus, int] | None, folder: Path, say: Say
    ) -> None:
        self.replicas = replicas
        self.client = client
        self.say = say
        self.token = secrets.token_hex(3)
        self._nats = nats
        self.exports = nats is not None
        self._folder = folder

    async def warm_up(self, in_flight: int, tenant: str, payments: int) -> Load:
        """Let the engine do some payments that do not count."""
        load = Load(Plan(f"{self.token}-warm", tenant, WARM_UP_S, in_flight, payments_max=payments))
        await self.run([load], "warm-up")
        return load

    async def run(self, loads: Sequence[Load], phase: str) -> None:
        """Run loads, telling how they go."""
        async with self._progress(loads, phase):
            await self.client.run(loads)

    def cost(self) -> Cost:
        """Return what all processes have used so far."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        nats_s = 0.0 if self._nats is None else cpu_s(self._nats[1])
        return Cost(self.replicas.cpu_s(), usage.ru_utime + usage.ru_stime, nats_s)

    async def written(self) -> Written:
        """Return what was written so far."""
        device = await asyncio.to_thread(disk_use, self._folder)
        return Written(device, self.replicas.written_bytes())

    async def settle(self) -> tuple[int, bool]:
        """Wait until nothing runs; return the leader's last position, and whether the wait succeeded."""
        deadline = time.perf_counter() + QUIET_S_MAX
        while True:
            leader = await self.client.find_leader()
            status = await self.client.look(leader)
            if status is not None and (not status.running or time.perf_counter() > deadline):
                return status.position, not status.running
            await asyncio.sleep(POLL_S)

    async def wait_exported(self, position: int) -> bool:
        """Wait until JetStream has acknowledged all up to a position; False where it has not in time."""
        if self._nats is None:
            return False
        deadline = time.perf_counter() + EXPORT_S_MAX
        while await exported_position(self._nats[0], ENGINE) < position:
            if time.perf_counter() > deadline:
                return False
            await asyncio.sleep(POLL_S)
        return True

    async def read_log(self, accepted: set[str]) -> tuple[Verdict, Ledger]:
        """Read the leader's whole log and judge it."""
        self.say("reading the whole log")
        ledger = Ledger()
        async for index, data in self.client.read_log(await self.client.find_leader()):
            ledger.take(index, data)
        return ledger.verdict(accepted), ledger

    async def has_caught_up(self, replica: str, ledger: Ledger) -> bool:
        """Wait until a replica holds the log that a ledger has read; False where it differs or never does."""
        deadline = time.perf_counter() + CATCH_UP_S_MAX
        while time.perf_counter() < deadline:
            status = await self.client.look(replica)
            if status is not None and status.applied_index >= ledger.last_index:
                break
            await asyncio.sleep(POLL_S)
        else:
            return False
        own = Ledger()
        async for index, data in self.client.read_log(replica):
            if index <= ledger.last_index:
                own.take(index, data, digest_only=True)
        return own.digest == ledger.digest

    @contextlib.asynccontextmanager
    async def _progress(self, loads: Sequence[Load], phase: str) -> AsyncIterator[None]:
        async def tell() -> None:
            began, before = time.perf_counter(), 0
            while True:
                await asyncio.sleep(PROGRESS_S)
                done = sum(load.completed for load in loads)
                self.say(
                    f"{phase}: {time.perf_counter() - began:.0f} s, {done} payments, "
                    f"{(done - before) / PROGRESS_S:.0f}/s"
                )
                before = done

        task = asyncio.create_task(tell())
        try:
            yield
        finally:
            task.cancel()
