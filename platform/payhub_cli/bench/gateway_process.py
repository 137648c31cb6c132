"""The processes of `payhub bench gateway`: a gateway that knows one institution, and nginx."""

import asyncio
import contextlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
import psutil

from payhub_cli.bench.errors import BenchError
from payhub_cli.demo.channel import Channel as Client
from payhub_cli.local.certificates import CertificateFiles
from payhub_cli.local.server import guarded
from payhub_platform.contracts.tenant import (
    AmsConnection,
    OAuthClient,
    SchemeConnection,
    SigningKey,
    TenantConfig,
)

READY_WAIT_S: Final = 30.0
NGINX: Final = "nginx"
NGINX_START_S: Final = 0.5
NO_NATS: Final = "nats://127.0.0.1:1"
ONLY: Final = "bench"  # the one name of tenant, engine and credential
WIDE_LIMITS: Final = {
    "PAYHUB_RATE_PER_S": "1000000",
    "PAYHUB_BURST": "1000000",
    "PAYHUB_QUOTA_PER_DAY": "1000000000",
    "PAYHUB_IN_FLIGHT_MAX": "1000000",
}
"""Settings of a gateway under which limits are on, and never reached."""

_OK: Final = 200


@contextlib.contextmanager
def run_process(command: list[str], log_file: Path) -> Iterator[psutil.Process]:
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


@contextlib.contextmanager
def gateway_process(
    data: Path, port: int, stub_port: int, client: Client, tls: CertificateFiles | None = None
) -> Iterator[psutil.Process]:
    """Run a gateway that knows the client; with ``tls`` it ends TLS itself, else it issues unbound tokens."""
    data.mkdir()
    (data / "tenants.cache").write_bytes(msgspec.msgpack.encode([_tenant(client)]))
    environment = {
        "PAYHUB_PORT": str(port),
        "PAYHUB_DATA_DIR": str(data),
        "PAYHUB_NATS_URL": NO_NATS,
        "PAYHUB_INTERNAL_TOKEN": ONLY,
        "PAYHUB_ENGINES": msgspec.json.encode({ONLY: f"http://127.0.0.1:{stub_port}"}).decode(),
        **WIDE_LIMITS,
    }
    if tls is None:
        environment["PAYHUB_BEARER_TOKENS"] = "true"
    else:
        environment["PAYHUB_TLS_CERT"] = str(tls.certificate)
        environment["PAYHUB_TLS_KEY"] = str(tls.key)
        environment["PAYHUB_CLIENT_CA"] = str(tls.authority)
    assignments = [f"{name}={value}" for name, value in environment.items()]
    command = ["/usr/bin/env", *assignments, sys.executable, "-m", "payhub_gateway"]
    with run_process(command, data / "gateway.log") as process:
        yield process


async def until_ready(session: aiohttp.ClientSession, url: str, process: psutil.Process, data: Path) -> None:
    """Wait until a gateway serves.

    Raises:
        BenchError: it did not in time.
    """
    deadline_s = time.monotonic() + READY_WAIT_S
    while True:
        with contextlib.suppress(aiohttp.ClientConnectionError):
            async with session.get(url + "/health/ready") as answer:
                if answer.status == _OK:
                    return
        if not process.is_running() or time.monotonic() > deadline_s:
            log = (data / "gateway.log").read_text()
            raise BenchError(f"The gateway did not start: {log[-500:]}")
        await asyncio.sleep(0.05)


def nginx_program() -> str | None:
    """Return where nginx is, if it is installed."""
    return shutil.which(NGINX) or shutil.which(NGINX, path="/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def nginx_process(program: str, folder: Path, ports: dict[str, int]) -> Iterator[psutil.Process]:
    """Run nginx as a plain reverse proxy of one process before the stub."""
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
    with run_process(command, folder / "nginx.log") as process:
        time.sleep(NGINX_START_S)
        yield process


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
