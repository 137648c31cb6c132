"""One payment's way: the request to pay, its authorization, the quote, the transfer, the transaction."""

from typing import Any
from urllib.parse import parse_qsl

from payhub_engines.connectors import refusals
from payhub_engines.connectors.mojaloop import error_codes, ilp, messages
from payhub_engines.connectors.mojaloop.received import names
from payhub_engines.connectors.mojaloop.received.message import ACCEPTED, OK, Inbound, Received, known_as
from payhub_engines.connectors.mojaloop.refusal import malformed
from payhub_engines.connectors.variables import TransferResult, builtin
from payhub_platform.clock import parse_iso
from payhub_platform.contracts.fspiop import (
    AuthorizationQuestion,
    AuthorizationResponse,
    QuoteRequest,
    QuoteResponse,
    TransactionRequest,
    TransactionRequestResponse,
    TransactionResponse,
    TransferFulfil,
    TransferPrepare,
)

NOT_FOUND = "NOT_FOUND"
UNKNOWN = "UNKNOWN"
QUERY_FIELDS_MAX = 16
ABORTED = "ABORTED"


def transaction_requests(received: Received) -> Inbound:
    """POST asks our member to pay; PUT says what became of a request of ours; GET asks how one stands."""
    if not received.path:
        received.require("POST")
        request = received.read(TransactionRequest)
        request_id = request.transaction_request_id
        return received.start(
            names.TRANSACTION_REQUEST,
            request_id,
            {"transactionRequest": builtin(request), "transactionRequestId": request_id},
            process=names.PAYER_TRANSACTION_REQUEST,
            payment=request_id,
            subject=received.repeated(names.PAYER_TRANSACTION_REQUEST, request_id, request_id),
        )
    request_id = received.id("transactionRequestId")
    if received.method == "GET":
        received.require("GET")
        return received.query(names.TRANSACTION_REQUEST_QUERY, request_id, names.PAYER_TRANSACTION_REQUEST)
    return received.answer(
        names.TRANSACTION_REQUEST_RESPONSE,
        request_id,
        "transactionRequestResponse",
        TransactionRequestResponse,
    )


def authorizations(received: Received) -> Inbound:
    """GET asks for what the payer enters on our device; PUT brings what was entered on another's."""
    request_id = received.id("transactionRequestId")
    if received.method == "GET":
        received.require("GET")
        question = messages.convert(_asked(received.query_string), AuthorizationQuestion)
        variables = {"authorizationQuestion": builtin(question), "askedBy": received.source}
        callback = received.callback(names.AUTHORIZATION_REQUEST, request_id, variables)
        return Inbound(callback=callback, status=ACCEPTED)
    return received.answer(
        names.AUTHORIZATION_RESPONSE, request_id, "authorizationResponse", AuthorizationResponse
    )


def quotes(received: Received) -> Inbound:
    """POST asks for our terms; PUT brings another's; GET asks for ours again."""
    if not received.path:
        received.require("POST")
        quote = received.read(QuoteRequest)
        variables = {
            "quote": builtin(quote),
            "quoteId": quote.quote_id,
            "transactionId": quote.transaction_id,
        }
        return received.start(
            names.QUOTE_REQUEST,
            quote.transaction_id,
            variables,
            process=names.PAYEE_QUOTE_TRANSFER,
            payment=quote.transaction_id,
            known_as=known_as("quote", quote.quote_id),
            subject=received.repeated(names.PAYEE_QUOTE_TRANSFER, quote.transaction_id, quote.quote_id),
        )
    quote_id = received.id("quoteId")
    if received.method == "GET":
        received.require("GET")
        return received.query(
            names.QUOTE_QUERY, quote_id, names.PAYEE_QUOTE_TRANSFER, known_as("quote", quote_id)
        )
    return received.answer(names.QUOTE_RESPONSE, quote_id, "quoteResponse", QuoteResponse)


