"""Bulks over HTTP: many payments of one payer, begun together and told one by one."""

from typing import Final

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from payhub_gateway.channel.access import Access
from payhub_gateway.channel.answers import ACCEPTED, AnyRequest
from payhub_gateway.channel.bulk import bulk_payment
from payhub_gateway.channel.idempotency import HEADER_KEY, idempotency_key
from payhub_gateway.channel.service import FlowService
from payhub_gateway.limits import read_body
from payhub_gateway.oauth2.model import SCOPE_READ, SCOPE_WRITE
from payhub_platform.contracts.bulk_payments import (
    PATH_BULK_PAYMENTS,
    BulkPaymentAccepted,
    BulkPaymentRequest,
    BulkPaymentStatus,
)
from payhub_platform.http import decode_body
from payhub_platform.telemetry.tracing import current_traceparent

PATH: Final = "/v1/bulk-payments"

_BULK: Final = msgspec.json.Decoder(BulkPaymentRequest)


@post(PATH, status_code=ACCEPTED)
async def start_bulk_payment(
    request: AnyRequest, access: NamedDependency[Access], flows: NamedDependency[FlowService]
) -> Response[BulkPaymentAccepted]:
    """Start a bulk; 202 means that it is committed and each payment will reach a final state."""
    caller = access.require(request, SCOPE_WRITE)
    key = idempotency_key(request.headers, HEADER_KEY)
    bulk = decode_body(await read_body(request), _BULK.decode)
    act = bulk_payment(bulk, caller.tenant, caller.client_id, key)
    begun = await flows.begin(caller, act, current_traceparent())
    told = BulkPaymentAccepted(bulk_payment_id=begun.transaction_id)
    location = f"{PATH}/{told.bulk_payment_id}"
    return Response(told, status_code=ACCEPTED, headers={"Location": location})


@get(PATH + "/{bulk_id:str}")
async def bulk_payment_status(
    request: AnyRequest,
    bulk_id: FromPath[str],
    access: NamedDependency[Access],
    flows: NamedDependency[FlowService],
) -> BulkPaymentStatus:
    """Tell how a bulk of the caller's tenant stands, and each of its payments."""
    caller = access.require(request, SCOPE_READ)
    return await flows.find(caller, PATH_BULK_PAYMENTS, bulk_id, BulkPaymentStatus, current_traceparent())
