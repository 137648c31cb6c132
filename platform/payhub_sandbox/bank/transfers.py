"""PREPARE, CREATE and RELEASE: Fineract's state machine per account and transfer code.

With ``quirks`` (the default) it behaves as Fineract 1.5 to 1.11 does: the two refusal codes of repeats
are swapped, a CREATE after a RELEASE debits, and a payee's PREPARE looks at nothing.
"""

from typing import Final, Literal

from payhub_platform.clock import Clock
from payhub_sandbox.bank.account import Account, Hold
from payhub_sandbox.bank.amounts import is_exact, number, rounded_minor
from payhub_sandbox.bank.ledger import FEE_INCOME, SETTLEMENT, Entry, Ledger, savings_control
from payhub_sandbox.bank.refusal import (
    BLOCKED,
    CODE_COMMITTED,
    CODE_ON_HOLD,
    CREDITS_BLOCKED,
    DEBITS_BLOCKED,
    HOLD_MISSING,
    INSUFFICIENT,
    BankRefusalError,
    not_found,
    rule_violation,
    unavailable,
)
from payhub_sandbox.bank.requests import Command

Action = Literal["PREPARE", "CREATE", "RELEASE"]
ACTIONS: Final[tuple[Action, ...]] = ("PREPARE", "CREATE", "RELEASE")


class TransferDesk:
    """Carries out transfer actions on an account; each is done whole or refused whole."""

    def __init__(self, ledger: Ledger, clock: Clock, *, quirks: bool) -> None:
        self._ledger = ledger
        self._clock = clock
        self._quirks = quirks

    def available(self, account: Account) -> int:
        """Return the balance less what is held, minor units."""
        return self.balance(account) - account.held

    def balance(self, account: Account) -> int:
        """Return the ledger balance, minor units."""
        return self._ledger.credit_balance(savings_control(account.account_id))

    def prepare(self, account: Account, command: Command) -> None:
        """Hold ``amount + fspFee - fspCommission`` for a payer."""
        total = _total(command)
        if self.available(account) < total:
            raise _insufficient(account, command, self.available(account), total)
        if command.code in account.holds:
            raise _repeated(CODE_COMMITTED if self._quirks else CODE_ON_HOLD)
        if not account.has_room:
            raise unavailable()
        row = account.add_row("AMOUNT_HOLD", total, command.code, self._clock())
        account.holds[command.code] = Hold(amount=total, row=row)
        account.held += total

    def create_payer(self, account: Account, command: Command) -> None:
        """Release the hold and debit the payer: the amount to settlement, the product's fee to income."""
        if command.code in account.withdrawn:
            raise _repeated(CODE_ON_HOLD if self._quirks else CODE_COMMITTED)
        hold = account.holds.get(command.code)
        total = _total(command)
        # A hold is rounded when it is stored, the request's total is not: surplus decimals never match.
        if hold is None or hold.amount != total or not _is_exact(command):
            raise _hold_missing()
        if hold.released and not self._quirks:
            raise _hold_missing()
        own_hold = 0 if hold.released else hold.amount
        available = self.available(account) + own_hold
        if available < total:
            raise _insufficient(account, command, available, total)
        _refuse_blocked(account, "BLOCK_DEBIT", DEBITS_BLOCKED)
        amount = rounded_minor(command.amount.amount, command.amount.currency)
        fee = account.fee_on(amount)
        if available < amount + fee:
            raise _insufficient(account, command, available, amount + fee)
        if not hold.released:
            self._release(account, command.code, hold)
        account.withdrawn.add(command.code)
        control = savings_control(account.account_id)
        if fee:
            account.add_row("WITHDRAWAL_FEE", fee, "", self._clock())
        account.add_row("WITHDRAWAL", amount, command.code, self._clock())
        self._book(control, FEE_INCOME, fee, f"{command.code}:fee")
        self._book(control, SETTLEMENT, amount, command.code)
        _revive(account)

    def create_payee(self, account: Account, command: Command) -> None:
        """Credit the payee from settlement; fee and commission of the request are ignored."""
        if command.code in account.deposited:
            raise _repeated(CODE_ON_HOLD if self._quirks else CODE_COMMITTED)
        _refuse_blocked(account, "BLOCK_CREDIT", CREDITS_BLOCKED)
        if not account.has_room:
            raise unavailable()
        amount = rounded_minor(command.amount.amount, command.amount.currency)
        account.deposited.add(command.code)
        account.add_row("DEPOSIT", amount, command.code, self._clock())
        self._book(SETTLEMENT, savings_control(account.account_id), amount, command.code)
        _revive(account)

    def release(self, account: Account, command: Command) -> None:
        """Release the hold; the role is not compared."""
        hold = account.holds.get(command.code)
        if hold is None or hold.released:
            raise _hold_missing()
        self._release(account, command.code, hold)

    def _release(self, account: Account, code: str, hold: Hold) -> None:
        hold.released = True
        account.held -= hold.amount
        hold.row.release_id = account.add_row("AMOUNT_RELEASE", hold.amount, code, self._clock()).row_id

    def _book(self, debit: str, credit: str, amount: int, reference: str) -> None:
        if amount:
            self._ledger.book(Entry(debit=debit, credit=credit, amount=amount, reference=reference))


def _total(command: Command) -> int:
    """Return what a hold is made of, minor units, never below zero."""
    parts = [(command.amount, 1), (command.fee, 1), (command.commission, -1)]
    total = sum(
        sign * rounded_minor(part.amount, command.amount.currency) for part, sign in parts if part is not None
    )
    return max(total, 0)


def _is_exact(command: Command) -> bool:
    parts = (command.amount, command.fee, command.commission)
    return all(part is None or is_exact(part.amount, command.amount.currency) for part in parts)


def _refuse_blocked(account: Account, side: str, code: str) -> None:
    if account.sub_status == "BLOCK":
        raise rule_violation(BLOCKED, "Account is blocked. No transaction is allowed.")
    if account.sub_status == side:
        raise rule_violation(code, "This kind of transaction is blocked on the account.")


def _revive(account: Account) -> None:
    if account.sub_status in ("INACTIVE", "DORMANT"):
        account.sub_status = "NONE"


def _insufficient(account: Account, command: Command, available: int, total: int) -> BankRefusalError:
    currency = command.amount.currency
    args = (account.account_id, number(available, currency), None, number(total, currency))
    return rule_violation(INSUFFICIENT, "Insufficient account balance.", *args)


def _repeated(code: str) -> BankRefusalError:
    return rule_violation(code, "The transfer was handled already.")


def _hold_missing() -> BankRefusalError:
    return not_found(HOLD_MISSING, "There is no such transfer on hold.")
