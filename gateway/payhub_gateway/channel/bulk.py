"""``/v1/bulk-payments``: many payments of one payer, checked together and handed to the tenant's engine."""

import hashlib
from typing import Any, Final

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from opentelemetry import trace

from payhub_gateway.channel import model
from payhub_gateway.channel.access import Access, Caller
from payhub_gateway.channel.idempotency import HEADER_KEY, AtWork, idempotency_key
from payhub_gateway.engine_client import EngineClient
from payhub_gateway.limits import InFlight, read_body
from payhub_gateway.oauth2.model import SCOPE_READ, SCOPE_WRITE
from payhub_platform import ids
from payhub_platform.clock import Clock
from payhub_platform.contracts.bulk_payments import (
    PATH_BULK_PAYMENTS,
    BulkPaymentAccepted,
    BulkPaymentItem,
    BulkPaymentRequest,
    BulkPaymentStatus,
    StartBulkItem,
    StartBulkPayment,
)
from payhub_platform.contracts.channel import TransferRequest
from payhub_platform.contracts.engine import StartPayment
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.errors import InvalidInputError, NotFoundError, UnprocessableError
from payhub_platform.http import decode_body
from payhub_platform.telemetry.tracing import traceparent_of

PATH: Final = "/v1/bulk-payments"

_BULK: Final = msgspec.json.Decoder(BulkPaymentRequest)
_ACCEPTED: Final = 202
_OF_ALL: Final = ("/payer", "/expiration")  # what the payments of a bulk have in common


class BulkPaymentService:
    """Starts bulks and tells how they stand."""

    def __init__(self, engines: EngineClient, in_flight: InFlight, clock: Clock) -> None:
        self._engines = engines
        self._in_flight = in_flight
        self._clock = clock
        self._at_work = AtWork()

    async def start(
        self, caller: Caller, key: str, request: BulkPaymentRequest, traceparent: str
    ) -> BulkPaymentAccepted:
        """Have the tenant's engine commit a bulk; the same key and request again give the same answer.

        Raises:
            PayhubError: as for a transfer; each payment is checked as one, and the place in the bulk is told.
        """
        bulk = start_bulk(request, caller.tenant, caller.client_id, key)
        with (
            self._in_flight.slot(caller.tenant.tenant_id, caller.client_id),
            self._at_work.mark(bulk.payment_id, bulk.fingerprint),
        ):
            await self._refuse_expired(caller, bulk, traceparent)
            await self._engines.start(caller.tenant, bulk, traceparent, PATH_BULK_PAYMENTS)
        return BulkPaymentAccepted(bulk_payment_id=bulk.payment_id)

    async def status(self, caller: Caller, bulk_id: str, traceparent: str) -> BulkPaymentStatus:
        """Return how one of the tenant's bulks stands.

        Raises:
            NotFoundError: code ``unknown-payment``; also for another tenant's.
            PayhubError: the engine cannot answer now (503).
        """
        if not ids.is_uuid(bulk_id):
            raise NotFoundError("unknown-payment", "There is no such bulk.")
        with self._in_flight.slot(caller.tenant.tenant_id, caller.client_id):
            return await self._find(caller, bulk_id, traceparent)

    async def _find(self, caller: Caller, bulk_id: str, traceparent: str) -> BulkPaymentStatus:
        path = f"{PATH_BULK_PAYMENTS}/{bulk_id}"
        return await self._engines.find(caller.tenant, path, BulkPaymentStatus, traceparent)

    async def _refuse_expired(self, caller: Caller, bulk: StartBulkPayment, traceparent: str) -> None:
        """Refuse what came too late, unless it is a retry of what came in time."""
        if bulk.expires_at_ms is None or bulk.expires_at_ms > self._clock():
            return
        try:
            await self._find(caller, bulk.payment_id, traceparent)
        except NotFoundError as error:
            raise UnprocessableError("expired", "The expiration has passed.", "/expiration") from error


@post(PATH, status_code=_ACCEPTED)
async def start_bulk_payment(
    request: Request[Any, Any, Any],
    access: NamedDependency[Access],
    bulk_payments: NamedDependency[BulkPaymentService],
) -> Response[BulkPaymentAccepted]:
    """Start a bulk; 202 means that it is committed and each payment will reach a final state."""
    caller = access.require(request, SCOPE_WRITE)
    key = idempotency_key(request.headers, HEADER_KEY)
    bulk = decode_body(await read_body(request), _BULK.decode)
    accepted = await bulk_payments.start(caller, key, bulk, _traceparent())
    location = f"{PATH}/{accepted.bulk_payment_id}"
    return Response(accepted, status_code=_ACCEPTED, headers={"Location": location})


@get(PATH + "/{bulk_id:str}")
async def bulk_payment_status(
    request: Request[Any, Any, Any],
    bulk_id: FromPath[str],
    access: NamedDependency[Access],
    bulk_payments: NamedDependency[BulkPaymentService],
) -> BulkPaymentStatus:
    """Tell how a bulk of the caller's tenant stands, and each of its payments."""
    caller = access.require(request, SCOPE_READ)
    return await bulk_payments.status(caller, bulk_id, _traceparent())


def start_bulk(
    request: BulkPaymentRequest, tenant: TenantConfig, client_id: str, key: str
) -> StartBulkPayment:
    """Check a bulk and turn it into the engine's command.

    Raises:
        PayhubError: as ``model.start_payment``, with the payment's place in the bulk.
    """
    checked = [
        _checked(request, number, one, tenant, client_id, key) for number, one in enumerate(request.payments)
    ]
    return StartBulkPayment(
        payment_id=ids.derive("bulk-payment", tenant.tenant_id, client_id, key),
        idempotency_key=key,
        fingerprint=hashlib.sha256(model.canonical_json(request)).hexdigest(),
        client_id=client_id,
        payer=checked[0].payer,
        payments=[
            StartBulkItem(
                payee=one.payee,
                amount=one.amount,
                amount_type="RECEIVE" if one.amount_type == "RECEIVE" else "SEND",
                client_ref_id=one.client_ref_id,
                note=one.note,
            )
            for one in checked
        ],
        client_ref_id=request.client_ref_id,
        expires_at_ms=checked[0].expires_at_ms,
    )


def _checked(
    bulk: BulkPaymentRequest,
    number: int,
    item: BulkPaymentItem,
    tenant: TenantConfig,
    client_id: str,
    key: str,
) -> StartPayment:
    """Check one payment as the transfer that it is."""
    transfer = TransferRequest(
        payer=bulk.payer,
        payee=item.payee,
        amount=item.amount,
        amount_type=item.amount_type,
        client_ref_id=item.client_ref_id,
        note=item.note,
        expiration=bulk.expiration,
    )
    try:
        return model.start_payment(transfer, tenant, client_id, key)
    except (InvalidInputError, UnprocessableError) as error:
        if error.where.startswith(_OF_ALL):
            raise
        raise type(error)(error.code, error.detail, f"/payments/{number}{error.where}") from error


def _traceparent() -> str:
    return traceparent_of(trace.get_current_span())
