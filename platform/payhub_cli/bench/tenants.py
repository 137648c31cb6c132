"""`payhub bench tenants`: one barebone installation with ten institutions, then with a thousand."""

import asyncio
import math
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
import click
import msgspec
import psutil

from payhub_cli.bench.command import EXIT_INTERRUPTED, EXIT_WRONG, bench_folder
from payhub_cli.bench.errors import BenchError
from payhub_cli.bench.load import Load, Plan, percentile
from payhub_cli.bench.payments.channel import Payments, drive
from payhub_cli.bench.payments.installation import ENGINE, GATEWAY, Shape, Site, built
from payhub_cli.bench.report import lines, rounded
from payhub_cli.demo.channel import Channel
from payhub_cli.demo.client import Api
from payhub_cli.local.server import tail
from payhub_cli.up import until_stopped
from payhub_platform.contracts.engine import HEADER_EPOCH, PATH_DRAIN, PATH_TENANTS, TenantDrain
from payhub_platform.contracts.tenant import OAuthClient
from payhub_platform.security.internal import internal_headers

FEW: Final = 10
TOKENS_AT_ONCE: Final = 8
KNOWN_S_MAX: Final = 60.0
READY_S_MAX: Final = 60.0
POLL_S: Final = 0.02
ASKED_FIRST_S: Final = 0.025  # how a payment stands is asked a little before this, then every 20 ms
MIB: Final = 2**20
ENGINE_PROCESS: Final = f"engine-{ENGINE}"

Say = Callable[[str], None]


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """Payments of one load, from when each was due until its end was known, in milliseconds."""

    payments: int
    p50_ms: float
    p99_ms: float
    max_ms: float


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """One installation with so many institutions.

    Attributes:
        engine_start_s: cold, its log and configuration on disk, until it is ready.
        gateway_start_s: likewise.
        engine_mib: resident memory after the payments.
        first: the first payment of each institution after the start: its keys are unsealed and read.
        later: payments at the same rate, over all institutions.
    """

    tenants: int
    engine_start_s: float
    gateway_start_s: float
    engine_mib: float
    gateway_mib: float
    nats_mib: float
    first: Times
    later: Times


class TenantFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--json`` prints.

    Attributes:
        onboarding: how the institutions became known.
        known_s: from the first publication until engine and gateway know the last of the many.
        p99_ratio: of the many's later payments to the few's.
        engine_kib_per_tenant: what one more institution costs in memory.
        not_completed: payments that were begun and not completed; there must be none.
    """

    onboarding: str = "published to the configuration bucket, without the control plane"
    few: Installed
    many: Installed
    known_s: float
    p99_ratio: float
    engine_kib_per_tenant: float
    gateway_kib_per_tenant: float
    rate: float
    not_completed: int


def run(data_root: Path, tenants: int, rate: float, seconds: float, *, as_json: bool) -> int:
    """Measure and return the exit status: 1 when a payment was not completed.

    Raises:
        PayhubError: the measurement could not be made.
    """
    folder = bench_folder(data_root, None)
    try:
        figures = asyncio.run(until_stopped(_measure(folder, tenants, rate, seconds)))
    finally:
        shutil.rmtree(folder)
    if figures is None:
        return EXIT_INTERRUPTED
    told = msgspec.json.format(msgspec.json.encode(rounded(msgspec.to_builtins(figures)))).decode()
    click.echo(told if as_json else _text(figures))
    return EXIT_WRONG if figures.not_completed else 0


async def _measure(folder: Path, tenants: int, rate: float, seconds: float) -> TenantFigures:
    began = time.perf_counter()

    def say(line: str) -> None:
        click.echo(f"{time.perf_counter() - began:6.1f} s  {line}", err=True)

    fsps = tuple(f"t{number:04d}" for number in range(tenants))
    shape = Shape(replicas=1, is_signed=True, is_payee_played=True, payers=fsps)
    async with (
        built(folder, shape, say) as site,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        bench = Bench(site, session, rate, seconds, say)
        await bench.onboard(fsps[:FEW])
        few = await bench.measure()
        known_s = await bench.onboard(fsps[FEW:])
        many = await bench.measure()
        site.check()
    more = tenants - FEW
    return TenantFigures(
        few=few,
        many=many,
        known_s=known_s,
        p99_ratio=many.later.p99_ms / few.later.p99_ms,
        engine_kib_per_tenant=(many.engine_mib - few.engine_mib) * 1024 / more,
        gateway_kib_per_tenant=(many.gateway_mib - few.gateway_mib) * 1024 / more,
        rate=rate,
        not_completed=bench.not_completed,
    )


class Bench:
    """One installation to which institutions are added."""

    def __init__(
        self, site: Site, session: aiohttp.ClientSession, rate: float, seconds: float, say: Say
    ) -> None:
        self._site = site
        self._session = session
        self._rate = rate
        self._seconds = seconds
        self._say = say
        self._channels: dict[str, Channel] = {}
        self._loads = 0
        self.not_completed = 0

    async def onboard(self, fsps: Sequence[str]) -> float:
        """Publish institutions, and return after how many seconds engine and gateway know the last one.

        Raises:
            BenchError: they do not.
        """
        self._say(f"publish {len(fsps)} institutions")
        configs = []
        for fsp in fsps:
            channel = Channel(Api(self._session, self._site.around.url(GATEWAY)), f"{fsp}-bench")
            self._channels[fsp] = channel
            client = OAuthClient(
                client_id=channel.client_id,
                name="Bench",
                jwks=channel.public_keys(),
                scopes=["payments:write", "payments:read"],
            )
            configs.append(self._site.tenant(fsp, [client]))
        began = time.perf_counter()
        await self._site.publish_all(configs)
        await self._channels[fsps[-1]].authenticate()
        while not await self._engine_knows(fsps[-1]):
            if time.perf_counter() - began > KNOWN_S_MAX:
                raise BenchError("The engine does not hear of the institutions.")
            await asyncio.sleep(POLL_S)
        return time.perf_counter() - began

    async def measure(self) -> Installed:
        """Start engine and gateway anew, and pay: once for each institution, then over all of them."""
        engine_s, gateway_s = await self._restarted(ENGINE_PROCESS), await self._restarted(GATEWAY)
        self._say(f"{len(self._channels)} institutions: get their tokens")
        places = asyncio.Semaphore(TOKENS_AT_ONCE)

        async def authenticate(channel: Channel) -> None:
            async with places:
                await channel.authenticate()

        await asyncio.gather(*(authenticate(channel) for channel in self._channels.values()))
        first = await self._pay(len(self._channels), math.inf)
        later = await self._pay(math.inf, self._seconds)
        return Installed(
            tenants=len(self._channels),
            engine_start_s=engine_s,
            gateway_start_s=gateway_s,
            engine_mib=self._resident(ENGINE_PROCESS),
            gateway_mib=self._resident(GATEWAY),
            nats_mib=self._resident("nats"),
            first=first,
            later=later,
        )

    async def _restarted(self, name: str) -> float:
        supervisor = self._site.supervisor
        await supervisor.stop_one(name)
        began = time.perf_counter()
        await supervisor.start_one(name)
        child = next(each for each in supervisor.children if each.spec.name == name)
        while child.state != "ready":
            if time.perf_counter() - began > READY_S_MAX:
                raise BenchError(f"{name} does not become ready. {tail(child.log_file)}")
            await asyncio.sleep(POLL_S)
        return time.perf_counter() - began

    def _resident(self, name: str) -> float:
        child = next(each for each in self._site.supervisor.children if each.spec.name == name)
        processes = [psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)]
        return sum(process.memory_info().rss for process in processes) / MIB

    async def _engine_knows(self, fsp: str) -> bool:
        around = self._site.around
        url = f"{around.url(ENGINE_PROCESS)}{PATH_TENANTS}/{fsp}/{PATH_DRAIN}"
        headers = {**internal_headers(around.secrets.internal_token), HEADER_EPOCH: "1"}
        async with self._session.post(url, headers=headers) as answer:
            told = msgspec.json.decode(await answer.read(), type=TenantDrain)
            return told.known_version > 0

    async def _pay(self, payments_max: float, seconds: float) -> Times:
        """Pay in an open loop, the institutions in turn.

        Raises:
            BenchError: nothing was completed.
        """
        self._loads += 1
        fsps = list(self._channels)
        seconds = min(seconds, payments_max / self._rate)
        plan = Plan(f"load{self._loads}", "", seconds=seconds, rate=self._rate, payments_max=payments_max)
        self._say(f"{len(fsps)} institutions: {self._rate:.0f} payments/s for {seconds:.0f} s")
        load = Load(plan)

        async def pay(payment: str) -> None:
            channel = self._channels[fsps[int(payment.rpartition("-")[2]) % len(fsps)]]
            paying = Payments(
                self._session,
                self._site.around.url(GATEWAY),
                channel.headers,
                load,
                usual_s=ASKED_FIRST_S,
            )
            begun.append(payment)
            await paying.pay(payment)

        begun: list[str] = []
        await drive(load, pay)
        if not load.completed:
            raise BenchError("No payment was completed.")
        self.not_completed += len(begun) - load.completed
        took_ms = sorted(load.latencies_ms)
        return Times(
            payments=len(took_ms),
            p50_ms=percentile(took_ms, 50),
            p99_ms=percentile(took_ms, 99),
            max_ms=took_ms[-1],
        )


def _text(figures: TenantFigures) -> str:
    def of(told: Installed) -> list[tuple[str, str]]:
        def times(each: Times) -> str:
            return (
                f"p50 {each.p50_ms:.0f}, p99 {each.p99_ms:.0f}, max {each.max_ms:.0f} ms of {each.payments}"
            )

        memory = f"engine {told.engine_mib:.0f}, gateway {told.gateway_mib:.0f}, NATS {told.nats_mib:.0f} MiB"
        return [
            ("institutions", str(told.tenants)),
            ("  cold start", f"engine {told.engine_start_s:.2f} s, gateway {told.gateway_start_s:.2f} s"),
            ("  memory", memory),
            ("  first payments", times(told.first)),
            ("  later payments", times(told.later)),
        ]

    each = f"engine {figures.engine_kib_per_tenant:.1f}, gateway {figures.gateway_kib_per_tenant:.1f} KiB"
    rows: list[tuple[str, Any]] = [
        *of(figures.few),
        *of(figures.many),
        ("known after", f"{figures.known_s:.1f} s, {figures.onboarding}"),
        ("one more takes", each),
        ("p99, many : few", f"{figures.p99_ratio:.2f} at {figures.rate:.0f} payments/s"),
        ("not completed", str(figures.not_completed)),
    ]
    return lines(rows)
