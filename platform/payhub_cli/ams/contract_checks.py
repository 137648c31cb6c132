"""What a bank that speaks the AMS contract must do: the list that `payhub ams check` works through."""

from typing import Final

from payhub_cli.ams.exam import Check

_MONEY: Final = ("account-found", "account-usable", "fee-told")
_HELD: Final = (*_MONEY, "hold-placed")
_TAKEN: Final = (*_HELD, "commit-takes-what-was-told")
_CREDITED: Final = (*_TAKEN, "credit-exact")
_SHARED: Final = "An act must be found by its reference, and compared, before anything is done."

CHECKS: Final = (
    Check(
        name="account-found",
        wanted="200 with the accountId that the identifier reaches",
        mend="Serve GET /accounts/by-identifier/{type}/{value} below the URL, for the credentials given.",
    ),
    Check(
        name="strangers-refused",
        wanted="401 for wrong credentials",
        mend="Check the credentials of each request: anybody who reaches this address can move money.",
        needs=("account-found",),
    ),
    Check(
        name="nobody-found",
        wanted="404 with code unknown-identifier for an identifier of nobody",
        mend="Compare identifiers exactly, and answer application/problem+json with the contract's code.",
        needs=("account-found",),
    ),
    Check(
        name="account-usable",
        wanted="an ACTIVE account that may pay and receive, with balance and available, and some money in it",
        mend="Activate the account, lift its block, or name another one with --account.",
        needs=("account-found",),
    ),
    Check(
        name="unknown-account-refused",
        wanted="404 with code unknown-account for an account that does not exist",
        mend="Answer application/problem+json with the contract's code.",
        needs=("account-found",),
    ),
    Check(
        name="fee-told",
        wanted="what a payment from the account will cost, and what is kept of one to it, as decimal text",
        mend="Serve GET /accounts/{accountId}/fee; zero where there is none.",
        needs=("account-usable",),
    ),
    Check(
        name="unknown-reference-told",
        wanted="404 with code unknown-reference for references that were never used",
        mend="Answer questions for a reservation, a credit and a commit that do not exist with this code.",
        needs=_MONEY,
    ),
    Check(
        name="too-much-refused",
        wanted="422 with code insufficient-funds, and nothing held, for a minor unit more than is available",
        mend="Compare with what is available, holds deducted, and answer the contract's code.",
        needs=_MONEY,
    ),
    Check(
        name="other-currency-refused",
        wanted="422 with code other-currency, and nothing held",
        mend="Compare the currency with the account's before anything is held.",
        needs=_MONEY,
    ),
    Check(
        name="hold-placed",
        wanted="state HELD, what was sent, and amount and fee no more available while the balance stays",
        mend="Hold amount and fee together; answer the amounts as decimal text. Nobody else may use the "
        "account during the check.",
        needs=_MONEY,
    ),
    Check(
        name="hold-placed-once",
        wanted="200 with the same answer for the same request, and nothing more held",
        mend=_SHARED,
        needs=_HELD,
    ),
    Check(
        name="reference-not-reused",
        wanted="409 with code reference-reused for the same reference with another amount",
        mend=_SHARED,
        needs=_HELD,
    ),
    Check(
        name="status-told",
        wanted="GET /reservations/{reference} tells HELD and the amounts",
        mend="Serve GET for reservations, credits and loan repayments: payhub asks when an answer was lost.",
        needs=_HELD,
    ),
    Check(
        name="hold-released",
        wanted="state RELEASED, and amount and fee available again",
        mend="A release frees exactly what the reservation held.",
        needs=_HELD,
    ),
    Check(
        name="hold-released-once",
        wanted="200 with state RELEASED for a second release, and nothing more freed",
        mend="A release that was done is answered as done.",
        needs=(*_HELD, "hold-released"),
    ),
    Check(
        name="released-reference-used-up",
        wanted="409 with code reservation-released when it is reserved again, and nothing held",
        mend="Keep released references: a request that arrives late must hold nothing.",
        needs=(*_HELD, "hold-released"),
    ),
    Check(
        name="released-hold-not-committed",
        wanted="409 with code reservation-released for a commit after a release, and nothing taken",
        mend="Commit only what is held.",
        needs=(*_HELD, "hold-released"),
    ),
    Check(
        name="unknown-reference-released",
        wanted="200 with state RELEASED for a reference that is not known, which is used up from then on",
        mend="Write the reference down as released, although there is nothing to free.",
        needs=(*_HELD, "hold-released"),
    ),
    Check(
        name="holds-at-once-are-one",
        wanted="several equal requests at the same time hold once",
        mend="Make the reference unique in the database, and decide within one transaction.",
        needs=(*_HELD, "hold-released"),
    ),
    Check(
        name="commit-takes-what-was-told",
        wanted="state COMMITTED, the balance lower by exactly amount and fee, and nothing held any more",
        mend="Take exactly amount and fee of the reservation; charge nothing that the fee did not tell.",
        needs=_HELD,
    ),
    Check(
        name="commit-done-once",
        wanted="200 with state COMMITTED for a second commit, and nothing more taken",
        mend="A commit that was done is answered as done.",
        needs=_TAKEN,
    ),
    Check(
        name="committed-hold-not-released",
        wanted="409 with code reservation-committed for a release after a commit, and nothing given back",
        mend="What was taken is not held any more.",
        needs=_TAKEN,
    ),
    Check(
        name="credit-exact",
        wanted="the balance higher by exactly the amount, and what was sent in the answer",
        mend="Credit the whole amount: payhub has deducted what the fee told.",
        needs=_TAKEN,
    ),
    Check(
        name="credit-done-once",
        wanted="200 with the same answer for the same request, and nothing more paid",
        mend=_SHARED,
        needs=_CREDITED,
    ),
    Check(
        name="credit-not-reused",
        wanted="409 with code reference-reused for the same reference with another amount",
        mend=_SHARED,
        needs=_CREDITED,
    ),
    Check(
        name="credit-status-told",
        wanted="GET /credits/{reference} tells account and amount",
        mend="Serve GET for credits: payhub asks when an answer was lost.",
        needs=_CREDITED,
    ),
    Check(
        name="books-as-before",
        wanted="balance and available amount as before the check",
        mend="Compare the account's transactions of the last minutes, and put it right by hand.",
        needs=("account-usable",),
    ),
)
