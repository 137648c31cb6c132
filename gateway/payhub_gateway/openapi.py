"""The OpenAPI 3.1 document of the channel API, made from the contracts themselves."""

from typing import Any, Final, get_args

import msgspec
from litestar import Response, get

from payhub_gateway.channel import payment_hub_model as hub
from payhub_gateway.channel.payment_hub_api import NOT_OFFERED_GETS, NOT_OFFERED_POSTS
from payhub_gateway.oauth2.model import SCOPE_ACCOUNTS, SCOPE_PARTIES, SCOPE_READ, SCOPE_WRITE
from payhub_gateway.rates.model import Usage
from payhub_platform.contracts import bulk_payments, channel
from payhub_platform.contracts.channel import TransferAccepted, TransferStatus
from payhub_platform.errors import PROBLEM_MEDIA_TYPE, Problem

PATH: Final = "/v1/openapi.json"
_REF: Final = "#/components/schemas/{name}"
_BODIES: Final = (
    channel.TransferRequest,
    channel.Confirmation,
    channel.RefundRequest,
    channel.TransactionRequest,
    channel.DeviceAuthorization,
    channel.AccountLookup,
    channel.PartyLookup,
    channel.PartyRegistration,
    TransferAccepted,
    TransferStatus,
    channel.TransactionRequestStatus,
    channel.ReceivedRequests,
    channel.AccountStatus,
    channel.PartyStatus,
    channel.RegistrationStatus,
    channel.TransactionState,
    bulk_payments.BulkPaymentRequest,
    bulk_payments.BulkPaymentAccepted,
    bulk_payments.BulkPaymentStatus,
    hub.HubTransfer,
    hub.HubRequest,
    hub.HubRegistration,
    hub.GsmaTransfer,
    hub.HubAccountStatus,
    hub.HubAccountBalance,
    Usage,
    Problem,
)
_SCOPES: Final = {
    SCOPE_WRITE: "start transfers and requests to pay, decide about them, pay back",
    SCOPE_READ: "read them",
    SCOPE_ACCOUNTS: "look accounts of members up",
    SCOPE_PARTIES: "register identifiers of members at the scheme",
}
_REFUSALS: Final = {
    "400": "The request is not valid.",
    "401": "No access token, or one that does not hold.",
    "403": "The token does not allow this, or the request names another tenant.",
    "429": "The client has asked for more than it may.",
    "503": "Send the same again after Retry-After.",
}
_BODY_REFUSALS: Final = {
    "408": "The body did not arrive in time.",
    "409": "The same request has not been answered yet.",
    "413": "The body is too large.",
    "415": "The body is compressed or not in UTF-8.",
    "422": "It cannot be carried out, or its key was used for another request.",
}
_UNKNOWN: Final = {"404": "There is nothing with this id, or not for this institution."}
_TEXT: Final = {"type": "string"}
_ID: Final = {"type": "string", "pattern": "^([0-9a-f-]{36}|[0-7][0-9A-HJKMNP-TV-Z]{25})$"}
_KEY: Final = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[!-~]+$"}
_V1_KEY: Final = {"name": "Idempotency-Key", "in": "header", "required": True, "schema": _KEY}
_HUB_KEY: Final = {"name": "X-CorrelationID", "in": "header", "required": True, "schema": _KEY}
_PAYEE: Final = {"name": "X-PayeeDFSP-ID", "in": "header", "schema": _TEXT}
_KIND: Final = {"name": "requestType", "in": "header", "schema": {"enum": ["transfers", "transactionReq"]}}
_PARTY_TYPES: Final = {"enum": list(get_args(channel.PartyIdType))}
_STARTS: Final = "Starts a transfer; it is committed once this is answered."
_ASKS: Final = "A member asks another one to pay."

Paths = dict[str, dict[str, dict[str, Any]]]


def document() -> dict[str, Any]:
    """Return the document."""
    _, schemas = msgspec.json.schema_components(_BODIES, ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {"title": "payhub channel API", "version": "1"},
        "security": [{"oauth2": []}],
        "paths": {
            **_transfers(),
            **_bulks(),
            **_requests(),
            **_members(),
            **_payment_hub(),
            **_not_offered(),
        },
        "components": {
            "schemas": schemas,
            "headers": {
                "RateLimit": {"schema": _TEXT, "description": "What is left of each limit."},
                "RateLimit-Policy": {"schema": _TEXT, "description": "The limits."},
            },
            "securitySchemes": {
                "oauth2": {
                    "type": "oauth2",
                    "description": "Tokens are bound: send DPoP and a proof (RFC 9449), or Bearer over "
                    "connections that show the client's certificate (RFC 8705).",
                    "flows": {"clientCredentials": {"tokenUrl": "/oauth2/token", "scopes": _SCOPES}},
                }
            },
        },
    }


