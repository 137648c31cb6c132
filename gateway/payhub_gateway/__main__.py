"""``python -m payhub_gateway``: one gateway process."""

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from litestar import Litestar

from payhub_gateway.app import Parts, create_app
from payhub_gateway.engine_client import HttpEngineClient
from payhub_gateway.limits import InFlight
from payhub_gateway.oauth2.keys import load_or_create_signing_key
from payhub_gateway.rates.exchange import Exchange
from payhub_gateway.rates.service import RateLimits
from payhub_gateway.settings import GatewaySettings
from payhub_platform.bus.connection import connect
from payhub_platform.bus.directory import TenantDirectory
from payhub_platform.clock import system_clock
from payhub_platform.errors import PayhubError
from payhub_platform.serving import Server, server, start
from payhub_platform.telemetry.tracing import Tracing

SIGNING_KEY_FILE: Final = "token-signing-key.json"
TENANTS_FILE: Final = "tenants.cache"


def main() -> None:
    """Serve until SIGTERM or SIGINT; exit 0 then, and 1 when the settings do not hold."""
    settings = start("gateway", GatewaySettings)
    # At DEBUG Authlib writes access tokens to the log.
    logging.getLogger("authlib").setLevel(logging.INFO)
    try:
        http = _server(settings)
    except PayhubError as error:
        sys.exit(f"payhub gateway: {error}")
    asyncio.run(http.serve())


def _server(settings: GatewaySettings) -> Server:
    data_dir = Path(settings.data_dir)
    data_dir.mkdir(parents=True, exist_ok=True)
    directory = TenantDirectory(data_dir / TENANTS_FILE)
    engines = HttpEngineClient(settings.engines, settings.internal_token, present=directory.get)
    tracing = Tracing("gateway", Path(settings.trace_file) if settings.trace_file else None)
    rates = RateLimits(system_clock, time.monotonic_ns, settings.copies)
    exchange = Exchange(rates)
    parts = Parts(
        issuer=settings.issuer_url(),
        signing_key=load_or_create_signing_key(data_dir / SIGNING_KEY_FILE),
        directory=directory,
        engines=engines,
        tracing=tracing,
        clock=system_clock,
        in_flight=InFlight(settings.in_flight_max, copies=lambda: rates.copies),
        rates=rates,
        limits=settings.api_limits(),
    )

    @contextlib.asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        bus = await connect(settings.nats_url, "gateway")
        directory.watch(bus)
        exchange.open(bus)
        await engines.open()
        try:
            yield
        finally:
            await exchange.close()
            await directory.close()
            await engines.close()
            await bus.close()
            tracing.shutdown()

    return server(create_app(parts, [lifespan]), settings.host, settings.port)


if __name__ == "__main__":
    main()
