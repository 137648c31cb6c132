"""What the engine's controllers share: whose request it is, starting an instance, telling one something."""

from typing import Any, Final, Protocol

import msgspec
from litestar import Request, Response
from opentelemetry.trace import SpanKind

from payhub_engines.core.commands import CorrelateMessage, StartInstance
from payhub_engines.core.reply import Rejected
from payhub_engines.core.state import State
from payhub_engines.server.engine import Engine
from payhub_platform.contracts.channel import TransferAccepted
from payhub_platform.contracts.engine import HEADER_ACT, HEADER_EPOCH, HEADER_TENANT
from payhub_platform.contracts.handover import Callback
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    UnprocessableError,
)
from payhub_platform.security.internal import require_internal
from payhub_platform.telemetry.tracing import traceparent_of

AnyRequest = Request[Any, Any, Any]
_ENCODER: Final = msgspec.json.Encoder()


class Start(Protocol):
    """What a body that starts an instance has."""

    @property
    def payment_id(self) -> str:
        """The business key."""

    @property
    def fingerprint(self) -> str:
        """The same id with another one is refused."""


def active_tenant(request: AnyRequest, engine: Engine) -> TenantConfig:
    """Return the tenant that the gateway names, when it may start something here.

    Raises:
        ForbiddenError: ``tenant-suspended``.
        ConflictError: as ``placed_tenant``.
        UnavailableError: ``engine-overloaded`` and others of ``StreamProcessor.submit``.
    """
    tenant = placed_tenant(request, engine)
    refusal = engine.stream.refusal_of_payment(tenant.tenant_id)
    if refusal is not None:  # told before anything is decoded: a flood must cost the others nothing
        raise refusal
    if tenant.status != "active":
        raise ForbiddenError("tenant-suspended", "The institution is suspended.")
    return tenant


def placed_tenant(request: AnyRequest, engine: Engine) -> TenantConfig:
    """Return the tenant that the gateway names, when it is placed here and the placement is current.

    Raises:
        ConflictError: ``stale-epoch`` or ``not-placed-here``.
    """
    require_internal(request.headers, engine.settings.internal_token)
    tenant = engine.tenant(request.headers.get(HEADER_TENANT, ""))
    try:
        epoch = int(request.headers.get(HEADER_EPOCH, ""))
    except ValueError:
        raise InvalidInputError(
            "invalid-epoch", "The placement epoch must be a number.", f"header:{HEADER_EPOCH}"
        ) from None
    if epoch < tenant.epoch:
        raise ConflictError("stale-epoch", "The tenant's placement has changed.", f"header:{HEADER_EPOCH}")
    if engine.settings.engine_id not in tenant.placement:
        raise ConflictError("not-placed-here", "The tenant is not served by this engine.")
    return tenant


async def start_instance(
    request: AnyRequest,
    engine: Engine,
    tenant: TenantConfig,
    process: str,
    start: Start,
    variables: dict[str, Any],
) -> Response[bytes]:
    """Start an instance and answer 202, once it is committed to disk.

    Raises:
        UnprocessableError: ``key-reused``, the id was used with another body.
    """
    with engine.tracing.span(
        "engine start payment",
        request.headers.get("traceparent", ""),
        SpanKind.SERVER,
        tenant=tenant.tenant_id,
        payment=start.payment_id,
    ) as span:
        command = StartInstance(
            process=process,
            tenant=tenant.tenant_id,
            payment=start.payment_id,
            fingerprint=start.fingerprint,
            variables=variables,
            trace=traceparent_of(span),
        )
        reply = await engine.stream.submit(command, tenant.tenant_id)
    if isinstance(reply, Rejected):
        where = "header:X-CorrelationID" if reply.code == "key-reused" else "/"
        raise UnprocessableError(reply.code, reply.detail, where)
    return answer(TransferAccepted(transaction_id=start.payment_id), status=202)


async def tell(
    request: AnyRequest,
    engine: Engine,
    tenant: TenantConfig,
    name: str,
    key: str,
    variables: dict[str, Any],
) -> None:
    """Give what a person has decided to the instance that waits for it.

    A gateway that has lost the answer asks again with the same ``HEADER_ACT``, and is answered the same.

    Raises:
        UnprocessableError: ``nothing-to-confirm``.
    """
    tenant_id, act = tenant.tenant_id, request.headers.get(HEADER_ACT, "")

    def look(state: State) -> tuple[bool, bool]:
        taken = state.message_id(tenant_id, name, key, act) if act else None
        is_repeated = taken is not None and taken[0] > engine.clock()
        # What nobody waited for any more has the key of a message, not of an instance.
        is_taken = taken is not None and is_repeated and state.document(taken[1]) is not None
        return is_taken, not is_repeated and state.has_subscription(tenant_id, name, key)

    is_taken, waits = await engine.stream.read(look, tenant_id)
    if is_taken:
        return
    if not waits:
        raise UnprocessableError("nothing-to-confirm", "Nothing waits for this now.")
    callback = Callback(
        tenant=tenant_id,
        name=name,
        correlation_key=key,
        variables=variables,
        trace=request.headers.get("traceparent", ""),
        message_id=act,
    )
    reply = await engine.stream.submit(CorrelateMessage(callback=callback), tenant_id)
    if isinstance(reply, Rejected):
        raise UnprocessableError(reply.code, reply.detail)
    if await engine.stream.read(lambda state: state.document(reply.key) is None, tenant_id):
        raise UnprocessableError("nothing-to-confirm", "Nothing waits for this any more.")


def answer(value: Any, status: int = 200) -> Response[bytes]:
    """Answer with a Struct as JSON."""
    return Response(_ENCODER.encode(value), status_code=status, media_type="application/json")
