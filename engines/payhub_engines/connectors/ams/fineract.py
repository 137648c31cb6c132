"""Apache Fineract's interoperation API, 1.8 to 1.11, as a core bank; its traps are docs/ams.md's.

``expiration`` is never sent, since Fineract takes it for the date of the booking; a payee is never
prepared, since Fineract looks at nothing then; its stub queries are never asked.
"""

import datetime as dt
import logging
from decimal import Decimal
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from payhub_engines.connectors.ams import decoding, refusals
from payhub_engines.connectors.ams.errors import (
    PEOPLE_RETRY_MS,
    RETRY_AFTER_MS,
    AmsRefusalError,
    DisagreementError,
    Reason,
    refused_booking,
)
from payhub_engines.connectors.ams.fineract_api import (
    AccountBody,
    FineractApi,
    FineractRefusalError,
    IdentifiersBody,
    PartyAccountBody,
    QuoteBody,
    TransferBody,
    money_body,
)
from payhub_engines.connectors.ams.fineract_books import Bookings, FineractBooks
from payhub_engines.connectors.ams.fineract_loans import FineractLoans
from payhub_engines.connectors.ams.model import (
    Account,
    AccountStatus,
    BankCall,
    Identifier,
    LoanRepayment,
    Role,
    TransferOrder,
)
from payhub_engines.connectors.ams.transport import BankRequest, BankTransport
from payhub_engines.connectors.job import JobFailedError
from payhub_platform.contracts.fspiop import PartyIdInfo
from payhub_platform.money import Money

SAME_KEY_ATTEMPTS: Final = 2
SAVINGS_DEPOSIT: Final = "SAVINGS_DEPOSIT"
IDENTIFIER_TYPES: Final = frozenset(
    "MSISDN EMAIL PERSONAL_ID BUSINESS DEVICE ACCOUNT_ID IBAN BBAN ALIAS".split()
)

_logger = logging.getLogger(__name__)

Action = Literal["PREPARE", "CREATE", "RELEASE"]
_ROOT: Final = "interoperation"
_SHUT: Final = frozenset({"BLOCK", "ESCHEAT"})
_SUFFIXES: Final[dict[Role, str]] = {"PAYER": "P", "PAYEE": "R"}


class ReleaseRefusedError(JobFailedError):
    """A release is refused for another reason than that there is nothing to release."""


