"""Loan repayments through Fineract: kept single by the transaction's external id, which is unique there."""

import datetime as dt
from decimal import Decimal
from typing import Any, Final

import msgspec

from payhub_engines.connectors.ams import decoding, refusals
from payhub_engines.connectors.ams.errors import (
    PEOPLE_RETRY_MS,
    RETRY_AFTER_MS,
    AmsRefusalError,
    DisagreementError,
    refused_booking,
)
from payhub_engines.connectors.ams.fineract_api import (
    FineractApi,
    FineractNotServedError,
    FineractRefusalError,
)
from payhub_engines.connectors.ams.fineract_books import HISTORY_BYTES_MAX
from payhub_engines.connectors.ams.model import BankCall, LoanRepayment
from payhub_engines.connectors.ams.transport import BankRequest
from payhub_engines.connectors.http import AnswerTooLongError

_SUFFIX: Final = "L"
SAME_KEY_ATTEMPTS: Final = 2


class _LoanRow(msgspec.Struct, rename="camel"):
    id: int
    account_no: str


class _LoansBody(msgspec.Struct, rename="camel"):
    page_items: list[_LoanRow] = []


class _TransactionRow(msgspec.Struct, rename="camel"):
    amount: Decimal
    external_id: Any = None


class _LoanBody(msgspec.Struct):
    transactions: list[_TransactionRow] = []


class _DoneBody(msgspec.Struct, rename="camel"):
    resource_id: int


class FineractLoans:
    """Repays loans by their account numbers."""

    def __init__(self, api: FineractApi) -> None:
        self._api = api

    async def repay(self, call: BankCall, repayment: LoanRepayment, today: dt.date) -> None:
        """Repay once: POST /interoperation/transactions/{loan}/loanrepayment.

        Where this Fineract does not tell a loan's transactions, the idempotency key stays the same for good:
        nothing but the external id would keep a repetition single then.

        Raises:
            AmsRefusalError: the loan does not exist, or cannot be repaid.
            JobFailedError: whether it is repaid is not known, or was refused as a repetition: the next
                attempt asks first.
        """
        if decoding.is_path_step(repayment.loan_account):
            raise AmsRefusalError(refusals.not_found("PAYEE"))
        booked = await self._booked(call, repayment) if call.attempt > 1 else None
        if booked:
            return
        is_new_key = booked is False and call.attempt > SAME_KEY_ATTEMPTS
        suffix = f"{_SUFFIX}{call.attempt}" if is_new_key else _SUFFIX
        request = BankRequest(
            method="POST",
            path=("interoperation", "transactions", repayment.loan_account, "loanrepayment"),
            name="POST loanrepayment",
            key=f"{repayment.reference}:{suffix}",
            body={
                "transactionDate": today.isoformat(),
                "transactionAmount": repayment.amount.decimal_text(),
                "externalId": repayment.reference,
                "dateFormat": "yyyy-MM-dd",
                "locale": "en",
            },
        )
        try:
            decoding.decode(await self._api.send(call, request), _DoneBody, request.name)
        except FineractRefusalError as error:
            known = refusals.refused(error.codes, "PAYEE")
            reason = refusals.not_found("PAYEE") if error.not_found else known
            raise refused_booking(reason, call.attempt) from error

    async def _booked(self, call: BankCall, repayment: LoanRepayment) -> bool | None:
        """Tell whether the repayment is booked; None where this Fineract does not tell."""
        loan = await self._loan_id(call, repayment.loan_account)
        if loan is None:
            return None
        request = BankRequest(
            method="GET",
            path=("loans", str(loan)),
            name="GET loan transactions",
            query={"associations": "transactions"},
            answer_bytes_max=HISTORY_BYTES_MAX,
        )
        try:
            told = decoding.decode(await self._api.send(call, request), _LoanBody, request.name)
        except (FineractRefusalError, FineractNotServedError, AnswerTooLongError):
            return None
        found = [row.amount for row in told.transactions if row.external_id == repayment.reference]
        if any(amount != repayment.amount.decimal() for amount in found):
            raise DisagreementError("loanrepayment: the bank has booked another amount", PEOPLE_RETRY_MS)
        return bool(found)

    async def _loan_id(self, call: BankCall, loan_account: str) -> int | None:
        request = BankRequest(
            method="GET", path=("loans",), name="GET loans", query={"accountNo": loan_account, "limit": "2"}
        )
        try:
            found = decoding.decode(await self._api.send(call, request), _LoansBody, request.name)
        except (FineractRefusalError, FineractNotServedError):
            return None
        loans = [row.id for row in found.page_items if row.account_no == loan_account]
        if len(loans) > 1:
            raise DisagreementError("GET loans: one number, several loans", RETRY_AFTER_MS)
        return loans[0] if loans else None
