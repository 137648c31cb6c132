"""Requests to pay over HTTP: a payee's member asks, a payer's member is asked."""

import hashlib
from typing import Final
from urllib.parse import urlencode

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from payhub_gateway.channel import checks, model
from payhub_gateway.channel.access import Access
from payhub_gateway.channel.answers import ACCEPTED, AnyRequest, accepted
from payhub_gateway.channel.idempotency import HEADER_KEY, idempotency_key
from payhub_gateway.channel.service import FlowService, require_id
from payhub_gateway.limits import read_body
from payhub_gateway.oauth2.model import SCOPE_READ, SCOPE_WRITE
from payhub_platform.clock import Clock
from payhub_platform.contracts.base import Contract
from payhub_platform.contracts.channel import (
    DeviceAuthorization,
    PartyIdInfo,
    PartyIdType,
    ReceivedRequests,
    TransactionRequest,
    TransactionRequestStatus,
    TransferAccepted,
)
from payhub_platform.contracts.engine import PATH_AUTHORIZATION, PATH_RECEIVED, PATH_REQUESTS
from payhub_platform.errors import InvalidInputError
from payhub_platform.http import decode_body
from payhub_platform.telemetry.tracing import current_traceparent

PATH: Final = "/v1/transaction-requests"
PATH_OF_PAYER: Final = "/v1/received-requests"

_REQUEST: Final = msgspec.json.Decoder(TransactionRequest)
_AUTHORIZATION: Final = msgspec.json.Decoder(DeviceAuthorization)


class _Member(Contract, frozen=True, kw_only=True, rename="camel"):
    party_id_type: PartyIdType
    party_identifier: str


@post(PATH, status_code=ACCEPTED)
async def request_payment(
    request: AnyRequest,
    access: NamedDependency[Access],
    flows: NamedDependency[FlowService],
    clock: NamedDependency[Clock],
) -> Response[TransferAccepted]:
    """Ask another member to pay; 202 means that the request is committed and will reach a final state."""
    caller = access.require(request, SCOPE_WRITE)
    key = idempotency_key(request.headers, HEADER_KEY)
    asked = decode_body(await read_body(request), _REQUEST.decode)
    act = model.request_to_pay(asked, caller.tenant, caller.client_id, key, clock())
    return accepted(await flows.begin(caller, act, current_traceparent()), PATH)


@get([PATH + "/{request_id:str}", "/channel/transactionRequest/{request_id:str}"])
async def request_status(
    request: AnyRequest,
    request_id: FromPath[str],
    access: NamedDependency[Access],
    flows: NamedDependency[FlowService],
) -> TransactionRequestStatus:
    """Tell how a member's request to be paid stands; COMPLETED once the member was credited."""
    caller = access.require(request, SCOPE_READ)
    return await flows.find(
        caller, PATH_REQUESTS, request_id, TransactionRequestStatus, current_traceparent()
    )


@post(PATH + "/{request_id:str}/authorization", status_code=ACCEPTED)
async def authorize_request(
    request: AnyRequest,
    request_id: FromPath[str],
    access: NamedDependency[Access],
    flows: NamedDependency[FlowService],
) -> Response[TransferAccepted]:
    """Take what the payer did at the payee's device; each entry has a key, for each counts as a try."""
    caller = access.require(request, SCOPE_WRITE)
    key = idempotency_key(request.headers, HEADER_KEY)
    entered: DeviceAuthorization = decode_body(await read_body(request), _AUTHORIZATION.decode)
    model.check_authorization(entered)
    require_id(request_id)
    path = f"{PATH_REQUESTS}/{request_id}/{PATH_AUTHORIZATION}"
    act = hashlib.sha256(f"{caller.client_id} {key}".encode()).hexdigest()
    return accepted(await flows.tell(caller, path, entered, act, current_traceparent()), PATH)


@get(PATH_OF_PAYER)
async def received_requests(
    request: AnyRequest, access: NamedDependency[Access], flows: NamedDependency[FlowService]
) -> ReceivedRequests:
    """Tell the undecided requests that the caller's members have received, or one of them.

    They are answered, and asked for, as the transfers that they will be: ``/v1/transfers/{transactionId}``.
    """
    caller = access.require(request, SCOPE_READ)
    query = _member(request)
    path = f"{PATH_RECEIVED}?{urlencode(query)}" if query else PATH_RECEIVED
    told, is_all = await flows.find_all(caller, path, ReceivedRequests, current_traceparent())
    found = sorted((one for part in told for one in part.requests), key=lambda one: one.received_at)
    if not caller.may(SCOPE_WRITE):
        found = [msgspec.structs.replace(one, one_time_password=None) for one in found]
    return ReceivedRequests(requests=found, complete=is_all and all(part.complete for part in told))


def _member(request: AnyRequest) -> dict[str, str]:
    """Return the member that the query names; none where it names none.

    Raises:
        InvalidInputError: ``invalid-field`` or ``invalid-identifier``.
    """
    sent = request.query_params
    if not sent:
        return {}
    try:
        member = msgspec.convert(dict(sent), _Member, strict=False)
    except msgspec.ValidationError as error:
        raise _refused() from error
    if any(len(sent.getall(name)) > 1 for name in sent):
        raise _refused()
    named = PartyIdInfo(party_id_type=member.party_id_type, party_identifier=member.party_identifier)
    checks.party(named, "query")
    return {"partyIdType": member.party_id_type, "partyIdentifier": member.party_identifier}


def _refused() -> InvalidInputError:
    detail = "A member is named by partyIdType and partyIdentifier, once each, and by nothing else."
    return InvalidInputError("invalid-field", detail, "query")