def transfers(received: Received) -> Inbound:
    """POST prepares a transfer to us; PUT fulfils ours; PATCH says what the scheme did; GET asks."""
    if not received.path:
        received.require("POST")
        return _prepare(received)
    transfer_id = received.id("transferId")
    if received.method == "GET":
        received.require("GET")
        return received.query(
            names.TRANSFER_QUERY, transfer_id, names.PAYEE_QUOTE_TRANSFER, known_as("transfer", transfer_id)
        )
    received.require("PUT", "PATCH")
    name = names.TRANSFER_SETTLED if received.method == "PATCH" else names.TRANSFER_RESPONSE
    variables = _transfer_error(received) if received.is_error else _transfer_state(received)
    callback = received.callback(name, transfer_id, {**variables, "answeredBy": received.speaker})
    return Inbound(callback=callback, status=OK)


def transactions(received: Received) -> Inbound:
    """GET asks how a transaction of ours stands; PUT says it of another's."""
    transaction_id = received.id("transactionId")
    if received.method == "GET":
        received.require("GET")
        return received.query(names.TRANSACTION_QUERY, transaction_id, names.PAYEE_QUOTE_TRANSFER)
    return received.answer(
        names.TRANSACTION_RESPONSE, transaction_id, "transactionResponse", TransactionResponse
    )


def _asked(query: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(query, max_num_fields=QUERY_FIELDS_MAX))
    except ValueError as error:
        raise malformed(f"The query has more than {QUERY_FIELDS_MAX} fields.") from error


def _prepare(received: Received) -> Inbound:
    prepare = received.read(TransferPrepare)
    try:
        packet = ilp.parse_packet(prepare.ilp_packet)
    except ilp.PacketError as error:
        raise malformed(error.detail, error.where) from error
    transaction_id = messages.correlation_id(packet.ids.transaction_id, "/ilpPacket")
    variables = {
        "transfer": builtin(prepare),
        "transferId": prepare.transfer_id,
        "transferFingerprint": received.fingerprint,
        "error": None,
    }
    unquoted = refusals.error_value(refusals.QUOTE_NOT_FOUND, "There is no such quote here, or it is over.")
    subject = received.repeated(
        names.PAYEE_QUOTE_TRANSFER,
        transaction_id,
        prepare.transfer_id,
        # A scheme itself ends a transfer that has expired; telling it more could only contradict it.
        unknown=unquoted if received.direct or parse_iso(prepare.expiration) > received.now_ms else None,
    )
    callback = received.callback(
        names.TRANSFER_PREPARE,
        # Who asked for the quote is part of the key: nobody else's transfer reaches the one that waits.
        f"{received.speaker}/{transaction_id}",
        variables,
        known_as=known_as("transfer", prepare.transfer_id),
        subject=subject,
    )
    return Inbound(callback=callback, status=ACCEPTED)


def _transfer_state(received: Received) -> dict[str, Any]:
    fulfil = received.read(TransferFulfil)
    result = TransferResult(
        state=fulfil.transfer_state,
        fulfilment=fulfil.fulfilment,
        completed_timestamp=fulfil.completed_timestamp,
    )
    error = None
    if fulfil.transfer_state == ABORTED:
        error = refusals.error_value(refusals.SERVER_ERROR, "The scheme aborted the transfer.")
    return {"transferResult": builtin(result), "error": error}


def _transfer_error(received: Received) -> dict[str, Any]:
    """Classify an error about a transfer by what it says of the transfer's outcome.

    Only a refusal is an outcome. That the scheme could not answer (10xx, 20xx), or knows the transfer
    with other contents (3106), says nothing of whether money has moved. Nor does PATCH /error, which 1.2 has
    for a payee that answered COMMITTED: payhub answers RESERVED, so it asks.
    """
    error = received.error()
    meaning = error_codes.reaction(error["code"], received.resource)
    if meaning == "ask" or received.method == "PATCH":
        state = UNKNOWN
    else:
        state = NOT_FOUND if meaning == "retry" else ABORTED
    result: dict[str, Any] = {"transferResult": builtin(TransferResult(state=state)), "error": error}
    # A payee's reason is kept while the process asks the switch, which may know only that it is over.
    return result | ({"transferRefusal": error} if state == ABORTED else {})
