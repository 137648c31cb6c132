"""One span per request, and the headers that every answer carries."""

from typing import Final

from litestar.datastructures import Headers, MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from opentelemetry.trace import SpanKind

from payhub_platform.telemetry.tracing import Tracing

UNTRACED: Final = "untraced"
"""Handler option: requests to it get no span (health checks)."""

_SERVER_ERROR: Final = 500


class RequestSpan(ASGIMiddleware):
    """Runs each request in a span that continues the caller's trace, and tells the caller its trace id."""

    scopes = (ScopeType.HTTP,)
    exclude_opt_key = UNTRACED

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Serve one request in a span of its own."""
        method = str(scope.get("method", ""))
        route = scope["path_template"] or scope["path"]
        incoming = Headers.from_scope(scope).get("traceparent", "")
        attributes = {"http.request.method": method, "http.route": route}
        with self._tracing.span(f"{method} {route}", incoming, SpanKind.SERVER, **attributes) as span:

            async def send_traced(message: Message) -> None:
                if message["type"] == "http.response.start":
                    status = message["status"]
                    span.set_attribute("http.response.status_code", status)
                    if status >= _SERVER_ERROR:
                        span.fail()
                    MutableScopeHeaders(message)["traceparent"] = span.traceparent
                await send(message)

            await next_app(scope, receive, send_traced)


async def add_security_headers(message: Message, _scope: Scope) -> None:
    """Forbid sniffing, framing and plain HTTP, and caching wherever a handler does not allow it itself."""
    if message["type"] == "http.response.start":
        headers = MutableScopeHeaders(message)
        headers["x-content-type-options"] = "nosniff"
        headers.setdefault("cache-control", "no-store")
        headers.setdefault("content-security-policy", "default-src 'none'; frame-ancestors 'none'")
        headers.setdefault("referrer-policy", "no-referrer")
        # Browsers take it over https only (RFC 6797 section 8.1), so it does no harm elsewhere.
        headers.setdefault("strict-transport-security", "max-age=31536000")
