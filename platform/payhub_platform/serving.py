"""How every service of ours serves HTTP: settings, log, uvicorn, and a stop that exits with 0."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Iterator
from typing import Final, Literal, TypeVar

import msgspec
import uvicorn
from litestar import Litestar

from payhub_platform.errors import PayhubError
from payhub_platform.settings import load

SettingsT = TypeVar("SettingsT", bound=msgspec.Struct)

GRACE_S: Final = 3
CONNECTIONS_MAX: Final = 2048


class Server(uvicorn.Server):
    """uvicorn, but a stop that was asked for is no death by signal: the owner closes and exits with 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ask the loop for the signals, and do not raise them again afterwards as uvicorn does."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def server(app: Litestar, host: str, port: int, lifespan: Literal["auto", "on", "off"] = "auto") -> Server:
    """Return a server for an app; nothing is logged of single requests, whose paths name members."""
    return Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            lifespan=lifespan,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_graceful_shutdown=GRACE_S,
        )
    )


def start(service: str, kind: type[SettingsT], log_level: str = "INFO") -> SettingsT:
    """Load a service's settings and set up its log, one line each on standard error.

    A setting that does not hold ends the process with one sentence and status 1.
    """
    try:
        settings = load(kind)
    except PayhubError as error:
        sys.exit(f"payhub {service}: {error}")
    logging.basicConfig(
        level=getattr(settings, "log_level", log_level),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    return settings
