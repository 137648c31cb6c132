"""Messages between two institutions of the aggregator without a switch: FSPIOP from engine to engine.

A message is written, signed, verified and translated as on its way through a scheme, but nobody is between:
what it says is committed at the engine where the other side's part of the payment runs, or handed over to it.
"""

from typing import Any, Final

from msgspec.structs import replace
from opentelemetry.trace import SpanKind

from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.job import Job, JobFailedError
from payhub_engines.connectors.mojaloop import envelope
from payhub_engines.connectors.mojaloop.client import RETRY_AFTER_MS, SchemeRefusalError
from payhub_engines.connectors.mojaloop.ingress import translate, verify_signature
from payhub_engines.connectors.mojaloop.keys import KeyRing
from payhub_engines.connectors.mojaloop.outgoing import Outgoing
from payhub_engines.connectors.mojaloop.received.message import DIRECTLY
from payhub_engines.connectors.mojaloop.refusal import FspiopRefusal
from payhub_engines.connectors.neighbours import Neighbours
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.errors import UnavailableError
from payhub_platform.security import jws

RESOURCES: Final = frozenset(("parties", "quotes", "transfers", "transactions"))
"""What is said directly; all else of a payment goes through the scheme."""
DIRECT: Final = "direct"  # the variable: the engine where the other side's part of the payment runs


def way_to(fsp_id: str | None, job: Job, context: ConnectorContext) -> dict[str, Any]:
    """Return the variables that change the way to an institution: directly, or through the scheme.

    Both institutions must name each other. The payee's then stands where the switch does: what it has
    committed is the outcome. It is believed about that by this way alone: no FSPIOP-Source holds a space.
    """
    tenant, neighbours = context.tenant(job.tenant), context.neighbours
    peer = neighbours.by_fsp(fsp_id) if neighbours is not None and fsp_id else None
    if peer is not None and _agree(tenant, peer):
        return {DIRECT: peer.home_engine, "switchFsp": DIRECTLY + peer.fsp_id}
    return {DIRECT: None, "switchFsp": tenant.scheme.switch_fsp_id} if is_direct(job) else {}


def on_the_way(job: Job, way: dict[str, Any]) -> Job:
    """Return a job that speaks by a way that is decided only now."""
    return replace(job, variables={**job.variables, **way})


def is_direct(job: Job) -> bool:
    """Tell whether a job's payment is between two institutions here, without a switch."""
    return bool(job.variables.get(DIRECT))


class DirectLine:
    """Delivers messages to the engines of other institutions."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    async def deliver(self, job: Job, context: ConnectorContext, message: Outgoing) -> None:
        """Deliver one message; what it says is committed when this returns.

        Raises:
            SchemeRefusalError: it can never be taken as it is.
            JobFailedError: not taken now; to be sent again with the same ids.
        """
        neighbours, resource = context.neighbours, message.path[0]
        peer = None if neighbours is None else neighbours.by_fsp(message.destination)
        if neighbours is None or peer is None:
            raise JobFailedError(
                f"{message.method} /{resource}: the institution is not known (yet)", RETRY_AFTER_MS
            )
        with context.tracing.span(
            f"{message.method} {resource}", job.trace, SpanKind.CLIENT, element=job.element
        ) as span:
            trace = span.traceparent if job.trace else ""
            try:
                await self._give(job, context, message, (neighbours, peer), trace)
            except FspiopRefusal as refusal:
                raise SchemeRefusalError(refusal.error_code, refusal.description) from refusal
            except UnavailableError as error:
                raise JobFailedError(f"{message.method} /{resource}: {error.code}", RETRY_AFTER_MS) from error

    async def _give(
        self,
        job: Job,
        context: ConnectorContext,
        message: Outgoing,
        to: tuple[Neighbours, TenantConfig],
        trace: str,
    ) -> None:
        neighbours, peer = to
        tenant, now_ms = context.tenant(job.tenant), context.clock()
        sender, receiver = _plain(tenant), _plain(peer)
        data = envelope.data_of(message, sender, job.started_at_ms)
        headers = envelope.headers_of(message, sender, now_ms)
        path = "/" + "/".join(message.path)
        key = self._keys.of(tenant, context.secrets)
        if data:
            uri = envelope.uri_of(message, sender.scheme)
            headers |= jws.sign(data, headers, uri, message.method, key.private_key)
        if trace:
            headers["traceparent"] = trace
        received = {name.lower(): value for name, value in headers.items()}
        verify_signature(message.method, path, received, data, [key.public_key])
        inbound = translate(
            message.method, path, received, data, receiver, now_ms, direct=neighbours.engine_id
        )
        if inbound.callback is not None:
            await neighbours.give(job.variables[DIRECT], inbound.callback)


def _agree(tenant: TenantConfig, peer: TenantConfig) -> bool:
    return (
        tenant.tenant_id != peer.tenant_id
        and peer.tenant_id in tenant.direct_with
        and tenant.tenant_id in peer.direct_with
        and tenant.currency == peer.currency
        and peer.status == "active"
    )


def _plain(tenant: TenantConfig) -> TenantConfig:
    """Return an institution as it speaks here: FSPIOP's own form, whatever its scheme speaks."""
    return replace(tenant, scheme=replace(tenant.scheme, versions=("1.1",), iso20022=False))
