"""One line for each request: who asked for what, and what was decided. Nothing personal is in it.

Paths hold identifiers, so the route's template is written instead. What changed something, or was refused
because of who asked, goes to ``payhub.audit``; everything else to ``payhub.access``.
"""

import logging
import time
from typing import Any, Final

import msgspec
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from payhub_gateway import request_shape
from payhub_gateway.observation import UNTRACED
from payhub_platform.errors import PROBLEM_MEDIA_TYPE, Problem

CALLER: Final = "payhub-caller"
"""In a request's state: tenant and client, once they are known."""

_access = logging.getLogger("payhub.access")
_audit = logging.getLogger("payhub.audit")
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_WHO: Final = frozenset({401, 403})
_REFUSED_FROM: Final = 400
_FAILED_FROM: Final = 500
_PROBLEM: Final = msgspec.json.Decoder(Problem)
_ENCODER: Final = msgspec.json.Encoder()


class Line(msgspec.Struct, omit_defaults=True):
    """What is written of a request."""

    event: str
    method: str
    route: str
    status: int
    decision: str
    ms: float
    tenant: str = ""
    client: str = ""
    code: str = ""
    trace: str = ""


class RequestLog(ASGIMiddleware):
    """Looks at the head of each request, and writes a line when its answer begins."""

    scopes = (ScopeType.HTTP,)
    exclude_opt_key = UNTRACED

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Serve one request."""
        begun_s = time.perf_counter()
        started: Message | None = None

        async def send_logged(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = message
            elif started is not None:
                _write(scope, started, message, time.perf_counter() - begun_s)
                started = None
            await send(message)

        await next_app(scope, receive, send_logged)


class HeadCheck(ASGIMiddleware):
    """Refuses a request by its head before it costs anything."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Check the head, then serve the request."""
        request_shape.check_head(scope["raw_path"], scope["query_string"], scope["headers"])
        await next_app(scope, receive, send)


def _write(scope: Scope, start: Any, body: Any, took_s: float) -> None:
    status = int(start["status"])
    headers = dict(start["headers"])
    tenant, client = scope["state"].get(CALLER, ("", ""))
    line = Line(
        event="request",
        method=str(scope.get("method", "")),
        route=scope["path_template"] or "-",
        status=status,
        decision=_decision(status),
        ms=round(took_s * 1000, 1),
        tenant=tenant,
        client=client,
        code=_code(headers, body),
        trace=headers.get(b"traceparent", b"").decode("latin-1")[3:35],
    )
    is_audited = line.method not in _READING or status in _WHO
    (_audit if is_audited else _access).info("%s", _ENCODER.encode(line).decode())


def _decision(status: int) -> str:
    if status >= _FAILED_FROM:
        return "unavailable"
    return "refused" if status >= _REFUSED_FROM else "allowed"


def _code(headers: dict[bytes, bytes], body: Any) -> str:
    if headers.get(b"content-type") != PROBLEM_MEDIA_TYPE.encode():
        return ""
    try:
        return _PROBLEM.decode(body.get("body", b"")).code
    except msgspec.MsgspecError:
        return ""  # an answer without its body, to HEAD
