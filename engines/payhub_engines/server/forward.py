"""Any replica answers any request: what reaches a follower is put to the leader, byte for byte.

The leader answers here at the price of two method calls a request. A follower sends the request on over
one hop, and again to the next leader where the first one is gone: every request of the engine's API and
of the scheme may be repeated (a payment by its id and fingerprint, a callback by its message id), as its
sender would do after a 503.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import msgspec
from multidict import CIMultiDict
from yarl import URL

from payhub_engines.connectors import refusals
from payhub_engines.connectors.mojaloop.ingress import BODY_BYTES_MAX as SCHEME_BODY_BYTES_MAX
from payhub_engines.connectors.mojaloop.ingress import too_large
from payhub_engines.connectors.mojaloop.refusal import FspiopRefusal
from payhub_engines.server.leadership import Replica
from payhub_platform.contracts.engine import HEADER_FORWARDED, HEADER_LEADER, PATH_REPLICA
from payhub_platform.errors import PROBLEM_MEDIA_TYPE, InvalidInputError, PayhubError, UnavailableError
from payhub_platform.http import BODY_BYTES_MAX

_logger = logging.getLogger(__name__)

Message = Any  # ASGI's dictionaries; Litestar's types of them are closed to what it does not know itself
Headers = list[tuple[bytes, bytes]]

LOCAL_PATHS: Final = frozenset({"/health/live", "/health/ready", PATH_REPLICA})
SCHEME_PREFIX: Final = "/fspiop/"
FORWARDS_MAX: Final = 512
LEADER_WAIT_S: Final = 3.0
FORWARD_TIMEOUT_S: Final = 8.0  # the whole of it, the sender's body included
EXCHANGE_TIMEOUT_S: Final = 4.0
CONNECT_TIMEOUT_S: Final = 1.0
RETRY_WAIT_S: Final = 0.05
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024

_UNAVAILABLE: Final = 503
_LEADER: Final = HEADER_LEADER.encode()
_FORWARDED: Final = HEADER_FORWARDED.encode()
_CLOSE: Final = (b"connection", b"close")
# RFC 9110 section 7.6.1, and what is between two hops only in practice.
_HOP_BY_HOP: Final = frozenset(
    b"connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer "
    b"transfer-encoding upgrade".split()
)
_NOT_SENT_ON: Final = _HOP_BY_HOP | {b"content-length", b"expect", _FORWARDED}
_NOT_SENT_BACK: Final = _HOP_BY_HOP | {b"date"}  # the server puts its own date
_AUTOMATIC: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class BodyTooLargeError(PayhubError):
    """A body that no handler takes is not sent on either."""

    status = 413
    title = "The body is too large"

    def __init__(self) -> None:
        super().__init__("body-too-large", f"A body has {BODY_BYTES_MAX} bytes at most.")


class ClientGoneError(Exception):
    """Whoever asked has closed the connection."""


class Forwarder:
    """An ASGI application around an engine's own; enter it before it serves.

    Args:
        app: answers where this replica leads, and everything about this replica's health.
        replica: knows who leads.
        own: this replica's id.
        urls: HTTP base URL of each replica of the group.
    """

    def __init__(self, app: Any, replica: Replica, own: str, urls: Mapping[str, str]) -> None:
        self._app = app
        self._replica = replica
        self._own = own
        self._urls = {other: url for other, url in urls.items() if other != own}
        self._named = (_LEADER, own.encode())
        self._forwarding = 0
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Prepare for requests; needs the running event loop."""
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=FORWARDS_MAX),
            timeout=aiohttp.ClientTimeout(total=EXCHANGE_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_AUTOMATIC,
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections to the other replicas."""
        if self._http is not None:
            await self._http.close()

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        """Answer a request here where this replica leads, else have the leader answer it."""
        if scope["type"] != "http" or scope["path"] in LOCAL_PATHS:
            await self._app(scope, receive, send)
            return
        request = _Request(scope, receive)
        if self._replica.is_leader and await self._answer_here(request, send):
            return
        try:
            async with asyncio.timeout(FORWARD_TIMEOUT_S):
                await self._answer_elsewhere(request, send)
        except TimeoutError:
            await self._refuse(scope["path"], _not_leader(), send)
        except PayhubError as error:
            await self._refuse(scope["path"], error, send)
        except ClientGoneError:
            return

    def added(self) -> Headers:
        """Return the headers that this replica adds to its own answers."""
        headers = [self._named] if self._replica.is_leader else []
        if self._replica.is_stopping:
            headers.append(_CLOSE)
        return headers

    def withholds(self, status: int) -> bool:
        """Tell whether an answer of the application only says that it lost its leadership meanwhile."""
        return status == _UNAVAILABLE and not self._replica.is_leader

    async def _answer_here(self, request: "_Request", send: Any) -> bool:
        """Answer; False where leadership was lost before anything was sent."""
        answer = _Answer(self, send)
        await self._app(request.scope_again(), request.receive, answer.send)
        return not answer.is_withheld

    async def _answer_elsewhere(self, request: "_Request", send: Any) -> None:
        if _first(request.headers, _FORWARDED) is not None:
            raise _not_leader()  # one hop only: the replica that sent it here asks again
        if not request.raw_path.startswith(b"/") or "#" in request.target:
            # An absolute address or an authority as the target would send it to another host.
            raise InvalidInputError("malformed-http", "The target of a request is a path.")
        if self._forwarding >= FORWARDS_MAX:
            raise UnavailableError("overloaded", "Too many requests wait for the leader.")
        self._forwarding += 1
        try:
            await request.read()
            deadline = asyncio.get_running_loop().time() + LEADER_WAIT_S
            while not await self._attempt(request, send):
                left_s = deadline - asyncio.get_running_loop().time()
                if left_s <= 0:
                    raise _not_leader()
                known = self._replica.leader in self._urls
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left_s, RETRY_WAIT_S) if known else left_s):
                        await self._replica.leadership_changed()
        finally:
            self._forwarding -= 1

    async def _attempt(self, request: "_Request", send: Any) -> bool:
        """Have whoever leads now answer; False where nobody does or the answer was not the leader's."""
        if self._replica.is_leader:
            return await self._answer_here(request, send)
        url = self._urls.get(self._replica.leader or "")
        if url is None:
            return False
        answer = await self._ask(url, request)
        if answer is None:
            return False
        status, headers, body = answer
        if status == _UNAVAILABLE and _first(headers, _LEADER) is None:
            return False
        headers = [*_kept(headers, _NOT_SENT_BACK), *([_CLOSE] if self._replica.is_stopping else [])]
        await _send(send, status, headers, body)
        return True

    async def _ask(self, url: str, request: "_Request") -> tuple[int, Headers, bytes] | None:
        """Return the answer of the replica at ``url``; None where there is none, or who leads has changed."""
        exchange = asyncio.create_task(self._exchange(url, request))
        changed = asyncio.create_task(self._replica.leadership_changed())
        try:
            # A leader that is cut off never answers; the others elect another one long before a timeout.
            await asyncio.wait({exchange, changed}, return_when=asyncio.FIRST_COMPLETED)
            return await exchange if exchange.done() else None
        except (aiohttp.ClientError, TimeoutError) as error:
            _logger.info("the leader at %s did not answer: %s", url, type(error).__name__)
            return None
        finally:
            exchange.cancel()
            changed.cancel()
            await asyncio.gather(exchange, changed, return_exceptions=True)

    async def _exchange(self, url: str, request: "_Request") -> tuple[int, Headers, bytes]:
        assert self._http is not None  # noqa: S101 - entered before it serves
        headers = request.headers_to_send()
        headers[HEADER_FORWARDED] = self._own
        async with self._http.request(
            request.method,
            URL(url + request.target, encoded=True),
            data=request.data,
            headers=headers,
            allow_redirects=False,
        ) as response:
            content = bytearray()
            async for chunk in response.content.iter_any():
                content += chunk
                if len(content) > ANSWER_BYTES_MAX:
                    raise aiohttp.ClientPayloadError("the answer is too long")
            raw = [(name.lower(), value) for name, value in response.raw_headers]
            return response.status, raw, bytes(content)

    async def _refuse(self, path: str, error: PayhubError, send: Any) -> None:
        """Refuse as the handlers would: the scheme with FSPIOP's body, everybody else with a problem."""
        if path.startswith(SCHEME_PREFIX) and isinstance(error, UnavailableError):
            refusal = FspiopRefusal(error.status, refusals.SERVICE_UNAVAILABLE, error.detail)
            body, media_type = refusal.body(), "application/json"
        elif path.startswith(SCHEME_PREFIX) and isinstance(error, BodyTooLargeError):
            body, media_type = too_large().body(), "application/json"
        else:
            body, media_type = msgspec.json.encode(error.problem(path)), PROBLEM_MEDIA_TYPE
        told = {"content-type": media_type, "content-length": str(len(body)), **error.headers()}
        headers = [(name.lower().encode(), value.encode()) for name, value in told.items()]
        await _send(send, error.status, [*headers, *self.added()], body)


class _Answer:
    """Passes on what the application answers, unless that is only that it no longer leads."""

    __slots__ = ("_forwarder", "_send", "is_withheld")

    def __init__(self, forwarder: Forwarder, send: Any) -> None:
        self._forwarder = forwarder
        self._send = send
        self.is_withheld = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self._forwarder.withholds(message["status"]):
                self.is_withheld = True
                return
            message["headers"] = [*message.get("headers", ()), *self._forwarder.added()]
        elif self.is_withheld:
            return
        await self._send(message)


class _Request:
    """A request that can be read again: by the application, and by the leader after that."""

    __slots__ = ("_kept", "_next", "_receive", "_scope", "data")

    def __init__(self, scope: Message, receive: Any) -> None:
        self._scope = scope
        self._receive = receive
        self._kept: list[Message] = []
        self._next = 0
        self.data: bytes | None = None

    @property
    def method(self) -> str:
        return str(self._scope["method"])

    @property
    def headers(self) -> Headers:
        return self._scope["headers"]  # type: ignore[no-any-return]

    @property
    def raw_path(self) -> bytes:
        return self._scope["raw_path"]  # type: ignore[no-any-return]

    @property
    def target(self) -> str:
        """Path and query as they were sent."""
        query = self._scope["query_string"]
        return (self.raw_path + (b"?" + query if query else b"")).decode("ascii")

    def scope_again(self) -> Message:
        """Return the scope as if nobody had used it, and begin to read from the start."""
        self._next = 0
        # The application keeps what it has read in the state.
        return {**self._scope, "state": {**self._scope.get("state", {})}}

    async def receive(self) -> Message:
        if self._next < len(self._kept):
            self._next += 1
            return self._kept[self._next - 1]
        message = await self._receive()
        if message["type"] == "http.request":
            self._kept.append(message)
            self._next += 1
        return message

    async def read(self) -> None:
        """Read the whole body into ``data``; None where there is none.

        Raises:
            BodyTooLargeError: it is longer than any handler takes.
            ClientGoneError: nobody waits for the answer any more.
        """
        is_of_scheme = self.raw_path.startswith(SCHEME_PREFIX.encode())
        bytes_max = SCHEME_BODY_BYTES_MAX if is_of_scheme else BODY_BYTES_MAX
        self._next, size, more = 0, 0, True
        while more:
            message = await self.receive()
            if message["type"] != "http.request":
                raise ClientGoneError
            size += len(message["body"])
            if size > bytes_max:
                raise BodyTooLargeError
            more = message["more_body"]
        body = b"".join(message["body"] for message in self._kept)
        is_said = _first(self.headers, b"content-length") is not None
        self.data = body if body or is_said else None

    def headers_to_send(self) -> CIMultiDict[str]:
        """Return the end-to-end headers, each as often as it came.

        Raises:
            InvalidInputError: a value is no UTF-8; it could not be sent on unchanged.
        """
        try:
            return CIMultiDict(
                (name.decode("ascii"), value.decode()) for name, value in _kept(self.headers, _NOT_SENT_ON)
            )
        except UnicodeDecodeError as error:
            raise InvalidInputError("malformed-http", "A header is no UTF-8.") from error


def _kept(headers: Iterable[tuple[bytes, bytes]], dropped: frozenset[bytes]) -> Headers:
    """Return the headers without those that belong to one hop, named in Connection or known."""
    headers = list(headers)
    named = {
        option.strip().lower()
        for name, value in headers
        if name == b"connection"
        for option in value.split(b",")
    }
    return [(name, value) for name, value in headers if name not in dropped and name not in named]


def _first(headers: Headers, wanted: bytes) -> bytes | None:
    return next((value for name, value in headers if name == wanted), None)


def _not_leader() -> UnavailableError:
    return UnavailableError("engine-not-leader", "No replica of this engine leads right now.")


async def _send(send: Any, status: int, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
