"""Loan accounts: repayments and disbursements through the interoperation API. Pure.

Fineract passes these bodies to its ordinary loan commands: unlike transfers, a repeat is booked again unless
its Idempotency-Key is known.
"""

from datetime import date, datetime
from typing import Any, Final

import msgspec

from payhub_platform.clock import Clock
from payhub_sandbox.bank.amounts import is_exact, number, rounded_minor
from payhub_sandbox.bank.ledger import OVERPAYMENTS, SETTLEMENT, Entry, Ledger, loan_portfolio
from payhub_sandbox.bank.refusal import (
    LOAN_NOT_FOUND,
    invalid,
    not_found,
    parameter_error,
    rule_violation,
    unavailable,
)
from payhub_sandbox.bank.requests import exact_decimal
from payhub_sandbox.bank.times import business_date, date_array

LOANS_MAX: Final = 10_000
REPAYMENTS_MAX: Final = 100_000  # of one loan; the bank refuses rather than forgets one
FUTURE_DATE: Final = "error.msg.loan.transaction.cannot.be.a.future.date"
NOT_ACTIVE: Final = "error.msg.loan.not.active"

_DATE_FORMATS: Final = {"yyyy-MM-dd": "%Y-%m-%d", "dd MMMM yyyy": "%d %B %Y", "dd/MM/yyyy": "%d/%m/%Y"}
_REPAYMENT_FIELDS: Final = frozenset(
    "transactionDate transactionAmount dateFormat locale note paymentTypeId accountNumber checkNumber "
    "routingCode receiptNumber bankNumber externalId".split()
)


class Loan(msgspec.Struct, kw_only=True):
    """A member's loan; what is outstanding is in the ledger.

    Attributes:
        account_no: the only id that the interoperation API knows of a loan.
        number: internal id.
        repayments: transaction ids, amounts in minor units and receipt numbers.
    """

    account_no: str
    number: int
    name: str
    repayments: list[tuple[int, int, str]] = []


class LoanDesk:
    """The loans of one bank."""

    def __init__(self, currency: str, ledger: Ledger, clock: Clock) -> None:
        self._currency = currency
        self._ledger = ledger
        self._clock = clock
        self._loans: dict[str, Loan] = {}
        self._last_transaction = 0

    def open(self, account_no: str, name: str, principal_minor: int, source: str) -> Loan:
        """Lend: the principal goes out of ``source``; a loan that is there is left as it is."""
        loan = self._loans.get(account_no)
        if loan is None:
            loan = Loan(account_no=account_no, number=len(self._loans) + 1, name=name)
            self._loans[account_no] = loan
            portfolio = loan_portfolio(account_no)
            self._ledger.book(Entry(debit=portfolio, credit=source, amount=principal_minor, reference="loan"))
        return loan

    def all(self) -> list[Loan]:
        """Return all loans."""
        return list(self._loans.values())

    def outstanding(self, loan: Loan) -> int:
        """Return what is still owed, minor units."""
        return self._ledger.debit_balance(loan_portfolio(loan.account_no))

    def get_loan(self, number_text: str) -> dict[str, Any]:
        """GET /loans/{loanId}; also by account number, where the account number is asked for."""
        loan = next((one for one in self._loans.values() if str(one.number) == number_text), None)
        loan = loan or self._loan(number_text)
        outstanding = self.outstanding(loan)
        active = outstanding > 0
        status = {"id": 300, "code": "loanStatusType.active", "value": "Active", "active": True}
        closed = {
            "id": 600,
            "code": "loanStatusType.closed.obligations.met",
            "value": "Closed",
            "active": False,
        }
        return {
            "id": loan.number,
            "accountNo": loan.account_no,
            "clientName": loan.name,
            "currency": {"code": self._currency},
            "status": status if active else closed,
            "summary": {
                "totalOutstanding": number(outstanding, self._currency),
                "totalRepayment": number(sum(row[1] for row in loan.repayments), self._currency),
            },
            "transactions": [
                {
                    "id": transaction,
                    "type": {"code": "loanTransactionType.repayment"},
                    "amount": number(amount, self._currency),
                    "paymentDetailData": {"receiptNumber": receipt},
                }
                for transaction, amount, receipt in loan.repayments
            ],
        }

    def repay(self, account_no: str, values: dict[str, Any]) -> dict[str, Any]:
        """POST /transactions/{loanAccountNo}/loanrepayment: from settlement to the portfolio.

        What is paid too much is kept as an overpayment, as Fineract does.

        Raises:
            BankRefusalError: 404 no such loan, 400 a field, 403 a closed loan or a date in the future.
        """
        loan = self._loan(account_no)
        amount, day = self._read(values)
        outstanding = self.outstanding(loan)
        if len(loan.repayments) >= REPAYMENTS_MAX:
            raise unavailable()
        if outstanding <= 0:
            raise rule_violation(NOT_ACTIVE, "The loan is not active.", account_no)
        if day > business_date(self._clock()):
            raise rule_violation(FUTURE_DATE, "The transaction date cannot be in the future.")
        receipt = str(values.get("receiptNumber", ""))
        portfolio = loan_portfolio(account_no)
        due = min(amount, outstanding)
        self._ledger.book(Entry(debit=SETTLEMENT, credit=portfolio, amount=due, reference=receipt))
        if amount > due:
            surplus = Entry(debit=SETTLEMENT, credit=OVERPAYMENTS, amount=amount - due, reference=receipt)
            self._ledger.book(surplus)
        self._last_transaction += 1
        loan.repayments.append((self._last_transaction, amount, receipt))
        return {
            "officeId": 1,
            "clientId": loan.number,
            "loanId": loan.number,
            "resourceId": self._last_transaction,
            "changes": {
                "transactionDate": date_array(day),
                "transactionAmount": values["transactionAmount"],
                "locale": values["locale"],
                "dateFormat": values["dateFormat"],
            },
        }

    def _loan(self, account_no: str) -> Loan:
        loan = self._loans.get(account_no)
        if loan is None:
            raise not_found(LOAN_NOT_FOUND, f"Loan with account number {account_no} does not exist.")
        return loan

    def _read(self, values: dict[str, Any]) -> tuple[int, date]:
        """Return amount in minor units and date of a repayment."""
        errors = [
            parameter_error(
                "error.msg.parameter.unsupported", f"The parameter {name} is not supported.", name
            )
            for name in sorted(set(values) - _REPAYMENT_FIELDS)
        ]
        for name in ("locale", "dateFormat"):
            if not isinstance(values.get(name), str):
                text = f"The parameter {name} is mandatory."
                errors.append(parameter_error(f"validation.msg.missing.{name}.parameter", text, name))
        amount = exact_decimal(values.get("transactionAmount"))
        if amount is None or amount <= 0 or not is_exact(amount, self._currency):
            code = "validation.msg.loan.transaction.transactionAmount.not.greater.than.zero"
            errors.append(parameter_error(code, "The amount must be above zero.", "transactionAmount"))
        day = _read_date(values.get("transactionDate"), values.get("dateFormat"))
        if day is None:
            code = "validation.msg.invalid.dateFormat.format"
            errors.append(parameter_error(code, "The date does not fit its format.", "transactionDate"))
        if errors or amount is None or day is None:
            raise invalid(errors)
        return rounded_minor(amount, self._currency), day


def _read_date(text: object, pattern: object) -> date | None:
    known = _DATE_FORMATS.get(pattern) if isinstance(pattern, str) else None
    if known is None or not isinstance(text, str):
        return None
    try:
        return datetime.strptime(text, known).date()  # noqa: DTZ007 - a date has no zone
    except ValueError:
        return None