class FineractBank:
    """Calls in the name of a job's tenant; one object for each engine process."""

    def __init__(self, transport: BankTransport) -> None:
        self._api = FineractApi(transport)
        self._books = FineractBooks(self._api)
        self._loans = FineractLoans(self._api)

    async def account_of(self, call: BankCall, party: PartyIdInfo, role: Role) -> str:
        """Return an identifier's account: GET /parties. Two accounts that share it are a failure (500)."""
        path = ["parties", party.party_id_type, party.party_identifier]
        if party.party_sub_id_or_type:
            path.append(party.party_sub_id_or_type)
        if party.party_id_type not in IDENTIFIER_TYPES:
            raise AmsRefusalError(refusals.not_found(role))
        body = await self._get(call, path, role)
        told = decoding.decode(body, PartyAccountBody, "GET parties")
        return decoding.account_id(told.account_id, "GET parties")

    async def account(self, call: BankCall, account: str, role: Role) -> Account:
        """Return an account's state: GET /accounts/{id}."""
        told = decoding.decode(
            await self._get(call, ["accounts", account], role), AccountBody, "GET accounts"
        )
        if told.account_id != account:
            raise DisagreementError("GET accounts: the bank tells of another account", RETRY_AFTER_MS)
        shut = told.sub_status in _SHUT
        status: AccountStatus = "BLOCKED" if shut else "ACTIVE"
        return Account(
            account_id=account,
            currency=told.currency,
            status=status if told.status == "ACTIVE" else "INACTIVE",
            may_pay=told.sub_status != "BLOCK_DEBIT",
            may_receive=told.sub_status != "BLOCK_CREDIT",
            is_payable=told.deposit_type in (None, SAVINGS_DEPOSIT),
            balance=_balance(told.account_balance, told.currency),
            available=_balance(told.available_balance, told.currency),
        )

    async def identifiers(self, call: BankCall, account: str) -> list[Identifier]:
        """Return by what an account is reached: GET /accounts/{id}/identifiers."""
        body = await self._get(call, ["accounts", account, "identifiers"], "PAYEE")
        told = decoding.decode(body, IdentifiersBody, "GET identifiers").identifiers
        return [Identifier(kind=one.id_type, value=one.id_value, sub_id=one.sub_id_or_type) for one in told]

    async def fee(self, call: BankCall, account: str, role: Role, amount: Money, quote_id: str) -> Money:
        """Return what CREATE will take besides the amount; of a payee Fineract itself takes nothing.

        POST /quotes says whether the payer can pay at all, but tells a charge only where the account has
        ``withdrawalFeeForTransfers``, while CREATE books it anyway: so the charges themselves are read.
        """
        request = BankRequest(
            method="POST",
            path=(_ROOT, "quotes"),
            name="POST quotes",
            body={
                "transactionCode": call.payment,
                "quoteCode": quote_id,
                "accountId": account,
                "amount": money_body(amount),
                "amountType": "SEND",
                "transactionRole": role,
                "transactionType": {
                    "scenario": "TRANSFER",
                    "initiator": "PAYER",
                    "initiatorType": "CONSUMER",
                },
            },
        )
        try:
            answer = decoding.decode(await self._api.send(call, request), QuoteBody, request.name)
        except FineractRefusalError as error:
            raise AmsRefusalError(_reason(error, role)) from error
        if answer.state != "ACCEPTED" or answer.quote_code != quote_id:
            raise DisagreementError("POST quotes: the bank's answer is for another quote", RETRY_AFTER_MS)
        quoted = Money(0, amount.currency)
        if answer.fsp_fee is not None:
            if answer.fsp_fee.currency != amount.currency:
                raise DisagreementError("POST quotes: the fee is in another currency", PEOPLE_RETRY_MS)
            quoted = decoding.money(answer.fsp_fee.amount, answer.fsp_fee.currency, request.name)
        if role == "PAYEE":
            return quoted
        booked = await self._books.withdrawal_fee(call, account, amount)
        return quoted if booked is None else max(quoted, booked)

    async def reserve(self, call: BankCall, order: TransferOrder) -> None:
        """Hold the payer's funds: PREPARE.

        A code that was used says only that there was a hold: it may have been released since, and a
        CREATE would debit all the same. So the books are asked; where they do not tell, the hold is let
        go and the payment refused. A refusal for want of funds may be caused by our own hold, when the
        answer to an earlier PREPARE was lost: Fineract checks the balance first. So a hold is released
        before the payment is refused, and the code used up.
        """
        if call.attempt > 1:
            booked = await self._books.bookings(call, order.account, order.reference)
            if booked is not None and (booked.held is not None or booked.withdrawn is not None):
                await self._settle(call, order, booked)
                return
        try:
            await self._transfer(call, "PREPARE", "PAYER", order)
        except FineractRefusalError as error:
            if error.codes & refusals.CODE_USED:
                booked = await self._books.bookings(call, order.account, order.reference)
                await self._settle(call, order, booked)
                return
            if not error.not_found:
                await self._use_up(call, order)
            raise AmsRefusalError(_reason(error, "PAYER")) from error
        except DisagreementError as error:
            await self._release(call, order)
            raise AmsRefusalError(refusals.unsettled()) from error

    async def commit(self, call: BankCall, order: TransferOrder) -> None:
        """Take the held funds: CREATE. Not sent when the hold was released, since Fineract debits then."""
        if call.attempt > 1:
            booked = await self._books.bookings(call, order.account, order.reference)
            if booked is not None and booked.withdrawn is not None:
                _require_amount(booked.withdrawn == order.amount.decimal(), "CREATE PAYER")
                return
            if booked is not None and booked.is_released:
                raise JobFailedError("CREATE PAYER: the hold was released by others", PEOPLE_RETRY_MS)
        await self._book(call, "PAYER", order)

    async def release(self, call: BankCall, order: TransferOrder) -> None:
        """Let go of the held funds: RELEASE."""
        await self._release(call, order)

    async def credit(self, call: BankCall, order: TransferOrder) -> None:
        """Pay the payee: CREATE."""
        if call.attempt > 1:
            booked = await self._books.bookings(call, order.account, order.reference)
            if booked is not None and booked.deposited is not None:
                _require_amount(booked.deposited == order.amount.decimal(), "CREATE PAYEE")
                return
        await self._book(call, "PAYEE", order)

    async def repay_loan(self, call: BankCall, repayment: LoanRepayment) -> None:
        """Pay off a loan: POST /transactions/{loan}/loanrepayment, since Fineract 1.9."""
        await self._loans.repay(call, repayment, _today(call))

    async def _use_up(self, call: BankCall, order: TransferOrder) -> None:
        """Hold nothing, now and later: an earlier PREPARE may still be on its way.

        Fineract takes each transfer code once, so holding and releasing zero under it makes a late PREPARE
        a repetition, which is refused. Where zero cannot be held, the balance refuses the late one too.
        """
        try:
            await self._release(call, order)
        except ReleaseRefusedError:
            # The account was closed meanwhile, say: nothing can be held on it any more either.
            booked = await self._books.bookings(call, order.account, order.reference)
            in_doubt = call.attempt > 1 if booked is None else booked.is_open
            if in_doubt:
                raise
            return
        nothing = msgspec.structs.replace(
            order, amount=Money(0, order.amount.currency), fee=Money(0, order.amount.currency)
        )
        try:
            await self._transfer(call, "PREPARE", "PAYER", nothing, has_key=False)
        except FineractRefusalError:
            pass
        except JobFailedError as error:
            _logger.warning("payment %s: its code was not used up: %s", call.payment, error.message)
        await self._release(call, order)

    async def _settle(self, call: BankCall, order: TransferOrder, booked: Bookings | None) -> None:
        """Find out whether a transfer code that was used holds what is to be held; else hold nothing."""
        if booked is not None and booked.withdrawn is not None:
            raise JobFailedError("PREPARE: the bank has taken the money already", PEOPLE_RETRY_MS)
        total = order.amount.decimal() + order.fee.decimal()
        if booked is not None and booked.held == total and booked.is_open:
            return
        await self._release(call, order)
        raise AmsRefusalError(refusals.unsettled())

    async def _book(self, call: BankCall, role: Role, order: TransferOrder) -> None:
        try:
            await self._transfer(call, "CREATE", role, order)
        except FineractRefusalError as error:
            if error.codes & refusals.CODE_USED:
                return
            raise refused_booking(_reason(error, role), call.attempt) from error

    async def _release(self, call: BankCall, order: TransferOrder) -> None:
        """Release: sent without a key, since a refusal kept under one would hide a hold that came later."""
        try:
            await self._transfer(call, "RELEASE", "PAYER", order, has_key=False)
        except FineractRefusalError as error:
            # Nothing was created under this code, so a hold that is missing is released or never was.
            if refusals.HOLD_MISSING not in error.codes:
                raise ReleaseRefusedError(f"RELEASE: refused: {error}", PEOPLE_RETRY_MS) from error

    async def _transfer(
        self, call: BankCall, action: Action, role: Role, order: TransferOrder, *, has_key: bool = True
    ) -> None:
        """Act on a transfer: POST /transfers.

        The first attempts use one idempotency key, so that the bank repeats the answer it gave. Fineract
        keeps failures under a key too, forever: later attempts have keys of their own, and the transfer
        code keeps the booking single.
        """
        suffix = _SUFFIXES[role]
        if call.attempt > SAME_KEY_ATTEMPTS:
            suffix += str(call.attempt)
        request = BankRequest(
            method="POST",
            path=(_ROOT, "transfers"),
            name=f"POST transfers {action}",
            query={"action": action},
            key=f"{order.reference}:{suffix}" if has_key else "",
            body={
                "transactionCode": order.transaction_id,
                "transferCode": order.reference,
                "accountId": order.account,
                "amount": money_body(order.amount),
                "fspFee": money_body(order.fee),
                "transactionRole": role,
            },
        )
        answer = decoding.decode(await self._api.send(call, request), TransferBody, request.name)
        same = answer.transaction_code in (None, order.transaction_id)
        if answer.state != "ACCEPTED" or answer.transfer_code != order.reference or not same:
            raise DisagreementError(f"{action}: the bank's answer is for another transfer", RETRY_AFTER_MS)

    async def _get(self, call: BankCall, path: list[str], role: Role) -> bytes:
        request = BankRequest(method="GET", path=(_ROOT, *path), name=f"GET {path[0]}")
        try:
            return await self._api.send(call, request)
        except FineractRefusalError as error:
            raise AmsRefusalError(_reason(error, role)) from error


def _require_amount(is_same: bool, what: str) -> None:
    if not is_same:
        raise DisagreementError(f"{what}: the bank has booked another amount", PEOPLE_RETRY_MS)


def _reason(error: FineractRefusalError, role: Role) -> Reason:
    if error.not_found and refusals.HOLD_MISSING not in error.codes:
        return refusals.not_found(role)
    return refusals.refused(error.codes, role)


def _balance(amount: Decimal | None, currency: str) -> Money | None:
    return None if amount is None else decoding.signed(amount, currency)


def _today(call: BankCall) -> dt.date:
    """Return the bank's date.

    Raises:
        JobFailedError: there is no such time zone.
    """
    name = call.connection.time_zone
    try:
        zone = dt.UTC if name == "UTC" else ZoneInfo(name)  # a machine may have no zones at all
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise JobFailedError("the bank's time zone is not known", PEOPLE_RETRY_MS) from error
    return dt.datetime.fromtimestamp(call.context.clock() / 1000, zone).date()
