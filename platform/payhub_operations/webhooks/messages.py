"""From the events of a process to the message that tells its end: pure functions that no event can break."""

from collections.abc import Iterable
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET

from payhub_operations.audit.model import moment
from payhub_operations.payments.identifiers import mask_in_text
from payhub_operations.payments.projection import read_money
from payhub_operations.payments.views import iso_of
from payhub_operations.webhooks.model import TEST_TYPE, End, Message
from payhub_platform import ids
from payhub_platform.contracts.audit import AuditRecord

ENDED: Final = "InstanceCompleted"
TEXT_CHARACTERS_MAX: Final = 500
_BIGINT_MAX: Final = 2**63 - 1

_OUTGOING: Final = "payer-fund-transfer"
_INCOMING: Final = "payee-quote-transfer"
_REQUEST: Final = "payee-transaction-request"
PROCESSES: Final = (_OUTGOING, _INCOMING, _REQUEST)
_SUFFIXES: Final = {"COMPLETED": "completed", "FAILED": "failed"}


class _Told(msgspec.Struct, kw_only=True, rename="camel"):
    """What is read of variables; anything may be in them."""

    payment_state: Any = UNSET
    error: Any = UNSET
    amount: Any = UNSET
    client_ref_id: Any = UNSET
    correlation_id: Any = UNSET
    transaction_type: Any = UNSET
    quote: Any = UNSET


class AmountData(msgspec.Struct, frozen=True):
    """A decimal string in major units with its currency, as the channel's API has it."""

    amount: str
    currency: str


class ErrorData(msgspec.Struct, frozen=True):
    """Why it failed; FSPIOP's error code where one exists, such as 3204."""

    code: str
    description: str


class PaymentData(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """``data`` of a message. It names nobody: who the parties are, the channel's API tells."""

    tenant: str
    transaction_id: str = ""  # of a payment or refund
    transaction_request_id: str = ""  # of a request to be paid
    direction: Literal["outgoing", "incoming", ""] = ""  # of money, seen from the institution
    state: str
    amount: AmountData | None = None
    client_ref_id: str = ""
    correlation_id: str = ""  # the X-CorrelationID that the channel sent
    original_transaction_id: str = ""  # what a refund pays back
    error: ErrorData | None = None


class TrialData(msgspec.Struct, frozen=True):
    """``data`` of a test message."""

    tenant: str
    note: str = "A test: no payment is told."


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A body, in the form that Standard Webhooks recommends."""

    type: str
    timestamp: str  # when it happened, however late it is told
    data: PaymentData | TrialData


def ends_of(engine: str, records: Iterable[AuditRecord]) -> list[End]:
    """Return where processes ended of which institutions are told."""
    return [
        End(
            tenant=record.tenant,
            engine=engine,
            position=record.position,
            process=record.process,
            payment=record.payment,
            instance=record.instance,
            at=moment(record.at_ms),
        )
        for record in records
        if record.type == ENDED and record.process in PROCESSES and _is_storable(record)
    ]


def message_id(end: End) -> str:
    """Return a message's id: the event's place in the log makes it, so that it is the same ever after."""
    return f"msg_{ids.derive('webhook', end.tenant, end.engine, str(end.position))}"


def message_of(end: End, variables: Iterable[str]) -> Message | None:
    """Tell an end; None where the process did not say what became of the payment.

    Args:
        end: where it ended.
        variables: what its events set, as JSON, in order.
    """
    told = _folded(variables)
    # The payee's side knows the payment by the quote request that announced it.
    quote = told.quote if isinstance(told.quote, dict) else {}
    state = told.payment_state if isinstance(told.payment_state, str) else ""
    suffix = _SUFFIXES.get(state)
    if suffix is None:
        return None
    kind = told.transaction_type if isinstance(told.transaction_type, dict) else quote.get("transactionType")
    refund = kind.get("refundInfo") if isinstance(kind, dict) and kind.get("scenario") == "REFUND" else None
    is_request = end.process == _REQUEST
    data = PaymentData(
        tenant=end.tenant,
        transaction_id="" if is_request else end.payment,
        transaction_request_id=end.payment if is_request else "",
        direction="" if is_request else "outgoing" if end.process == _OUTGOING else "incoming",
        state=state,
        amount=_amount(told.amount) or _amount(quote.get("amount")),
        client_ref_id=_text(told.client_ref_id),
        correlation_id=_text(told.correlation_id),
        original_transaction_id=_text(refund.get("originalTransactionId"))
        if isinstance(refund, dict)
        else "",
        error=_error(told.error) if state == "FAILED" else None,
    )
    noun = "transaction_request" if is_request else "payment" if refund is None else "refund"
    return Message(
        message=message_id(end),
        end=end,
        type=f"{noun}.{suffix}",
        is_own=end.process != _INCOMING,
        body=_body(f"{noun}.{suffix}", end, data),
    )


def trial_message(end: End, message: str) -> Message:
    """Return a message that tells of no payment."""
    body = _body(TEST_TYPE, end, TrialData(tenant=end.tenant))
    return Message(message=message, end=end, type=TEST_TYPE, is_own=True, body=body)


def _body(kind: str, end: End, data: PaymentData | TrialData) -> str:
    return msgspec.json.encode(Envelope(type=kind, timestamp=iso_of(end.at), data=data)).decode()


def _folded(variables: Iterable[str]) -> _Told:
    told = _Told()
    for text in variables:
        try:
            later = msgspec.json.decode(text, type=_Told)
        except msgspec.MsgspecError:  # no object
            continue
        for name in _Told.__struct_fields__:
            value = getattr(later, name)
            if value is not UNSET:
                setattr(told, name, value)
    return told


def _amount(value: Any) -> AmountData | None:
    money = read_money(value)
    return None if money is None else AmountData(amount=money.decimal_text(), currency=money.currency)


def _error(value: Any) -> ErrorData | None:
    if not isinstance(value, dict):
        return None
    description = mask_in_text(_text(value.get("description")))
    return ErrorData(code=_text(value.get("code")), description=description)


def _text(value: Any) -> str:
    return value[:TEXT_CHARACTERS_MAX] if isinstance(value, str) else ""


def _is_storable(record: AuditRecord) -> bool:
    """Tell whether PostgreSQL holds the names as they are (see ``audit.model.row_of``)."""
    named = bool(record.tenant) and bool(record.payment)
    return named and "\0" not in record.tenant + record.payment and 0 < record.instance <= _BIGINT_MAX
