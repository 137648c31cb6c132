"""One tenant's payments: how many, how fast, at what cost; also with a kill of the leader in the middle."""

import asyncio
import math
import time
from dataclasses import dataclass
from typing import Final

from msgspec import UNSET

from payhub_cli.bench.errors import BenchError
from payhub_cli.bench.ledger import Verdict
from payhub_cli.bench.load import Load, Plan, percentile
from payhub_cli.bench.measure import POLL_S, WARM_UP_PAYMENTS, Bench, Cost, Written
from payhub_cli.bench.report import Figures

TENANT: Final = "lion"
RESTART_S: Final = 1.0  # how long the killed replica stays away after the recovery


@dataclass(frozen=True, slots=True)
class Settings:
    """How the engine is loaded; ``payments`` 0: as many as end in ``seconds``."""

    replicas: int
    seconds: float
    payments: int
    in_flight: int
    rate: float
    is_killed: bool
    is_mutual_tls: bool


@dataclass(frozen=True, slots=True)
class Kill:
    """The kill; ``cost`` and ``payments`` are those until it."""

    replica: str
    at: float
    cost: Cost
    payments: int


@dataclass(frozen=True, slots=True)
class Course:
    """What was seen in one measurement, before anything is computed of it.

    Attributes:
        leader: the replica that led (with a kill: until it).
        leaders: how many did, one after the other.
        cost: of ``costed`` payments.
        written: before and after.
        export_lag_s: None where not all was exported.
    """

    load: Load
    exports: bool
    leader: str
    leaders: int
    cost: Cost
    costed: int
    written: tuple[Written, Written]
    export_lag_s: float | None
    verdict: Verdict
    kill: Kill | None = None
    recovered_at: float | None = None
    caught_up: bool = False


async def measure(bench: Bench, settings: Settings) -> Figures:
    """Load a started engine and return the figures.

    Raises:
        BenchError: nothing was completed, or a replica failed.
    """
    payments_max = settings.payments or math.inf
    warm = await bench.warm_up(settings.in_flight, TENANT, int(min(WARM_UP_PAYMENTS, payments_max)))
    plan = Plan(
        f"{bench.token}-load", TENANT, settings.seconds, settings.in_flight, settings.rate, payments_max
    )
    load, kill, client = Load(plan), None, bench.client
    written, cost, connections = await bench.written(), bench.cost(), client.connections
    if settings.is_killed:
        kill = await _run_with_kill(bench, load)
    else:
        await bench.run([load], "load")
    if not load.completed:
        raise BenchError("No payment was completed.")
    position, _ = await bench.settle()
    bench.say("waiting for the export")
    is_exported = await bench.wait_exported(position)
    lag_s = time.perf_counter() - load.last_at
    last_cost = kill.cost if kill else bench.cost()
    written_after = await bench.written()
    verdict, ledger = await bench.read_log(warm.accepted | load.accepted)
    course = Course(
        load=load,
        exports=bench.exports,
        leader=kill.replica if kill else client.leader,
        leaders=client.connections - connections,
        cost=last_cost.since(cost),
        costed=kill.payments if kill else load.completed,
        written=(written, written_after),
        export_lag_s=lag_s if is_exported else None,
        verdict=verdict,
        kill=kill,
        recovered_at=client.recovered_at,
        caught_up=await bench.has_caught_up(kill.replica, ledger) if kill else False,
    )
    return figures(course, settings)


async def _run_with_kill(bench: Bench, load: Load) -> Kill:
    """Kill the leader in the middle of a load, and start it again once another leads."""
    client, plan = bench.client, load.plan
    running = asyncio.create_task(bench.run([load], "load"))
    try:
        middle = time.perf_counter() + plan.seconds / 2
        while load.completed < plan.payments_max / 2 and time.perf_counter() < middle:
            await asyncio.wait({running}, timeout=POLL_S)
            if running.done():
                break
        if running.done() or not load.due_at:
            raise BenchError("The load ended before the kill; give it more payments, or more time.")
        cost, payments, replica = bench.cost(), load.completed, client.leader
        client.note_kill()
        kill = Kill(replica, time.perf_counter(), cost, payments)
        bench.replicas.kill(replica)
        bench.say(f"killed replica {replica}, the leader, after {payments} payments")
        if len(cost.replicas) > 1:
            while client.recovered_at is None and not running.done():
                await asyncio.wait({running}, timeout=POLL_S)
            await asyncio.wait({running}, timeout=RESTART_S)
        bench.replicas.start(replica)
        await running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return kill


def figures(course: Course, settings: Settings) -> Figures:
    """Compute the figures."""
    load, cost, verdict, kill = course.load, course.cost, course.verdict, course.kill
    latencies = sorted(load.latencies_ms)
    lag_s = course.export_lag_s or 0.0
    followers = [used for each, used in cost.replicas.items() if each != course.leader]
    per_payment_ms = 1000 / max(course.costed, 1)
    before, after = course.written
    device = None if before.device is None or after.device is None else after.device.since(before.device)
    written = device.written_bytes if device else max(after.processes_bytes - before.processes_bytes, 0)
    return Figures(
        payments=load.completed,
        seconds=load.seconds,
        payments_per_s=load.completed / (load.seconds + lag_s),
        completed_per_s=load.completed / load.seconds,
        p50_ms=percentile(latencies, 50),
        p99_ms=percentile(latencies, 99),
        p999_ms=percentile(latencies, 99.9),
        max_ms=latencies[-1],
        cpu_ms_per_payment_leader=cost.replicas.get(course.leader, 0.0) * per_payment_ms,
        cpu_ms_per_payment_follower=sum(followers) / max(len(followers), 1) * per_payment_ms,
        cpu_ms_per_payment_client=cost.client_s * per_payment_ms,
        cpu_ms_per_payment_nats=cost.nats_s * per_payment_ms,
        replicas=settings.replicas,
        leader_changes=max(course.leaders - 1, 0),
        in_flight=settings.in_flight,
        rate=settings.rate,
        mutual_tls=settings.is_mutual_tls,
        exports=course.exports,
        exported=course.export_lag_s is not None,
        export_lag_s=lag_s,
        bytes_written_per_payment=written // load.completed,
        bytes_counted_by="device" if device else "processes",
        flushes_per_payment=device.flushes / load.completed if device else None,
        log_bytes_per_payment=verdict.log_bytes // max(verdict.payments, 1),
        events_per_payment=verdict.events / max(verdict.payments, 1),
        refusals=load.refusals,
        lost=verdict.lost,
        duplicated=verdict.duplicated,
        wrong=verdict.examples,
        killed=kill.replica if kill else UNSET,
        recovery_s=_recovery_s(course, kill) if kill else UNSET,
        caught_up=course.caught_up if kill else UNSET,
    )


def _recovery_s(course: Course, kill: Kill) -> float | None:
    return None if course.recovered_at is None else course.recovered_at - kill.at
