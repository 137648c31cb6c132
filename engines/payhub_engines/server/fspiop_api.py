"""Scheme ingress: the switch's messages are committed before they are acknowledged."""

from collections.abc import Mapping
from typing import Any, Final

from litestar import HttpMethod, Request, Response, route
from litestar.di import NamedDependency
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.params import FromPath
from opentelemetry.trace import SpanKind

from payhub_engines.connectors import refusals
from payhub_engines.connectors.mojaloop import headers as fspiop_headers
from payhub_engines.connectors.mojaloop.ingress import (
    BODY_BYTES_MAX,
    METHODS,
    Inbound,
    must_be_signed,
    route_of,
    too_large,
    translate,
    verify_signature,
)
from payhub_engines.connectors.mojaloop.refusal import FspiopRefusal, missing
from payhub_engines.handover.placing import sent_on
from payhub_engines.server.engine import Engine
from payhub_engines.server.neighbours import commit
from payhub_platform.contracts.handover import Callback
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.errors import UnavailableError

PREFIX: Final = "/fspiop"

_METHODS: Final = [HttpMethod(method) for method in METHODS]


@route(PREFIX + "/{path:path}", http_method=_METHODS, request_max_body_size=BODY_BYTES_MAX)
async def fspiop(
    request: Request[Any, Any, Any], engine: NamedDependency[Engine], path: FromPath[str]
) -> Response[bytes]:
    """Take one FSPIOP message for a tenant of this installation."""
    with engine.tracing.span(
        f"fspiop {request.method} /{path.strip('/').partition('/')[0]}",
        request.headers.get("traceparent", ""),
        SpanKind.SERVER,
        engine=engine.settings.engine_id,
    ):
        try:
            headers = fspiop_headers.read(request.headers.items())
            body = await _body(request)
            tenant = _tenant(engine, path, headers)
            inbound = _read(engine, request, path, headers, body, tenant)
            if inbound.callback is not None:
                await commit_callback(engine, tenant, inbound.callback)
        except FspiopRefusal as refusal:
            return _answer(refusal)
        except UnavailableError as error:
            # The switch delivers again.
            busy = FspiopRefusal(error.status, refusals.SERVICE_UNAVAILABLE, error.detail)
            return _answer(busy, error.headers())
    return Response(b"", status_code=inbound.status)


async def _body(request: Request[Any, Any, Any]) -> bytes:
    try:
        return await request.body()
    except RequestEntityTooLarge as error:
        raise too_large() from error


def _tenant(engine: Engine, path: str, headers: Mapping[str, str]) -> TenantConfig:
    """Find the institution by the path's prefix, else by FSPIOP-Destination."""
    fsp_id = route_of(path).fsp_id or headers.get("fspiop-destination", "")
    if not fsp_id:
        raise missing("The header is missing.", "header:FSPIOP-Destination")
    tenant = engine.directory.by_fsp(fsp_id)
    if tenant is None:
        # It may be on its way here, and a callback that the switch gives up on is a payment that waits.
        raise UnavailableError("unknown-tenant", "FSPIOP-Destination is no FSP that this engine knows yet.")
    return tenant


def _read(
    engine: Engine,
    request: Request[Any, Any, Any],
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    tenant: TenantConfig,
) -> Inbound:
    """Check the signature with the keys of FSPIOP-Source, then translate the message."""
    method, now_ms = str(request.method), engine.clock()
    if must_be_signed(method, route_of(path).resource, tenant.scheme):
        source_keys = engine.source_keys(headers.get("fspiop-source", ""), tenant)
        verify_signature(method, path, headers, body, source_keys)
    return translate(method, path, headers, body, tenant, now_ms, request.url.query)


async def commit_callback(engine: Engine, tenant: TenantConfig, callback: Callback) -> None:
    """Give the callback to who waits for it: an instance here, or one at another engine of the tenant."""
    belongs = await engine.placing.of(tenant, callback)
    for owner in belongs.owners:
        await commit(engine.stream, sent_on(callback), owner)
    if belongs.here:
        await commit(engine.stream, callback, epoch=belongs.epoch)


def _answer(refusal: FspiopRefusal, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    return Response(
        refusal.body(),
        status_code=refusal.status,
        headers=dict(headers or {}),
        media_type="application/json",
    )
