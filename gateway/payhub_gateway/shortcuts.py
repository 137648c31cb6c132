"""The routes that are asked most, without Litestar's layers: those would cost as much as the handlers do.

The handlers are Litestar's all the same. It serves every other route, and refuses other methods of these.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from inspect import signature
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from payhub_gateway import request_shape
from payhub_platform.errors import PayhubError
from payhub_platform.http import exception_handlers

_ENCODER: Final = msgspec.json.Encoder()
_HANDLERS: Final[Mapping[Any, Any]] = exception_handlers()


class _Shortcut(msgspec.Struct, frozen=True):
    template: str
    parameter: str  # the name of the path's last segment; empty where that is fixed
    status: int
    call: Callable[..., Awaitable[Any]]


class Shortcuts:
    """Serves some handlers directly, and leaves everything else to the application.

    Args:
        app: the application that the handlers are registered with.
        handlers: ask for the request, at most one path parameter, which is the last segment, and for what
            is given; read a body with ``limits.read_body``; answer with a Struct or a ``Response``.
        given: what the application provides them with, by name.
    """

    def __init__(self, app: ASGIApp, handlers: Iterable[HTTPRouteHandler], given: Mapping[str, Any]) -> None:
        self._app = app
        self._shortcuts: dict[tuple[str, str], _Shortcut] = {}
        for handler in handlers:
            wanted = {name: given[name] for name in signature(handler.fn).parameters if name in given}
            for path in handler.paths:
                fixed, _, parameter = path.partition("{")
                template = path.partition(":")[0] + "}" if parameter else path
                shortcut = _Shortcut(
                    template, parameter.partition(":")[0], handler.status_code, partial(handler.fn, **wanted)
                )
                for method in handler.http_methods:
                    self._shortcuts[method, fixed] = shortcut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        method, path = str(scope.get("method", "")), scope["path"]
        parent, slash, last = path.rpartition("/")
        shortcut = self._shortcuts.get((method, path)) if last else None
        parameters: dict[str, Any] = {}
        if shortcut is None and last:
            shortcut = self._shortcuts.get((method, parent + slash))
            parameters = {} if shortcut is None else {shortcut.parameter: last}
        if shortcut is None:
            await self._app(scope, receive, send)
            return
        scope["path_template"], scope["path_params"] = shortcut.template, parameters
        request: Request[Any, Any, Any] = Request(scope, receive, send)
        try:
            request_shape.check_head(scope["raw_path"], scope["query_string"], scope["headers"])
            answer = await shortcut.call(request=request, **parameters)
        except Exception as error:  # noqa: BLE001 - each becomes an answer, and what is unexpected is logged
            answer = _refusal(request, error)
        await _send(send, answer, shortcut.status)


def _refusal(request: Request[Any, Any, Any], error: Exception) -> Any:
    kind = next(kind for kind in (PayhubError, HTTPException, Exception) if isinstance(error, kind))
    return _HANDLERS[kind](request, error)


async def _send(send: Send, answer: Any, status: int) -> None:
    headers: list[tuple[bytes, bytes]] = []
    media_type, body = "application/json", answer
    if isinstance(answer, Response):
        status, media_type, body = (
            answer.status_code or status,
            str(answer.media_type or media_type),
            answer.content,
        )
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
    if not isinstance(body, bytes):
        body = _ENCODER.encode(body)
    headers += ((b"content-type", media_type.encode()), (b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
