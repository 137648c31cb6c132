"""How rows are shown, and the cursor that pages carry."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from payhub_operations.payments.errors import InvalidSearchError
from payhub_operations.payments.model import AmountView, Cursor, ErrorView, PaymentRow, PaymentView
from payhub_platform import clock
from payhub_platform.money import Money

CURSOR_CHARACTERS_MAX: Final = 1024
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_cursor_decoder: Final = msgspec.json.Decoder(Cursor)


def iso_of(at: datetime) -> str:
    """Write a time in UTC with milliseconds."""
    return clock.iso((at - _EPOCH) // _MILLISECOND)


def elapsed_text(milliseconds: int) -> str:
    """Write a duration for people: ``850 ms``, ``3.2 s``, ``4 min 05 s``."""
    if milliseconds < 1000:  # noqa: PLR2004 - a second
        return f"{milliseconds} ms"
    seconds, rest_ms = divmod(milliseconds, 1000)
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds}.{rest_ms // 100} s"
    return f"{seconds // 60} min {seconds % 60:02d} s"


def payment_view(row: PaymentRow) -> PaymentView:
    """Show a row of the read model."""
    amount = None
    if row.amount_minor is not None:
        money = Money(row.amount_minor, row.currency)
        amount = AmountView(minor=money.minor, currency=money.currency, text=money.decimal_text())
    error = None
    if row.error_code or row.error_description:
        error = ErrorView(code=row.error_code, description=row.error_description)
    return PaymentView(
        tenant=row.tenant,
        payment=row.payment,
        direction=row.direction,
        state=row.state,
        amount=amount,
        payer=row.payer,
        payer_fsp=row.payer_fsp,
        payee=row.payee,
        payee_fsp=row.payee_fsp,
        error=error,
        handed_over=row.handed_over,
        engine=row.engine,
        started_at=iso_of(row.started_at),
        ended_at=iso_of(row.ended_at) if row.ended_at else None,
        duration_ms=(row.ended_at - row.started_at) // _MILLISECOND if row.ended_at else None,
        trace_id=row.trace,
    )


def write_cursor(row: PaymentRow) -> str:
    """Return the cursor of the page that follows this row."""
    cursor = Cursor(row.started_at, row.payment, row.direction)
    return urlsafe_b64encode(msgspec.json.encode(cursor)).decode()


def read_cursor(text: str) -> Cursor:
    """Read a cursor that ``write_cursor`` made.

    Raises:
        InvalidSearchError: it was made by somebody else.
    """
    try:
        cursor = _cursor_decoder.decode(urlsafe_b64decode(text[:CURSOR_CHARACTERS_MAX].encode("ascii")))
    except (msgspec.MsgspecError, binascii.Error, UnicodeError) as error:
        raise InvalidSearchError("before", "This page cursor is not one of ours.") from error
    if cursor.started_at.tzinfo is None or "\0" in cursor.payment:
        raise InvalidSearchError("before", "This page cursor is not one of ours.")
    try:
        return msgspec.structs.replace(cursor, started_at=cursor.started_at.astimezone(UTC))
    except OverflowError as error:
        raise InvalidSearchError("before", "This page cursor is not one of ours.") from error
