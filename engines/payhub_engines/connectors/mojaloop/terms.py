"""What payer and payee must find true before money moves. Pure: given messages and the time, a verdict."""

from typing import Final

from payhub_engines.connectors import refusals
from payhub_engines.connectors.job import BpmnError
from payhub_engines.connectors.mojaloop import ilp
from payhub_engines.connectors.pricing import agreed_terms
from payhub_engines.connectors.refusals import refusal
from payhub_engines.connectors.variables import PreparedTransfer, QuotedPayment, QuoteTerms, money_of
from payhub_platform.clock import iso, parse_iso
from payhub_platform.errors import InvalidInputError
from payhub_platform.money import Money

TRANSFER_VALIDITY_MS: Final = 30_000
TRANSFER_LEAST_MS: Final = 200  # less than this cannot travel to the payee and back


def accepted_terms(payment: QuotedPayment, now_ms: int) -> tuple[QuoteTerms, str]:
    """Check a quote on the payer's side and return its terms, and when a transfer sent now must expire.

    Raises:
        BpmnError: ``quote-refused`` with 3302 (quote expired), 3303 (the payment's own time is over) or
            4100 (its terms are not what was asked for).
    """
    quote = payment.quote_response
    limit_ms = parse_iso(quote.expiration)
    if limit_ms - now_ms < TRANSFER_LEAST_MS:
        raise refusal(refusals.QUOTE_REFUSED, refusals.QUOTE_EXPIRED, "The quote has expired.")
    if payment.expires_at_ms is not None:
        if payment.expires_at_ms - now_ms < TRANSFER_LEAST_MS:
            raise refusal(refusals.QUOTE_REFUSED, refusals.TRANSFER_EXPIRED, "The payment has expired.")
        limit_ms = min(limit_ms, payment.expires_at_ms)
    try:
        agreed = agreed_terms(payment, quote, iso(limit_ms))
        amount = money_of(agreed.transfer_amount)
        _check_packet(quote.ilp_packet, amount, payment.transaction_id, payment.quote_id)
    except InvalidInputError as error:
        raise refusal(refusals.QUOTE_REFUSED, refusals.PAYER_REJECTION, error.detail) from error
    return agreed, iso(min(limit_ms, now_ms + TRANSFER_VALIDITY_MS))


def check_prepare(prepared: PreparedTransfer, fsp_id: str, now_ms: int) -> None:
    """Check a transfer on the payee's side against its own quote (FSPIOP 1.1 section 6.7.2.8).

    Raises:
        BpmnError: ``transfer-refused`` with 3302, 3303 or 3106.
    """
    transfer, quote = prepared.transfer, prepared.own_quote
    if parse_iso(transfer.expiration) <= now_ms:
        raise refusal(refusals.TRANSFER_REFUSED, refusals.TRANSFER_EXPIRED, "The transfer has expired.")
    if parse_iso(quote.expiration) <= now_ms:
        raise refusal(refusals.TRANSFER_REFUSED, refusals.QUOTE_EXPIRED, "The quote has expired.")
    if transfer.ilp_packet != quote.ilp_packet:
        raise _modified("The ILP packet is not the quote's.")
    if transfer.condition != quote.condition:
        raise _modified("The condition is not the quote's.")
    if money_of(transfer.amount) != money_of(quote.transfer_amount):
        raise _modified("The amount is not the quote's.")
    if (transfer.payer_fsp, transfer.payee_fsp) != (prepared.requester_fsp, fsp_id):
        raise _modified("The parties are not the quote's.")


def _check_packet(packet: str, amount: Money, transaction_id: str, quote_id: str) -> None:
    parsed = ilp.parse_packet(packet)
    if parsed.amount_minor != amount.minor:
        raise ilp.PacketError("The ILP packet is made for another amount.")
    if (parsed.ids.transaction_id, parsed.ids.quote_id) != (transaction_id, quote_id):
        raise ilp.PacketError("The ILP packet is made for another transaction.")


def _modified(description: str) -> BpmnError:
    return refusal(refusals.TRANSFER_REFUSED, refusals.MODIFIED_REQUEST, description)
