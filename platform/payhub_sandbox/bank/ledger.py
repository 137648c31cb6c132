"""A double-entry ledger in minor units of one currency. Pure."""

from collections import deque
from typing import Final

import msgspec

JOURNAL_KEPT: Final = 10_000

SETTLEMENT: Final = "mojaloop-settlement"
FEE_INCOME: Final = "fee-income"
VAULT: Final = "vault-cash"
SAVINGS_PREFIX: Final = "savings:"
LOAN_PREFIX: Final = "loan:"
OVERPAYMENTS: Final = "loan-overpayments"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One journal entry: the same amount, in minor units, debited and credited."""

    debit: str
    credit: str
    amount: int
    reference: str


class TrialBalance(msgspec.Struct, frozen=True):
    """Sums of all debit balances and of all credit balances, minor units; equal while books are right."""

    debits: int
    credits: int


class Ledger:
    """General ledger accounts by name: savings control per member, settlement, fee income, vault."""

    def __init__(self) -> None:
        self._balances: dict[str, int] = {}  # debits less credits, minor units
        self._recent: deque[Entry] = deque(maxlen=JOURNAL_KEPT)
        self.entries = 0

    def book(self, entry: Entry) -> None:
        """Book an entry.

        Raises:
            ValueError: the amount is not positive, or both sides are the same account.
        """
        if entry.amount <= 0 or entry.debit == entry.credit:
            raise ValueError("an entry moves a positive amount between two accounts")
        self._balances[entry.debit] = self._balances.get(entry.debit, 0) + entry.amount
        self._balances[entry.credit] = self._balances.get(entry.credit, 0) - entry.amount
        self._recent.append(entry)
        self.entries += 1

    def debit_balance(self, name: str) -> int:
        """Return debits less credits of an account: what an asset is worth."""
        return self._balances.get(name, 0)

    def credit_balance(self, name: str) -> int:
        """Return credits less debits of an account: what is owed, or earned."""
        return -self._balances.get(name, 0)

    def recent(self) -> list[Entry]:
        """Return the latest entries, oldest first."""
        return list(self._recent)

    def trial_balance(self) -> TrialBalance:
        """Add up both sides."""
        balances = self._balances.values()
        debits = sum(balance for balance in balances if balance > 0)
        return TrialBalance(debits, -sum(balance for balance in balances if balance < 0))


def savings_control(account_id: str) -> str:
    """Return the name of a member's savings control account (a liability of the bank)."""
    return SAVINGS_PREFIX + account_id


def loan_portfolio(account_no: str) -> str:
    """Return the name of a loan's portfolio account (an asset of the bank)."""
    return LOAN_PREFIX + account_no
