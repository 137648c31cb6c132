"""The AMS contract over HTTP: bodies, and the refusals that ams-contract.yaml lists."""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from payhub_engines.connectors.ams import decoding, refusals
from payhub_engines.connectors.ams.errors import PEOPLE_RETRY_MS, DisagreementError, Reason
from payhub_engines.connectors.ams.model import AccountStatus, BankCall, Role
from payhub_engines.connectors.ams.transport import BankRequest, BankTransport
from payhub_engines.connectors.http import UNREADABLE
from payhub_platform.money import Money

IDENTIFIER_UNKNOWN: Final = "unknown-identifier"
ACCOUNT_UNKNOWN: Final = "unknown-account"
REFERENCE_UNKNOWN: Final = "unknown-reference"
INSUFFICIENT_FUNDS: Final = "insufficient-funds"
ACCOUNT_BLOCKED: Final = "account-blocked"
ACCOUNT_INACTIVE: Final = "account-inactive"
OTHER_CURRENCY: Final = "other-currency"
NOT_ALLOWED: Final = "not-allowed"
REFERENCE_REUSED: Final = "reference-reused"
RESERVATION_RELEASED: Final = "reservation-released"
RESERVATION_COMMITTED: Final = "reservation-committed"

STATUSES: Final = {
    IDENTIFIER_UNKNOWN: 404,
    ACCOUNT_UNKNOWN: 404,
    REFERENCE_UNKNOWN: 404,
    REFERENCE_REUSED: 409,
    RESERVATION_RELEASED: 409,
    RESERVATION_COMMITTED: 409,
    INSUFFICIENT_FUNDS: 422,
    ACCOUNT_BLOCKED: 422,
    ACCOUNT_INACTIVE: 422,
    OTHER_CURRENCY: 422,
    NOT_ALLOWED: 422,
}
_OK: Final = 200


_REASONS: Final[dict[str, Callable[[Role], Reason]]] = {
    IDENTIFIER_UNKNOWN: refusals.not_found,
    ACCOUNT_UNKNOWN: refusals.not_found,
    INSUFFICIENT_FUNDS: lambda _role: refusals.insufficient(),
    OTHER_CURRENCY: refusals.other_currency,
    ACCOUNT_BLOCKED: lambda role: refusals.blocked(role, "The account is blocked."),
    ACCOUNT_INACTIVE: lambda role: refusals.blocked(role, "The account is not active."),
    RESERVATION_RELEASED: lambda _role: refusals.unsettled(),
}


class ContractRefusalError(Exception):
    """The bank refused with one of the contract's codes, and has done nothing."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class MoneyBody(msgspec.Struct, frozen=True):
    """Money as the contract writes it: ``{"amount": "10.50", "currency": "KES"}``."""

    amount: str
    currency: str

    def money(self, what: str, currency: str) -> Money:
        """Return it exactly; a balance may be negative.

        Raises:
            DisagreementError: it is no amount, or not of that currency.
        """
        told = _parsed(self.amount)
        found = None if told is None or self.currency != currency else decoding.signed(told, currency)
        if found is None:
            raise DisagreementError(f"{what}: the bank tells no amount of {currency}", PEOPLE_RETRY_MS)
        return found

    def is_exactly(self, meant: Money) -> bool:
        """Tell whether it is this amount of this currency."""
        return self.currency == meant.currency and _parsed(self.amount) == meant.decimal()


class FoundAccountBody(msgspec.Struct, rename="camel"):
    """GET /accounts/by-identifier/{type}/{value}."""

    account_id: str


class IdentifierBody(msgspec.Struct, rename="camel"):
    """One identifier of an account."""

    type: str
    value: str
    sub_id: str | None = None


class AccountBody(msgspec.Struct, rename="camel"):
    """GET /accounts/{accountId}."""

    account_id: str
    currency: str
    status: AccountStatus
    may_pay: bool
    may_receive: bool
    balance: MoneyBody | None = None
    available: MoneyBody | None = None
    identifiers: list[IdentifierBody] = []


class FeeBody(msgspec.Struct):
    """GET /accounts/{accountId}/fee."""

    fee: MoneyBody


class ReservationBody(msgspec.Struct, rename="camel"):
    """A reservation; one that was released before it was made has no account and no amounts."""

    reference: str
    state: str  # HELD, COMMITTED, RELEASED
    account_id: str | None = None
    amount: MoneyBody | None = None
    fee: MoneyBody | None = None


class CreditBody(msgspec.Struct, rename="camel"):
    """A credit."""

    reference: str
    account_id: str
    amount: MoneyBody


class RepaymentBody(msgspec.Struct, rename="camel"):
    """A loan repayment."""

    reference: str
    loan_account_id: str
    amount: MoneyBody


class _ProblemBody(msgspec.Struct):
    code: str = ""


class ContractApi:
    """Sends, and tells answers from refusals and failures."""

    def __init__(self, transport: BankTransport) -> None:
        self._transport = transport

    async def send(self, call: BankCall, request: BankRequest) -> bytes:
        """Return the body of a success.

        Raises:
            ContractRefusalError: refused with a code of the contract, and the status that belongs to it.
            JobFailedError: anything else; whether something was done is not known.
        """
        answer = await self._transport.send(call, request)
        if answer.status == _OK:
            return answer.body
        try:
            code = msgspec.json.decode(answer.body, type=_ProblemBody).code
        except UNREADABLE:
            code = ""
        if STATUSES.get(code) == answer.status:
            raise ContractRefusalError(code)
        raise decoding.failed(answer, request.name)


def reason(error: ContractRefusalError, role: Role) -> Reason:
    """Read a refusal as an FSPIOP error code."""
    return _REASONS.get(error.code, refusals.rejected)(role)


def money_body(money: Money) -> dict[str, Any]:
    """Write money as the contract does."""
    return {"amount": money.decimal_text(), "currency": money.currency}


def _parsed(text: str) -> Decimal | None:
    try:
        told = Decimal(text)
    except InvalidOperation:
        return None
    return told if text.isascii() and told.is_finite() else None
