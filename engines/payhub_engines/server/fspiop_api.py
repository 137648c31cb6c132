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
from payhub_engines.connectors.mojaloop.received import bulk, names, payments
from payhub_engines.connectors.mojaloop.refusal import FspiopRefusal, missing, not_served
from payhub_engines.core.commands import Command, CorrelateMessage, QueueHandover
from payhub_engines.core.reply import Rejected
from payhub_engines.server.engine import Engine
from payhub_platform.contracts.handover import Callback
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.errors import UnavailableError

PREFIX: Final = "/fspiop"

_MALFORMED: Final = frozenset(("invalid-key", "invalid-variables"))
# The process that has quoted, its variable once it has taken a transfer, and what refuses one.
_PREPARED: Final = {
    names.TRANSFER_PREPARE: (names.PAYEE_QUOTE_TRANSFER, "transfer", payments.refuse_unquoted),
    names.BULK_TRANSFER_PREPARE: (
        names.PAYEE_BULK_QUOTE_TRANSFER,
        "bulkTransferFingerprint",
        bulk.refuse_unquoted,
    ),
}
_NOT_SERVED: Final = frozenset(("unknown-process", "no-start"))

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
                await commit_callback(engine, tenant, _of_known_quote(engine, tenant, inbound.callback))
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


def _of_known_quote(engine: Engine, tenant: TenantConfig, callback: Callback) -> Callback:
    """Have a transfer refused whose quote nobody here gave, so that its payer does not wait for nothing.

    One whose quote is being answered is kept until the process waits for it, and what is sent again of a
    transfer that was taken is left to what became of that.
    """
    if callback.name not in _PREPARED or tenant.home_engine != engine.settings.engine_id:
        return callback
    process, taken, refuse_unquoted = _PREPARED[callback.name]
    state = engine.stream.machine.state
    if state.has_subscription(callback.tenant, callback.name, callback.correlation_key):
        return callback
    quoted = callback.correlation_key.rpartition("/")[2]
    found = state.find_instance(callback.tenant, process, quoted)
    if found is not None and (found.ended_at_ms is None or taken in found.variables):
        return callback
    return refuse_unquoted(callback, engine.clock()) or callback


async def commit_callback(engine: Engine, tenant: TenantConfig, callback: Callback) -> None:
    """Give the callback to who waits for it: an instance here, or the engine that owns the tenant."""
    waits_here = engine.stream.machine.state.has_subscription(
        callback.tenant, callback.name, callback.correlation_key
    )
    command: Command
    if waits_here or tenant.home_engine == engine.settings.engine_id:
        command = CorrelateMessage(callback=callback)
    else:
        command = QueueHandover(owner=tenant.home_engine, callback=callback)
    reply = await engine.stream.submit(command, tenant.tenant_id)
    if isinstance(reply, Rejected):
        raise _refusal_of(reply)


def _refusal_of(reply: Rejected) -> FspiopRefusal | UnavailableError:
    """Tell the switch whether sending the same message again may help; what is refused is gone for good."""
    if reply.code == "key-reused":
        return FspiopRefusal(400, refusals.MODIFIED_REQUEST, "The same id was used before with another body.")
    if reply.code == "command-too-large":
        return too_large()
    if reply.code in _NOT_SERVED:
        return not_served("Nobody here serves this resource.")
    if reply.code in _MALFORMED:
        return FspiopRefusal(400, refusals.MALFORMED_SYNTAX, reply.detail)
    return UnavailableError(reply.code, reply.detail)


def _answer(refusal: FspiopRefusal, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    return Response(
        refusal.body(),
        status_code=refusal.status,
        headers=dict(headers or {}),
        media_type="application/json",
    )
