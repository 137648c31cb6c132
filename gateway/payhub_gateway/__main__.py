"""``python -m payhub_gateway``: one gateway process."""

import contextlib
import logging
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from litestar import Litestar

from payhub_gateway.app import Parts, create_app
from payhub_gateway.channel_trust import ChannelTrust
from payhub_gateway.draining import GRACE_S, Draining, serve
from payhub_gateway.engine_client import HttpEngineClient
from payhub_gateway.limits import InFlight
from payhub_gateway.oauth2.bucket_store import BucketStore
from payhub_gateway.oauth2.signing_keys import SigningKeys
from payhub_gateway.rates.exchange import Exchange
from payhub_gateway.rates.service import RateLimits
from payhub_gateway.settings import GatewaySettings
from payhub_gateway.workers import Workers, listen
from payhub_platform import event_loop
from payhub_platform.bus.connection import connect
from payhub_platform.bus.directory import TenantDirectory
from payhub_platform.clock import system_clock
from payhub_platform.errors import PayhubError
from payhub_platform.garbage import spare_what_lives
from payhub_platform.serving import Server, server, start
from payhub_platform.telemetry.tracing import Tracing

SIGNING_KEY_FILE: Final = "token-signing-key.json"
TENANTS_FILE: Final = "tenants{worker}.cache"
OAUTH_FILE: Final = "oauth2{worker}.cache"
WORKER: Final = "worker"
"""``python -m payhub_gateway worker <number> <file descriptor>`` is what a parent starts."""


def main() -> None:
    """Serve until SIGTERM or SIGINT; exit 0 then, and 1 when the settings do not hold."""
    settings = start("gateway", GatewaySettings)
    # At DEBUG Authlib writes access tokens to the log.
    logging.getLogger("authlib").setLevel(logging.INFO)
    match sys.argv[1:]:
        case [str(role), number, descriptor] if role == WORKER:
            run = _serve(settings, f"-{number}", socket.socket(fileno=int(descriptor)))
        case _ if settings.workers > 1:
            run = _run_workers(settings)
        case _:
            run = _serve(settings)
    try:
        status = event_loop.run(run)
    except PayhubError as error:
        sys.exit(f"payhub gateway: {error}")
    sys.exit(status)


async def _run_workers(settings: GatewaySettings) -> int:
    # One line for all of them, where something does not hold.
    settings.oauth2_options()
    settings.tls()
    settings.issuer_url()
    with listen(settings.host, settings.port) as listener:
        return await Workers(settings.workers, listener).run()


async def _serve(settings: GatewaySettings, worker: str = "", listener: socket.socket | None = None) -> int:
    draining = Draining()
    await serve(_server(settings, worker, draining), draining, listener)
    return 0


def _server(settings: GatewaySettings, worker: str, draining: Draining) -> Server:
    data_dir = Path(settings.data_dir)
    data_dir.mkdir(parents=True, exist_ok=True)
    directory = TenantDirectory(data_dir / TENANTS_FILE.format(worker=worker))
    engines = HttpEngineClient(settings.engines, settings.internal_token, present=directory.get)
    trace_file = Path(settings.trace_file) if settings.trace_file else None
    tracing = Tracing("gateway", trace_file, settings.trace_ratio)
    store = BucketStore()
    rates = RateLimits(system_clock, time.monotonic_ns, settings.copies * settings.workers)
    exchange = Exchange(rates)
    parts = Parts(
        issuer=settings.issuer_url(),
        signing_keys=SigningKeys(data_dir / SIGNING_KEY_FILE, system_clock),
        oauth_store=store,
        oauth_cache=data_dir / OAUTH_FILE.format(worker=worker),
        oauth_options=settings.oauth2_options(),
        directory=directory,
        engines=engines,
        tracing=tracing,
        clock=system_clock,
        in_flight=InFlight(settings.in_flight_max, copies=lambda: rates.copies),
        rates=rates,
        limits=settings.api_limits(),
        draining=draining,
    )

    @contextlib.asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        bus = await connect(settings.nats_url, "gateway")
        directory.watch(bus)
        store.open(bus)
        exchange.open(bus)
        await engines.open()
        if http.config.ssl is not None:
            trust.follow(http.config.ssl)
        spare_what_lives()
        try:
            yield
        finally:
            await trust.close()
            await exchange.close()
            await directory.close()
            await engines.close()
            await bus.close()
            tracing.shutdown()

    app, trust = create_app(parts, [lifespan]), ChannelTrust(directory)
    http = server(app, settings.host, settings.port, tls=settings.tls(), grace_s=GRACE_S)
    return http


if __name__ == "__main__":
    main()
