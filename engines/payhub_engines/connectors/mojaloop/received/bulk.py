"""Many payments at once: bulk quotes and bulk transfers."""

from typing import Any, Final

from payhub_engines.connectors import refusals
from payhub_engines.connectors.mojaloop import error_codes
from payhub_engines.connectors.mojaloop.bulk_terms import ABORTED, BODY_BYTES_MAX, NOT_FOUND, answer_bytes
from payhub_engines.connectors.mojaloop.bulk_variables import BulkTransferResult
from payhub_engines.connectors.mojaloop.received import names
from payhub_engines.connectors.mojaloop.received.message import ACCEPTED, OK, Inbound, Received, known_as
from payhub_engines.connectors.mojaloop.refusal import FspiopRefusal
from payhub_engines.connectors.variables import builtin
from payhub_platform.clock import parse_iso
from payhub_platform.contracts.fspiop_bulk import (
    BulkQuoteRequest,
    BulkQuoteResponse,
    BulkTransferPrepare,
    BulkTransferResponse,
)

PAYMENTS_MAX: Final = 100  # of a bulk to us; FSPIOP allows 1,000, and an instance holds them all
UNKNOWN: Final = "UNKNOWN"


def bulk_quotes(received: Received) -> Inbound:
    """POST asks for our terms of many payments; PUT brings another's; GET asks for ours again."""
    if not received.path:
        received.require("POST")
        _check_size(len(received.body))
        request = received.read(BulkQuoteRequest)
        _check_count(len(request.individual_quotes), "/individualQuotes")
        # Of which the packets in the answer, and then in the transfer, hold both parties of each payment.
        _check_size(answer_bytes(request.individual_quotes, request.payer))
        return received.start(
            names.BULK_QUOTE_REQUEST,
            request.bulk_quote_id,
            {"bulkQuote": builtin(request), "bulkQuoteId": request.bulk_quote_id},
            process=names.PAYEE_BULK_QUOTE_TRANSFER,
            payment=request.bulk_quote_id,
            subject=received.repeated(
                names.PAYEE_BULK_QUOTE_TRANSFER, request.bulk_quote_id, request.bulk_quote_id
            ),
        )
    bulk_quote_id = received.id("bulkQuoteId")
    if received.method == "GET":
        received.require("GET")
        return received.query(names.BULK_QUOTE_QUERY, bulk_quote_id, names.PAYEE_BULK_QUOTE_TRANSFER)
    _check_size(len(received.body))
    return received.answer(names.BULK_QUOTE_RESPONSE, bulk_quote_id, "bulkQuoteResponse", BulkQuoteResponse)


def bulk_transfers(received: Received) -> Inbound:
    """POST prepares many transfers to us; PUT fulfils ours; PATCH says what the scheme did; GET asks."""
    if not received.path:
        received.require("POST")
        _check_size(len(received.body))
        return _prepare(received)
    bulk_transfer_id = received.id("bulkTransferId")
    if received.method == "GET":
        received.require("GET")
        return received.query(
            names.BULK_TRANSFER_QUERY,
            bulk_transfer_id,
            names.PAYEE_BULK_QUOTE_TRANSFER,
            known_as("bulk-transfer", bulk_transfer_id),
        )
    received.require("PUT", "PATCH")
    name = names.BULK_TRANSFER_SETTLED if received.method == "PATCH" else names.BULK_TRANSFER_RESPONSE
    variables = _error(received) if received.is_error else _results(received)
    callback = received.callback(name, bulk_transfer_id, {**variables, "answeredBy": received.source})
    return Inbound(callback=callback, status=OK)


def _prepare(received: Received) -> Inbound:
    prepare = received.read(BulkTransferPrepare)
    _check_count(len(prepare.individual_transfers), "/individualTransfers")
    variables = {
        "bulkTransfer": builtin(prepare),
        "bulkTransferId": prepare.bulk_transfer_id,
        "bulkTransferFingerprint": received.fingerprint,
        "error": None,
    }
    unquoted = refusals.error_value(
        refusals.BULK_QUOTE_NOT_FOUND, "There is no such bulk quote here, or it is over."
    )
    subject = received.repeated(
        names.PAYEE_BULK_QUOTE_TRANSFER,
        prepare.bulk_quote_id,
        prepare.bulk_transfer_id,
        # A scheme itself ends a bulk that has expired, as it does a transfer.
        unknown=unquoted if parse_iso(prepare.expiration) > received.now_ms else None,
    )
    callback = received.callback(
        names.BULK_TRANSFER_PREPARE,
        # Who asked for the quotes is part of the key, as for a single transfer.
        f"{received.source}/{prepare.bulk_quote_id}",
        variables,
        known_as=known_as("bulk-transfer", prepare.bulk_transfer_id),
        subject=subject,
    )
    return Inbound(callback=callback, status=ACCEPTED)


def _results(received: Received) -> dict[str, Any]:
    told = received.read(BulkTransferResponse)
    result = BulkTransferResult(state=told.bulk_transfer_state, results=told.individual_transfer_results)
    return {"bulkTransferResult": builtin(result), "error": None}


def _error(received: Received) -> dict[str, Any]:
    """Classify an error about a bulk by what it says of its outcome, as that of a single transfer."""
    error = received.error()
    meaning = error_codes.reaction(error["code"], received.resource)
    if meaning == "ask" or received.method == "PATCH":
        state = UNKNOWN
    else:
        state = NOT_FOUND if meaning == "retry" else ABORTED
    result: dict[str, Any] = {"bulkTransferResult": builtin(BulkTransferResult(state=state)), "error": error}
    # A payee's reason is kept while the process asks the switch, which may know only that it is over.
    return result | ({"bulkTransferRefusal": error} if state == ABORTED else {})


def _check_count(count: int, where: str) -> None:
    if count > PAYMENTS_MAX:
        text = f"A bulk has at most {PAYMENTS_MAX} payments here."
        raise FspiopRefusal(400, refusals.TOO_MANY_ELEMENTS, text, where)


def _check_size(size: int) -> None:
    if size > BODY_BYTES_MAX:
        text = f"The messages of a bulk, and their answers, have at most {BODY_BYTES_MAX} bytes here."
        raise FspiopRefusal(400, refusals.TOO_LARGE, text, "header:Content-Length")
