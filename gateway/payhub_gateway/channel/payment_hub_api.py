"""Payment Hub EE's paths and headers, served by the same flows as ``/v1``."""

import secrets
from typing import Any, Final

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from payhub_gateway.channel import model, payment_hub_model
from payhub_gateway.channel.access import Access, Caller
from payhub_gateway.channel.answers import ACCEPTED, AnyRequest, accepted
from payhub_gateway.channel.api import HEADER_PAYEE, transfer_as_told
from payhub_gateway.channel.idempotency import HEADER_CORRELATION, checked_key, idempotency_key
from payhub_gateway.channel.payment_hub_model import (
    GsmaTransfer,
    HubAccountBalance,
    HubAccountStatus,
    HubRegistration,
    HubRequest,
    HubTransfer,
)
from payhub_gateway.channel.service import FlowService
from payhub_gateway.limits import read_body
from payhub_gateway.oauth2.model import SCOPE_ACCOUNTS, SCOPE_PARTIES, SCOPE_READ, SCOPE_WRITE
from payhub_platform import ids
from payhub_platform.clock import Clock
from payhub_platform.contracts.channel import (
    AccountLookup,
    AccountState,
    TransactionRequestStatus,
    TransactionState,
    TransferAccepted,
    TransferRequest,
    TransferStatus,
)
from payhub_platform.contracts.engine import PATH_PAYMENTS, PATH_REQUESTS
from payhub_platform.errors import (
    InvalidInputError,
    NotFoundError,
    UnprocessableError,
)
from payhub_platform.http import decode_body
from payhub_platform.telemetry.tracing import current_traceparent

ID_NOT_FOUND: Final = "32"  # the family of FSPIOP 1.1 section 7.6 for identifiers that nobody has
TRANSFER: Final = "/channel/transfer"
REQUEST: Final = "/channel/transactionRequest"
REGISTRATION: Final = "/channel/partyRegistration"
GSMA_TRANSFER: Final = "/channel/gsma/transfer"
ACCOUNT: Final = "/channel/accounts/{kind:str}/{identifier:str}"
HEADER_KIND: Final = "requestType"

_TRANSFER: Final = msgspec.json.Decoder(HubTransfer)
_REQUEST: Final = msgspec.json.Decoder(HubRequest)
_REGISTRATION: Final = msgspec.json.Decoder(HubRegistration)
_GSMA: Final = msgspec.json.Decoder(GsmaTransfer)

_OPERATORS: Final = "Operators resolve and cancel payments in operations; a channel has no part in it."
_FROM_OUTSIDE: Final = "Money that comes from outside the scheme is not taken in here."
_NOT_TOLD: Final = "Core systems do not tell this; ask for status or balance, or POST /v1/account-lookups."
NOT_OFFERED_POSTS: Final = {
    "/channel/transaction/{transaction_id}/resolve": _OPERATORS,
    "/channel/job/resolve": _OPERATORS,
    "/channel/workflow/resolve": _OPERATORS,
    "/channel/workflow/{key}/cancel": _OPERATORS,
    "/channel/collection": _FROM_OUTSIDE,
    "/channel/gsma/transaction": _FROM_OUTSIDE,
    "/channel/gsma/deposit": _FROM_OUTSIDE,
    "/channel/gsma/inttransfer": "Payments in two currencies are not offered.",
    "/accounts/validate/{id_name}/{id_value}": "Send POST /v1/account-lookups; no address is called that a "
    "channel names.",
}
NOT_OFFERED_GETS: Final = {
    "/channel/gsma": "Ask for a payment under /channel/transfer/{transactionId}.",
    "/channel/accounts/{kind}/{identifier}/accountname": _NOT_TOLD,
    "/channel/accounts/{kind}/{identifier}/transactions": _NOT_TOLD,
    "/channel/accounts/{kind}/{identifier}/statemententries": _NOT_TOLD,
}


@post(TRANSFER, status_code=ACCEPTED)
async def start_hub_transfer(
    request: AnyRequest, access: NamedDependency[Access], flows: NamedDependency[FlowService]
) -> Response[TransferAccepted]:
    """Start a transfer; 202 means that it is committed and will reach a final state."""
    caller = access.require(request, SCOPE_WRITE)
    key = idempotency_key(request.headers, HEADER_CORRELATION)
    sent: HubTransfer = decode_body(await read_body(request), _TRANSFER.decode)
    return await _transfer(request, caller, flows, key, payment_hub_model.transfer(sent))


@post(GSMA_TRANSFER, status_code=ACCEPTED)
async def start_gsma_transfer(
    request: AnyRequest, access: NamedDependency[Access], flows: NamedDependency[FlowService]
) -> Response[TransferAccepted]:
    """Start a transfer that is written as the GSMA Mobile Money API does."""
    caller = access.require(request, SCOPE_WRITE)
    key = idempotency_key(request.headers, HEADER_CORRELATION)
    sent: GsmaTransfer = decode_body(await read_body(request), _GSMA.decode)
    return await _transfer(request, caller, flows, key, payment_hub_model.gsma_transfer(sent))


@get(TRANSFER + "/{payment_id:str}")
async def hub_transfer_status(
    request: AnyRequest,
    payment_id: FromPath[str],
    access: NamedDependency[Access],
    flows: NamedDependency[FlowService],
) -> TransferStatus:
    """Tell how a transfer of the caller's tenant stands."""
    caller = access.require(request, SCOPE_READ)
    return payment_hub_model.transfer_status(await transfer_as_told(caller, flows, payment_id))