def _transfers() -> Paths:
    own = [_in_path("payment_id", _ID)]
    refunded = "Pays back what a member has received; the id in the answer is the refund's."
    confirmed = "The payer accepts the terms of a transfer, or what it was asked to pay, or does not."
    return {
        "/v1/transfers": {
            "post": _begin("startTransfer", _STARTS, channel.TransferRequest, [_V1_KEY, _PAYEE])
        },
        "/v1/transfers/{payment_id}": {
            "get": _find("transferStatus", "How a transfer stands.", TransferStatus, own)
        },
        "/v1/transfers/{payment_id}/confirmation": {
            "post": _begin("confirmTransfer", confirmed, channel.Confirmation, own)
        },
        "/v1/transfers/{payment_id}/refunds": {
            "post": _begin("refundTransfer", refunded, channel.RefundRequest, [*own, _V1_KEY])
        },
        "/v1/usage": {
            "get": _operation("usage", "The client's limits, and how it stands.", Usage, SCOPE_READ)
        },
    }


def _bulks() -> Paths:
    begun = "Starts many payments of one payer; they are committed once this is answered."
    stands = "How a bulk stands, and each of its payments."
    bulk, accepted = bulk_payments.BulkPaymentRequest, bulk_payments.BulkPaymentAccepted
    return {
        "/v1/bulk-payments": {"post": _begin("startBulkPayment", begun, bulk, [_V1_KEY], answer=accepted)},
        "/v1/bulk-payments/{bulk_id}": {
            "get": _find(
                "bulkPaymentStatus", stands, bulk_payments.BulkPaymentStatus, [_in_path("bulk_id", _ID)]
            )
        },
    }


def _requests() -> Paths:
    own = [_in_path("request_id", _ID)]
    entered = "The payer has entered a one-time password at the payee's device, or does not want to."
    received = (
        "The requests to pay that members have received and not decided; they are answered as transfers."
    )
    member = [_in_query("partyIdType", _PARTY_TYPES), _in_query("partyIdentifier", _TEXT)]
    status = channel.TransactionRequestStatus
    return {
        "/v1/transaction-requests": {
            "post": _begin("requestPayment", _ASKS, channel.TransactionRequest, [_V1_KEY])
        },
        "/v1/transaction-requests/{request_id}": {
            "get": _find("requestStatus", "How a request to pay stands.", status, own)
        },
        "/v1/transaction-requests/{request_id}/authorization": {
            "post": _begin("authorizeRequest", entered, channel.DeviceAuthorization, [*own, _V1_KEY])
        },
        "/v1/received-requests": {
            "get": _operation(
                "receivedRequests", received, channel.ReceivedRequests, SCOPE_READ, parameters=member
            )
        },
    }


def _members() -> Paths:
    looked_up = "Asks the core system how a member's account stands."
    sought = "Asks the scheme who is reached by an identifier, before anything is paid."
    registered = "Registers a member's identifier at the scheme, or withdraws it."
    return {
        "/v1/account-lookups": {
            "post": _begin("lookAccountUp", looked_up, channel.AccountLookup, [_V1_KEY], SCOPE_ACCOUNTS)
        },
        "/v1/account-lookups/{lookup_id}": {
            "get": _find(
                "accountStatus",
                "How the account stood when it was asked for.",
                channel.AccountStatus,
                [_in_path("lookup_id", _ID)],
                SCOPE_ACCOUNTS,
            )
        },
        "/v1/party-lookups": {"post": _begin("lookPartyUp", sought, channel.PartyLookup, [_V1_KEY])},
        "/v1/party-lookups/{party_lookup_id}": {
            "get": _find(
                "partyStatus",
                "Who is reached by an identifier.",
                channel.PartyStatus,
                [_in_path("party_lookup_id", _ID)],
                SCOPE_WRITE,
            )
        },
        "/v1/party-registrations": {
            "post": _begin("registerParty", registered, channel.PartyRegistration, [_V1_KEY], SCOPE_PARTIES)
        },
        "/v1/party-registrations/{registration_id}": {
            "get": _find(
                "registrationStatus",
                "Whether the scheme has taken a registration.",
                channel.RegistrationStatus,
                [_in_path("registration_id", _ID)],
                SCOPE_PARTIES,
            )
        },
    }


