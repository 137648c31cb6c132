"""What the engine's controllers share: whose request it is, starting an instance, telling one something."""

from typing import Any, Final, Protocol

import msgspec
from litestar import Request, Response
from opentelemetry.trace import SpanKind

from payhub_engines.core.commands import Charge, CorrelateMessage, StartInstance
from payhub_engines.core.reply import Rejected
from payhub_engines.core.state import State
from payhub_engines.handover.placing import placement_unknown
from payhub_engines.handover.recall import recalled
from payhub_engines.server.engine import Engine
from payhub_platform.contracts.channel import TransferAccepted
from payhub_platform.contracts.engine import HEADER_ACT, HEADER_EPOCH, HEADER_TENANT, STALE_EPOCH
from payhub_platform.contracts.handover import Callback
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    PayhubError,
    UnprocessableError,
)
from payhub_platform.security.internal import require_internal

AnyRequest = Request[Any, Any, Any]
_ENCODER: Final = msgspec.json.Encoder()
_WHERE: Final = {
    "key-reused": "header:X-CorrelationID",
    "payment-limit-exceeded": "/amount",
    "day-limit-reached": "/amount",
}


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
        ConflictError: ``stale-epoch`` or ``not-placed-here``.
        UnavailableError: ``placement-unknown``, ``engine-overloaded`` and others of
            ``StreamProcessor.submit``.
    """
    tenant, epoch = known_tenant(request, engine), epoch_of(request)
    if epoch < tenant.epoch:
        raise stale_epoch()
    if epoch > tenant.epoch:
        # Answers to what begins here must be found too, also where they reach another engine.
        raise placement_unknown()
    if engine.settings.engine_id not in tenant.begins:
        raise ConflictError("not-placed-here", "The tenant is not served by this engine.")
    return _may_pay(engine, tenant)


def paying_tenant(request: AnyRequest, engine: Engine) -> TenantConfig:
    """Return the tenant that the gateway names, when it may pay: wherever it is placed now.

    Raises:
        ForbiddenError: ``tenant-suspended``.
        UnavailableError: ``engine-overloaded`` and others of ``StreamProcessor.submit``.
    """
    return _may_pay(engine, known_tenant(request, engine))


def _may_pay(engine: Engine, tenant: TenantConfig) -> TenantConfig:
    refusal = engine.stream.refusal_of_payment(tenant.tenant_id)
    if refusal is not None:  # told before anything is decoded: a flood must cost the others nothing
        raise refusal
    if tenant.status != "active":
        raise ForbiddenError("tenant-suspended", "The institution is suspended.")
    return tenant


def known_tenant(request: AnyRequest, engine: Engine) -> TenantConfig:
    """Return the tenant that the gateway names, wherever it is placed now: what runs here goes on here."""
    require_internal(request.headers, engine.settings.internal_token)
    return engine.tenant(request.headers.get(HEADER_TENANT, ""))


def epoch_of(request: AnyRequest) -> int:
    """Return the epoch of the placement that a request was sent under.

    Raises:
        InvalidInputError: ``invalid-epoch``.
    """
    try:
        return int(request.headers.get(HEADER_EPOCH, ""))
    except ValueError:
        raise InvalidInputError(
            "invalid-epoch", "The placement epoch must be a number.", f"header:{HEADER_EPOCH}"
        ) from None


def stale_epoch() -> ConflictError:
    """Tell whoever has an older placement to look for the newer one; nothing was begun."""
    return ConflictError("stale-epoch", "The tenant's placement has changed.", f"header:{HEADER_EPOCH}")


def refusal_of(reply: Rejected, now_ms: int) -> PayhubError:
    """Return what a start is refused with."""
    if reply.code == STALE_EPOCH:
        return stale_epoch()
    again_s = _seconds_until(reply.retry_at_ms, now_ms)
    return UnprocessableError(reply.code, reply.detail, _WHERE.get(reply.code, "/"), retry_after_s=again_s)


async def start_instance(
    request: AnyRequest,
    engine: Engine,
    tenant: TenantConfig,
    process: str,
    start: Start,
    variables: dict[str, Any],
    charge: Charge | None = None,
) -> Response[bytes]:
    """Start an instance and answer 202, once it is committed to disk.

    Raises:
        UnprocessableError: ``key-reused``, the id was used with another body; with ``charge``
            ``payment-limit-exceeded`` or ``day-limit-reached``.
        ConflictError: ``stale-epoch``, the engine was asked on behalf of a newer placement meanwhile.
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
            trace=span.traceparent,
            epoch=epoch_of(request),
            charge=charge,
        )
        reply = await engine.stream.submit(command, tenant.tenant_id)
    if isinstance(reply, Rejected):
        raise refusal_of(reply, engine.clock())
    return answer(TransferAccepted(transaction_id=start.payment_id), status=202)


async def recall_instance(request: AnyRequest, engine: Engine, process: str, start: Start) -> Response[bytes]:
    """Answer as ``start_instance`` did, where this engine has begun the instance; begin nothing.

    Raises:
        NotFoundError: ``payment-not-found``; from now on it does not begin under an older epoch either.
        UnprocessableError: ``key-reused``, it was begun with another body.
    """
    tenant_id = request.headers.get(HEADER_TENANT, "")
    found = await recalled(
        engine.stream,
        tenant_id,
        epoch_of(request),
        lambda state: state.find_instance(tenant_id, process, start.payment_id),
    )
    if found is None:
        raise NotFoundError("payment-not-found", "There is no payment with this id.", "/payment_id")
    if found.fingerprint != start.fingerprint:
        reused = Rejected("key-reused", f"{start.payment_id} was used with another content.")
        raise refusal_of(reused, engine.clock())
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


def _seconds_until(at_ms: int | None, now_ms: int) -> int | None:
    return None if at_ms is None else max(1, -((now_ms - at_ms) // 1000))


def answer(value: Any, status: int = 200) -> Response[bytes]:
    """Answer with a Struct as JSON."""
    return Response(_ENCODER.encode(value), status_code=status, media_type="application/json")