@get("/channel/txnState/{correlation_id:str}")
async def transaction_state(
    request: AnyRequest,
    correlation_id: FromPath[str],
    access: NamedDependency[Access],
    flows: NamedDependency[FlowService],
) -> TransactionState:
    """Tell how the transfer, or the request to pay, stands that this client began under a key."""
    caller = access.require(request, SCOPE_READ)
    key = checked_key("path:correlation_id", correlation_id)
    of_client = (caller.tenant.tenant_id, caller.client_id, key)
    if request.headers.get(HEADER_KIND, "transfers") == "transfers":
        payment_id, trace = ids.payment_id(*of_client), current_traceparent()
        return model.transaction_state(
            await flows.find(caller, PATH_PAYMENTS, payment_id, TransferStatus, trace)
        )
    if request.headers[HEADER_KIND] != "transactionReq":
        raise InvalidInputError(
            "invalid-field", "requestType is transfers or transactionReq.", f"header:{HEADER_KIND}"
        )
    own_id = model.request_id(*of_client)
    return model.transaction_state(
        await flows.find(caller, PATH_REQUESTS, own_id, TransactionRequestStatus, current_traceparent())
    )


@post(REQUEST, status_code=ACCEPTED)
async def start_hub_request(
    request: AnyRequest,
    access: NamedDependency[Access],
    flows: NamedDependency[FlowService],
    clock: NamedDependency[Clock],
) -> Response[TransferAccepted]:
    """Ask another member to pay; 202 means that the request is committed and will reach a final state."""
    caller = access.require(request, SCOPE_WRITE)
    key = idempotency_key(request.headers, HEADER_CORRELATION)
    sent: HubRequest = decode_body(await read_body(request), _REQUEST.decode)
    asked = payment_hub_model.request_to_pay(sent)
    act = model.request_to_pay(asked, caller.tenant, caller.client_id, key, clock())
    return accepted(await flows.begin(caller, act, current_traceparent()), REQUEST)


@post(REGISTRATION, status_code=ACCEPTED)
async def register_alias(
    request: AnyRequest, access: NamedDependency[Access], flows: NamedDependency[FlowService]
) -> Response[TransferAccepted]:
    """Have the scheme register a member's identifier."""
    caller = access.require(request, SCOPE_PARTIES)
    key = idempotency_key(request.headers, HEADER_CORRELATION)
    sent: HubRegistration = decode_body(await read_body(request), _REGISTRATION.decode)
    wanted = payment_hub_model.registration(sent)
    act = model.registration(wanted, caller.tenant, caller.client_id, key)
    return accepted(await flows.begin(caller, act, current_traceparent()), "/v1/party-registrations")


@get(ACCOUNT + "/status")
async def hub_account_status(
    request: AnyRequest,
    kind: FromPath[str],
    identifier: FromPath[str],
    access: NamedDependency[Access],
    flows: NamedDependency[FlowService],
) -> HubAccountStatus:
    """Ask the core system for the status of a member's account, and wait for its answer."""
    return payment_hub_model.account_status(await _account(request, access, flows, kind, identifier))


@get(ACCOUNT + "/balance")
async def hub_account_balance(
    request: AnyRequest,
    kind: FromPath[str],
    identifier: FromPath[str],
    access: NamedDependency[Access],
    flows: NamedDependency[FlowService],
) -> HubAccountBalance:
    """Ask the core system for the balance of a member's account, and wait for its answer."""
    return payment_hub_model.account_balance(await _account(request, access, flows, kind, identifier))


@post([path.replace("}", ":str}") for path in NOT_OFFERED_POSTS], status_code=ACCEPTED)
async def not_offered_post(request: AnyRequest, access: NamedDependency[Access]) -> None:
    """Say that there is no such flow here, and what there is instead."""
    access.require(request, SCOPE_WRITE)
    raise _not_offered(request, NOT_OFFERED_POSTS)


@get([path.replace("}", ":str}") for path in NOT_OFFERED_GETS])
async def not_offered_get(request: AnyRequest, access: NamedDependency[Access]) -> None:
    """Say that this is not told here, and what is instead."""
    access.require(request, SCOPE_READ)
    raise _not_offered(request, NOT_OFFERED_GETS)


async def _transfer(
    request: AnyRequest, caller: Caller, flows: FlowService, key: str, transfer: TransferRequest
) -> Response[TransferAccepted]:
    transfer = model.with_payee_fsp(transfer, request.headers.getall(HEADER_PAYEE, []))
    act = model.transfer(transfer, caller.tenant, caller.client_id, key)
    return accepted(await flows.begin(caller, act, current_traceparent()), TRANSFER)


async def _account(
    request: AnyRequest, access: Access, flows: FlowService, kind: str, identifier: str
) -> AccountState:
    caller = access.require(request, SCOPE_ACCOUNTS)
    key = secrets.token_hex()  # a question is never a retry: the answer would be an old one
    party = payment_hub_model.party_of(kind, identifier, "path:kind")
    act = model.account_lookup(AccountLookup(party=party), caller.tenant, caller.client_id, key)
    told = await flows.account(caller, act, current_traceparent())
    if told.account is None:
        if told.error is not None and told.error.code.startswith(ID_NOT_FOUND):
            raise NotFoundError("unknown-account", "The core system has no such account.")
        why = "" if told.error is None else f" {told.error.code}: {told.error.description}"
        raise UnprocessableError("account-refused", f"The core system refuses to tell of the account.{why}")
    return told.account


def _not_offered(request: AnyRequest, reasons: dict[str, str]) -> NotFoundError:
    template: Any = request.scope.get("path_template", "")
    return NotFoundError("flow-not-offered", reasons[str(template).replace(":str}", "}")])