def _payment_hub() -> Paths:
    """Return Payment Hub EE's paths."""
    key = [_in_path("correlation_id", _KEY), _KIND]
    transfer, request = [_in_path("payment_id", _ID)], [_in_path("request_id", _ID)]
    state = "How a transfer, or a request to pay, stands that this client began under a key."
    registered = "Registers a member's identifier at the scheme."
    status = channel.TransactionRequestStatus
    return {
        "/channel/transfer": {
            "post": _begin("channelStartTransfer", _STARTS, hub.HubTransfer, [_HUB_KEY, _PAYEE])
        },
        "/channel/transfer/{payment_id}": {
            "get": _find("channelTransferStatus", "How a transfer stands.", TransferStatus, transfer)
        },
        "/channel/txnState/{correlation_id}": {
            "get": _find("channelTransactionState", state, channel.TransactionState, key)
        },
        "/channel/transactionRequest": {
            "post": _begin("channelRequestPayment", _ASKS, hub.HubRequest, [_HUB_KEY])
        },
        "/channel/transactionRequest/{request_id}": {
            "get": _find("channelRequestStatus", "How a request to pay stands.", status, request)
        },
        "/channel/gsma/transfer": {
            "post": _begin("channelGsmaTransfer", _STARTS, hub.GsmaTransfer, [_HUB_KEY, _PAYEE])
        },
        "/channel/partyRegistration": {
            "post": _begin("channelRegisterParty", registered, hub.HubRegistration, [_HUB_KEY], SCOPE_PARTIES)
        },
        "/channel/accounts/{kind}/{identifier}/status": {
            "get": _account("channelAccountStatus", "status", hub.HubAccountStatus)
        },
        "/channel/accounts/{kind}/{identifier}/balance": {
            "get": _account("channelAccountBalance", "balance", hub.HubAccountBalance)
        },
    }


def _not_offered() -> Paths:
    """Return Payment Hub EE's paths that are answered 404, and say why."""
    paths: Paths = {}
    for method, scope, told in (
        ("post", SCOPE_WRITE, NOT_OFFERED_POSTS),
        ("get", SCOPE_READ, NOT_OFFERED_GETS),
    ):
        for number, (path, why) in enumerate(told.items(), start=1):
            names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
            parameters = [_in_path(name, _TEXT) for name in names]
            name = f"notOffered{method.title()}{number}"
            operation = _operation(name, why, None, scope, parameters=parameters)
            paths[path] = {method: {**operation, "deprecated": True}}
    return paths


def _begin(
    operation_id: str,
    summary: str,
    body: type[msgspec.Struct],
    parameters: list[dict[str, Any]],
    scope: str = SCOPE_WRITE,
    answer: type[msgspec.Struct] = TransferAccepted,
) -> dict[str, Any]:
    operation = _operation(
        operation_id,
        summary,
        answer,
        scope,
        status="202",
        parameters=parameters,
        more=_BODY_REFUSALS | (_UNKNOWN if any(one["in"] == "path" for one in parameters) else {}),
    )
    content = {"application/json": {"schema": _ref(body)}}
    return {**operation, "requestBody": {"required": True, "content": content}}


def _find(
    operation_id: str,
    summary: str,
    answer: type[msgspec.Struct],
    parameters: list[dict[str, Any]],
    scope: str = SCOPE_READ,
) -> dict[str, Any]:
    return _operation(operation_id, summary, answer, scope, parameters=parameters, more=_UNKNOWN)


def _account(operation_id: str, told: str, answer: type[msgspec.Struct]) -> dict[str, Any]:
    parameters = [_in_path("kind", _TEXT), _in_path("identifier", _TEXT)]
    refused = {
        "404": "The core system has no such account.",
        "422": "The core system refuses to tell of the account.",
    }
    summary = f"The {told} of a member's account, as the core system tells it now."
    return _operation(operation_id, summary, answer, SCOPE_ACCOUNTS, parameters=parameters, more=refused)


def _operation(
    operation_id: str,
    summary: str,
    answer: type[msgspec.Struct] | None,
    scope: str,
    *,
    status: str = "200",
    parameters: list[dict[str, Any]] | None = None,
    more: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Describe an operation; one without an answer is not offered."""
    refusals = {**_REFUSALS, **(more or {})} if answer else {**_REFUSALS, "404": "This is not offered."}
    good = {
        "description": "Done.",
        "headers": {
            name: {"$ref": f"#/components/headers/{name}"} for name in ("RateLimit", "RateLimit-Policy")
        },
    }
    if answer is not None:
        good["content"] = {"application/json": {"schema": _ref(answer)}}
    return {
        "operationId": operation_id,
        "summary": summary,
        "security": [{"oauth2": [scope]}],
        "parameters": parameters or [],
        "responses": {
            **({status: good} if answer else {}),
            **{code: _problem(text) for code, text in refusals.items()},
        },
    }


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": {PROBLEM_MEDIA_TYPE: {"schema": _ref(Problem)}}}


def _in_path(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _in_query(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema}


def _ref(kind: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": _REF.format(name=kind.__name__)}


_DOCUMENT: Final = msgspec.json.encode(document())


@get(PATH)
async def openapi_document() -> Response[bytes]:
    """Return the document; it is the same for everybody."""
    cached = {"Cache-Control": "public, max-age=3600"}
    return Response(_DOCUMENT, media_type="application/json", headers=cached)
