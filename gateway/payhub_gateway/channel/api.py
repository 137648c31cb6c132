"""Transfers over HTTP: started, asked for, confirmed and paid back."""

from typing import Final

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from payhub_gateway.channel import model
from payhub_gateway.channel.access import Access, Caller
from payhub_gateway.channel.answers import ACCEPTED, AnyRequest, accepted
from payhub_gateway.channel.idempotency import HEADER_KEY, idempotency_key
from payhub_gateway.channel.service import FlowService, require_id
from payhub_gateway.limits import read_body
from payhub_gateway.oauth2.model import SCOPE_READ, SCOPE_WRITE
from payhub_platform.contracts.channel import (
    Confirmation,
    RefundRequest,
    TransferAccepted,
    TransferRequest,
    TransferStatus,
)
from payhub_platform.contracts.engine import PATH_CONFIRMATION, PATH_PAYMENTS
from payhub_platform.http import decode_body
from payhub_platform.telemetry.tracing import current_traceparent

PATH_V1: Final = "/v1/transfers"
HEADER_PAYEE: Final = "X-PayeeDFSP-ID"

_TRANSFER: Final = msgspec.json.Decoder(TransferRequest)
_CONFIRMATION: Final = msgspec.json.Decoder(Confirmation)
_REFUND: Final = msgspec.json.Decoder(RefundRequest)


@post(PATH_V1, status_code=ACCEPTED)
async def start_transfer(
    request: AnyRequest, access: NamedDependency[Access], flows: NamedDependency[FlowService]
) -> Response[TransferAccepted]:
    """Start a transfer; 202 means that it is committed and will reach a final state."""
    caller = access.require(request, SCOPE_WRITE)
    key = idempotency_key(request.headers, HEADER_KEY)
    transfer = decode_body(await read_body(request), _TRANSFER.decode)
    transfer = model.with_payee_fsp(transfer, request.headers.getall(HEADER_PAYEE, []))
    act = model.transfer(transfer, caller.tenant, caller.client_id, key)
    return accepted(await flows.begin(caller, act, current_traceparent()), PATH_V1)


@get(PATH_V1 + "/{payment_id:str}")
async def transfer_status(
    request: AnyRequest,
    payment_id: FromPath[str],
    access: NamedDependency[Access],
    flows: NamedDependency[FlowService],
) -> TransferStatus:
    """Tell how a transfer of the caller's tenant stands; also a refund, and what answers a request to pay."""
    caller = access.require(request, SCOPE_READ)
    return await transfer_as_told(caller, flows, payment_id)


@post(PATH_V1 + "/{payment_id:str}/confirmation", status_code=ACCEPTED)
async def confirm_transfer(
    request: AnyRequest,
    payment_id: FromPath[str],
    access: NamedDependency[Access],
    flows: NamedDependency[FlowService],
) -> Response[TransferAccepted]:
    """Take the payer's answer to the terms of a transfer, or to a request to pay; 202 once it is committed.

    The answer itself is the key: sent again within a minute it is the same one.
    """
    caller = access.require(request, SCOPE_WRITE)
    confirmation: Confirmation = decode_body(await read_body(request), _CONFIRMATION.decode)
    require_id(payment_id)
    path = f"{PATH_PAYMENTS}/{payment_id}/{PATH_CONFIRMATION}"
    act = "accepted" if confirmation.accepted else "rejected"
    return accepted(await flows.tell(caller, path, confirmation, act, current_traceparent()), PATH_V1)


@post(PATH_V1 + "/{payment_id:str}/refunds", status_code=ACCEPTED)
async def refund_transfer(
    request: AnyRequest,
    payment_id: FromPath[str],
    access: NamedDependency[Access],
    flows: NamedDependency[FlowService],
) -> Response[TransferAccepted]:
    """Pay back what a member has received, in part or whole; the answer's id is the refund's own."""
    caller = access.require(request, SCOPE_WRITE)
    key = idempotency_key(request.headers, HEADER_KEY)
    asked = decode_body(await read_body(request), _REFUND.decode)
    require_id(payment_id)
    act = model.refund(asked, caller.tenant, caller.client_id, key, payment_id)
    return accepted(await flows.begin(caller, act, current_traceparent()), PATH_V1)


async def transfer_as_told(caller: Caller, flows: FlowService, payment_id: str) -> TransferStatus:
    """Return a transfer's status; a one-time password is told to those only who could pay anyway."""
    status = await flows.find(caller, PATH_PAYMENTS, payment_id, TransferStatus, current_traceparent())
    may_pay = caller.may(SCOPE_WRITE)
    return status if may_pay else msgspec.structs.replace(status, one_time_password=None)
