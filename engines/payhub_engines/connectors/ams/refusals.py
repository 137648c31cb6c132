"""Fineract's refusals and account states, read as FSPIOP error codes for payer and payee."""

from typing import Final

from payhub_engines.connectors import refusals
from payhub_engines.connectors.ams.errors import Reason
from payhub_engines.connectors.ams.model import Account, Role

BUSINESS_RULE: Final = "validation.msg.domain.rule.violation"
RESOURCE_NOT_FOUND: Final = "error.msg.resource.not.found"

INSUFFICIENT: Final = "error.msg.savingsaccount.transaction.insufficient.account.balance"
HOLD_MISSING: Final = "error.msg.interop.onhold.transfer.missing"
# Fineract 1.8.4 to 1.11 swaps these two: CREATE twice says "on hold", PREPARE twice "committed". So
# either of them only says that the transfer code was used, and what for follows from the action sent.
CODE_USED: Final = frozenset(
    {"error.msg.interop.transfer.already.committed", "error.msg.interop.transfer.already.on.hold"}
)
DIFFERENT_CURRENCY: Final = "error.msg.accounttransfer.different.currencies"
NOT_ALLOWED: Final = "error.msg.interop.transaction.not.allowed"
BLOCKED: Final = frozenset(
    {
        "error.msg.saving.account.blocked.transaction.not.allowed",
        "error.msg.savings.account.debit.transaction.not.allowed",
        "error.msg.savings.account.credit.transaction.not.allowed",
    }
)


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
    if account.status == "INACTIVE":
        return blocked(role, "The account is not active.")
    if account.status == "BLOCKED" or not (account.may_pay if payer else account.may_receive):
        return blocked(role, "The account is blocked.")
    if account.currency != currency:
        return other_currency(role)
    if not account.is_payable:
        code = refusals.PAYER_PERMISSION if payer else refusals.PAYEE_PERMISSION
        return Reason(code, "The account is no ordinary savings account.")
    return None


def refused(codes: frozenset[str], role: Role) -> Reason:
    """Read the codes of a business refusal."""
    if any(code.startswith(INSUFFICIENT) for code in codes):
        return insufficient()
    if DIFFERENT_CURRENCY in codes:
        return other_currency(role)
    if codes & BLOCKED:
        return blocked(role, "The account is blocked.")
    if NOT_ALLOWED in codes:
        return blocked(role, "The account may not do this now.")
    return rejected(role)


def insufficient() -> Reason:
    """Return the refusal of a payer without enough money."""
    return Reason(refusals.PAYER_INSUFFICIENT, "The payer's funds are not sufficient.")


def other_currency(role: Role) -> Reason:
    """Return the refusal of an account in another currency."""
    code = refusals.PAYER_CURRENCY if role == "PAYER" else refusals.PAYEE_CURRENCY
    return Reason(code, "The account is in another currency.")


def blocked(role: Role, description: str) -> Reason:
    """Return the refusal of an account that may not be used now."""
    code = refusals.PAYER_BLOCKED if role == "PAYER" else refusals.PAYEE_BLOCKED
    return Reason(code, description)


def rejected(role: Role) -> Reason:
    """Return the refusal for a reason that the bank does not tell, or payhub does not know."""
    code = refusals.PAYER_REJECTION if role == "PAYER" else refusals.PAYEE_REJECTED_QUOTE
    return Reason(code, "The bank refuses the payment.")


def unsettled() -> Reason:
    """Return the refusal of a payment whose reservation could not be made sure of, and was let go."""
    return Reason(refusals.SERVER_ERROR, "The bank could not say what it holds. Nothing is held now.")
