"""The banks' books and the switch's positions: read, compared, and what must hold of them. Pure."""

from typing import Any

import msgspec

from payhub_cli.demo import story
from payhub_cli.demo.story import PlannedPayment


class Account(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A member's account; amounts in minor units."""

    account_id: str
    balance: int
    held: int
    msisdn: str | None = None


class TrialBalance(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of both sides of a bank's ledger, minor units."""

    debits: int
    credits: int


class Totals(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a bank owes its members and earned, and its claim on the scheme, minor units."""

    savings: int
    settlement: int
    fee_income: int


class Ledger(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One bank's books."""

    accounts: list[Account]
    trial_balance: TrialBalance
    totals: Totals


class Position(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a bank owes the scheme (negative: has to get), and what of it is under way, minor units."""

    fsp_id: str
    position: int
    reserved: int


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """All books at one moment."""

    ledgers: dict[str, Ledger]
    positions: dict[str, Position]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """Something that must hold, and whether it does."""

    name: str
    holds: bool
    detail: str


def books(ledgers: dict[str, Any], positions: list[Any]) -> Books:
    """Read what the sandbox's admin interface answers."""
    rows = msgspec.convert(positions, list[Position])
    return Books(
        ledgers=msgspec.convert(ledgers, dict[str, Ledger]), positions={row.fsp_id: row for row in rows}
    )


def conservation(before: Books, after: Books, completed: list[PlannedPayment]) -> list[Check]:
    """Return the checks that no money was created or lost."""
    return [
        _each_ledger_balances(after),
        _same_total(before, after),
        _switch_agrees(before, after),
        _members_moved(before, after, story.movements(completed)),
    ]


def nothing_held(after: Books) -> Check:
    """Return the check that no reservation is left, at a bank or at the switch."""
    held = sum(account.held for ledger in after.ledgers.values() for account in ledger.accounts)
    reserved = sum(position.reserved for position in after.positions.values())
    return Check(
        name="no reservation is left",
        holds=held == 0 and reserved == 0,
        detail=f"held at banks {held}, reserved at the switch {reserved}",
    )


def _each_ledger_balances(after: Books) -> Check:
    crooked = [
        fsp
        for fsp, ledger in after.ledgers.items()
        if ledger.trial_balance.debits != ledger.trial_balance.credits
    ]
    return Check(
        name="each bank's debits equal its credits", holds=not crooked, detail=", ".join(crooked) or "all do"
    )


def _same_total(before: Books, after: Books) -> Check:
    was, now = _owned(before), _owned(after)
    return Check(name="nothing was created or lost", holds=was == now, detail=f"before {was}, after {now}")


def _owned(all_books: Books) -> int:
    return sum(ledger.totals.savings + ledger.totals.fee_income for ledger in all_books.ledgers.values())


def _switch_agrees(before: Books, after: Books) -> Check:
    """A bank's claim on the scheme shrinks by what it owes the scheme more."""
    unknown = [fsp for fsp in after.ledgers if not (fsp in before.positions and fsp in after.positions)]
    name = "banks and switch agree, positions net to zero"
    if unknown:
        return Check(name=name, holds=False, detail=f"the switch does not know {', '.join(unknown)}")
    differing = [
        fsp
        for fsp, ledger in after.ledgers.items()
        if ledger.totals.settlement - before.ledgers[fsp].totals.settlement
        != before.positions[fsp].position - after.positions[fsp].position
    ]
    net = sum(position.position for position in after.positions.values())
    return Check(
        name=name,
        holds=not differing and net == 0,
        detail=", ".join(differing) or f"net {net}",
    )


def _members_moved(before: Books, after: Books, expected: dict[str, int]) -> Check:
    wrong = []
    for fsp, ledger in after.ledgers.items():
        was = {account.account_id: account.balance for account in before.ledgers[fsp].accounts}
        for account in ledger.accounts:
            change = account.balance - was.get(account.account_id, 0)
            if change != expected.get(account.msisdn or "", 0):
                wrong.append(account.account_id)
    return Check(
        name="each member moved by exactly the completed payments",
        holds=not wrong,
        detail=", ".join(wrong) or "all did",
    )
