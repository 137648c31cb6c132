"""What the switch sends, translated into callbacks that the engine correlates. Pure: no I/O, no clock."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from payhub_engines.connectors import refusals
from payhub_engines.connectors.mojaloop import headers as fspiop_headers
from payhub_engines.connectors.mojaloop import ilp, messages
from payhub_engines.connectors.mojaloop.headers import FspiopRefusal, malformed
from payhub_engines.connectors.variables import CALLBACK_TIMEOUT, TransferResult, builtin, party_key
from payhub_platform import ids
from payhub_platform.contracts.fspiop import (
    ErrorResponse,
    PartyResponse,
    QuoteRequest,
    QuoteResponse,
    TransferFulfil,
    TransferPrepare,
)
from payhub_platform.contracts.handover import Callback
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.security import jws

__all__ = ["FspiopRefusal", "Inbound", "translate", "verify_signature"]

ACCEPTED: Final = 202
OK: Final = 200
PARTY_TTL_MS: Final = 3_000  # a look-up that is asked again meanwhile must not get an old answer for long
MESSAGE_TTL_MS: Final = 60_000  # an answer may overtake the commit of the job that asked for it
PAYEE_PARTY_LOOKUP: Final = "payee-party-lookup"
PAYEE_QUOTE_TRANSFER: Final = "payee-quote-transfer"
PARTY_REQUEST: Final = "party-request"
PARTY_RESPONSE: Final = "party-response"
QUOTE_REQUEST: Final = "quote-request"
QUOTE_RESPONSE: Final = "quote-response"
TRANSFER_PREPARE: Final = "transfer-prepare"
TRANSFER_RESPONSE: Final = "transfer-response"
TRANSFER_SETTLED: Final = "transfer-settled"
MESSAGE_NAMES: Final = frozenset(
    {
        PARTY_REQUEST,
        PARTY_RESPONSE,
        QUOTE_REQUEST,
        QUOTE_RESPONSE,
        TRANSFER_PREPARE,
        TRANSFER_RESPONSE,
        TRANSFER_SETTLED,
    }
)
"""The messages that processes may wait for."""
NOT_FOUND: Final = "NOT_FOUND"
UNKNOWN: Final = "UNKNOWN"

_ERROR: Final = "error"
_PARTY_SEGMENTS: Final = frozenset((3, 4))


class Inbound(msgspec.Struct, frozen=True, kw_only=True):
    """A translated message: what to correlate (if anything), and the HTTP status that acknowledges it."""

    callback: Callback | None
    status: int


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    method: str
    segments: list[str]  # decoded; without a trailing "error"
    is_error: bool
    headers: Mapping[str, str]
    body: bytes
    source: str
    tenant: TenantConfig
    now_ms: int

    def callback(self, name: str, key: str, variables: dict[str, Any], **more: Any) -> Callback:
        """Build a callback of this message."""
        return Callback(
            tenant=self.tenant.tenant_id,
            name=name,
            correlation_key=key,
            variables=variables,
            trace=self.headers.get("traceparent", ""),
            **{"ttl_ms": MESSAGE_TTL_MS, **more},
        )

    @property
    def is_of_switch(self) -> bool:
        """Tell whether the switch itself speaks."""
        return self.source == self.tenant.scheme.switch_fsp_id

    def answer(self, name: str, key: str, variables: dict[str, Any]) -> Callback:
        """Build the callback of an answer; the process believes it only of who may give it."""
        return self.callback(name, key, {**variables, "answeredBy": self.source})


def translate(
    method: str, path: str, headers: Mapping[str, str], body: bytes, tenant: TenantConfig, now_ms: int
) -> Inbound:
    """Translate one message of the switch.

    Args:
        method: HTTP method, upper case.
        path: from the resource on (``/parties/MSISDN/2547...``), decoded, as ASGI gives it.
        headers: by lower-case name.
        body: as received.
        tenant: the institution that FSPIOP-Destination names.
        now_ms: when it was received.

    Raises:
        FspiopRefusal: it is answered at once with FSPIOP's error body; nothing is to be correlated.
    """
    segments = path.partition("?")[0].strip("/").split("/")
    is_error = len(segments) > 1 and segments[-1] == _ERROR
    resource = segments[0]
    if resource not in _RESOURCES:
        raise FspiopRefusal(404, refusals.UNKNOWN_URI, "There is no such resource here.")
    source = fspiop_headers.check(headers, resource, tenant.fsp_id)
    request = _Request(
        method=method,
        segments=segments[:-1] if is_error else segments,
        is_error=is_error,
        headers=headers,
        body=body,
        source=source,
        tenant=tenant,
        now_ms=now_ms,
    )
    return _RESOURCES[resource](request)


def verify_signature(
    method: str, path: str, headers: Mapping[str, str], body: bytes, source_key: jws.PublicKey | None
) -> None:
    """Check FSPIOP-Signature; messages without a body are not signed (Signature 1.1 section 2).

    Args:
        method: HTTP method, upper case.
        path: path of the request, with or without a prefix.
        headers: by lower-case name.
        body: as received.
        source_key: key of the FSP named by FSPIOP-Source; None where none is known.

    Raises:
        FspiopRefusal: 3105.
    """
    if not body and method == "GET":
        return
    if source_key is None:
        raise FspiopRefusal(400, refusals.INVALID_SIGNATURE, "No key is known for FSPIOP-Source.")
    # Senders sign the path as they encoded it, so that text is what the signature is checked against.
    claimed = headers.get("fspiop-uri", "")
    if unquote(claimed) != unquote(jws.signed_uri(path)):
        raise FspiopRefusal(
            400, refusals.INVALID_SIGNATURE, "It is not the request's path.", "header:FSPIOP-URI"
        )
    if headers.get("fspiop-http-method") != method:
        raise FspiopRefusal(
            400, refusals.INVALID_SIGNATURE, "It is not the request's method.", "header:FSPIOP-HTTP-Method"
        )
    try:
        jws.verify(body, headers, claimed, method, source_key)
    except jws.SignatureError as error:
        raise FspiopRefusal(400, refusals.INVALID_SIGNATURE, error.detail, error.where) from error


def _parties(request: _Request) -> Inbound:
    if len(request.segments) not in _PARTY_SEGMENTS:
        raise _unknown_uri()
    kind, identifier, *rest = request.segments[1:]
    info = messages.party_id(kind, identifier, rest[0] if rest else None)
    key = party_key(kind, identifier, info.party_sub_id_or_type)
    if request.method == "GET" and not request.is_error:
        return Inbound(callback=_party_request(request, key, builtin(info)), status=ACCEPTED)
    _require(request, "PUT")
    if request.is_error:
        variables: dict[str, Any] = {"error": _error(request.body)}
    else:
        party = messages.decode(request.body, PartyResponse).party
        named = party.party_id_info
        if (named.party_id_type, named.party_identifier) != (kind, identifier):
            raise malformed("The party is another than the path's.", "/party/partyIdInfo")
        if named.fsp_id not in (None, request.source) and not request.is_of_switch:
            raise malformed("The party is of another FSP than FSPIOP-Source.", "/party/partyIdInfo/fspId")
        # Only what the payment needs is kept of the person.
        variables = {"party": builtin(party), "payeeFsp": named.fsp_id or request.source, "error": None}
    callback = request.callback(PARTY_RESPONSE, key, variables, broadcast=True, ttl_ms=PARTY_TTL_MS)
    return Inbound(callback=callback, status=OK)


def _party_request(request: _Request, key: str, info: Any) -> Callback:
    # The same look-up sent again by the switch has the same trace and date; a new one does not.
    conversation = request.headers.get("traceparent", "") + request.headers["date"]
    variables = {
        "partyId": info,
        "requesterFsp": request.source,
        "receivedAtMs": request.now_ms,
        "error": None,
    }
    return request.callback(
        PARTY_REQUEST,
        key,
        variables,
        start_process=PAYEE_PARTY_LOOKUP,
        payment=ids.derive("party-request", request.tenant.tenant_id, request.source, key, conversation),
        fingerprint=hashlib.sha256(key.encode()).hexdigest(),
        ttl_ms=0,
    )


def _quotes(request: _Request) -> Inbound:
    if len(request.segments) == 1 and not request.is_error:
        _require(request, "POST")
        return Inbound(callback=_quote_request(request), status=ACCEPTED)
    quote_id = _id(request, "quoteId")
    _require(request, "PUT")
    if request.is_error:
        variables: dict[str, Any] = {"error": _error(request.body)}
    else:
        response = messages.decode(request.body, QuoteResponse)
        variables = {"quoteResponse": builtin(response), "error": None}
    return Inbound(callback=request.answer(QUOTE_RESPONSE, quote_id, variables), status=OK)


def _quote_request(request: _Request) -> Callback:
    quote = messages.decode(request.body, QuoteRequest)
    variables = {
        "quote": builtin(quote),
        "quoteId": quote.quote_id,
        "transactionId": quote.transaction_id,
        "requesterFsp": request.source,
        "receivedAtMs": request.now_ms,
        "switchFsp": request.tenant.scheme.switch_fsp_id,
        "callbackTimeout": CALLBACK_TIMEOUT,
        "error": None,
    }
    return request.callback(
        QUOTE_REQUEST,
        quote.transaction_id,
        variables,
        start_process=PAYEE_QUOTE_TRANSFER,
        payment=quote.transaction_id,
        fingerprint=hashlib.sha256(messages.canonical(request.body)).hexdigest(),
        ttl_ms=0,
    )


def _transfers(request: _Request) -> Inbound:
    if len(request.segments) == 1 and not request.is_error:
        _require(request, "POST")
        return Inbound(callback=_transfer_prepare(request), status=ACCEPTED)
    transfer_id = _id(request, "transferId")
    if request.method == "GET" and not request.is_error:
        # A hub keeps the state of transfers itself; an institution only acknowledges the question.
        return Inbound(callback=None, status=ACCEPTED)
    if request.method == "PATCH" and request.is_error:
        # FSPIOP 1.2 tells a payee that answered COMMITTED of a commit error; payhub answers RESERVED.
        return Inbound(callback=None, status=OK)
    _require(request, "PUT", "PATCH")
    name = TRANSFER_SETTLED if request.method == "PATCH" else TRANSFER_RESPONSE
    variables = _transfer_error(request.body) if request.is_error else _transfer_state(request.body)
    return Inbound(callback=request.answer(name, transfer_id, variables), status=OK)


def _transfer_prepare(request: _Request) -> Callback:
    prepare = messages.decode(request.body, TransferPrepare)
    try:
        packet = ilp.parse_packet(prepare.ilp_packet)
    except ilp.PacketError as error:
        raise malformed(error.detail, error.where) from error
    transaction_id = messages.correlation_id(packet.ids.transaction_id, "/ilpPacket")
    variables = {
        "transfer": builtin(prepare),
        "transferId": prepare.transfer_id,
        "error": None,
    }
    # Who asked for the quote is part of the key, so that nobody else's transfer reaches the one that waits.
    return request.callback(TRANSFER_PREPARE, f"{request.source}/{transaction_id}", variables)


def _transfer_state(body: bytes) -> dict[str, Any]:
    fulfil = messages.decode(body, TransferFulfil)
    result = TransferResult(
        state=fulfil.transfer_state,
        fulfilment=fulfil.fulfilment,
        completed_timestamp=fulfil.completed_timestamp,
    )
    error = None
    if fulfil.transfer_state == "ABORTED":
        error = refusals.error_value(refusals.SERVER_ERROR, "The scheme aborted the transfer.")
    return {"transferResult": builtin(result), "error": error}


def _transfer_error(body: bytes) -> dict[str, Any]:
    """Classify an error about a transfer by what it says of the transfer's outcome.

    Only a refusal is an outcome. That the scheme could not answer (10xx, 20xx), or knows the transfer
    with other contents (3106), says nothing of whether money has moved.
    """
    error = _error(body)
    code = error["code"]
    if code == refusals.TRANSFER_NOT_FOUND:
        state = NOT_FOUND
    elif code[:1] in ("1", "2") or code == refusals.MODIFIED_REQUEST:
        state = UNKNOWN
    else:
        state = "ABORTED"
    result: dict[str, Any] = {"transferResult": builtin(TransferResult(state=state)), "error": error}
    # A payee's reason is kept while the process asks the switch, which may know only that it is over.
    return result | ({"transferRefusal": error} if state == "ABORTED" else {})


def _participants(request: _Request) -> Inbound:
    """Take the answer to a registration; whoever registered asks the switch, so nothing waits for it."""
    _require(request, "PUT")
    return Inbound(callback=None, status=OK)


def _error(body: bytes) -> dict[str, str]:
    information = messages.decode(body, ErrorResponse).error_information
    return refusals.error_value(information.error_code, information.error_description)


def _id(request: _Request, name: str) -> str:
    if len(request.segments) != 2:  # noqa: PLR2004 - the resource and its id
        raise _unknown_uri()
    return messages.correlation_id(request.segments[1], f"/{name}")


def _require(request: _Request, *methods: str) -> None:
    if request.method not in methods:
        raise FspiopRefusal(405, refusals.CLIENT_ERROR, "The resource does not take this method.")


def _unknown_uri() -> FspiopRefusal:
    return FspiopRefusal(404, refusals.UNKNOWN_URI, "There is no such resource here.")


_RESOURCES: Final = {
    "parties": _parties,
    "quotes": _quotes,
    "transfers": _transfers,
    "participants": _participants,
}
