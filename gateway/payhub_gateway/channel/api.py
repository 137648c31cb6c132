"""The channel's HTTP API."""

from typing import Any, Final

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from opentelemetry import trace

from payhub_gateway.channel.access import Access
from payhub_gateway.channel.idempotency import HEADER_CORRELATION, idempotency_key
from payhub_gateway.channel.service import TransferService
from payhub_gateway.limits import read_body
from payhub_gateway.oauth2.model import SCOPE_READ, SCOPE_WRITE
from payhub_platform.contracts.channel import TransferAccepted, TransferRequest, TransferStatus
from payhub_platform.http import decode_body
from payhub_platform.telemetry.tracing import traceparent_of

_TRANSFER: Final = msgspec.json.Decoder(TransferRequest)
_ACCEPTED: Final = 202


@post("/channel/transfer", status_code=_ACCEPTED)
async def start_transfer(
    request: Request[Any, Any, Any],
    access: NamedDependency[Access],
    transfers: NamedDependency[TransferService],
) -> Response[TransferAccepted]:
    """Start a transfer; 202 means that it is committed and will reach a final state."""
    caller = access.require(request, SCOPE_WRITE)
    key = idempotency_key(request.headers, HEADER_CORRELATION)
    transfer = decode_body(await read_body(request), _TRANSFER.decode)
    accepted = await transfers.start(caller, key, transfer, _traceparent())
    location = f"/channel/transfer/{accepted.transaction_id}"
    return Response(accepted, status_code=_ACCEPTED, headers={"Location": location})


@get("/channel/transfer/{payment_id:str}")
async def transfer_status(
    request: Request[Any, Any, Any],
    payment_id: FromPath[str],
    access: NamedDependency[Access],
    transfers: NamedDependency[TransferService],
) -> TransferStatus:
    """Tell how a transfer of the caller's tenant stands."""
    caller = access.require(request, SCOPE_READ)
    return await transfers.status(caller, payment_id, _traceparent())


def _traceparent() -> str:
    return traceparent_of(trace.get_current_span())
