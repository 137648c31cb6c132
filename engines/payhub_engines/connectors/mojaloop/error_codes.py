"""What an FSPIOP error means for the process that gets it (API Definition 1.1 section 7.6)."""

from typing import Final, Literal

from payhub_engines.connectors import refusals

Reaction = Literal["retry", "ask", "release", "refuse"]
"""Say the same again, ask how it stands, give reserved funds back, or tell who asked."""

MONEY_RESOURCES: Final = frozenset(("transfers", "bulkTransfers", "fxTransfers"))
"""Resources whose messages move money: an error about one is an outcome only if it is a refusal."""

NOT_FOUND_CODES: Final = {
    "transactionRequests": refusals.TRANSACTION_REQUEST_NOT_FOUND,
    "quotes": refusals.QUOTE_NOT_FOUND,
    "transactions": refusals.TRANSACTION_NOT_FOUND,
    "transfers": refusals.TRANSFER_NOT_FOUND,
    "bulkQuotes": refusals.BULK_QUOTE_NOT_FOUND,
    "bulkTransfers": refusals.BULK_TRANSFER_NOT_FOUND,
}
"""How to say of a resource that its id is not known."""

_TRANSFER_NOT_FOUND: Final = frozenset(
    (refusals.TRANSFER_NOT_FOUND, refusals.BULK_TRANSFER_NOT_FOUND, refusals.ID_NOT_FOUND)
)
_OUTCOMES: Final = frozenset("345")  # client, payer, payee; what FSPIOP leaves open leaves the outcome open
_TRANSIENT: Final = frozenset("12")


def reaction(code: str, resource: str) -> Reaction:
    """Decide what a process does about an error; an unknown code is as its family's.

    Args:
        code: four digits.
        resource: what the error is about, such as ``quotes``.

    Returns:
        For messages that move money: ``ask`` while the outcome is open, ``retry`` where the scheme has never
        seen the transfer (the same transfer is sent again, or its funds are released where it was refused),
        else ``release``. For all others ``retry`` where trying again may help, else ``refuse``.
    """
    family = code[:1]
    if resource in MONEY_RESOURCES:
        if code in _TRANSFER_NOT_FOUND:
            return "retry"
        if family not in _OUTCOMES or code == refusals.MODIFIED_REQUEST:
            return "ask"
        return "release"
    if family in _TRANSIENT and code != refusals.NOT_IMPLEMENTED:
        return "retry"
    return "refuse"
