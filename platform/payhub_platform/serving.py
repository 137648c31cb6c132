"""How every service of ours serves HTTP: settings, log, uvicorn, and a stop that exits with 0."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Iterator
from typing import Any, Final, Literal, TypeVar

import h11
import msgspec
import uvicorn
from litestar.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from payhub_platform.errors import PROBLEM_MEDIA_TYPE, InvalidInputError, PayhubError, UnavailableError
from payhub_platform.settings import load
from payhub_platform.tls import ShowsCertificate, Tls, shown_certificate

SettingsT = TypeVar("SettingsT", bound=msgspec.Struct)

GRACE_S: Final = 3
CONNECTIONS_MAX: Final = 2048
HEAD_BYTES_MAX: Final = 64 * 1024
HEAD_WAIT_S: Final = 10.0

_MALFORMED: Final = InvalidInputError(
    "malformed-http", f"This is no HTTP/1.1 request with a head of up to {HEAD_BYTES_MAX} bytes."
)
_FULL: Final = UnavailableError("overloaded", "Too many connections are open.")


class Server(uvicorn.Server):
    """uvicorn, but a stop that was asked for is no death by signal: the owner closes and exits with 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ask the loop for the signals, and do not raise them again afterwards as uvicorn does."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


class Protocol(H11Protocol):
    """uvicorn's HTTP/1.1; what it refuses before the application sees it is a problem (RFC 9457) as well."""

    _served: Any = None
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request; what the client showed in TLS is told to the application."""
        super().connection_made(transport)
        certificate = shown_certificate(transport)
        app = self.config.loaded_app
        self._served = app if certificate is None else ShowsCertificate(app, certificate)
        self._head_timer = self.loop.call_later(HEAD_WAIT_S, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._end_wait()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; who sends its head byte by byte is cut off all the same."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._end_wait()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_WAIT_S, self.transport.close)

    def _end_wait(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def handle_events(self) -> None:
        """Serve what has arrived, or ask to come again where too many connections are open."""
        self.app = _refuse if len(self.connections) > CONNECTIONS_MAX else self._served
        super().handle_events()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are replaced
        """Refuse what is no HTTP and close the connection; an answer that has begun is only cut off."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            status, headers, body = _told(_MALFORMED)
            for event in (
                h11.Response(status_code=status, headers=headers),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


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
            h11_max_incomplete_event_size=HEAD_BYTES_MAX,
            timeout_graceful_shutdown=grace_s,
            **options,
        )
    )


def start(service: str, kind: type[SettingsT], log_level: str = "INFO") -> SettingsT:
    """Load a service's settings and set up its log, one line each on standard error.

    A setting that does not hold ends the process with one sentence and status 1.
    """
    try:
        settings = load(kind)
        level = _level(getattr(settings, "log_level", log_level))
    except PayhubError as error:
        sys.exit(f"payhub {service}: {error}")
    logging.basicConfig(
        level=level,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    return settings


def _level(name: str) -> int:
    levels = logging.getLevelNamesMapping()
    if name not in levels:
        raise InvalidInputError("invalid-settings", f"PAYHUB_LOG_LEVEL is none of {', '.join(levels)}.")
    return levels[name]


async def _refuse(_scope: Any, _receive: Any, send: Any) -> None:
    status, headers, body = _told(_FULL)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _told(error: PayhubError) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    body = msgspec.json.encode(error.problem())
    headers = {
        "content-type": PROBLEM_MEDIA_TYPE,
        "content-length": str(len(body)),
        "connection": "close",
        **error.headers(),
    }
    return error.status, [(name.lower().encode(), value.encode()) for name, value in headers.items()], body
