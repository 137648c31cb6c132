"""One peer's run: start, warm up, load; then load again and kill -9 in the middle."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from payhub_cli.local.disk_use import DiskUse, disk_use
from payhub_peers.client import FINISH_S_MAX, Client, Load, Plan, Target
from payhub_peers.effects import count_effects
from payhub_peers.peer import Peer
from payhub_peers.processes import PeerError
from payhub_peers.report import PeerResult, Recovery, Speed, percentile

PROGRESS_S: Final = 2.0
WARM_UP_A_CLIENT: Final = 5  # workflows
WARM_UP_S_MAX: Final = 30.0
ANSWERS_S: Final = 0.05  # what was answered before the kill is read before completions after it count

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """How each peer is loaded.

    ``kill`` is what to strike in the middle of a second run: ``main``, ``all``, or nothing.
    """

    clients: int
    seconds: float
    workflows_max: int
    kill: str = ""


async def measure(peer: Peer, settings: Settings, say: Say) -> PeerResult:
    """Install and run a peer; what keeps it from running is in the result."""
    speed = recovery = None
    try:
        say("install")
        await asyncio.to_thread(peer.install)
        peer.clear()
        say("start")
        try:
            await peer.start()
            await _warm_up(peer, settings.clients)
            speed = await _speed(peer, settings, say)
            if speed.steps_lost or speed.steps_doubled:
                say(f"undisturbed, yet {speed.steps_lost} steps lost, {speed.steps_doubled} doubled")
            if settings.kill:
                recovery = await _recovery(peer, settings, say)
        finally:
            await peer.stop()
    except (PeerError, TimeoutError) as error:
        failure = str(error) or "It did not end its workflows in time."
        say(f"not run: {failure}")
        return PeerResult(peer=peer.name, title=peer.title, durable_by=peer.durable_by, failure=failure)
    return PeerResult(
        peer=peer.name, title=peer.title, durable_by=peer.durable_by, speed=speed, recovery=recovery
    )


async def _warm_up(peer: Peer, clients: int) -> None:
    plan = Plan("warm", clients, WARM_UP_S_MAX, clients * WARM_UP_A_CLIENT)
    async with asyncio.timeout(WARM_UP_S_MAX):
        await Client(_target(peer), plan).run()


async def _speed(peer: Peer, settings: Settings, say: Say) -> Speed:
    client = Client(_target(peer), Plan("load", settings.clients, settings.seconds, settings.workflows_max))
    before = await asyncio.to_thread(disk_use, peer.folder)
    cpu_before_s = peer.processes.cpu_s()
    async with _progress(client, "load", say):
        load = await client.run()
    cpu_s = peer.processes.cpu_s() - cpu_before_s
    after = await asyncio.to_thread(disk_use, peer.folder)
    disk = None
    if before is not None and after is not None:
        disk = after.since(before)
    return speed_of(load, cpu_s, disk, peer.steps_done())


async def _recovery(peer: Peer, settings: Settings, say: Say) -> Recovery:
    client = Client(_target(peer), Plan("kill", settings.clients, settings.seconds, settings.workflows_max))
    async with _progress(client, f"kill {settings.kill}", say):
        running = asyncio.create_task(client.run())
        await asyncio.wait([running], timeout=settings.seconds / 2)
        if running.done():
            await running
            raise PeerError(f"All {settings.workflows_max} workflows ended before the kill: allow more.")
        try:
            killed_at = time.monotonic()
            killed = await peer.kill(everything=settings.kill == "all")
            await asyncio.sleep(ANSWERS_S)
            answered = len(client.load.completed)
            say(f"killed {killed} after {answered} workflows; restart")
            await peer.start()
            load = await asyncio.wait_for(running, settings.seconds + FINISH_S_MAX)
        finally:
            running.cancel()
    return recovery_of(load, killed, killed_at, answered, peer.steps_done())


def speed_of(load: Load, cpu_s: float, disk: DiskUse | None, steps_done: list[str]) -> Speed:
    """Return the figures of an undisturbed load and of what it cost.

    Raises:
        PeerError: nothing was completed.
    """
    completed = len(load.completed)
    if not completed:
        raise PeerError("No workflow was completed.")
    effects = count_effects(steps_done, load.accepted)
    return Speed(
        workflows=completed,
        seconds=load.seconds,
        workflows_per_s=completed / load.seconds,
        p50_ms=percentile(load.latencies_ms, 50),
        p99_ms=percentile(load.latencies_ms, 99),
        p999_ms=percentile(load.latencies_ms, 99.9),
        cpu_ms_per_workflow=cpu_s * 1000 / completed,
        written_kib_per_workflow=None if disk is None else disk.written_bytes / 1024 / completed,
        flushes_per_workflow=None if disk is None else disk.flushes / completed,
        steps_lost=effects.steps_lost,
        steps_doubled=effects.steps_doubled,
    )


def recovery_of(load: Load, killed: str, killed_at: float, answered: int, steps_done: list[str]) -> Recovery:
    """Return the figures of a load with a kill; the first ``answered`` completions were before it."""
    effects = count_effects(steps_done, load.accepted)
    after = load.completed_at[answered:]
    return Recovery(
        killed=killed,
        workflows_accepted=len(load.accepted),
        workflows_lost=len(load.lost),
        steps_lost=effects.steps_lost,
        steps_doubled=effects.steps_doubled,
        recovery_s=after[0] - killed_at if after else None,
    )


def _target(peer: Peer) -> Target:
    return Target(tuple(peer.addresses()), peer.submit_path, peer.wait_path)


@contextlib.asynccontextmanager
async def _progress(client: Client, phase: str, say: Say) -> AsyncIterator[None]:
    async def tell() -> None:
        while True:
            await asyncio.sleep(PROGRESS_S)
            say(f"{phase}: {len(client.load.completed)} workflows completed")

    task = asyncio.create_task(tell())
    try:
        yield
    finally:
        task.cancel()
