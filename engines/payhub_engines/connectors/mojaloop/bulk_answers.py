"""What the payee of a bulk answers: at first, and when it is asked again. Pure."""

from typing import Final

import msgspec

from payhub_engines.connectors import refusals
from payhub_engines.connectors.mojaloop import bulk_terms, ilp
from payhub_engines.connectors.mojaloop.bulk_variables import ItemResult, OwnQuote, TransferItem
from payhub_engines.connectors.mojaloop.outgoing import Outgoing, answer, refuse
from payhub_engines.connectors.variables import ErrorValue, Query
from payhub_platform.contracts.fspiop_bulk import (
    BulkQuoteRequest,
    BulkQuoteResponse,
    BulkTransferResponse,
    IndividualQuoteResult,
    IndividualTransferResult,
)

_QUOTES: Final = "bulkQuotes"
RESOURCES: Final = frozenset((_QUOTES, "bulkTransfers"))
_MODIFIED: Final = ErrorValue(
    code=refusals.MODIFIED_REQUEST, description="The id was used with other contents."
)


class BulkSubject(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The bulk that is asked for, as its process's variables have it."""

    started_at_ms: int
    ended: bool
    requester_fsp: str | None = None
    payment_state: str | None = None
    error: ErrorValue | None = None
    bulk_quote: BulkQuoteRequest | None = None
    own_quotes: list[OwnQuote] | None = None
    quotes_expire: str | None = None  # once the terms are given
    bulk_transfer_id: str | None = None
    bulk_transfer_fingerprint: str | None = None
    transfer_items: list[TransferItem] | None = None  # once each transfer was looked at
    results: list[ItemResult] | None = None


class BulkAskedAgain(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What ``answer-again`` starts with; the last two are there where a request came again, not of a GET."""

    query: Query
    queried_by: str
    query_refusal: ErrorValue | None = None
    subject: BulkSubject | None = None
    bulk_quote: BulkQuoteRequest | None = None
    bulk_transfer_fingerprint: str | None = None


def quote_response(quotes: list[OwnQuote], expiration: str) -> BulkQuoteResponse:
    """Return the terms of each payment, or why there are none."""
    results = [_quote_result(quote) for quote in quotes]
    return BulkQuoteResponse(individual_quote_results=results, expiration=expiration)


def transfer_response(
    items: list[TransferItem], quotes: list[OwnQuote], secrets: list[str]
) -> BulkTransferResponse:
    """Return the fulfilment of each transfer, or why it is refused; each is made anew and kept nowhere."""
    by_id = {quote.quote_id: quote for quote in quotes}
    return BulkTransferResponse(
        bulk_transfer_state="COMPLETED" if any(item.refusal is None for item in items) else "REJECTED",
        individual_transfer_results=[_transfer_result(item, by_id, secrets) for item in items],
    )


def answer_of(asked: BulkAskedAgain, switch_fsp: str, secrets: list[str]) -> Outgoing | None:
    """Return what is told, as ``again.answer_of`` does of a single payment.

    Args:
        asked: the question, or the request that came again.
        switch_fsp: the switch of the institution's scheme.
        secrets: of the institution's fulfilments, the newest first.
    """
    subject = asked.subject
    is_known = subject is not None and _is_known(subject, asked)
    is_request = asked.bulk_quote is not None or asked.bulk_transfer_fingerprint is not None
    is_theirs = subject is not None and asked.queried_by in (subject.requester_fsp, switch_fsp)
    if subject is None or not is_known or not (is_theirs or is_request):
        return None if asked.query_refusal is None else _refuse(asked, asked.query_refusal)
    if is_request and (asked.queried_by != subject.requester_fsp or not _is_same(subject, asked)):
        return _refuse(asked, _MODIFIED)
    said = (
        _quotes(subject)
        if asked.query.resource == _QUOTES
        else _transfers(subject, secrets, is_request=is_request)
    )
    if isinstance(said, ErrorValue):
        return _refuse(asked, said)
    return None if said is None else answer(said, *asked.query.path, to=asked.queried_by)


def _is_known(subject: BulkSubject, asked: BulkAskedAgain) -> bool:
    """Tell whether there is what is asked for: a quote that was given need not have become a transfer."""
    if asked.query.resource == _QUOTES:
        return subject.bulk_quote is not None
    if asked.bulk_transfer_fingerprint is not None:
        return subject.bulk_transfer_id is not None
    return [subject.bulk_transfer_id] == asked.query.path


def _is_same(subject: BulkSubject, asked: BulkAskedAgain) -> bool:
    if asked.query.resource == _QUOTES:
        return asked.bulk_quote == subject.bulk_quote
    return asked.bulk_transfer_fingerprint == subject.bulk_transfer_fingerprint


def _quotes(subject: BulkSubject) -> BulkQuoteResponse | None:
    """Tell the terms that were given, whatever became of them; nothing while they are being priced."""
    if subject.own_quotes is None or subject.quotes_expire is None:
        return None
    return quote_response(subject.own_quotes, subject.quotes_expire)


def _transfers(
    subject: BulkSubject, secrets: list[str], *, is_request: bool
) -> BulkTransferResponse | ErrorValue | None:
    """Answer a request that came again as the first time, and a question with the state of each transfer."""
    items = subject.transfer_items
    if not subject.ended:
        return BulkTransferResponse(bulk_transfer_state="RECEIVED" if items is None else "PROCESSING")
    if items is None:  # refused as a whole
        return subject.error
    told = transfer_response(items, subject.own_quotes or [], secrets)
    if is_request:
        return told
    over = {one.transaction_id: one.error for one in subject.results or []}
    results = [
        _outcome(given, over.get(item.transaction_id))
        for item, given in zip(items, told.individual_transfer_results, strict=True)
    ]
    return BulkTransferResponse(
        bulk_transfer_state="COMPLETED" if subject.payment_state == "COMPLETED" else "REJECTED",
        individual_transfer_results=results,
    )


def _outcome(given: IndividualTransferResult, error: ErrorValue | None) -> IndividualTransferResult:
    """Return a transfer as it ended: what the scheme did not commit has no fulfilment."""
    if error is None:
        return given
    return IndividualTransferResult(
        transfer_id=given.transfer_id, error_information=bulk_terms.information(error)
    )


def _refuse(asked: BulkAskedAgain, error: ErrorValue) -> Outgoing:
    return refuse(asked.query.resource, *asked.query.path, error=error, to=asked.queried_by)


def _quote_result(quote: OwnQuote) -> IndividualQuoteResult:
    terms = quote.quote_terms
    if quote.refusal is not None or terms is None:
        error = None if quote.refusal is None else bulk_terms.information(quote.refusal)
        return IndividualQuoteResult(quote_id=quote.quote_id, error_information=error)
    return IndividualQuoteResult(
        quote_id=quote.quote_id,
        transfer_amount=terms.transfer_amount,
        payee_receive_amount=terms.payee_receive_amount,
        payee_fsp_fee=terms.payee_fsp_fee,
        ilp_packet=quote.ilp_packet,
        condition=quote.condition,
    )


def _transfer_result(
    item: TransferItem, quotes: dict[str, OwnQuote], secrets: list[str]
) -> IndividualTransferResult:
    if item.refusal is not None or item.quote_id is None:
        error = None if item.refusal is None else bulk_terms.information(item.refusal)
        return IndividualTransferResult(transfer_id=item.transfer_id, error_information=error)
    packet, condition = quotes[item.quote_id].ilp_packet or "", quotes[item.quote_id].condition or ""
    # Where no secret fits any more, the newest makes a fulfilment that the scheme refuses: nothing moves.
    secret = ilp.secret_for(packet, condition, secrets) or secrets[0]
    return IndividualTransferResult(
        transfer_id=item.transfer_id, fulfilment=ilp.fulfilment_of(packet, secret)
    )
