"""What payer and payee must find true of each payment of a bulk before its money moves. Pure."""

from typing import Final

import msgspec

from payhub_engines.connectors import refusals
from payhub_engines.connectors.job import BpmnError
from payhub_engines.connectors.mojaloop import ilp, terms
from payhub_engines.connectors.mojaloop.bulk_variables import (
    AnsweredBulk,
    BulkGroup,
    BulkItem,
    BulkPayment,
    ItemResult,
    LookedUp,
    OwnQuote,
    PayerBulk,
    PreparedBulk,
    SettledBulk,
    TransferItem,
)
from payhub_engines.connectors.refusals import error_value, refusal
from payhub_engines.connectors.variables import ErrorValue, QuotedPayment, money_of
from payhub_platform import ids
from payhub_platform.clock import iso, parse_iso
from payhub_platform.contracts.fspiop import ErrorInformation, Party, QuoteResponse
from payhub_platform.contracts.fspiop_bulk import (
    IndividualQuote,
    IndividualQuoteResult,
    IndividualTransferResult,
)

BODY_BYTES_MAX: Final = 192 * 1024  # of a bulk's message with packets, which one instance holds
COMPLETED: Final = "COMPLETED"
REJECTED: Final = "REJECTED"
ABORTED: Final = "ABORTED"
NOT_FOUND: Final = "NOT_FOUND"
_EXPIRATION_BYTES: Final = 64
_RESULT_BYTES: Final = 512  # amounts, ids, condition, and lengths in the packet
_FINAL: Final = (COMPLETED, REJECTED)
_OVER: Final = ErrorValue(code=refusals.SERVER_ERROR, description="The scheme says that the bulk is over.")
_EXPIRED: Final = ErrorValue(code=refusals.TRANSFER_EXPIRED, description="The bulk has expired.")
_NO_RESULT: Final = ErrorValue(code=refusals.PAYEE_ERROR, description="The bulk was rejected.")


class Groups(msgspec.Struct, frozen=True, kw_only=True):
    """The payments of a bulk by where their payees bank."""

    bulks: list[BulkGroup]
    neighbours: list[BulkItem]  # their payees bank here
    refused: list[ItemResult]


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer decides of the payments that were open."""

    open: list[BulkItem]
    committing: list[BulkItem]
    releasing: list[BulkItem]


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer decides of the transfers that were promised."""

    open: list[TransferItem]
    crediting: list[TransferItem]
    results: list[ItemResult]


def grouped(bulk: BulkPayment, tenant: str, fsp_id: str, now_ms: int) -> Groups:
    """Group payments by the payees' institutions, in the order in which they were asked for.

    The ids of a group are derived from the bulk, the institution and the group's number there, so that what
    is sent again is the same. There is a further one where the answer to the first would be too large. Of a
    bulk whose own time is over nothing is paid.
    """
    if bulk.expires_at_ms is not None and bulk.expires_at_ms <= now_ms:
        return Groups(bulks=[], neighbours=[], refused=[failed(item, _EXPIRED) for item in bulk.payments])
    found = {one.party_key: one for one in bulk.found}
    placed: dict[str, list[BulkItem]] = {}
    refused: list[ItemResult] = []
    for item in bulk.payments:
        where = _placed(item, found.get(item.party_key))
        if isinstance(where, ErrorValue):
            refused.append(failed(item, where))
        else:
            placed.setdefault(str(where.payee.fsp_id), []).append(where)
    neighbours = placed.pop(fsp_id, [])
    payer = Party(party_id_info=bulk.payer)
    bulks = [
        BulkGroup(
            payee_fsp=place,
            bulk_quote_id=ids.derive("bulk-quote", tenant, bulk.bulk_id, place, str(number)),
            bulk_transfer_id=ids.derive("bulk-transfer", tenant, bulk.bulk_id, place, str(number)),
            payments=payments,
        )
        for place, items in placed.items()
        for number, payments in enumerate(_parts(items, payer), 1)
    ]
    return Groups(bulks=bulks, neighbours=neighbours, refused=refused)


