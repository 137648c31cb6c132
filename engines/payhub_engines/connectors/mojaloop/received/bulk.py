"""Many payments at once: bulk quotes and bulk transfers."""

from payhub_engines.connectors.mojaloop.received import names
from payhub_engines.connectors.mojaloop.received.message import ACCEPTED, OK, Inbound, Received
from payhub_engines.connectors.variables import builtin
from payhub_platform.contracts.fspiop_bulk import (
    BulkQuoteRequest,
    BulkQuoteResponse,
    BulkTransferPrepare,
    BulkTransferResponse,
)


def bulk_quotes(received: Received) -> Inbound:
    """POST asks for our terms of many payments; PUT brings another's; GET asks for ours again."""
    if not received.path:
        received.require("POST")
        request = received.read(BulkQuoteRequest)
        return received.start(
            names.BULK_QUOTE_REQUEST,
            request.bulk_quote_id,
            {"bulkQuote": builtin(request), "bulkQuoteId": request.bulk_quote_id},
            process=names.PAYEE_BULK_QUOTE_TRANSFER,
            payment=request.bulk_quote_id,
        )
    bulk_quote_id = received.id("bulkQuoteId")
    if received.method == "GET":
        received.require("GET")
        return received.query(names.BULK_QUOTE_QUERY, bulk_quote_id)
    return received.answer(names.BULK_QUOTE_RESPONSE, bulk_quote_id, "bulkQuoteResponse", BulkQuoteResponse)


def bulk_transfers(received: Received) -> Inbound:
    """POST prepares many transfers to us; PUT fulfils ours; PATCH says what the scheme did; GET asks."""
    if not received.path:
        received.require("POST")
        return _prepare(received)
    bulk_transfer_id = received.id("bulkTransferId")
    if received.method == "GET":
        received.require("GET")
        return received.query(names.BULK_TRANSFER_QUERY, bulk_transfer_id)
    if received.method == "PATCH" and not received.is_error:
        settled = builtin(received.read(BulkTransferResponse))
        variables = {"bulkTransferResponse": settled, "answeredBy": received.source, "error": None}
        callback = received.callback(names.BULK_TRANSFER_SETTLED, bulk_transfer_id, variables)
        return Inbound(callback=callback, status=OK)
    return received.answer(
        names.BULK_TRANSFER_RESPONSE, bulk_transfer_id, "bulkTransferResponse", BulkTransferResponse
    )


def _prepare(received: Received) -> Inbound:
    prepare = received.read(BulkTransferPrepare)
    variables = {
        "bulkTransfer": builtin(prepare),
        "bulkTransferId": prepare.bulk_transfer_id,
        "bulkTransferFingerprint": received.fingerprint,
        "error": None,
    }
    # Who asked for the quotes is part of the key, as for a single transfer.
    key = f"{received.source}/{prepare.bulk_quote_id}"
    return Inbound(callback=received.callback(names.BULK_TRANSFER_PREPARE, key, variables), status=ACCEPTED)
