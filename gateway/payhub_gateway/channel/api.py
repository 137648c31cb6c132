"""The channel's HTTP API: under ``/channel`` as Payment Hub EE's channels know it, and under ``/v1``.

Both are the same service. Payment Hub EE tells every payment that is not completed as RECEIVED, a failed one
too; here FAILED is FAILED.
"""

from typing import Any, Final

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from payhub_gateway.channel import model
from payhub_gateway.channel.access import Access
from payhub_gateway.channel.idempotency import HEADER_CORRELATION, HEADER_KEY, checked_key, idempotency_key
from payhub_gateway.channel.service import TransferService
from payhub_gateway.limits import read_body
from payhub_gateway.oauth2.model import SCOPE_READ, SCOPE_WRITE
from payhub_platform import ids
from payhub_platform.contracts.channel import (
    TransactionState,
    TransferAccepted,
    TransferRequest,
    TransferStatus,
)
from payhub_platform.http import decode_body
from payhub_platform.telemetry.tracing import current_traceparent

PATH_CHANNEL: Final = "/channel/transfer"
PATH_V1: Final = "/v1/transfers"
HEADER_PAYEE: Final = "X-PayeeDFSP-ID"

_TRANSFER: Final = msgspec.json.Decoder(TransferRequest)
_ACCEPTED: Final = 202


@post(PATH_CHANNEL, status_code=_ACCEPTED)
async def start_transfer(
    request: Request[Any, Any, Any],
    access: NamedDependency[Access],
    transfers: NamedDependency[TransferService],
) -> Response[TransferAccepted]:
    """Start a transfer; 202 means that it is committed and will reach a final state."""
    return await _start(request, access, transfers, PATH_CHANNEL, HEADER_CORRELATION)


@post(PATH_V1, status_code=_ACCEPTED)
async def start_transfer_v1(
    request: Request[Any, Any, Any],
    access: NamedDependency[Access],
    transfers: NamedDependency[TransferService],
) -> Response[TransferAccepted]:
    """Start a transfer; 202 means that it is committed and will reach a final state."""
    return await _start(request, access, transfers, PATH_V1, HEADER_KEY)


@get([PATH_CHANNEL + "/{payment_id:str}", PATH_V1 + "/{payment_id:str}"])
async def transfer_status(
    request: Request[Any, Any, Any],
    payment_id: FromPath[str],
    access: NamedDependency[Access],
    transfers: NamedDependency[TransferService],
) -> TransferStatus:
    """Tell how a transfer of the caller's tenant stands."""
    caller = access.require(request, SCOPE_READ)
    return await transfers.status(caller, payment_id, current_traceparent())


@get("/channel/txnState/{correlation_id:str}")
async def transaction_state(
    request: Request[Any, Any, Any],
    correlation_id: FromPath[str],
    access: NamedDependency[Access],
    transfers: NamedDependency[TransferService],
) -> TransactionState:
    """Tell how the transfer stands that this client began under a key: after a lost answer, say."""
    caller = access.require(request, SCOPE_READ)
    key = checked_key("path:correlation_id", correlation_id)
    payment_id = ids.payment_id(caller.tenant.tenant_id, caller.client_id, key)
    return model.transaction_state(await transfers.status(caller, payment_id, current_traceparent()))


async def _start(
    request: Request[Any, Any, Any],
    access: Access,
    transfers: TransferService,
    path: str,
    key_header: str,
) -> Response[TransferAccepted]:
    caller = access.require(request, SCOPE_WRITE)
    key = idempotency_key(request.headers, key_header)
    transfer = decode_body(await read_body(request), _TRANSFER.decode)
    transfer = model.with_payee_fsp(transfer, request.headers.getall(HEADER_PAYEE, []))
    accepted = await transfers.start(caller, key, transfer, current_traceparent())
    location = f"{path}/{accepted.transaction_id}"
    return Response(accepted, status_code=_ACCEPTED, headers={"Location": location})