def individual_quote(item: BulkItem) -> IndividualQuote:
    """Return what is asked of the payee's institution for one payment."""
    return IndividualQuote(
        quote_id=item.quote_id,
        transaction_id=item.transaction_id,
        payee=Party(party_id_info=item.payee, name=item.name),
        amount_type=item.amount_type,
        amount=item.amount,
        transaction_type=item.transaction_type,
        note=item.note,
    )


def answer_bytes(quotes: list[IndividualQuote], payer: Party) -> int:
    """Return a size that no answer to these quotes exceeds: each has a packet with both parties.

    A packet is base64url of the payee's address and of the transaction's JSON, which is base64url itself.
    """
    common = len(msgspec.json.encode(payer)) + _EXPIRATION_BYTES
    data = sum(len(msgspec.json.encode(one)) + common for one in quotes)
    addresses = sum(len(ilp.address_of(one.payee).encode()) for one in quotes)
    return data * 16 // 9 + addresses * 4 // 3 + len(quotes) * _RESULT_BYTES


def agreed(bulk: PayerBulk, now_ms: int) -> list[BulkItem]:
    """Check each quote of a bulk on the payer's side; what is not as asked for is refused for itself."""
    answer = bulk.bulk_quote_response
    results = {} if answer is None else {one.quote_id: one for one in answer.individual_quote_results}
    expiration = "" if answer is None else answer.expiration
    return [_agreed(bulk, item, results.get(item.quote_id), expiration, now_ms) for item in bulk.payments]


def transfer_expiration(bulk: PayerBulk, now_ms: int) -> str:
    """Return when a bulk that is sent now must expire.

    Raises:
        BpmnError: ``quote-refused`` with 3302 (the quotes are over) or 3303 (the bulk's own time is).
    """
    answer = bulk.bulk_quote_response
    limit_ms = now_ms if answer is None else parse_iso(answer.expiration)
    if limit_ms - now_ms < terms.TRANSFER_LEAST_MS:
        raise refusal(refusals.QUOTE_REFUSED, refusals.QUOTE_EXPIRED, "The quotes have expired.")
    if bulk.expires_at_ms is not None:
        if bulk.expires_at_ms - now_ms < terms.TRANSFER_LEAST_MS:
            raise refusal(refusals.QUOTE_REFUSED, refusals.TRANSFER_EXPIRED, "The bulk has expired.")
        limit_ms = min(limit_ms, bulk.expires_at_ms)
    return iso(min(limit_ms, now_ms + terms.TRANSFER_VALIDITY_MS))


def decided(answered: AnsweredBulk) -> Decided:
    """Tell what an answer decides of each payment.

    The payee's fulfilment proves that a payment was committed, whoever brings it. That one is over is
    believed of the switch alone. Of all others nothing is known, and their funds stay reserved.
    """
    answer = answered.bulk_quote_response
    conditions = {} if answer is None else {q.quote_id: q.condition for q in answer.individual_quote_results}
    told = {one.transfer_id: one for one in answered.bulk_transfer_result.results}
    is_of_switch = answered.answered_by == answered.switch_fsp
    over = _over_at_all(answered) if is_of_switch else None
    state = answered.bulk_transfer_result.state
    found = Decided(open=[], committing=[], releasing=[])
    for item in answered.payments:
        result = told.get(item.transfer_id)
        condition = conditions.get(item.quote_id)
        if state == COMPLETED and condition is not None and _is_fulfilled(result, condition):
            found.committing.append(item)
            continue
        error = over or (_over(state, result) if is_of_switch else None)
        if error is None:
            found.open.append(item)
        else:
            found.releasing.append(msgspec.structs.replace(item, failure=error))
    return found


def failed(item: BulkItem, error: ErrorValue) -> ItemResult:
    """Return the result of a payment that came to nothing before any money was held."""
    return ItemResult(
        transaction_id=item.transaction_id,
        state="FAILED",
        error=error,
        quote_terms=item.quote_terms,
        payer_fee=item.payer_fee,
    )


