"""Reading what banks answer: JSON of a known shape, and amounts exactly."""

from decimal import Context, Decimal
from typing import Final, TypeVar

import msgspec

from payhub_engines.connectors.ams.errors import (
    CREDENTIALS_RETRY_MS,
    PEOPLE_RETRY_MS,
    RETRY_AFTER_MS,
    DisagreementError,
)
from payhub_engines.connectors.http import UNREADABLE, HttpAnswer
from payhub_engines.connectors.job import JobFailedError
from payhub_platform.errors import InvalidInputError
from payhub_platform.money import Money, exponent_of

MAGNITUDE_MAX: Final = 30  # decimal places before or after the point; more is no amount of money
SECONDS_DIGITS_MAX: Final = 6
CREDENTIALS_REFUSED: Final = frozenset({401, 403})
_EXACT: Final = Context(prec=2 * MAGNITUDE_MAX)  # Python's own rounds what has more than 28 digits
AnswerT = TypeVar("AnswerT", bound=msgspec.Struct)


def decode(body: bytes, kind: type[AnswerT], what: str) -> AnswerT:
    """Read an answer.

    Args:
        body: the answer's body.
        kind: what it should be.
        what: the request's name, for the failure.

    Raises:
        JobFailedError: it is something else.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE as error:
        raise JobFailedError(
            f"{what}: the bank's answer is not of the agreed shape", RETRY_AFTER_MS
        ) from error


def account_id(told: str, what: str) -> str:
    """Return an account's id as a bank told it.

    Raises:
        DisagreementError: no path can name it, so that it would reach something else.
    """
    if is_path_step(told):
        raise DisagreementError(f"{what}: the bank tells no usable account id", PEOPLE_RETRY_MS)
    return told


def is_path_step(text: str) -> bool:
    """Tell whether a text would move within a path rather than name something in it."""
    return text in {"", ".", ".."} or "/" in text


def money(amount: Decimal, currency: str, what: str) -> Money:
    """Return an amount that a bank told, exactly; banks write more zeros than a currency has decimals.

    Raises:
        DisagreementError: it is negative, absurd, of no known currency, or finer than the currency.
    """
    found = signed(amount, currency)
    if found is None or found.minor < 0:
        raise DisagreementError(f"{what}: the bank tells no amount of {currency[:3]}", PEOPLE_RETRY_MS)
    return found


def signed(amount: Decimal, currency: str) -> Money | None:
    """Return a balance, which may be negative; None where it cannot be told exactly."""
    if not amount.is_finite() or abs(amount.adjusted()) > MAGNITUDE_MAX:
        return None
    scaled = amount.scaleb(exponent_of(currency), _EXACT)
    if len(amount.as_tuple().digits) > _EXACT.prec or scaled != scaled.to_integral_value():
        return None
    try:
        told = Money.parse(format(amount.copy_abs().normalize(_EXACT), "f"), currency)
    except InvalidInputError:
        return None
    return Money(-told.minor, currency) if amount < 0 else told


def failed(answer: HttpAnswer, what: str) -> JobFailedError:
    """Return the failure that an answer is; a bank that says when to come back is left alone so long."""
    text = answer.headers.get("retry-after", "")
    wait_ms = int(text) * 1000 if text.isascii() and text.isdigit() and len(text) <= SECONDS_DIGITS_MAX else 0
    least_ms = CREDENTIALS_RETRY_MS if answer.status in CREDENTIALS_REFUSED else RETRY_AFTER_MS
    retry_ms = min(max(wait_ms, least_ms), PEOPLE_RETRY_MS)
    return JobFailedError(f"{what}: the bank answers {answer.status}", retry_ms)
