"""HTTP/1.1 as a client, for processes that send much: one bounded request, one bounded answer.

Answers are taken apart by llhttp (httptools) in C. There are no redirects, cookies, proxies, caches or
encodings: who asks gets what was answered, or an error that tells whether the request may have arrived.
"""

import asyncio
import functools
import ssl
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, Self

import httptools
import msgspec

CONNECTIONS_MAX: Final = 256
CONNECT_TIMEOUT_S: Final = 5.0
KEPT_S: Final = 4.0  # unused; our own servers close a connection after 5 s
HEAD_BYTES_MAX: Final = 64 * 1024
AGENT: Final = "payhub"

_PORTS: Final = {"http": 80, "https": 443}
_UPGRADED: Final = 101
_FINAL_FROM: Final = 200
# Sent again on a new connection where a kept one has ended meanwhile (RFC 9110 section 9.2.2).
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})

Headers = Iterable[tuple[str, str]]
_Key = tuple[str, ssl.SSLContext | None]


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What was answered; headers by lower-case name, of several the last."""

    status: int
    headers: dict[str, str]
    body: bytes


class UnansweredError(Exception):
    """There is no whole answer.

    Attributes:
        is_sent: whether the request may have arrived.
    """

    def __init__(self, message: str, *, is_sent: bool = True) -> None:
        super().__init__(message)
        self.is_sent = is_sent


class AnswerTooLongError(UnansweredError):
    """The other side answers more than is read of it."""


class Origin(msgspec.Struct, frozen=True):
    """Where connections lead to."""

    base: str  # such as https://host:port
    host: str
    port: int
    is_secure: bool
    name: str  # as the header Host says it


class HttpClient:
    """Sends requests over connections that are kept and used again.

    Args:
        connections_max: requests at once; others wait for their turn.
        connect_timeout_s: for a connection, with its TLS.
    """

    def __init__(
        self, connections_max: int = CONNECTIONS_MAX, connect_timeout_s: float = CONNECT_TIMEOUT_S
    ) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._places = asyncio.Semaphore(connections_max)
        self._kept: dict[_Key, deque[_Connection]] = {}
        self._open: set[_Connection] = set()
        self._sweep: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in list(self._open):
            connection.close()
        await asyncio.sleep(0)

    async def request(
        self,
        method: str,
        url: str,
        headers: Headers,
        body: bytes = b"",
        *,
        tls: ssl.SSLContext | None = None,
        answer_bytes_max: int,
    ) -> Answer:
        """Send one request and read the whole answer; the caller bounds the time.

        Args:
            method: HTTP method, in capitals; not HEAD or CONNECT.
            url: percent-encoded already.
            headers: all but Host, Content-Length and what is about the connection.
            body: empty for none.
            tls: whom to trust and who we are, for https; None for the public authorities.
            answer_bytes_max: of the answer's body.

        Raises:
            UnansweredError: there is no whole answer; AnswerTooLongError where it is too long.
            ValueError: address or headers cannot be written.
        """
        origin, target = _parts(url)
        written = _written(method, origin, target, headers, body)
        key = (origin.base, tls)
        async with self._places:
            while True:
                connection = self._take_kept(key)
                is_kept = connection is not None
                if connection is None:
                    connection = await self._connect(origin, tls)
                try:
                    return await connection.exchange(written, answer_bytes_max)
                except UnansweredError:
                    if is_kept and connection.is_silent and method in _IDEMPOTENT:
                        continue  # it had ended before this request
                    raise
                finally:
                    self._keep(key, connection)

    def _take_kept(self, key: _Key) -> "_Connection | None":
        kept = self._kept.get(key)
        while kept:
            connection = kept.pop()
            if connection.is_usable:
                return connection
        return None

    def _keep(self, key: _Key, connection: "_Connection") -> None:
        if not connection.is_usable:
            connection.close()
            return
        loop = asyncio.get_running_loop()
        connection.kept_at_s = loop.time()
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = deque()
        kept.append(connection)
        if self._sweep is None:
            self._sweep = loop.call_later(KEPT_S, self._sweep_kept, loop)

    def _sweep_kept(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close what was not used for long; the longest unused stands first."""
        oldest_s = loop.time() - KEPT_S
        for key, kept in list(self._kept.items()):
            while kept and (kept[0].kept_at_s <= oldest_s or not kept[0].is_usable):
                kept.popleft().close()
            if not kept:
                del self._kept[key]
        self._sweep = loop.call_later(KEPT_S / 2, self._sweep_kept, loop) if self._kept else None

    async def _connect(self, origin: Origin, tls: ssl.SSLContext | None) -> "_Connection":
        context = (tls or _public_authorities()) if origin.is_secure else None
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(self._open), origin.host, origin.port, ssl=context
                )
        except TimeoutError as error:
            raise UnansweredError("no connection in time", is_sent=False) from error
        except OSError as error:  # TLS that fails is one too
            raise UnansweredError(type(error).__name__, is_sent=False) from error
        return connection


