"""``python -m payhub_gateway``: one gateway process."""

import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn
from litestar import Litestar

from payhub_gateway.app import Parts, create_app
from payhub_gateway.engine_client import HttpEngineClient
from payhub_gateway.limits import InFlight
from payhub_gateway.oauth2.keys import load_or_create_signing_key
from payhub_gateway.settings import GatewaySettings
from payhub_platform.bus.connection import connect
from payhub_platform.bus.directory import TenantDirectory
from payhub_platform.clock import system_clock
from payhub_platform.errors import PayhubError
from payhub_platform.settings import load
from payhub_platform.telemetry.tracing import Tracing

SIGNING_KEY_FILE: Final = "token-signing-key.json"
TENANTS_FILE: Final = "tenants.cache"
SHUTDOWN_WAIT_S: Final = 3
CONNECTIONS_MAX: Final = 2048

_logger = logging.getLogger(__name__)


def main() -> None:
    """Serve until SIGTERM or SIGINT; exit 0 then, and 1 when the settings do not hold."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn stops gracefully, then raises the signal again for whoever handled it before: us.
        signal.signal(number, _exit)
    try:
        settings = load(GatewaySettings)
        _configure_logging(settings.log_level)
        server = _server(settings)
    except PayhubError as error:
        sys.exit(f"payhub gateway: {error}")
    server.run()


def _server(settings: GatewaySettings) -> uvicorn.Server:
    data_dir = Path(settings.data_dir)
    data_dir.mkdir(parents=True, exist_ok=True)
    directory = TenantDirectory(data_dir / TENANTS_FILE)
    engines = HttpEngineClient(settings.engines, settings.internal_token)
    tracing = Tracing("gateway", Path(settings.trace_file) if settings.trace_file else None)
    parts = Parts(
        issuer=settings.issuer_url(),
        signing_key=load_or_create_signing_key(data_dir / SIGNING_KEY_FILE),
        directory=directory,
        engines=engines,
        tracing=tracing,
        clock=system_clock,
        in_flight=InFlight(),
    )

    @contextlib.asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        bus = await connect(settings.nats_url, "gateway")
        directory.watch(bus)
        await engines.open()
        try:
            yield
        finally:
            await directory.close()
            await engines.close()
            await bus.close()
            tracing.shutdown()

    config = uvicorn.Config(
        create_app(parts, [lifespan]),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_graceful_shutdown=SHUTDOWN_WAIT_S,
    )
    return uvicorn.Server(config)


def _configure_logging(level: str) -> None:
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # At DEBUG Authlib writes access tokens to the log.
    logging.getLogger("authlib").setLevel(logging.INFO)


def _exit(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()
