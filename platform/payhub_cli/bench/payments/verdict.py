"""Whether every payment was done exactly once, as the bank's books tell. Pure."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from payhub_cli.bench.payments.bank import CURRENCY, Booking, Books
from payhub_platform.money import Money

SHOWN_MAX: Final = 10


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the books say of the payments that the channel knows.

    Attributes:
        lost: accepted, and neither completed nor refused; or completed without the money of one side.
        duplicated: money of one side was moved more than once, or for a payment that was refused.
        examples: a few of both, with what is wrong.
    """

    lost: int
    duplicated: int
    examples: list[str]


def judge(
    accepted: Collection[str],
    failed: Collection[str],
    completed: Collection[str],
    books: Books,
    amount: str,
    *,
    is_credited: bool,
) -> Verdict:
    """Compare what the channel was told with what the bank has booked.

    Args:
        accepted: transaction ids that the gateway has answered with 202.
        failed: those that ended without being paid.
        completed: those that ended paid.
        books: of both institutions.
        amount: of each payment.
        is_credited: the payee's bank is in the books too.
    """
    debits, credits_ = _moved(books.debits), _moved(books.credits)
    lost: dict[str, str] = {}
    doubled: dict[str, str] = {}
    for payment in accepted:
        paid, got = debits[payment], credits_[payment]
        if payment in failed:
            if paid or got:
                doubled[payment] = "refused, and money moved"
        elif payment not in completed:
            lost[payment] = "without an end"
        elif not paid or (is_credited and not got):
            lost[payment] = "completed, and money not moved on both sides"
        elif len(paid) > 1 or len(got) > 1:
            doubled[payment] = f"debited {len(paid)} and credited {len(got)} times"
        elif any(_is_other(each, amount) for each in (*paid, *got)):
            doubled[payment] = "another amount was moved"
    examples = [f"{payment}: {text}" for payment, text in [*lost.items(), *doubled.items()][:SHOWN_MAX]]
    return Verdict(len(lost), len(doubled), examples)


def is_settled(completed: Collection[str], books: Books, *, is_credited: bool) -> bool:
    """Tell whether the books hold all that must follow; the payee is credited after the payer is told."""
    credits_ = _moved(books.credits)
    return not is_credited or all(credits_[payment] for payment in completed)


def _moved(bookings: list[Booking]) -> Mapping[str, list[Booking]]:
    found: defaultdict[str, list[Booking]] = defaultdict(list)
    for each in bookings:
        if each.state == "COMMITTED":
            found[each.transaction_id].append(each)
    return found


def _is_other(booking: Booking, amount: str) -> bool:
    told = Money.parse(booking.amount["amount"], booking.amount["currency"])
    return told != Money.parse(amount, CURRENCY)
