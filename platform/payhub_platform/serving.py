"""How every service of ours serves HTTP: settings, log, uvicorn, and a stop that exits with 0."""

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections.abc import Iterator
from typing import Final, Literal, TypeVar

import msgspec
import uvicorn
from litestar.types import ASGIApp

from payhub_platform.errors import InvalidInputError, PayhubError
from payhub_platform.http1 import Protocol
from payhub_platform.settings import load
from payhub_platform.tls import Tls

SettingsT = TypeVar("SettingsT", bound=msgspec.Struct)

GRACE_S: Final = 3


class Server(uvicorn.Server):
    """uvicorn, but a stop that was asked for is no death by signal: the owner closes and exits with 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ask the loop for the signals, and do not raise them again afterwards as uvicorn does."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def server(
    app: ASGIApp,
    host: str,
    port: int,
    lifespan: Literal["auto", "on", "off"] = "auto",
    tls: Tls | None = None,
    grace_s: int = GRACE_S,
) -> Server:
    """Return a server for an app; nothing is logged of single requests, whose paths name members."""
    options = {} if tls is None else tls.server_options()
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
            http=Protocol,
            timeout_graceful_shutdown=grace_s,
            **options,
        )
    )


class _Formatter(logging.Formatter):
    """Writes out the date once a second, not once a line."""

    _second = 0
    _date = ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's
        """Return the local date and time with milliseconds."""
        second = int(record.created)
        if second != self._second:
            self._second, self._date = (
                second,
                time.strftime(datefmt or self.default_time_format, time.localtime(second)),
            )
        return f"{self._date},{record.msecs:03.0f}"


def start(service: str, kind: type[SettingsT], log_level: str = "INFO") -> SettingsT:
    """Load a service's settings and set up its log, one line each on standard error.

    A setting that does not hold ends the process with one sentence and status 1.
    """
    try:
        settings = load(kind)
        level = _level(getattr(settings, "log_level", log_level))
    except PayhubError as error:
        sys.exit(f"payhub {service}: {error}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
    # No line says them, and finding them out is a third of a line's cost.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    return settings


def _level(name: str) -> int:
    levels = logging.getLevelNamesMapping()
    if name not in levels:
        raise InvalidInputError("invalid-settings", f"PAYHUB_LOG_LEVEL is none of {', '.join(levels)}.")
    return levels[name]