def accepted(prepared: PreparedBulk, fsp_id: str, now_ms: int) -> list[TransferItem]:
    """Check each transfer of a bulk on the payee's side against its own quote (FSPIOP 1.1 section 6.10).

    Raises:
        BpmnError: ``transfer-refused`` with 3302, 3303, 3106 or 3101: of the bulk as a whole.
    """
    bulk = prepared.bulk_transfer
    if parse_iso(bulk.expiration) <= now_ms:
        raise refusal(refusals.TRANSFER_REFUSED, refusals.TRANSFER_EXPIRED, "The bulk has expired.")
    if prepared.quotes_expire is None or parse_iso(prepared.quotes_expire) <= now_ms:
        raise refusal(refusals.TRANSFER_REFUSED, refusals.QUOTE_EXPIRED, "The quotes have expired.")
    if (bulk.payer_fsp, bulk.payee_fsp) != (prepared.requester_fsp, fsp_id):
        raise refusal(
            refusals.TRANSFER_REFUSED, refusals.MODIFIED_REQUEST, "The parties are not the quotes'."
        )
    if len({one.transfer_id for one in bulk.individual_transfers}) < len(bulk.individual_transfers):
        raise refusal(
            refusals.TRANSFER_REFUSED, refusals.MALFORMED_SYNTAX, "Two transfers have the same transferId."
        )
    quotes = {quote.ilp_packet: quote for quote in prepared.own_quotes if quote.ilp_packet is not None}
    items: list[TransferItem] = []
    for transfer in bulk.individual_transfers:
        quote = quotes.get(transfer.ilp_packet)
        if quote is None or quote.quote_terms is None:
            error = _error(refusals.QUOTE_NOT_FOUND, "The ILP packet is none of the bulk's quotes.")
            used = TransferItem(
                transfer_id=transfer.transfer_id, transaction_id=transfer.transfer_id, refusal=error
            )
        else:
            fault = None
            if any(one.quote_id == quote.quote_id for one in items):
                fault = "The quote is used by another transfer of the bulk."
            elif transfer.condition != quote.condition:
                fault = "The condition is not the quote's."
            elif money_of(transfer.transfer_amount) != money_of(quote.quote_terms.transfer_amount):
                fault = "The amount is not the quote's."
            used = TransferItem(
                transfer_id=transfer.transfer_id,
                transaction_id=quote.transaction_id,
                quote_id=quote.quote_id,
                refusal=None if fault is None else _error(refusals.MODIFIED_REQUEST, fault),
                payee_account=quote.payee_account,
                quote_terms=quote.quote_terms,
            )
        items.append(used)
    return items


def settled(bulk: SettledBulk) -> Settled:
    """Tell which of the promised transfers are committed, and which are over. Only the switch knows."""
    items = bulk.open_items or []
    if bulk.answered_by != bulk.switch_fsp:
        return Settled(open=items, crediting=[], results=[])
    quotes: dict[str | None, OwnQuote] = {quote.quote_id: quote for quote in bulk.own_quotes}
    told = {one.transfer_id: one for one in bulk.bulk_transfer_result.results}
    state = bulk.bulk_transfer_result.state
    found = Settled(open=[], crediting=[], results=[])
    for item in items:
        result, condition = told.get(item.transfer_id), quotes[item.quote_id].condition
        if state == COMPLETED and condition is not None and _is_fulfilled(result, condition):
            found.crediting.append(item)
            found.results.append(_result(item, None))
            continue
        error = (bulk.error or _OVER) if state == ABORTED else _over(state, result)
        if error is None:
            found.open.append(item)
        else:
            found.results.append(_result(item, error))
    return found


def refused(item: TransferItem) -> ItemResult:
    """Return the result of a transfer that was refused here."""
    return _result(item, item.refusal or _OVER)


def information(error: ErrorValue) -> ErrorInformation:
    """Write an error as FSPIOP has it."""
    return ErrorInformation(error_code=error.code, error_description=error.description)


