"""The switch over HTTP: FSPIOP under ``/switch`` (API Definition 1.0, 1.1 and 2.0)."""

from typing import Any, Final

import msgspec
from litestar import Request, Response, route
from litestar.handlers import HTTPRouteHandler
from litestar.types import Method

from payhub_sandbox.switch.message import Incoming
from payhub_sandbox.switch.refusal import FspiopRefusalError
from payhub_sandbox.switch.service import RETRY_AFTER_S, SwitchService
from payhub_sandbox.switch.target import resource_of
from payhub_sandbox.switch.versions import ASKING, FX_RESOURCES, media_type

PREFIX: Final = "/switch"

_METHODS: Final[list[Method]] = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_UNAVAILABLE: Final = 503
_ACCEPTED: Final = 202
_OK: Final = 200


def switch_handlers(service: SwitchService) -> list[HTTPRouteHandler]:
    """Return the handler of every FSPIOP operation; the hub knows which ones there are."""

    @route(PREFIX + "/{resource:path}", http_method=_METHODS)
    async def receive(request: Request[Any, Any, Any]) -> Response[bytes]:
        incoming = Incoming(
            method=request.method,
            path=request.scope["raw_path"].decode("latin-1").removeprefix(PREFIX),
            headers=dict(request.headers.items()),
            body=await request.body(),
            query=request.scope["query_string"].decode("latin-1"),
        )
        service.receive(incoming)
        status = _ACCEPTED if incoming.method in ASKING else _OK
        return Response(b"", status_code=status, media_type="application/json")

    return [receive]


def on_refusal(request: Request[Any, Any, Any], error: FspiopRefusalError) -> Response[bytes]:
    """Answer with FSPIOP's errorInformation."""
    resource = resource_of(request.url.path.removeprefix(PREFIX))
    headers = {"Retry-After": str(RETRY_AFTER_S)} if error.http_status == _UNAVAILABLE else {}
    media = media_type(resource, "2.0" if resource in FX_RESOURCES else "1.1")
    return Response(error.body(), status_code=error.http_status, headers=headers, media_type=media)


def json_response(value: Any, status: int = _OK) -> Response[bytes]:
    """Answer with plain JSON."""
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")
