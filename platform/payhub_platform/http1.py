"""HTTP/1.1 as every service of ours reads and writes it: uvicorn over llhttp, and what we refuse beside that.

llhttp (httptools) takes requests apart in C and is strict about line ends, folded headers, blanks round
names and a body whose length is said twice. What it leaves to its user is done here: versions, Host,
encodings of the body, headers that follow a body, and how much of anything is kept. What is refused is a
problem (RFC 9457), told in its turn: first comes the answer to an earlier request that is at work.
"""

import asyncio
from typing import Any, Final
from urllib.parse import unquote

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from payhub_platform.errors import PROBLEM_MEDIA_TYPE, InvalidInputError, PayhubError, UnavailableError
from payhub_platform.tls import shown_certificate

CONNECTIONS_MAX: Final = 2048
HEAD_BYTES_MAX: Final = 64 * 1024
HEAD_WAIT_S: Final = 10.0
WAITING_MAX: Final = 64  # requests that a client has sent ahead on one connection

_MALFORMED: Final = InvalidInputError(
    "malformed-http", f"This is no HTTP/1.1 request with a head of up to {HEAD_BYTES_MAX} bytes."
)
_FULL: Final = UnavailableError("overloaded", "Too many connections are open.")
_VERSIONS: Final = frozenset({"1.0", "1.1"})
_OFFERS: Final = frozenset({b"upgrade", b"http2-settings"})
_BLANKS: Final = b" \t"
_CONNECTION: Final = b"connection"
_NO_BODY: Final = frozenset({204, 304})


class _MalformedError(Exception):
    """llhttp would take it, and we do not."""


