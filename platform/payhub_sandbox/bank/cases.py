"""Forced cases of a bank: amounts and identifiers that always meet one certain behaviour.

The table below is the only one: docs/sandbox.md and the guide page print it. It applies where the sandbox is
started with it (``payhub sandbox`` is).
"""

from decimal import Decimal
from typing import Final, Literal

import msgspec

SLOW_MS: Final = 5_000
LATE_MS: Final = 40_000

Operation = Literal["quote", "PREPARE", "CREATE", "RELEASE", "loanrepayment", "party", "account"]
Behaviour = Literal["slow", "late", "down", "error", "crash", "twice", "disagrees"]
BEHAVIOURS: Final[dict[Behaviour, str]] = {
    "slow": "done, and answered after 5 seconds",
    "late": "done, and answered after 40 seconds",
    "down": "HTTP 503, nothing is done",
    "error": "HTTP 500, nothing is done",
    "crash": "done, but answered 500; the Idempotency-Key stays under processing (425)",
    "twice": "a proxy sends it to the bank twice; the caller sees the second answer",
    "disagrees": "done, but the answer names another code, account or currency than was sent",
}

_FIRST: Final[dict[Operation, int]] = {
    "quote": 100,
    "PREPARE": 120,
    "CREATE": 140,
    "RELEASE": 160,
    "loanrepayment": 180,
}
_PREFIX: Final = "254980"
_SUFFIX_DIGITS: Final = 3
_READ: Final = frozenset({"slow", "late", "down", "error", "disagrees"})


class BankCase(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """One row: what it applies to and what happens.

    Attributes:
        operation: transfers by their action.
        amount: last three digits of the amount's whole units, or empty.
        identifier: how the identifier's value, or the account id, begins; or empty.
    """

    operation: Operation
    amount: str = ""
    identifier: str = ""
    behaviour: Behaviour


def _table() -> tuple[BankCase, ...]:
    rows = [
        BankCase(operation=operation, amount=str(first + at), behaviour=behaviour)
        for operation, first in _FIRST.items()
        for at, behaviour in enumerate(BEHAVIOURS, start=1)
        if operation != "quote" or behaviour in _READ
    ]
    rows += [
        BankCase(operation="party", identifier=f"{_PREFIX}{at:03d}", behaviour=behaviour)
        for at, behaviour in enumerate(BEHAVIOURS, start=1)
        if behaviour in _READ
    ]
    rows += [
        BankCase(operation="account", identifier=f"CASE-{behaviour.upper()}", behaviour=behaviour)
        for behaviour in BEHAVIOURS
        if behaviour in _READ
    ]
    return tuple(rows)


TABLE: Final = _table()
_BY_AMOUNT: Final = {(row.operation, row.amount): row for row in TABLE if row.amount}


def case_of_amount(operation: Operation, amount: Decimal | None) -> Behaviour | None:
    """Return what is forced upon an operation with this amount, in major units."""
    if amount is None or not amount.is_finite():
        return None
    row = _BY_AMOUNT.get((operation, str(int(amount))[-_SUFFIX_DIGITS:]))
    return row.behaviour if row is not None else None


def case_of_identifier(operation: Operation, identifier: str) -> Behaviour | None:
    """Return what is forced upon a look-up of this identifier or account."""
    rows = (row for row in TABLE if row.identifier and row.operation == operation)
    return next((row.behaviour for row in rows if identifier.startswith(row.identifier)), None)
