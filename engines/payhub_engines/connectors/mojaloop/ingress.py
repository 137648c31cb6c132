"""What the switch sends, translated into callbacks that the engine correlates. Pure: no I/O, no clock."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import unquote

import msgspec

from payhub_engines.connectors import refusals
from payhub_engines.connectors.mojaloop import headers as fspiop_headers
from payhub_engines.connectors.mojaloop.received import bulk, fx, lookups, payments
from payhub_engines.connectors.mojaloop.received.message import Inbound, Received
from payhub_engines.connectors.mojaloop.received.names import MESSAGE_NAMES
from payhub_engines.connectors.mojaloop.refusal import FspiopRefusal, not_allowed, unknown_uri
from payhub_platform.contracts.tenant import SchemeConnection, TenantConfig
from payhub_platform.security import jws

__all__ = [
    "MESSAGE_NAMES",
    "FspiopRefusal",
    "Inbound",
    "Route",
    "must_be_signed",
    "route_of",
    "too_large",
    "translate",
    "verify_signature",
]

BODY_BYTES_MAX: Final = (
    1024 * 1024
)  # what one command may write; FSPIOP allows up to 5,242,880 (section 3.2.1)
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")

_ERROR: Final = "error"
_REQUESTS: Final = frozenset(("GET", "POST", "DELETE"))
_BODILESS: Final = frozenset(("GET", "DELETE"))
_READERS: Final[Mapping[str, Callable[[Received], Inbound]]] = {
    "participants": lookups.participants,
    "parties": lookups.parties,
    "services": lookups.services,
    "transactionRequests": payments.transaction_requests,
    "authorizations": payments.authorizations,
    "quotes": payments.quotes,
    "transfers": payments.transfers,
    "transactions": payments.transactions,
    "bulkQuotes": bulk.bulk_quotes,
    "bulkTransfers": bulk.bulk_transfers,
    "fxQuotes": fx.fx_quotes,
    "fxTransfers": fx.fx_transfers,
}


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Where a message goes: an institution where the path names one, the resource, what follows it."""

    fsp_id: str
    resource: str
    path: list[str]
    is_error: bool


def route_of(path: str) -> Route:
    """Read a path such as ``/quotes/7c23.../error`` or, for one institution alone, ``/lion/quotes``.

    Args:
        path: below the scheme ingress, decoded, as ASGI gives it.

    Raises:
        FspiopRefusal: 404 with 3002 for no resource of FSPIOP.
    """
    segments = path.partition("?")[0].strip("/").split("/")
    fsp_id = ""
    if segments[0] not in _READERS and len(segments) > 1:
        fsp_id, *segments = segments
    resource, *rest = segments
    if resource not in _READERS:
        raise unknown_uri()
    is_error = bool(rest) and rest[-1] == _ERROR
    return Route(fsp_id=fsp_id, resource=resource, path=rest[:-1] if is_error else rest, is_error=is_error)


def translate(
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    tenant: TenantConfig,
    now_ms: int,
    query: str = "",
    direct: str = "",
) -> Inbound:
    """Translate one message of the switch.

    Args:
        method: HTTP method, upper case.
        path: from the resource on (``/parties/MSISDN/2547...``) or with the institution before it, decoded.
        headers: by lower-case name.
        body: as received.
        tenant: the institution that the path or FSPIOP-Destination names.
        now_ms: when it was received.
        query: the URL's query, not decoded.
        direct: the engine that it comes from where no switch is between; never so from outside.

    Raises:
        FspiopRefusal: it is answered at once with FSPIOP's error body; nothing is to be correlated.
    """
    route = route_of(path)
    if method not in METHODS:
        raise not_allowed()
    if len(body) > BODY_BYTES_MAX:
        raise too_large()
    content = fspiop_headers.check(
        headers,
        route.resource,
        tenant,
        is_request=method in _REQUESTS,
        is_addressed=route.fsp_id == tenant.fsp_id,
    )
    received = Received(
        method=method,
        resource=route.resource,
        path=route.path,
        is_error=route.is_error,
        is_iso=content.is_iso,
        query_string=query,
        headers=headers,
        body=body,
        source=fspiop_headers.source_of(headers),
        tenant=tenant,
        now_ms=now_ms,
        direct=direct,
    )
    return _READERS[route.resource](received)


def too_large() -> FspiopRefusal:
    """Refuse with 3104, too large payload."""
    return FspiopRefusal(
        400, refusals.TOO_LARGE, f"A body has at most {BODY_BYTES_MAX} bytes.", "header:Content-Length"
    )


def must_be_signed(method: str, resource: str, scheme: SchemeConnection) -> bool:
    """Tell whether a scheme wants this message's signature verified."""
    is_party = resource == "parties" and method == "PUT"
    return scheme.verifies and (scheme.verifies_parties or not is_party)


def verify_signature(
    method: str, path: str, headers: Mapping[str, str], body: bytes, source_keys: Sequence[jws.PublicKey]
) -> None:
    """Check FSPIOP-Signature against every key that is valid for FSPIOP-Source now.

    Messages without a body are not signed (Signature 1.1 section 2).

    Args:
        method: HTTP method, upper case.
        path: path of the request, with or without a prefix, decoded, as ASGI gives it.
        headers: by lower-case name.
        body: as received, byte for byte.
        source_keys: keys of the FSP named by FSPIOP-Source; none where none is known.

    Raises:
        FspiopRefusal: 3105.
    """
    if not body and method in _BODILESS:
        return
    if not source_keys:
        raise _unsigned("No key is known for FSPIOP-Source.", "header:FSPIOP-Source")
    # Senders sign the path as they encoded it, so that text is what the signature is checked against.
    claimed = headers.get("fspiop-uri", "")
    if unquote(claimed) != jws.signed_uri(path):
        raise _unsigned("It is not the request's path.", "header:FSPIOP-URI")
    if headers.get("fspiop-http-method") != method:
        raise _unsigned("It is not the request's method.", "header:FSPIOP-HTTP-Method")
    fault: jws.SignatureError | None = None
    for key in source_keys:
        try:
            jws.verify(body, headers, claimed, method, key)
        except jws.SignatureError as error:
            fault = fault or error
        else:
            return
    if fault is not None:
        raise _unsigned(fault.detail, fault.where) from fault


def _unsigned(description: str, where: str) -> FspiopRefusal:
    return FspiopRefusal(400, refusals.INVALID_SIGNATURE, description, where)