def _placed(item: BulkItem, looked_up: LookedUp | None) -> BulkItem | ErrorValue:
    """Return a payment with its payee as the look-up told it, or why it cannot be paid."""
    if looked_up is None and item.payee.fsp_id is not None:
        return item  # its payee is said to bank here, and was not looked up
    if looked_up is not None and looked_up.error is not None:
        return looked_up.error
    place = None if looked_up is None else looked_up.payee_fsp
    if looked_up is None or place is None or item.payee.fsp_id not in (None, place):
        # The channel said where the payee is; paying somebody elsewhere is not what it asked for.
        return _error(refusals.PARTY_NOT_FOUND, "The payee is not at the institution named.")
    party = looked_up.party
    info = item.payee if party is None else party.party_id_info
    payee = msgspec.structs.replace(info, fsp_id=place)
    return msgspec.structs.replace(item, payee=payee, name=None if party is None else party.name)


def _parts(items: list[BulkItem], payer: Party) -> list[list[BulkItem]]:
    """Divide payments into groups whose quotes can be answered in one message."""
    parts: list[list[BulkItem]] = [[]]
    left = BODY_BYTES_MAX
    for item in items:
        size = answer_bytes([individual_quote(item)], payer)
        if size > left and parts[-1]:
            parts.append([])
            left = BODY_BYTES_MAX
        parts[-1].append(item)
        left -= size
    return parts


def _agreed(
    bulk: PayerBulk, item: BulkItem, quote: IndividualQuoteResult | None, expiration: str, now_ms: int
) -> BulkItem:
    if quote is not None and quote.error_information is not None:
        told = quote.error_information
        return _refused(item, _error(told.error_code, told.error_description))
    if quote is None or None in (quote.transfer_amount, quote.ilp_packet, quote.condition):
        error = _error(refusals.PAYEE_REJECTED_QUOTE, "The payee's institution told no terms.")
        return _refused(item, error)
    payment = QuotedPayment(
        transaction_id=item.transaction_id,
        quote_id=item.quote_id,
        transfer_id=item.transfer_id,
        payer=bulk.payer,
        payee=item.payee,
        amount=item.amount,
        amount_type=item.amount_type,
        transaction_type=item.transaction_type,
        expires_at_ms=bulk.expires_at_ms,
        party=Party(party_id_info=item.payee),
        payee_fsp=bulk.payee_fsp,
        quote_response=_single(quote, expiration),
    )
    try:
        given, _ = terms.accepted_terms(payment, now_ms)
    except BpmnError as error:
        return _refused(item, msgspec.convert(error.variables["error"], ErrorValue))
    return msgspec.structs.replace(item, quote_terms=given, amount=given.transfer_amount)


def _single(quote: IndividualQuoteResult, expiration: str) -> QuoteResponse:
    """Return one result of a bulk quote as the answer to a quote; it has all that one needs."""
    value = {**msgspec.to_builtins(quote), "expiration": expiration}
    return msgspec.convert(value, QuoteResponse)


def _over_at_all(answered: AnsweredBulk) -> ErrorValue | None:
    """Tell why nothing of a bulk will be transferred any more, where the switch says so."""
    state = answered.bulk_transfer_result.state
    if state == ABORTED:
        return answered.send_refusal or answered.bulk_transfer_refusal or answered.error or _OVER
    if state == NOT_FOUND:
        return answered.send_refusal  # it has never taken the bulk; one that it did not refuse is sent again
    return None


def _over(state: str, result: IndividualTransferResult | None) -> ErrorValue | None:
    """Tell why a transfer is over; None where that is not said."""
    if state not in _FINAL:
        return None
    if result is not None and result.error_information is not None:
        told = result.error_information
        return _error(told.error_code, told.error_description)
    if state == REJECTED and (result is None or result.fulfilment is None):
        return _NO_RESULT
    return None


def _is_fulfilled(result: IndividualTransferResult | None, condition: str) -> bool:
    if result is None or result.fulfilment is None or result.error_information is not None:
        return False
    return ilp.fulfils(result.fulfilment, condition)


def _result(item: TransferItem, error: ErrorValue | None) -> ItemResult:
    return ItemResult(
        transaction_id=item.transaction_id,
        state="COMPLETED" if error is None else "FAILED",
        error=error,
        quote_terms=item.quote_terms,
    )


def _refused(item: BulkItem, error: ErrorValue) -> BulkItem:
    return msgspec.structs.replace(item, refusal=error)


def _error(code: str, description: str) -> ErrorValue:
    return msgspec.convert(error_value(code, description), ErrorValue)
