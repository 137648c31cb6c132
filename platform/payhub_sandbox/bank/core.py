"""One core bank: accounts, identifiers, quotes and transfers. Pure: time comes in through the clock."""

from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec

from payhub_platform.clock import Clock
from payhub_platform.errors import InvalidInputError
from payhub_platform.money import CURRENCIES, Money
from payhub_sandbox.bank import savings
from payhub_sandbox.bank.account import BASIS_POINTS, Account, Status, SubStatus
from payhub_sandbox.bank.amounts import number, rounded_minor
from payhub_sandbox.bank.identifiers import Identifier, Identifiers
from payhub_sandbox.bank.ledger import VAULT, Entry, Ledger, savings_control
from payhub_sandbox.bank.loans import LOANS_MAX, Loan, LoanDesk
from payhub_sandbox.bank.refusal import (
    ACCOUNT_NOT_FOUND,
    DIFFERENT_CURRENCIES,
    INSUFFICIENT_AT_QUOTE,
    NOT_ALLOWED,
    not_found,
    rule_violation,
    server_error,
    unavailable,
)
from payhub_sandbox.bank.requests import Command
from payhub_sandbox.bank.times import business_date, date_array, timestamp
from payhub_sandbox.bank.transfers import Action, TransferDesk

ACCOUNTS_MAX: Final = 100_000


