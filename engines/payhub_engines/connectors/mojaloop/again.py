"""What is said of a payment, or a request to pay, that does not wait to be asked, or has ended. Pure."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from payhub_engines.connectors import refusals
from payhub_engines.connectors.mojaloop.outgoing import Outgoing, answer, refuse
from payhub_engines.connectors.variables import ErrorValue, Query, TransferResult
from payhub_platform.contracts.fspiop import (
    Message,
    QuoteRequest,
    QuoteResponse,
    TransactionRequest,
    TransactionRequestResponse,
    TransactionResponse,
    TransferFulfil,
    TransferPrepare,
)

_MODIFIED: Final = ErrorValue(
    code=refusals.MODIFIED_REQUEST, description="The id was used with other contents."
)

FulfilmentOf = Callable[[TransferPrepare], str | None]
"""Makes a transfer's fulfilment anew; None where its secret is gone."""


class Subject(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is asked for, as its process's variables have it; ``answered_by`` said the transfer's result."""

    started_at_ms: int
    ended: bool
    requester_fsp: str | None = None
    payment_state: str | None = None
    error: ErrorValue | None = None
    quote: QuoteRequest | None = None
    own_quote: QuoteResponse | None = None
    transfer: TransferPrepare | None = None
    transfer_result: TransferResult | None = None
    answered_by: str | None = None
    fulfilment: str | None = None
    direct: str | None = None
    transaction_request: TransactionRequest | None = None
    transaction_id: str | None = None
    confirmation: str | None = None


class AskedAgain(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What ``answer-again`` starts with; a body is there where a request came again, none of a GET."""

    query: Query
    queried_by: str
    query_refusal: ErrorValue | None = None
    subject: Subject | None = None
    quote: QuoteRequest | None = None
    transfer: TransferPrepare | None = None
    transaction_request: TransactionRequest | None = None

    @property
    def request(self) -> Message | None:
        """The body that came again."""
        return self.quote or self.transfer or self.transaction_request


def answer_of(asked: AskedAgain, switch_fsp: str, fulfilment_of: FulfilmentOf) -> Outgoing | None:
    """Return what is told; None while the first answer is still on its way, or where silence is right.

    Only the institution that a payment came from is told of it, and the switch, where it asks.

    Args:
        asked: the question, or the request that came again.
        switch_fsp: the switch of the institution's scheme.
        fulfilment_of: makes a fulfilment anew.
    """
    subject, resource = asked.subject, asked.query.resource
    known, known_id = (None, "") if subject is None else _KNOWN[resource](subject)
    if asked.request is None and [known_id] != asked.query.path:
        known = None  # the id of a request that was refused, for another had begun what it was about
    is_theirs = subject is not None and asked.queried_by in (subject.requester_fsp, switch_fsp)
    if subject is None or known is None or (not is_theirs and asked.request is None):
        return None if asked.query_refusal is None else _refuse(asked, asked.query_refusal)
    if asked.request is not None and (asked.request != known or asked.queried_by != subject.requester_fsp):
        return _refuse(asked, _MODIFIED)
    said = _ANSWERS[resource](subject, asked, switch_fsp, fulfilment_of)
    if isinstance(said, ErrorValue):
        return _refuse(asked, said)
    return None if said is None else answer(said, *asked.query.path, to=asked.queried_by)


def _refuse(asked: AskedAgain, error: ErrorValue) -> Outgoing:
    return refuse(asked.query.resource, *asked.query.path, error=error, to=asked.queried_by)


def _quote(subject: Subject, *_rest: Any) -> QuoteResponse | ErrorValue | None:
    """Tell the terms that were given, whatever became of them, or why none were."""
    if subject.own_quote is not None:
        return subject.own_quote
    return subject.error if subject.payment_state == "FAILED" else None


def _transfer(
    subject: Subject, asked: AskedAgain, switch_fsp: str, fulfilment_of: FulfilmentOf
) -> TransferFulfil | ErrorValue | None:
    """Answer a request that came again as the first time, and a question with the transfer's state."""
    result, transfer = subject.transfer_result, subject.transfer
    is_aborted = result is not None and result.state == "ABORTED"
    is_refused = subject.payment_state == "FAILED" and not is_aborted
    fulfilment = subject.fulfilment or (None if transfer is None else fulfilment_of(transfer))
    if asked.request is not None and is_refused:
        return subject.error
    if asked.request is not None and fulfilment is not None and not subject.direct:
        return TransferFulfil(transfer_state="RESERVED", fulfilment=fulfilment)
    is_settled = result is not None and result.state == "COMMITTED" and subject.answered_by == switch_fsp
    if subject.payment_state == "COMPLETED" or (is_settled and not subject.ended):
        return TransferFulfil(
            transfer_state="COMMITTED",
            fulfilment=fulfilment,
            completed_timestamp=None if result is None else result.completed_timestamp,
        )
    return TransferFulfil(transfer_state="ABORTED" if subject.payment_state == "FAILED" else "RECEIVED")


def _transaction(subject: Subject, *_rest: Any) -> TransactionResponse:
    if subject.payment_state == "COMPLETED":
        result = subject.transfer_result
        completed = None if result is None else result.completed_timestamp
        return TransactionResponse(transaction_state="COMPLETED", completed_timestamp=completed)
    if subject.payment_state == "FAILED":
        return TransactionResponse(transaction_state="REJECTED")
    return TransactionResponse(transaction_state="RECEIVED" if subject.transfer is None else "PENDING")


def _transaction_request(subject: Subject, *_rest: Any) -> TransactionRequestResponse | ErrorValue:
    if subject.payment_state == "COMPLETED":
        state = "ACCEPTED"
    elif subject.payment_state != "FAILED":
        state = "RECEIVED" if subject.transaction_id is None else "PENDING"
    elif subject.error is not None and subject.confirmation != "REJECTED":
        return subject.error
    else:
        state = "REJECTED"
    return TransactionRequestResponse(
        transaction_request_state=state,  # type: ignore[arg-type] # one of FSPIOP's
        transaction_id=subject.transaction_id,
    )


def _quoted(subject: Subject) -> tuple[Message | None, str]:
    return subject.quote, "" if subject.quote is None else subject.quote.quote_id


def _prepared(subject: Subject) -> tuple[Message | None, str]:
    return subject.transfer, "" if subject.transfer is None else subject.transfer.transfer_id


def _transacted(subject: Subject) -> tuple[Message | None, str]:
    return subject.quote, "" if subject.quote is None else subject.quote.transaction_id


def _requested(subject: Subject) -> tuple[Message | None, str]:
    request = subject.transaction_request
    return request, "" if request is None else request.transaction_request_id


_KNOWN: Final[dict[str, Callable[[Subject], tuple[Message | None, str]]]] = {
    "quotes": _quoted,
    "transfers": _prepared,
    "transactions": _transacted,
    "transactionRequests": _requested,
}
"""The request that a resource began with, and its id."""

_ANSWERS: Final[dict[str, Callable[..., Message | ErrorValue | None]]] = {
    "quotes": _quote,
    "transfers": _transfer,
    "transactions": _transaction,
    "transactionRequests": _transaction_request,
}
