"""Answers of a provider of foreign exchange; payhub's tenants are none themselves."""

from typing import Any

from payhub_engines.connectors.mojaloop import error_codes
from payhub_engines.connectors.mojaloop.received import names
from payhub_engines.connectors.mojaloop.received.message import OK, Inbound, Received
from payhub_engines.connectors.mojaloop.received.payments import ABORTED, NOT_FOUND, UNKNOWN
from payhub_engines.connectors.mojaloop.refusal import FspiopRefusal, not_served
from payhub_engines.connectors.variables import TransferResult, builtin
from payhub_platform.contracts.fspiop_fx import FxQuoteResponse, FxTransferFulfil


def fx_quotes(received: Received) -> Inbound:
    """PUT brings the terms of a conversion that we asked for."""
    if received.method in ("GET", "POST"):
        raise _no_provider()
    request_id = received.id("conversionRequestId")
    return received.answer(names.FX_QUOTE_RESPONSE, request_id, "fxQuoteResponse", FxQuoteResponse)


def fx_transfers(received: Received) -> Inbound:
    """PUT fulfils the conversion that we asked for."""
    if received.method in ("GET", "POST", "PATCH"):
        raise _no_provider()
    request_id = received.id("commitRequestId")
    received.require("PUT")
    variables: dict[str, Any]
    if received.is_error:
        error = received.error()
        meaning = error_codes.reaction(error["code"], received.resource)
        state = {"ask": UNKNOWN, "retry": NOT_FOUND}.get(meaning, ABORTED)
        variables = {"fxTransferResult": builtin(TransferResult(state=state)), "error": error}
    else:
        fulfil = received.read(FxTransferFulfil)
        result = TransferResult(
            state=fulfil.conversion_state,
            fulfilment=fulfil.fulfilment,
            completed_timestamp=fulfil.completed_timestamp,
        )
        variables = {"fxTransferResult": builtin(result), "error": None}
    told = {**variables, "answeredBy": received.source}
    return Inbound(callback=received.callback(names.FX_TRANSFER_RESPONSE, request_id, told), status=OK)


def _no_provider() -> FspiopRefusal:
    return not_served("No institution here is a provider of foreign exchange.")