class _Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    kept_at_s = 0.0
    is_silent = True  # nothing was received since the last request was sent

    def __init__(self, opened: "set[_Connection]") -> None:
        self._opened = opened
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiting: asyncio.Future[Answer] | None = None
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._body_bytes_max = 0
        self._head_bytes = 0

    @property
    def is_usable(self) -> bool:
        """Whether another request may be sent."""
        return self._transport is not None and self._waiting is None

    async def exchange(self, written: bytes, body_bytes_max: int) -> Answer:
        """Send a request and return its answer; whoever does not wait for that ends the connection."""
        if self._transport is None:
            raise UnansweredError("the connection ended", is_sent=False)
        self._waiting = asyncio.get_running_loop().create_future()
        self._body_bytes_max, self.is_silent = body_bytes_max, True
        self._transport.write(written)
        try:
            return await self._waiting
        except asyncio.CancelledError:
            self.close()
            raise

    def close(self) -> None:
        """End the connection, whatever it is doing."""
        self._opened.discard(self)
        transport, self._transport = self._transport, None
        if transport is not None and self._waiting is not None:
            transport.abort()  # the answer that is under way is nobody's any more
        elif transport is not None:
            transport.close()

    def connection_made(self, transport: Any) -> None:  # uvloop's is no asyncio.Transport
        """Be ready."""
        self._transport = transport
        self._opened.add(self)

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer; what nobody asked for ends the connection."""
        if self._waiting is None:
            self.close()
            return
        self.is_silent = False
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            reason = error.__context__
            self._fail(reason if isinstance(reason, UnansweredError) else UnansweredError("no HTTP answer"))
            return
        if self._waiting is not None and not self._status:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._fail(AnswerTooLongError("the answer's head is too long"))

    def connection_lost(self, exc: Exception | None) -> None:
        """End an answer that lasts until then, or tell who waits that there is none."""
        self._opened.discard(self)
        self._transport = None
        is_framed = "content-length" in self._headers or "transfer-encoding" in self._headers
        if exc is None and self._status and not is_framed:
            self._end(is_kept=False)
        else:
            self._fail(UnansweredError("the connection ended" if exc is None else type(exc).__name__))

    def on_message_begin(self) -> None:
        """Begin an answer.

        Raises:
            UnansweredError: another one to the same request.
        """
        if self._waiting is None or self._waiting.done():
            raise UnansweredError("more than one answer")
        self._status, self._headers, self._head_bytes = 0, {}, 0
        self._body.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        if not self._status:
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1").rstrip(" \t")

    def on_headers_complete(self) -> None:
        """Take the status."""
        self._status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._body += body
        if len(self._body) > self._body_bytes_max:
            raise AnswerTooLongError(f"the answer is longer than {self._body_bytes_max} bytes")

    def on_message_complete(self) -> None:
        """Give the answer to who waits, unless it is only a first one (RFC 9110 section 15.2)."""
        if self._status == _UPGRADED:
            raise UnansweredError("an upgrade that was not asked for")
        if self._status >= _FINAL_FROM:
            self._end(is_kept=self._parser.should_keep_alive())
        self._status = 0

    def _end(self, *, is_kept: bool) -> None:
        waiting, self._waiting = self._waiting, None
        if not is_kept:
            self.close()
        if waiting is not None and not waiting.done():
            waiting.set_result(Answer(self._status, self._headers, bytes(self._body)))

    def _fail(self, error: UnansweredError) -> None:
        self.close()
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)


def _parts(url: str) -> tuple[Origin, str]:
    scheme, _, rest = url.partition("://")
    name, slash, path = rest.partition("/")
    if "?" in name or "#" in url:
        raise ValueError("an address has a path, and no fragment")
    return _origin(scheme, name), slash + path or "/"


@functools.lru_cache(maxsize=4096)
def _origin(scheme: str, name: str) -> Origin:
    if scheme not in _PORTS or "@" in name:
        raise ValueError("an address begins with http:// or https:// and names nobody")
    host, _, port = name.rpartition(":") if name.rpartition("]")[2].count(":") else (name, "", "")
    number = int(port) if port else _PORTS[scheme]
    if not host or not name.isascii():
        raise ValueError("the address has no host")
    return Origin(f"{scheme}://{name}", host.strip("[]"), number, scheme == "https", name)


def _written(method: str, origin: Origin, target: str, headers: Headers, body: bytes) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"host: {origin.name}", f"user-agent: {AGENT}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body or method not in ("GET", "DELETE", "OPTIONS"):
        lines.append(f"content-length: {len(body)}")
    head = "\r\n".join(lines)
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1 or "\0" in head:
        raise ValueError("a header has more than one line")
    if " " in target or not target.isascii():
        raise ValueError("the address is not percent-encoded")
    return head.encode() + b"\r\n\r\n" + body


@functools.cache
def _public_authorities() -> ssl.SSLContext:
    return ssl.create_default_context()
