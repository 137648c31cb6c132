"""The OpenAPI 3.1 document of the channel API, made from the contracts themselves."""

from typing import Any, Final

import msgspec
from litestar import Response, get

from payhub_gateway.observation import UNTRACED
from payhub_gateway.rates.model import Usage
from payhub_platform.contracts.bulk_payments import (
    BulkPaymentAccepted,
    BulkPaymentRequest,
    BulkPaymentStatus,
)
from payhub_platform.contracts.channel import (
    TransactionState,
    TransferAccepted,
    TransferRequest,
    TransferStatus,
)
from payhub_platform.errors import PROBLEM_MEDIA_TYPE, Problem

PATH: Final = "/v1/openapi.json"
_REF: Final = "#/components/schemas/{name}"
_BODIES: Final = (
    TransferRequest,
    TransferAccepted,
    TransferStatus,
    TransactionState,
    BulkPaymentRequest,
    BulkPaymentAccepted,
    BulkPaymentStatus,
    Usage,
    Problem,
)
_REFUSALS: Final = {
    "400": "The request is not valid.",
    "401": "No access token, or one that does not hold.",
    "403": "The token does not allow this, or the request names another tenant.",
    "429": "The client has asked for more than it may.",
    "503": "Send the same again after Retry-After.",
}
_KEY: Final = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[!-~]+$"}


def document() -> dict[str, Any]:
    """Return the document."""
    _, schemas = msgspec.json.schema_components(_BODIES, ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {"title": "payhub channel API", "version": "1"},
        "security": [{"oauth2": []}],
        "paths": {
            "/v1/transfers": {"post": _start("startTransfer", "Idempotency-Key")},
            "/v1/transfers/{payment_id}": {"get": _status("transferStatus")},
            "/v1/bulk-payments": {"post": _start_bulk()},
            "/v1/bulk-payments/{bulk_id}": {
                "get": _operation(
                    "bulkPaymentStatus",
                    "How a bulk of the caller's institution stands, and each of its payments.",
                    BulkPaymentStatus,
                    "payments:read",
                    parameters=[_in_path("bulk_id", {"type": "string", "format": "uuid"})],
                    more=_unknown(),
                )
            },
            "/v1/usage": {
                "get": _operation("usage", "The client's limits, and how it stands.", Usage, "payments:read")
            },
            "/channel/transfer": {"post": _start("channelStartTransfer", "X-CorrelationID")},
            "/channel/transfer/{payment_id}": {"get": _status("channelTransferStatus")},
            "/channel/txnState/{correlation_id}": {
                "get": _operation(
                    "channelTransactionState",
                    "How the transfer stands that this client began under a key.",
                    TransactionState,
                    "payments:read",
                    parameters=[_in_path("correlation_id", _KEY)],
                    more=_unknown(),
                )
            },
        },
        "components": {
            "schemas": schemas,
            "headers": {
                "RateLimit": {"schema": {"type": "string"}, "description": "What is left of each limit."},
                "RateLimit-Policy": {"schema": {"type": "string"}, "description": "The limits."},
            },
            "securitySchemes": {
                "oauth2": {
                    "type": "oauth2",
                    "description": "Tokens are bound: send DPoP and a proof (RFC 9449), or Bearer over "
                    "connections that show the client's certificate (RFC 8705).",
                    "flows": {
                        "clientCredentials": {
                            "tokenUrl": "/oauth2/token",
                            "scopes": {"payments:write": "start transfers", "payments:read": "read them"},
                        }
                    },
                }
            },
        },
    }


def _start(operation_id: str, key_header: str) -> dict[str, Any]:
    key = {"name": key_header, "in": "header", "required": True, "schema": _KEY}
    payee = {"name": "X-PayeeDFSP-ID", "in": "header", "schema": {"type": "string"}}
    operation = _operation(
        operation_id,
        "Starts a transfer; it is committed once this is answered.",
        TransferAccepted,
        "payments:write",
        status="202",
        parameters=[key, payee],
        more={
            "408": _problem("The body did not arrive in time."),
            "409": _problem("The same request has not been answered yet."),
            "413": _problem("The body is too large."),
            "415": _problem("The body is compressed or not in UTF-8."),
            "422": _problem("It cannot be carried out, or its key was used for another request."),
        },
    )
    content = {"application/json": {"schema": _ref(TransferRequest)}}
    return {**operation, "requestBody": {"required": True, "content": content}}


def _start_bulk() -> dict[str, Any]:
    started = _start("startBulkPayment", "Idempotency-Key")
    accepted = {**started["responses"]["202"], "content": _content(BulkPaymentAccepted)}
    return {
        **started,
        "summary": "Starts many payments of one payer; they are committed once this is answered.",
        "parameters": started["parameters"][:1],
        "requestBody": {"required": True, "content": _content(BulkPaymentRequest)},
        "responses": {**started["responses"], "202": accepted},
    }


def _status(operation_id: str) -> dict[str, Any]:
    parameters = [_in_path("payment_id", {"type": "string", "format": "uuid"})]
    return _operation(
        operation_id,
        "How a transfer of the caller's institution stands.",
        TransferStatus,
        "payments:read",
        parameters=parameters,
        more=_unknown(),
    )


def _operation(
    operation_id: str,
    summary: str,
    answer: type[msgspec.Struct],
    scope: str,
    *,
    status: str = "200",
    parameters: list[dict[str, Any]] | None = None,
    more: dict[str, Any] | None = None,
) -> dict[str, Any]:
    refusals = {code: _problem(text) for code, text in _REFUSALS.items()}
    good = {
        "description": "Done.",
        "headers": {
            name: {"$ref": f"#/components/headers/{name}"} for name in ("RateLimit", "RateLimit-Policy")
        },
        "content": {"application/json": {"schema": _ref(answer)}},
    }
    return {
        "operationId": operation_id,
        "summary": summary,
        "security": [{"oauth2": [scope]}],
        "parameters": parameters or [],
        "responses": {status: good, **refusals, **(more or {})},
    }


def _unknown() -> dict[str, Any]:
    return {"404": _problem("There is no such transfer, or not for this institution.")}


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": {PROBLEM_MEDIA_TYPE: {"schema": _ref(Problem)}}}


def _in_path(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _content(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {"application/json": {"schema": _ref(kind)}}


def _ref(kind: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": _REF.format(name=kind.__name__)}


_DOCUMENT: Final = msgspec.json.encode(document())


@get(PATH, opt={UNTRACED: True})
async def openapi_document() -> Response[bytes]:
    """Return the document; it is the same for everybody."""
    cached = {"Cache-Control": "public, max-age=3600"}
    return Response(_DOCUMENT, media_type="application/json", headers=cached)
