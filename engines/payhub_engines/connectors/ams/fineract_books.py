"""What Fineract itself has booked: its savings API, since the interoperation API has no status query.

``GET /savingsaccounts/external-id/{id}`` exists since Fineract 1.9 and needs READ_SAVINGSACCOUNT. Where it
is not there, nothing is told, and the callers take the way that is safe without it.
"""

import logging
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

import msgspec

from payhub_engines.connectors.ams.decoding import MAGNITUDE_MAX, decode
from payhub_engines.connectors.ams.fineract_api import (
    FineractApi,
    FineractNotServedError,
    FineractRefusalError,
)
from payhub_engines.connectors.ams.model import BankCall
from payhub_engines.connectors.ams.transport import BankRequest
from payhub_engines.connectors.expiring import ExpiringCache
from payhub_engines.connectors.http import AnswerTooLongError
from payhub_platform.money import Money, exponent_of

HISTORY_BYTES_MAX: Final = 4 * 1024 * 1024  # an account's whole history comes, newest first
NOT_SERVED_KEPT_MS: Final = 10 * 60 * 1000
TENANTS_MAX: Final = 10_000
CHARGES_KEPT_MS: Final = 60_000  # how long a charge that was changed may be told as it was
ACCOUNTS_MAX: Final = 50_000  # of all tenants

_ROUTING_CODE: Final = "INTEROPERATION"

_logger = logging.getLogger(__name__)


class _Known(msgspec.Struct, frozen=True):
    """A kind of transaction or charge, by number and by code: older releases leave one or the other out."""

    id: int
    code: str


class _Kind(msgspec.Struct):
    id: int = 0
    code: str = ""

    def is_one(self, kind: _Known) -> bool:
        return self.id == kind.id or self.code == kind.code


class _Detail(msgspec.Struct, rename="camel"):
    receipt_number: str | None = None
    routing_code: str | None = None


class _Row(msgspec.Struct, rename="camel"):
    transaction_type: _Kind
    amount: Decimal
    payment_detail_data: _Detail | None = None
    release_transaction_id: int | None = None  # 0 is none as well


class _Charge(msgspec.Struct, rename="camel"):
    charge_time_type: _Kind = msgspec.field(default_factory=_Kind)
    charge_calculation_type: _Kind = msgspec.field(default_factory=_Kind)
    amount: Decimal | None = None
    percentage: Decimal | None = None
    is_active: bool = True


class _SavingsBody(msgspec.Struct):
    transactions: list[_Row] = []
    charges: list[_Charge] = []


_DEPOSIT: Final = _Known(1, "savingsAccountTransactionType.deposit")
_WITHDRAWAL: Final = _Known(2, "savingsAccountTransactionType.withdrawal")
_AMOUNT_HOLD: Final = _Known(20, "savingsAccountTransactionType.onHold")
_WITHDRAWAL_FEE: Final = _Known(5, "chargeTimeType.withdrawalFee")


class Bookings(msgspec.Struct, frozen=True, kw_only=True):
    """What an account shows under one transfer code; amounts in major units, None where there is none."""

    held: Decimal | None = None
    is_released: bool = False
    withdrawn: Decimal | None = None
    deposited: Decimal | None = None

    @property
    def is_open(self) -> bool:
        """Whether the hold still holds something."""
        return bool(self.held) and not self.is_released and self.withdrawn is None


class FineractBooks:
    """Asks for bookings and charges of accounts."""

    def __init__(self, api: FineractApi) -> None:
        self._api = api
        self._no_charges = ExpiringCache[str, bool](TENANTS_MAX, NOT_SERVED_KEPT_MS)
        self._charges = ExpiringCache[tuple[str, str], list[_Charge]](ACCOUNTS_MAX, CHARGES_KEPT_MS)

    async def bookings(self, call: BankCall, account: str, code: str) -> Bookings | None:
        """Return what is booked under a transfer code; None where this Fineract does not tell.

        Raises:
            JobFailedError: it does not tell now.
        """
        try:
            body = await self._savings(call, account, "transactions")
        except FineractNotServedError:
            return None
        if body is None:
            return None
        rows = [row for row in body.transactions if _is_of(row, code)]
        holds = [row for row in rows if row.transaction_type.is_one(_AMOUNT_HOLD)]
        return Bookings(
            held=holds[0].amount if holds else None,
            is_released=any(row.release_transaction_id for row in holds),
            withdrawn=_amount_of(rows, _WITHDRAWAL),
            deposited=_amount_of(rows, _DEPOSIT),
        )

    async def withdrawal_fee(self, call: BankCall, account: str, amount: Money) -> Money | None:
        """Return what CREATE will book besides the amount; None where this Fineract does not tell.

        Raises:
            JobFailedError: it does not tell now.
        """
        charges = await self._charges_of(call, account)
        if charges is None:
            return None
        fees = [
            _fee(charge, amount)
            for charge in charges
            if charge.is_active and charge.charge_time_type.is_one(_WITHDRAWAL_FEE)
        ]
        known = [fee for fee in fees if fee is not None]
        return Money(sum(known), amount.currency) if len(known) == len(fees) else None

    async def _charges_of(self, call: BankCall, account: str) -> list[_Charge] | None:
        key, now_ms = (call.tenant_id, account), call.context.clock()
        known = self._charges.get(key, now_ms)
        if known is not None or self._no_charges.get(call.tenant_id, now_ms):
            return known
        try:
            body = await self._savings(call, account, "charges")
        except FineractNotServedError:
            self._no_charges.keep(call.tenant_id, value=True, now_ms=now_ms)
            text = "tenant %s: the bank does not tell its withdrawal charges; its quotes are trusted"
            _logger.warning(text, call.tenant_id)
            return None
        if body is None:
            return None
        self._charges.keep(key, body.charges, now_ms)
        return body.charges

    async def _savings(self, call: BankCall, account: str, association: str) -> _SavingsBody | None:
        request = BankRequest(
            method="GET",
            path=("savingsaccounts", "external-id", account),
            name=f"GET savingsaccounts {association}",
            query={"associations": association},
            answer_bytes_max=HISTORY_BYTES_MAX,
        )
        try:
            return decode(await self._api.send(call, request), _SavingsBody, request.name)
        except (FineractRefusalError, AnswerTooLongError):
            return None  # of this account alone


def _is_of(row: _Row, code: str) -> bool:
    detail = row.payment_detail_data
    return detail is not None and detail.receipt_number == code and detail.routing_code == _ROUTING_CODE


def _amount_of(rows: list[_Row], kind: _Known) -> Decimal | None:
    return next((row.amount for row in rows if row.transaction_type.is_one(kind)), None)


def _fee(charge: _Charge, amount: Money) -> int | None:
    """Return one charge in minor units, rounded as Fineract's default says; None where it is unknown."""
    match charge.charge_calculation_type.id:
        case 1 if charge.amount is not None:  # flat
            fee = charge.amount
        case 2 if charge.percentage is not None:  # percent of the amount
            fee = amount.decimal() * charge.percentage / 100
        case _:
            return None
    if not fee.is_finite() or abs(fee.adjusted()) > MAGNITUDE_MAX:
        return None
    return int(fee.scaleb(exponent_of(amount.currency)).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
