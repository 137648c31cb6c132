"""What every request passes, whoever serves it: a span, a line in the log, headers of its answer.

It stands before Litestar, whose middleware and hooks would each cost every request a layer of calls.
"""

import time
from typing import Any, Final

from litestar.types import ASGIApp, Receive, Scope, Send
from opentelemetry.trace import SpanKind

from payhub_gateway import access_log
from payhub_gateway.draining import Draining
from payhub_gateway.rates import headers as rate_headers
from payhub_platform.telemetry.tracing import Span, Tracing

_Header = tuple[bytes, bytes]

_SERVER_ERROR: Final = 500
_CLOSE: Final = (b"connection", b"close")
_TRACEPARENT: Final = b"traceparent"
_NO_SNIFFING: Final = (b"x-content-type-options", b"nosniff")
# Against framing, plain HTTP, and caching wherever a handler does not allow it itself.
_UNLESS_SAID: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    # Browsers take it over https only (RFC 6797 section 8.1), so it does no harm elsewhere.
    (b"strict-transport-security", b"max-age=31536000"),
)


class Front:
    """Traces and logs each request, and adds the headers that every answer has.

    Args:
        app: serves requests.
        tracing: of this process.
        draining: whether connections are to end.
        untraced: paths without a span and a line, such as health checks.
    """

    def __init__(self, app: ASGIApp, tracing: Tracing, draining: Draining, untraced: frozenset[str]) -> None:
        self._app = app
        self._tracing = tracing
        self._draining = draining
        self._untraced = untraced

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request in a span that continues the caller's trace."""
        if scope["path"] in self._untraced:
            await self._app(scope, receive, _Answer(scope, send, self._draining).send)
            return
        method = str(scope.get("method", ""))
        incoming = next((value for name, value in scope["headers"] if name == _TRACEPARENT), b"")
        with self._tracing.span(method, incoming.decode("latin-1"), SpanKind.SERVER) as span:
            answer = _TracedAnswer(scope, send, self._draining, span, method)
            await self._app(scope, receive, answer.send)


class _Answer:
    """Sends an answer on, with the headers that all have."""

    __slots__ = ("_draining", "_scope", "_send")

    def __init__(self, scope: Scope, send: Send, draining: Draining) -> None:
        self._scope = scope
        self._send = send
        self._draining = draining

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = self._headers(message["headers"])
        await self._send(message)

    def _headers(self, said: list[_Header]) -> list[_Header]:
        names = {name for name, _ in said}
        headers = [*said, *(header for header in _UNLESS_SAID if header[0] not in names), _NO_SNIFFING]
        # Every client that was known is told how it stands, whatever the answer is.
        verdict = self._scope["state"].get(rate_headers.STATE)
        if verdict is not None:
            headers += rate_headers.fields(verdict)
        if self._draining.is_on:
            headers.append(_CLOSE)
        return headers


class _TracedAnswer(_Answer):
    """The same, with the trace's id; a line is written when its body begins."""

    __slots__ = ("_begun_s", "_method", "_span", "_started")

    def __init__(self, scope: Scope, send: Send, draining: Draining, span: Span, method: str) -> None:
        super().__init__(scope, send, draining)
        self._span = span
        self._method = method
        self._begun_s = time.perf_counter()
        self._started: Any = None

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._started = message
            message["headers"].append((_TRACEPARENT, self._span.traceparent.encode()))
        elif self._started is not None:
            self._end(self._started, message)
            self._started = None
        await super().send(message)

    def _end(self, started: Any, body: Any) -> None:
        route, status = self._scope.get("path_template") or "-", started["status"]
        if self._span.is_recorded:
            self._span.rename(f"{self._method} {route}")
            self._span.set_attribute("http.request.method", self._method)
            self._span.set_attribute("http.route", route)
            self._span.set_attribute("http.response.status_code", status)
            if status >= _SERVER_ERROR:
                self._span.fail()
        tenant, client = self._scope["state"].get(access_log.CALLER, ("", ""))
        access_log.write(
            access_log.Line(
                event="request",
                method=self._method,
                route=route,
                status=status,
                decision=access_log.decision(status),
                ms=round((time.perf_counter() - self._begun_s) * 1000, 1),
                tenant=tenant,
                client=client,
                code=access_log.code(started["headers"], body.get("body", b"")),
                trace=self._span.traceparent[3:35],
            )
        )
