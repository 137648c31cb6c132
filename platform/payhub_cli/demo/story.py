"""What the demonstration tells: who pays whom how much, and how each payment must end. Pure."""

from typing import Final, Literal

import msgspec

from payhub_platform.money import Money

Outcome = Literal["COMPLETED", "FAILED"]

CURRENCY: Final = "KES"
PAYER_FSP: Final = "buffalo"
# Each institution's home engine comes first, then the one that takes over.
PLACEMENTS: Final[dict[str, list[str]]] = {
    "lion": ["north", "south"],
    "buffalo": ["north", "south"],
    "rhino": ["south", "north"],
    "elephant": ["south", "north"],
}
NAMES: Final = {
    "lion": "Lion SACCO",
    "buffalo": "Buffalo SACCO",
    "rhino": "Rhino Credit Union",
    "elephant": "Elephant Microfinance",
}
# Elephant's quotes hold for a short time, so that one that the switch holds back longer has expired
# when it arrives. That is still less than what the payer's process waits for a quote.
SHORT_QUOTE_FSP: Final = "elephant"
SHORT_QUOTE_VALIDITY_MS: Final = 5_000
QUOTE_DELAY_MS: Final = 5_600

_BANK_DIGITS: Final = {"lion": "1", "buffalo": "2", "rhino": "3", "elephant": "4"}
_UNKNOWN: Final = "254799999999"


class PlannedPayment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment of the story.

    Attributes:
        key: idempotency key.
        payer: MSISDN of a member of Buffalo.
        payee: MSISDN; ``payee_fsp`` is empty where nobody has it.
        outcome: how it must end.
        errors: the FSPIOP error codes that it may end with.
        reaches_switch: payhub sends something to the switch for it.
        why: what is wrong on purpose; empty where all is well.
    """

    key: str
    payer: str
    payee: str
    payee_fsp: str
    amount: Money
    outcome: Outcome = "COMPLETED"
    errors: tuple[str, ...] = ()
    reaches_switch: bool = True
    why: str = ""


def msisdn(fsp: str, member: int) -> str:
    """Return the number of a bank's member (1 to 5) in the sandbox."""
    return f"254700{_BANK_DIGITS[fsp]}{member:05d}"


DELAYED_QUOTE_PAYEE: Final = msisdn("elephant", 5)

# (payer's member number, payee's bank, payee's member number, amount)
_GOOD: Final = (
    (1, "lion", 1, "150.00"),
    (2, "rhino", 1, "2500.00"),
    (3, "elephant", 1, "75.50"),
    (4, "lion", 2, "1200.00"),
    (1, "rhino", 2, "10.00"),
    (2, "elephant", 2, "999.99"),
    (3, "lion", 3, "430.00"),
    (4, "rhino", 3, "64.25"),
    (1, "elephant", 3, "1750.00"),
    (2, "lion", 4, "0.05"),
    (3, "rhino", 4, "300.00"),
    (4, "elephant", 4, "88.80"),
    (1, "lion", 5, "520.00"),
    (2, "rhino", 1, "45.00"),
    (3, "elephant", 1, "610.00"),
    (4, "lion", 1, "2000.00"),
)


def payments() -> list[PlannedPayment]:
    """Return the 20 payments in the order of sending; the wrong ones stand among the others."""
    good = [
        PlannedPayment(
            key=f"demo-{number:02d}",
            payer=msisdn(PAYER_FSP, payer),
            payee=msisdn(bank, payee),
            payee_fsp=bank,
            amount=Money.parse(amount, CURRENCY),
        )
        for number, (payer, bank, payee, amount) in enumerate(_GOOD, start=1)
    ]
    late, unknown, poor, blocked = _wrong()
    # The one that takes longest goes first.
    return [late, *good[:4], unknown, *good[4:8], poor, *good[8:12], blocked, *good[12:]]


def _wrong() -> tuple[PlannedPayment, ...]:
    return (
        PlannedPayment(
            key="demo-expired-quote",
            payer=msisdn(PAYER_FSP, 1),
            payee=DELAYED_QUOTE_PAYEE,
            payee_fsp="elephant",
            amount=Money.parse("35.00", CURRENCY),
            outcome="FAILED",
            errors=("3302",),
            why="expired quote",
        ),
        PlannedPayment(
            key="demo-unknown-party",
            payer=msisdn(PAYER_FSP, 2),
            payee=_UNKNOWN,
            payee_fsp="",
            amount=Money.parse("20.00", CURRENCY),
            outcome="FAILED",
            errors=("3204",),
            why="unknown party",
        ),
        PlannedPayment(
            key="demo-insufficient-funds",
            payer=msisdn(PAYER_FSP, 5),
            payee=msisdn("lion", 1),
            payee_fsp="lion",
            amount=Money.parse("900.00", CURRENCY),
            outcome="FAILED",
            errors=("4001",),
            reaches_switch=False,
            why="insufficient funds",
        ),
        PlannedPayment(
            key="demo-payee-rejects",
            payer=msisdn(PAYER_FSP, 3),
            payee=msisdn("rhino", 5),
            payee_fsp="rhino",
            amount=Money.parse("15.00", CURRENCY),
            outcome="FAILED",
            errors=("5400", "5300", "5103"),
            why="payee rejects",
        ),
    )


def movements(completed: list[PlannedPayment]) -> dict[str, int]:
    """Return by how many minor units each member's balance must have changed, by MSISDN."""
    changes: dict[str, int] = {}
    for payment in completed:
        changes[payment.payer] = changes.get(payment.payer, 0) - payment.amount.minor
        changes[payment.payee] = changes.get(payment.payee, 0) + payment.amount.minor
    return changes
