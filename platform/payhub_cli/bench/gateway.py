"""`payhub bench gateway`: one gateway process, and nginx beside it, before the same stub of an engine."""

import asyncio
import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import aiohttp
import click
import msgspec
import psutil

from payhub_cli.bench.errors import BenchError
from payhub_cli.bench.gateway_load import Channel, Request, Sent
from payhub_cli.bench.load import percentile
from payhub_cli.demo.channel import Channel as Client
from payhub_cli.demo.client import Api
from payhub_cli.local.ports import choose_ports
from payhub_cli.local.server import guarded
from payhub_cli.process import ask_health
from payhub_cli.up import until_stopped
from payhub_platform.contracts.tenant import (
    AmsConnection,
    OAuthClient,
    SchemeConnection,
    SigningKey,
    TenantConfig,
)

LANES: Final = 32
WARM_UP_S: Final = 0.5
READY_WAIT_S: Final = 30.0
NO_NATS: Final = "nats://127.0.0.1:1"
ONLY: Final = "bench"  # the one name of tenant, engine and credential
NGINX: Final = "nginx"
EXIT_INTERRUPTED: Final = 130
_PATH: Final = "/v1/transfers"
_BODY: Final = msgspec.json.encode(
    {
        "payer": {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": "254700000001"}},
        "payee": {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": "254700000002"}},
        "amount": {"amount": "10.50", "currency": "KES"},
    }
)


class GatewayFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--json`` prints; None where something was not run.

    Attributes:
        rps_per_core_mtls: requests in a second of the gateway's own processor time, with tokens bound to
            a certificate; ``_dpop``, ``_bearer``: bound to a key that signs each request, to nothing.
        added_ms_p50: at half of the load that the gateway took, the time of a request through the gateway
            less that of one to the stub alone.
        nginx_rps_per_core: a plain reverse proxy of one process, to the same stub.
        half_load_per_s: what half of the load was.
        not_run: what was not run, and why.
    """

    rps_per_core_mtls: float | None
    rps_per_core_dpop: float | None
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
    ports = choose_ports(folder / "ports.json", ["stub", "gateway", NGINX])
    not_run = dict.fromkeys(("mtls", "dpop"), "this gateway issues no such tokens to the bench")
    with contextlib.ExitStack() as stack:
        stub = [sys.executable, "-m", "payhub_cli.bench.gateway_stub", str(ports["stub"])]
        stack.enter_context(_process(stub, folder / "stub.log"))
        gateway, request = await _gateway(stack, folder, ports)
        through = Channel(ports["gateway"], request, LANES)
        full, per_core = await _per_core(through, gateway, seconds)
        half_per_s = full.per_s / 2
        slowed = await through.open_loop(seconds, half_per_s)
        plain = await Channel(ports["stub"], request, LANES).open_loop(seconds, half_per_s)
        nginx = None
        if (program := _nginx_program()) is None:
            not_run[NGINX] = "it is not installed"
        else:
            proxy = stack.enter_context(_nginx(program, folder, ports))
            nginx = (await _per_core(Channel(ports[NGINX], request, LANES), proxy, seconds))[1]
    return GatewayFigures(
        rps_per_core_mtls=None,
        rps_per_core_dpop=None,
        rps_per_core_bearer=round(per_core, 1),
        added_ms_p50=_added(slowed, plain, 50),
        added_ms_p99=_added(slowed, plain, 99),
        nginx_rps_per_core=None if nginx is None else round(nginx, 1),
        half_load_per_s=round(half_per_s, 1),
        requests=len(full.took_ms) + len(slowed.took_ms),
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
    stack: contextlib.ExitStack, folder: Path, ports: dict[str, int]
) -> tuple[psutil.Process, Request]:
    """Start a gateway that knows one institution; return it, and what writes requests with a token."""
    session = aiohttp.ClientSession()
    url = f"http://127.0.0.1:{ports['gateway']}"
    try:
        client = Client(Api(session, url))
        tenant = _tenant(client)
        data = folder / "gateway"
        data.mkdir()
        (data / "tenants.cache").write_bytes(msgspec.msgpack.encode([tenant]))
        environment = {
            "PAYHUB_PORT": str(ports["gateway"]),
            "PAYHUB_DATA_DIR": str(data),
            "PAYHUB_NATS_URL": NO_NATS,
            "PAYHUB_INTERNAL_TOKEN": ONLY,
            "PAYHUB_ENGINES": msgspec.json.encode({"bench": f"http://127.0.0.1:{ports['stub']}"}).decode(),
            # Limits are on, and never reached.
            "PAYHUB_RATE_PER_S": "1000000",
            "PAYHUB_BURST": "1000000",
            "PAYHUB_QUOTA_PER_DAY": "1000000000",
        }
        assignments = [f"{name}={value}" for name, value in environment.items()]
        command = ["/usr/bin/env", *assignments, sys.executable, "-m", "payhub_gateway"]
        process = stack.enter_context(_process(command, folder / "gateway.log"))
        deadline_s = time.monotonic() + READY_WAIT_S
        while not (await asyncio.to_thread(ask_health, url)).is_ready:
            if not process.is_running() or time.monotonic() > deadline_s:
                raise BenchError(f"The gateway did not start: {(folder / 'gateway.log').read_text()[-500:]}")
            await asyncio.sleep(0.05)
        await client.authenticate()
    finally:
        await session.close()
    return process, _writer(client.headers["Authorization"])


def _writer(authorization: str) -> Request:
    before = (
        f"POST {_PATH} HTTP/1.1\r\nhost: gateway\r\nauthorization: {authorization}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(_BODY)}\r\nidempotency-key: "
    ).encode()

    def write(key: str) -> bytes:
        return before + key.encode() + b"\r\n\r\n" + _BODY

    return write


def _tenant(client: Client) -> TenantConfig:
    scopes = ["payments:write", "payments:read"]
    channel = OAuthClient(client_id=client.client_id, name="bench", jwks=client.public_keys(), scopes=scopes)
    return TenantConfig(
        tenant_id="bench",
        fsp_id="bench",
        name="bench",
        currency="KES",
        status="active",
        version=1,
        epoch=1,
        placement=["bench"],
        scheme=SchemeConnection(base_url="-", switch_fsp_id="-", switch_public_key_pem="-"),
        ams=AmsConnection(base_url="-", platform_tenant="-", username="-", password_sealed="-"),  # noqa: S106
        signing_key=SigningKey(key_id="-", public_key_pem="-", private_key_sealed="-"),
        clients=[channel],
    )


@contextlib.contextmanager
def _process(command: list[str], log_file: Path) -> Iterator[psutil.Process]:
    """Run a process for the length of a block."""
    with log_file.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - the command is payhub's own
            guarded(command, signal.SIGKILL, None), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _nginx_program() -> str | None:
    return shutil.which(NGINX) or shutil.which(NGINX, path="/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def _nginx(program: str, folder: Path, ports: dict[str, int]) -> Iterator[psutil.Process]:
    settings = folder / "nginx.conf"
    settings.write_text(f"""
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000;
  upstream engine {{ server 127.0.0.1:{ports["stub"]}; keepalive 64; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{ports[NGINX]};
    location / {{ proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
""")
    command = [program, "-c", str(settings), "-e", f"{folder}/nginx-error.log"]
    with _process(command, folder / "nginx.log") as process:
        time.sleep(WARM_UP_S)
        yield process


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
