"""What a Fineract must do for payhub: the list that `payhub ams check` works through."""

from typing import Final

from payhub_cli.ams.exam import Check

_MONEY: Final = ("account-found", "account-usable", "fee-told")
_HELD: Final = (*_MONEY, "hold-placed")

CHECKS: Final = (
    Check(
        name="reachable",
        wanted="200 from the interoperation API's health resource",
        mend="Give the URL up to and including /fineract-provider/api/v1, and user, password and tenant as "
        "they are set in Fineract.",
    ),
    Check(
        name="strangers-refused",
        wanted="401 for wrong credentials",
        mend="Switch authentication on: anybody who reaches this address can move money.",
        needs=("reachable",),
    ),
    Check(
        name="account-found",
        wanted="the external id of the account that the identifier reaches",
        mend="Register the identifier for one account, which must have an external id: POST "
        "/interoperation/parties/{type}/{value}. An answer of 500 means that two accounts share it.",
        needs=("reachable",),
    ),
    Check(
        name="nobody-found",
        wanted="404 with error.msg.resource.not.found for an identifier of nobody",
        mend="Whatever stands before Fineract must pass its answers on unchanged.",
        needs=("reachable",),
    ),
    Check(
        name="account-usable",
        wanted="an ACTIVE savings account without blocks, its balances, and some money in it",
        mend="Activate the account, lift its block, or name another one with --account.",
        needs=("account-found",),
    ),
    Check(
        name="unknown-account-refused",
        wanted="404 with error.msg.resource.not.found for an account that does not exist",
        mend="Whatever stands before Fineract must pass its answers on unchanged.",
        needs=("reachable",),
    ),
    Check(
        name="fee-told",
        wanted="what a withdrawal will cost, from the quote and from the account's charges",
        mend="The user needs CREATE_INTERQUOTE. Charges must be flat or a percentage of the amount.",
        needs=("account-usable",),
    ),
    Check(
        name="quote-refuses-too-much",
        wanted="403 with an insufficient balance, for one minor unit more than is available",
        mend="Switch off overdraft for this product, or take an account without it for the check.",
        needs=("account-usable",),
        is_advice=True,
    ),
    Check(
        name="other-currency-refused",
        wanted="403 with error.msg.accounttransfer.different.currencies",
        mend="A 500 means that Fineract does not know that currency: add it to the organisation's.",
        needs=("account-usable",),
        is_advice=True,
    ),
    Check(
        name="hold-placed",
        wanted="PREPARE lowers what is available by amount and fee, and not the balance",
        mend="The user needs PREPARE_INTERTRANSFER. Nobody else may use the account during the check.",
        needs=_MONEY,
    ),
    Check(
        name="keys-honoured",
        wanted="the same Idempotency-Key gets the stored answer (since Fineract 1.9, basic authentication)",
        mend="payhub keeps payments single without it; with it, repetitions are answered faster.",
        needs=_HELD,
        is_advice=True,
    ),
    Check(
        name="hold-placed-once",
        wanted="a second PREPARE with the same transfer code is refused and holds nothing more",
        mend="Do not use this bank: a repeated request would hold twice.",
        needs=_HELD,
    ),
    Check(
        name="books-asked",
        wanted="GET /savingsaccounts/external-id/{id} shows the hold with the transfer code",
        mend="Give the user READ_SAVINGSACCOUNT (Fineract 1.9 and newer). Without it, payhub gives a payment "
        "up whose reservation got no answer.",
        needs=_HELD,
        is_advice=True,
    ),
    Check(
        name="hold-released",
        wanted="RELEASE makes the amount and the fee available again",
        mend="The user needs RELEASE_INTERTRANSFER.",
        needs=_HELD,
    ),
    Check(
        name="hold-released-once",
        wanted="404 with error.msg.interop.onhold.transfer.missing for a second RELEASE",
        mend="Do not use this bank: releases could free the money of other payments.",
        needs=(*_HELD, "hold-released"),
    ),
    Check(
        name="released-code-used-up",
        wanted="a PREPARE with a transfer code that was released is refused",
        mend="Do not use this bank: a request that arrives late would hold money for good.",
        needs=(*_HELD, "hold-released"),
    ),
    Check(
        name="nothing-held-uses-code-up",
        wanted="PREPARE and RELEASE of zero, after which the code is refused",
        mend="payhub uses this to make late requests harmless; without it, look for old holds once a day.",
        needs=(*_HELD, "hold-released"),
        is_advice=True,
    ),
    Check(
        name="holds-at-once-are-one",
        wanted="several PREPARE with one transfer code at the same time hold once",
        mend="Do not use this bank: requests that cross would hold twice.",
        needs=(*_HELD, "hold-released"),
    ),
    Check(
        name="commit-needs-hold",
        wanted="404 with error.msg.interop.onhold.transfer.missing for a CREATE without PREPARE",
        mend="Do not use this bank: money could be taken that was never reserved.",
        needs=_MONEY,
    ),
    Check(
        name="commit-takes-what-was-told",
        wanted="CREATE lowers the balance by exactly the amount and the fee told, and frees the hold",
        mend="Set withdrawalFeeForTransfers on the account and its product, so that quotes tell the charges "
        "that are booked, or give the user READ_SAVINGSACCOUNT, so that payhub can read them.",
        needs=_HELD,
    ),
    Check(
        name="commit-done-once",
        wanted="a second CREATE with the same transfer code is refused and takes nothing",
        mend="Do not use this bank: a repeated request would take the money twice.",
        needs=(*_HELD, "commit-takes-what-was-told"),
    ),
    Check(
        name="credit-exact",
        wanted="CREATE for a payee raises the balance by exactly the amount",
        mend="The user needs CREATE_INTERTRANSFER, and the product may not charge deposits.",
        needs=(*_HELD, "commit-takes-what-was-told"),
    ),
    Check(
        name="credit-done-once",
        wanted="a second CREATE for a payee with the same transfer code is refused and pays nothing",
        mend="Do not use this bank: a repeated request would pay twice.",
        needs=(*_HELD, "commit-takes-what-was-told", "credit-exact"),
    ),
    Check(
        name="released-hold-not-committed",
        wanted="a CREATE after a RELEASE is refused",
        mend="Fineract is known to debit here. payhub never sends this; other software must not either.",
        needs=(*_HELD, "hold-released", "credit-exact"),
        is_advice=True,
    ),
    Check(
        name="books-as-before",
        wanted="balance and available amount as before the check",
        mend="Compare the account's transactions with the note 'payhub ams check', and put it right by hand.",
        needs=("account-usable",),
    ),
)
