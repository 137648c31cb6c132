"""Fineract's refusals and account states, read as FSPIOP error codes for payer and payee."""

from typing import Final, Literal

import msgspec

from payhub_engines.connectors import refusals

Role = Literal["PAYER", "PAYEE"]

BUSINESS_RULE: Final = "validation.msg.domain.rule.violation"
RESOURCE_NOT_FOUND: Final = "error.msg.resource.not.found"

INSUFFICIENT: Final = "error.msg.savingsaccount.transaction.insufficient.account.balance"
HOLD_MISSING: Final = "error.msg.interop.onhold.transfer.missing"
# These two names are swapped in Fineract (1.8.4 to 1.11): what they mean follows from the action sent.
REPEATED_PREPARE: Final = "error.msg.interop.transfer.already.committed"
REPEATED_CREATE: Final = "error.msg.interop.transfer.already.on.hold"
DIFFERENT_CURRENCY: Final = "error.msg.accounttransfer.different.currencies"
NOT_ALLOWED: Final = "error.msg.interop.transaction.not.allowed"

SAVINGS_DEPOSIT: Final = "SAVINGS_DEPOSIT"
_SHUT_FOR: Final[dict[Role, frozenset[str]]] = {
    "PAYER": frozenset(("BLOCK", "BLOCK_DEBIT", "ESCHEAT")),
    "PAYEE": frozenset(("BLOCK", "BLOCK_CREDIT", "ESCHEAT")),
}


class Reason(msgspec.Struct, frozen=True):
    """Why a payment cannot be: an FSPIOP error code with words for people."""

    code: str
    description: str


class Account(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is needed of ``GET /interoperation/accounts/{id}``."""

    currency: str
    status: str
    sub_status: str | None = None
    deposit_type: str | None = None


def not_found(role: Role) -> Reason:
    """Return the refusal for an identifier or account that the bank does not know."""
    if role == "PAYER":
        return Reason(refusals.PAYER_NOT_FOUND, "The payer is not known to the bank.")
    return Reason(refusals.PARTY_NOT_FOUND, "The payee is not known to the bank.")


def account_fault(account: Account, role: Role, currency: str) -> Reason | None:
    """Tell why an account cannot pay or receive; None where it can.

    Fineract itself checks blocks only when it books, which is too late: the scheme has committed by then.
    """
    payer = role == "PAYER"
    if account.status != "ACTIVE":
        return Reason(_blocked(role), "The account is not active.")
    if account.sub_status in _SHUT_FOR[role]:
        return Reason(_blocked(role), "The account is blocked.")
    if account.currency != currency:
        code = refusals.PAYER_CURRENCY if payer else refusals.PAYEE_CURRENCY
        return Reason(code, "The account is in another currency.")
    if account.deposit_type not in (None, SAVINGS_DEPOSIT):
        code = refusals.PAYER_PERMISSION if payer else refusals.PAYEE_PERMISSION
        return Reason(code, "The account is no ordinary savings account.")
    return None


def refused(codes: frozenset[str], role: Role) -> Reason:
    """Read the codes of a business refusal of a quote or PREPARE."""
    payer = role == "PAYER"
    if any(code.startswith(INSUFFICIENT) for code in codes):
        return Reason(refusals.PAYER_INSUFFICIENT, "The payer's funds are not sufficient.")
    if DIFFERENT_CURRENCY in codes:
        code = refusals.PAYER_CURRENCY if payer else refusals.PAYEE_CURRENCY
        return Reason(code, "The account is in another currency.")
    if NOT_ALLOWED in codes:
        return Reason(_blocked(role), "The account may not do this now.")
    code = refusals.PAYER_REJECTION if payer else refusals.PAYEE_REJECTED_QUOTE
    return Reason(code, "The bank refuses the payment.")


def _blocked(role: Role) -> str:
    return refusals.PAYER_BLOCKED if role == "PAYER" else refusals.PAYEE_BLOCKED