class Protocol(HttpToolsProtocol):
    """One connection."""

    _shown: dict[object, object] | None = None  # ASGI's extension ``tls``
    _head_timer: asyncio.TimerHandle | None = None
    _awaits_head = True
    _is_moving = False  # a head, a part of a body or a request was complete in the bytes read last
    _is_broken = False  # what came is no HTTP, and nothing more is read
    _open_bytes = 0  # read, and not complete yet
    _field_bytes = 0  # target, headers and trailers of the request that is read

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request; what the client showed in TLS is told to the application."""
        super().connection_made(transport)
        certificate = shown_certificate(transport)
        self._shown = None if certificate is None else {"client_cert_chain": [certificate]}
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._end_wait()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; who sends its head byte by byte is cut off all the same."""
        if self._is_broken:
            return
        self._unset_keepalive_if_required()
        while data:
            try:
                self.parser.feed_data(data)
                break
            except httptools.HttpParserUpgrade as offered:
                data = self._without_offer(data[offered.args[0] :])
            except httptools.HttpParserError:
                self._refuse()
                return
        if self._is_moving:
            self._is_moving, self._open_bytes = False, 0
            self._end_wait()
            return
        if self._awaits_head:
            self._await_head()
        self._open_bytes += len(data)
        if self._open_bytes > HEAD_BYTES_MAX:
            self._refuse()

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_WAIT_S, self.transport.close)

    def _end_wait(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def on_message_begin(self) -> None:
        """Begin to read a head."""
        super().on_message_begin()
        self._field_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Take the request's target, or a part of it."""
        self.url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; one that follows the body is dropped (RFC 9110 section 6.5.1)."""
        self._count(len(name) + len(value))
        if self._awaits_head:
            self.headers.append((name.lower(), value.rstrip(_BLANKS)))

    def _count(self, size: int) -> None:
        self._field_bytes += size
        if self._field_bytes > HEAD_BYTES_MAX:
            raise _MalformedError

    def on_headers_complete(self) -> None:
        """Serve a request, once it is its turn.

        Raises:
            _MalformedError: it is not what we take; llhttp ends there, and ``data_received`` refuses.
        """
        parser, scope = self.parser, self.scope
        method, version = parser.get_method(), parser.get_http_version()
        scope["method"], scope["http_version"] = method.decode("ascii"), version
        if parser.should_upgrade() and method != b"CONNECT":
            return  # and comes again, see ``_without_offer``
        self._check(method, version)
        self._awaits_head, self._is_moving = False, True
        target, _, query = self.url.partition(b"?")
        path = target.decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"], scope["query_string"] = target, query
        if self._shown is not None:
            scope["extensions"] = {"tls": self._shown}
        earlier, app = self.cycle, self.app if len(self.connections) <= CONNECTIONS_MAX else _full
        self.cycle = _Exchange(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=version == "1.1" and _expects_100(self.headers),
            keep_alive=version == "1.1" and parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if earlier is None or earlier.response_complete:
            self._start_asgi_task(self.cycle, app)
        elif len(self.pipeline) < WAITING_MAX:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, app))
        else:
            self.cycle = earlier
            raise _MalformedError

    def _check(self, method: bytes, version: str) -> None:
        hosts = 0
        encodings: list[bytes] = []
        for name, value in self.headers:
            if name == b"host":
                hosts += 1
            elif name == b"transfer-encoding":
                encodings.append(value.lower())
        if version not in _VERSIONS or method == b"CONNECT" or hosts > 1 or (not hosts and version == "1.1"):
            raise _MalformedError
        # Other encodings would have to be undone, and HTTP/1.0 has none (RFC 9112 section 6.1).
        if encodings and (version == "1.0" or encodings != [b"chunked"]):
            raise _MalformedError

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._is_moving = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        if not self.parser.should_upgrade():
            self._awaits_head = self._is_moving = True
            super().on_message_complete()

    def _without_offer(self, rest: bytes) -> bytes:
        """Return a request that offered an upgrade as if it had not (RFC 9110 section 7.8), and what follows.

        llhttp stops after such a head and would not read the body; clients in Java offer HTTP/2 this way.
        """
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        method, version = self.scope["method"].encode(), self.scope["http_version"].encode()
        lines = [b"%s %s HTTP/%s" % (method, self.url, version)]
        for name, value in self.headers:
            kept = value
            if name == _CONNECTION:
                options = (option.strip(_BLANKS) for option in value.split(b","))
                kept = b", ".join(option for option in options if option.lower() not in _OFFERS)
            if name not in _OFFERS:
                lines.append(name + b": " + kept)
        return b"\r\n".join([*lines, b"", rest])

    def _refuse(self) -> None:
        """Read no more; say why, after the answers to earlier requests, and close the connection."""
        self._is_broken = True
        self._end_wait()
        cycle = self.cycle
        if cycle is None or (cycle.response_complete and not cycle.more_body):
            self._say_malformed()
        elif cycle.more_body and self.pipeline:
            self.pipeline.popleft()  # it is the broken one itself, and has not begun
        elif cycle.more_body and cycle.response_started:
            self.transport.close()
        elif cycle.more_body:
            cycle.disconnected = True
            cycle.message_event.set()
            self._say_malformed()

    def on_response_complete(self) -> None:
        """Go on with the next request, or with the refusal of what came after the last one."""
        is_last = not self.pipeline
        super().on_response_complete()
        if self._is_broken and is_last and not self.transport.is_closing():
            self._say_malformed()

    def _say_malformed(self) -> None:
        status, headers, body = _told(_MALFORMED)
        lines = [STATUS_LINE[status], *(b"%s: %s\r\n" % header for header in headers), b"\r\n", body]
        self.transport.write(b"".join(lines))
        self.transport.close()


class _Exchange(RequestResponseCycle):
    """One request and its answer; head and body of a short answer are written at once."""

    _head = b""
    _is_measured = False  # it has a Content-Length

    async def send(self, message: Any) -> None:
        """Send a part of the answer.

        Raises:
            RuntimeError: the application does not keep to ASGI, or a header would end early.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if self.response_complete:
            raise RuntimeError(f"{message['type']} after the answer")
        if not self.response_started:
            self._begin(message)
        else:
            self._go_on(message["body"], message.get("more_body", False))

    def _begin(self, message: Any) -> None:
        status, headers = message["status"], [*self.default_headers, *message["headers"]]
        for name, value in headers:
            if name == b"content-length":
                self._is_measured, self.expected_content_length = True, int(value)
            elif name == _CONNECTION and value.lower() == b"close":
                self.keep_alive = False
        if not (self._is_measured or status in _NO_BODY or self.scope["method"] == "HEAD"):
            # HTTP/1.0 knows no chunks: there the end of the connection ends the answer.
            self.chunked_encoding = self.scope["http_version"] == "1.1"
            if self.chunked_encoding:
                headers.append((b"transfer-encoding", b"chunked"))
        if not self.keep_alive and (_CONNECTION, b"close") not in headers:
            headers.append((_CONNECTION, b"close"))
        head = b"".join([STATUS_LINE[status], *(b"%s: %s\r\n" % header for header in headers), b"\r\n"])
        if head.count(b"\n") != len(headers) + 2 or head.count(b"\r") != len(headers) + 2 or b"\0" in head:
            raise RuntimeError("a header has more than one line")
        self._head = head
        self.response_started, self.waiting_for_100_continue = True, False

    def _go_on(self, body: bytes, more_body: bool) -> None:
        if self.scope["method"] == "HEAD":
            body, self.expected_content_length = b"", 0
        elif self.chunked_encoding:
            chunk = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
            body = chunk if more_body else chunk + b"0\r\n\r\n"
        elif self._is_measured:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0 or (self.expected_content_length and not more_body):
                raise RuntimeError("the answer has another length than its Content-Length")
        if self._head or body:
            self.transport.write(self._head + body)
            self._head = b""
        if not more_body:
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive:
                self.transport.close()
            self.on_response()


def _expects_100(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)


def _told(error: PayhubError) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    body = msgspec.json.encode(error.problem())
    headers = {
        "content-type": PROBLEM_MEDIA_TYPE,
        "content-length": str(len(body)),
        "connection": "close",
        **error.headers(),
    }
    return error.status, [(name.lower().encode(), value.encode()) for name, value in headers.items()], body


async def _full(_scope: Any, _receive: Any, send: Any) -> None:
    status, headers, body = _told(_FULL)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
