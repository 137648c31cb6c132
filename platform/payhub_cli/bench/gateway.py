"""`payhub bench gateway`: one gateway process, and nginx beside it, before the same stub of an engine."""

import asyncio
import contextlib
import sys
import tempfile
from pathlib import Path
from typing import Final

import aiohttp
import click
import msgspec
import psutil

from payhub_cli.bench.gateway_load import Channel, Request, Sent
from payhub_cli.bench.gateway_process import (
    NGINX,
    ONLY,
    gateway_process,
    nginx_process,
    nginx_program,
    run_process,
    until_ready,
)
from payhub_cli.bench.gateway_tokens import bearer, dpop, tls_context
from payhub_cli.bench.load import percentile
from payhub_cli.demo.channel import Channel as Client
from payhub_cli.demo.client import Api
from payhub_cli.local import certificates
from payhub_cli.local.ports import choose_ports
from payhub_cli.up import until_stopped

LANES: Final = 32
WARM_UP_S: Final = 0.5
EXIT_INTERRUPTED: Final = 130


class GatewayFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--json`` prints; None where something was not run.

    Attributes:
        rps_per_core_mtls: requests in a second of the gateway's own processor time, with tokens bound to
            the certificate that the channel shows; the gateway ends TLS itself.
        rps_per_core_dpop: with tokens bound to a key, and a proof by it in each request.
        rps_per_core_bearer: with tokens bound to nothing.
        added_ms_p50: at half of the load that the gateway took, the time of a request through the gateway
            less that of one to the stub alone.
        nginx_rps_per_core: a plain reverse proxy of one process, to the same stub.
        half_load_per_s: what half of the load was.
        not_run: what was not run, and why.
    """

    rps_per_core_mtls: float
    rps_per_core_dpop: float
    rps_per_core_bearer: float
    added_ms_p50: float
    added_ms_p99: float
    nginx_rps_per_core: float | None
    half_load_per_s: float
    requests: int
    not_run: dict[str, str]


def run(data_root: Path, seconds: float, *, as_json: bool) -> int:
    """Measure and return the exit status.

    Raises:
        PayhubError: the measurement could not be made, or a request failed in it.
    """
    data_root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=data_root.resolve()) as folder:
        figures = asyncio.run(until_stopped(_measure(Path(folder), seconds)))
    if figures is None:
        return EXIT_INTERRUPTED
    click.echo(msgspec.json.encode(figures).decode() if as_json else _text(figures))
    return 0


async def _measure(folder: Path, seconds: float) -> GatewayFigures:
    ports = choose_ports(folder / "ports.json", ["stub", "gateway", "tls", NGINX])
    not_run: dict[str, str] = {}
    async with contextlib.AsyncExitStack() as stack:
        stub = [sys.executable, "-m", "payhub_cli.bench.gateway_stub", str(ports["stub"])]
        stack.enter_context(run_process(stub, folder / "stub.log"))
        gateway, unbound, proven = await _gateway(stack, folder, ports)
        through = Channel(ports["gateway"], unbound, LANES)
        full, per_core = await _per_core(through, gateway, seconds)
        half_per_s = full.per_s / 2
        slowed = await through.open_loop(seconds, half_per_s)
        plain = await Channel(ports["stub"], unbound, LANES).open_loop(seconds, half_per_s)
        with_key, per_core_dpop = await _per_core(Channel(ports["gateway"], proven, LANES), gateway, seconds)
        over_tls, per_core_mtls = await _per_core(*await _gateway_with_tls(stack, folder, ports), seconds)
        nginx = None
        if (program := nginx_program()) is None:
            not_run[NGINX] = "it is not installed"
        else:
            proxy = stack.enter_context(nginx_process(program, folder, ports))
            nginx = (await _per_core(Channel(ports[NGINX], unbound, LANES), proxy, seconds))[1]
    return GatewayFigures(
        rps_per_core_mtls=round(per_core_mtls, 1),
        rps_per_core_dpop=round(per_core_dpop, 1),
        rps_per_core_bearer=round(per_core, 1),
        added_ms_p50=_added(slowed, plain, 50),
        added_ms_p99=_added(slowed, plain, 99),
        nginx_rps_per_core=None if nginx is None else round(nginx, 1),
        half_load_per_s=round(half_per_s, 1),
        requests=sum(len(sent.took_ms) for sent in (full, slowed, with_key, over_tls)),
        not_run=not_run,
    )


async def _per_core(channel: Channel, process: psutil.Process, seconds: float) -> tuple[Sent, float]:
    """Load a server fully; return what came of it, and requests in a second of its processor time."""
    await channel.closed_loop(WARM_UP_S)
    before_s = _processor_s(process)
    sent = await channel.closed_loop(seconds)
    return sent, len(sent.took_ms) / (_processor_s(process) - before_s)


def _processor_s(process: psutil.Process) -> float:
    every = [process, *process.children(recursive=True)]
    return float(sum(sum(one.cpu_times()[:2]) for one in every))


def _added(through: Sent, plain: Sent, percent: float) -> float:
    return round(percentile(through.took_ms, percent) - percentile(plain.took_ms, percent), 3)


async def _gateway(
    stack: contextlib.AsyncExitStack, folder: Path, ports: dict[str, int]
) -> tuple[psutil.Process, Request, Request]:
    """Start a gateway; return it, and what writes requests with an unbound token and with proofs."""
    url, data = f"http://127.0.0.1:{ports['gateway']}", folder / "gateway"
    session = await stack.enter_async_context(aiohttp.ClientSession())
    client = Client(Api(session, url), ONLY)
    process = stack.enter_context(gateway_process(data, ports["gateway"], ports["stub"], client))
    await until_ready(session, url, process, data)
    return process, await bearer(client), await dpop(client, session, url)


async def _gateway_with_tls(
    stack: contextlib.AsyncExitStack, folder: Path, ports: dict[str, int]
) -> tuple[Channel, psutil.Process]:
    """Start a gateway that ends TLS itself; return a channel that shows a certificate, and the gateway."""
    held = folder / "certificates"
    certificates.prepare(held, [(ONLY, "gateway"), (ONLY, "channel")])
    tls = tls_context(certificates.files_of(held, ONLY, "channel"))
    url, data = f"https://127.0.0.1:{ports['tls']}", folder / "gateway-tls"
    session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)))
    client = Client(Api(session, url), ONLY)
    shown = certificates.files_of(held, ONLY, "gateway")
    process = stack.enter_context(gateway_process(data, ports["tls"], ports["stub"], client, shown))
    await until_ready(session, url, process, data)
    return Channel(ports["tls"], await bearer(client), LANES, tls), process


def _text(figures: GatewayFigures) -> str:
    def told(value: float | None) -> str:
        return "not run" if value is None else f"{value:,.0f}"

    return "\n".join(
        [
            "requests in a second of processor time, with token check, limits and idempotency:",
            f"  tokens bound to a certificate  {told(figures.rps_per_core_mtls):>8}",
            f"  tokens bound to a key (DPoP)   {told(figures.rps_per_core_dpop):>8}",
            f"  unbound tokens                 {told(figures.rps_per_core_bearer):>8}",
            f"  nginx, plain reverse proxy     {told(figures.nginx_rps_per_core):>8}",
            f"added at {figures.half_load_per_s:,.0f} requests/s, in ms:",
            f"  p50 {figures.added_ms_p50:.2f}, p99 {figures.added_ms_p99:.2f}",
            *(f"not run: {what}, because {why}" for what, why in figures.not_run.items()),
        ]
    )
