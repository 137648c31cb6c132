"""The cases of the payment suite (docs/sandbox.md, forced cases): what is done, what is right. Pure."""

from typing import Final, Literal

from msgspec import Struct

SUITE_VERSION: Final = "1"

Role = Literal["payer", "payee", "both"]
Outcome = Literal["COMPLETED", "FAILED"]

# Of the payer's institution's own time for a case in which the scheme never answers: it ends the case.
NEVER_ANSWERED_MS: Final = 8_000


class Case(Struct, frozen=True, kw_only=True):
    """One case. As payer the member pays the test DFSP's member, as payee it is the other way round.

    Attributes:
        case_id: stable, kebab-case.
        amount: whole major units; the sandbox's switch forces outcomes by its last three digits.
        payee: an MSISDN that forces the outcome instead; empty: the test DFSP's member.
        outcome: how the payment ends; the scheme's error code stands in ``error_code``.
        moves: whether the member's account is debited or credited, once.
        lifetime_ms: the payment's own, where the scheme must let it expire.
    """

    case_id: str
    role: Role
    what: str
    amount: int
    outcome: Outcome
    mend: str
    moves: bool
    error_code: str = ""
    payee: str = ""
    lifetime_ms: int | None = None


_ONCE: Final = "Look the payment up in operations: a retry must carry the ids of the first attempt."
_HELD: Final = "Look at the core bank's holds: what is reserved for a payment that failed must be released."
_UNTOUCHED: Final = "Look the payment up in operations: nothing may be booked before the terms are agreed."
_ASKS: Final = (
    "The engine asks the switch (GET /transfers/{ID}) for an unknown outcome: its answers must reach the "
    "callback addresses registered there."
)

# The last case compares the whole run, so that a booking that came too late for its own case is found.
BOOKS: Final = "books"

CASES: Final = (
    Case(
        case_id="payer-paid",
        role="payer",
        what="The member pays.",
        amount=10,
        outcome="COMPLETED",
        moves=True,
        mend="Check keys, callback addresses and net debit cap at the switch, and the member's account.",
    ),
    Case(
        case_id="payer-nobody",
        role="payer",
        what="Nobody has the payee's number.",
        amount=10,
        payee="254993204001",
        outcome="FAILED",
        error_code="3204",
        moves=False,
        mend=_UNTOUCHED,
    ),
    Case(
        case_id="payer-quote-refused",
        role="payer",
        what="The payee's institution refuses the quote.",
        amount=707,
        outcome="FAILED",
        error_code="5103",
        moves=False,
        mend=_UNTOUCHED,
    ),
    Case(
        case_id="payer-no-liquidity",
        role="payer",
        what="The scheme refuses the transfer for want of liquidity.",
        amount=803,
        outcome="FAILED",
        error_code="4001",
        moves=False,
        mend=_HELD,
    ),
    Case(
        case_id="payer-answer-twice",
        role="payer",
        what="The scheme answers the transfer twice.",
        amount=824,
        outcome="COMPLETED",
        moves=True,
        mend=_ONCE,
    ),
    Case(
        case_id="payer-answer-lost",
        role="payer",
        what="The scheme's answer to the transfer is lost.",
        amount=825,
        outcome="COMPLETED",
        moves=True,
        mend=_ASKS,
    ),
    Case(
        case_id="payer-never-answered",
        role="payer",
        what="The transfer is never answered, and expires.",
        amount=822,
        lifetime_ms=NEVER_ANSWERED_MS,
        outcome="FAILED",
        error_code="3303",
        moves=False,
        mend=_HELD,
    ),
    Case(
        case_id="payee-paid",
        role="payee",
        what="The member is paid.",
        amount=20,
        outcome="COMPLETED",
        moves=True,
        mend="Check that the member's identifier is registered, and the callback addresses at the switch.",
    ),
    Case(
        case_id="payee-request-twice",
        role="payee",
        what="The scheme sends the transfer twice.",
        amount=828,
        outcome="COMPLETED",
        moves=True,
        mend=_ONCE,
    ),
    Case(
        case_id="payee-aborted",
        role="payee",
        what="The scheme aborts a transfer that was fulfilled.",
        amount=826,
        outcome="FAILED",
        error_code="5105",
        moves=False,
        mend="The member may be credited only after the scheme has committed: look the payment up.",
    ),
    Case(
        case_id="payee-not-told",
        role="payee",
        what="The scheme commits, and its notice to the payee's institution is lost.",
        amount=827,
        outcome="COMPLETED",
        moves=True,
        mend=_ASKS,
    ),
    Case(
        case_id=BOOKS,
        role="both",
        what="The account shows the sum of all cases, and nothing is held for them.",
        amount=0,
        outcome="COMPLETED",
        moves=False,
        mend="Something was booked after its payment had ended: compare the account's transactions.",
    ),
)