class NewAccount(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """An account that the bank's administrator opens."""

    account_id: str
    name: str
    balance: str  # decimal text in major units
    msisdn: str | None = None
    status: Status = "ACTIVE"
    sub_status: SubStatus = "NONE"
    withdrawal_fee: str = "0"  # decimal text in major units
    withdrawal_fee_basis_points: Annotated[int, msgspec.Meta(ge=0, le=BASIS_POINTS)] = 0
    withdrawal_fee_for_transfers: bool = False


class NewLoan(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A loan that the bank's administrator grants; the money goes out in cash."""

    account_no: str
    name: str
    principal: str  # decimal text in major units


class Bank:
    """The books of one bank.

    Every method that starts with a verb of the API returns the JSON object of its answer, or raises
    BankRefusalError.
    """

    def __init__(self, currency: str, clock: Clock, *, quirks: bool = True) -> None:
        self.currency = currency
        self.ledger = Ledger()
        self.identifiers = Identifiers()
        self.desk = TransferDesk(self.ledger, clock, quirks=quirks)
        self.loans = LoanDesk(currency, self.ledger, clock)
        self._clock = clock
        self._quirks = quirks
        self._accounts: dict[str, Account] = {}

    def open_account(self, new: NewAccount) -> Account:
        """Open an account with money from the vault; an account that is there is left as it is.

        Raises:
            InvalidInputError: an amount is not usable.
        """
        known = self._accounts.get(new.account_id)
        if known is not None:
            return known
        if len(self._accounts) >= ACCOUNTS_MAX:
            raise unavailable()
        balance = Money.parse(new.balance, self.currency, where="/balance").minor
        fee = Money.parse(new.withdrawal_fee, self.currency, where="/withdrawalFee").minor
        account = Account(
            account_id=new.account_id,
            number=len(self._accounts) + 1,
            name=new.name,
            status=new.status,
            sub_status=new.sub_status,
            withdrawal_fee=fee,
            withdrawal_fee_basis_points=new.withdrawal_fee_basis_points,
            fee_is_quoted=new.withdrawal_fee_for_transfers,
        )
        if new.msisdn is not None:
            self.identifiers.add(new.account_id, "MSISDN", new.msisdn, None)
        self._accounts[new.account_id] = account
        if balance:
            control = savings_control(new.account_id)
            self.ledger.book(Entry(debit=VAULT, credit=control, amount=balance, reference="opening"))
        return account

    def open_loan(self, new: NewLoan) -> Loan:
        """Grant a loan; one that is there is left as it is.

        Raises:
            InvalidInputError: the principal is no amount above zero.
        """
        principal = Money.parse(new.principal, self.currency, where="/principal").minor
        if not principal:
            raise InvalidInputError("invalid-amount", "A loan is of more than nothing.", "/principal")
        if len(self.loans.all()) >= LOANS_MAX:
            raise unavailable()
        return self.loans.open(new.account_no, new.name, principal, VAULT)

    def accounts(self) -> list[Account]:
        """Return all accounts in the order they were opened."""
        return list(self._accounts.values())

    def account(self, account_id: str) -> Account:
        """Return an account.

        Raises:
            BankRefusalError: 404.
        """
        account = self._accounts.get(account_id)
        if account is None:
            raise not_found(ACCOUNT_NOT_FOUND, f"Saving account with id {account_id} does not exist.")
        return account

    def get_account(self, account_id: str) -> dict[str, Any]:
        """GET /accounts/{accountId}."""
        account = self.account(account_id)
        today = date_array(business_date(self._clock()))
        return {
            "accountId": account.account_id,
            "savingProductId": "1",
            "productName": "Ordinary Savings",
            "shortProductName": "OSAV",
            "currency": self.currency,
            "accountBalance": number(self.desk.balance(account), self.currency),
            "availableBalance": number(self.desk.available(account), self.currency),
            "status": account.status,
            "subStatus": account.sub_status,
            "accountType": "INDIVIDUAL",
            "depositType": "SAVINGS_DEPOSIT",
            "activatedOn": today,
            "statusUpdateOn": today,
            "balanceOn": today,
            **self.get_identifiers(account_id),
            "clientId": account.number,
        }

    def get_transactions(self, account_id: str, *, debit: bool, credit: bool) -> dict[str, Any]:
        """GET /accounts/{accountId}/transactions; the row id that 1.10 reads is null, hence its failure."""
        account = self.account(account_id)
        rows = savings.listing(account, self.currency, debit=debit, credit=credit)
        return {"transactions": rows, "resourceId": account.number}

    def get_savings_account(self, account_id: str, *, transactions: bool) -> dict[str, Any]:
        """GET /savingsaccounts/external-id/{externalId}[?associations=transactions]."""
        account = self.account(account_id)
        balance, available = self.desk.balance(account), self.desk.available(account)
        return savings.savings_account(account, self.currency, balance, available, transactions=transactions)

    def get_kyc(self, account_id: str) -> dict[str, Any]:
        """GET /accounts/{accountId}/kyc."""
        account = self.account(account_id)
        first, _, last = account.name.partition(" ")
        return {
            "nationality": "KE",
            "contactPhone": next(
                (row.value for row in self.identifiers.of_account(account_id) if row.type == "MSISDN"), None
            ),
            "subjectName": {"firstName": first, "lastName": last, "displayName": account.name},
        }

    def get_identifiers(self, account_id: str) -> dict[str, Any]:
        """GET /accounts/{accountId}/identifiers."""
        self.account(account_id)
        rows = [_identifier_body(row) for row in self.identifiers.of_account(account_id)]
        return {"identifiers": rows}

    def create_identifier(
        self, account_id: str, kind: str, value: str, sub_value: str | None
    ) -> dict[str, Any]:
        """POST /parties/{idType}/{idValue}[/{subIdOrType}]."""
        self.account(account_id)
        return _party_body(self.identifiers.add(account_id, kind, value, sub_value))

    def get_party(self, kind: str, value: str, sub_value: str | None) -> dict[str, Any]:
        """GET /parties/{idType}/{idValue}[/{subIdOrType}]."""
        return _party_body(self.identifiers.find(kind, value, sub_value))

    def delete_identifier(self, kind: str, value: str, sub_value: str | None) -> dict[str, Any]:
        """DELETE /parties/{idType}/{idValue}[/{subIdOrType}]."""
        return _party_body(self.identifiers.remove(kind, value, sub_value))

    def create_request(self, command: Command) -> dict[str, Any]:
        """POST /requests."""
        self._checked_account(command)
        return {"requestCode": command.code, **self._outcome(command)}

    def create_quote(self, command: Command) -> dict[str, Any]:
        """POST /quotes: nothing is stored; only a payer's funds are looked at."""
        account = self._checked_account(command)
        fee = 0
        if command.role == "PAYER":
            amount = rounded_minor(command.amount.amount, self.currency)
            fee = account.fee_on(amount) if account.fee_is_quoted else 0
            total = amount + fee
            if self.desk.available(account) < total:
                raise rule_violation(
                    INSUFFICIENT_AT_QUOTE,
                    "Insufficient account balance.",
                    account.account_id,
                    number(total, self.currency),
                )
        money = {"amount": number(fee, self.currency), "currency": self.currency}
        return {"quoteCode": command.code, "fspFee": money, **self._outcome(command)}

    def transfer(self, action: Action, command: Command) -> dict[str, Any]:
        """POST /transfers?action=PREPARE|CREATE|RELEASE."""
        at_ms = self._clock()
        skipped = action == "PREPARE" and command.role == "PAYEE"
        if not (skipped and self._quirks):
            account = self._checked_account(command)
            if not skipped:
                self._act(action, command.role)(account, command)
        completed = timestamp(at_ms)
        return {
            "transferCode": command.code,
            "completedTimestamp": completed,
            **self._outcome(command),
        }

    def _act(self, action: Action, role: str) -> Callable[[Account, Command], None]:
        if action == "PREPARE":
            return self.desk.prepare
        if action == "RELEASE":
            return self.desk.release
        return self.desk.create_payer if role == "PAYER" else self.desk.create_payee

    def _checked_account(self, command: Command) -> Account:
        """Return the account of a command when it is active, in its currency and not of the future."""
        account = self.account(command.account_id)
        for money in (command.amount, command.fee, command.commission):
            if money is not None and money.currency not in CURRENCIES:
                raise server_error()
            if money is not None and money.currency != self.currency:
                raise rule_violation(DIFFERENT_CURRENCIES, "The currencies differ.", money.currency)
        today = business_date(self._clock())
        is_future = command.expiration is not None and command.expiration.date() > today
        if account.status != "ACTIVE" or is_future:
            raise rule_violation(NOT_ALLOWED, "The transaction is not allowed.", account.account_id)
        return account

    @staticmethod
    def _outcome(command: Command) -> dict[str, Any]:
        outcome: dict[str, Any] = {"transactionCode": command.transaction_code, "state": "ACCEPTED"}
        if command.expiration is not None:
            outcome["expiration"] = command.expiration.strftime("%Y-%m-%dT%H:%M:%S%z")
        if command.extension_list is not None:
            outcome["extensionList"] = command.extension_list
        return outcome


def _identifier_body(row: Identifier) -> dict[str, Any]:
    body = {"idType": row.type, "idValue": row.value}
    return body if row.sub_value is None else body | {"subIdOrType": row.sub_value}


def _party_body(row: Identifier) -> dict[str, Any]:
    return {
        "accountId": row.account_id,
        "resourceId": row.row_id,
        "resourceIdentifier": str(row.row_id),
    }
