"""Paying back what a member has received, in part or whole, and never more than it was. Pure."""

from typing import Any, Final

import msgspec

from payhub_engines.connectors.payment import payment_variables
from payhub_engines.connectors.variables import (
    NOTE_CHARACTERS_MAX,
    REFUND,
    Payment,
    PricedQuote,
    QuoteTerms,
    money_of,
)
from payhub_platform import ids
from payhub_platform.contracts.channel import PaymentState
from payhub_platform.contracts.engine import StartRefund
from payhub_platform.contracts.fspiop import FspMoney, PartyIdInfo, Refund, TransactionType
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.errors import UnprocessableError
from payhub_platform.money import Money

REFUNDS_MAX: Final = 32  # of one payment, those that failed included
_INITIATORS: Final = {"PAYMENT": "BUSINESS", "WITHDRAWAL": "AGENT"}  # who paid back was paid as such


class Original(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that a member has received."""

    transaction_id: str
    received_by: PartyIdInfo
    paid_by: PartyIdInfo
    amount: Money  # what was transferred
    transaction_type: TransactionType


class Earlier(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A refund of the same payment, as its variables have it."""

    transaction_id: str
    refund_request: str
    refund_fingerprint: str
    amount: FspMoney
    payment_state: PaymentState = "PENDING"


class _Settled(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    payment_state: PaymentState = "PENDING"


class _PaidOnUs(Payment, frozen=True, kw_only=True, rename="camel"):
    quote_terms: QuoteTerms
    payee_fsp: str


def refund_id(tenant: str, original: str, number: int) -> str:
    """Return the transaction id of a payment's nth refund, from 1.

    The number takes a place: of two refunds that run at once only one is started as the nth, and the other
    looks again at what is left.
    """
    return ids.derive("refund", tenant, original, str(number))


def original_of(incoming: dict[str, Any] | None, outgoing: dict[str, Any] | None) -> Original:
    """Read the payment that is to be paid back.

    Args:
        incoming: variables of the payee's process; None where there is none.
        outgoing: variables of the payer's process, where the payee may bank at the same institution.

    Raises:
        UnprocessableError: ``not-refundable``.
    """
    for variables, read in ((incoming, _incoming), (outgoing, _on_us)):
        is_done = variables is not None and _is_done(variables)
        original = read(variables) if variables is not None and is_done else None
        if original is not None and original.transaction_type.scenario != REFUND:
            return original
    raise UnprocessableError(
        "not-refundable", "Only a completed payment that a member received is paid back."
    )


def known(start: StartRefund, earlier: list[Earlier]) -> str:
    """Return the refund that the same request has started before; empty where none.

    Raises:
        UnprocessableError: ``key-reused``.
    """
    for refund in earlier:
        if refund.refund_request == start.payment_id:
            if refund.refund_fingerprint != start.fingerprint:
                raise UnprocessableError("key-reused", "The key was used for another refund.")
            return refund.transaction_id
    return ""


def amount_of(start: StartRefund, original: Original, earlier: list[Earlier]) -> Money:
    """Return what is paid back now; what is still on its way counts as paid back.

    Raises:
        UnprocessableError: ``refund-exceeds-payment`` or ``too-many-refunds``.
    """
    if len(earlier) >= REFUNDS_MAX:
        raise UnprocessableError("too-many-refunds", f"It is paid back in at most {REFUNDS_MAX} parts.")
    spent = sum(money_of(one.amount).minor for one in earlier if one.payment_state != "FAILED")
    left = Money(original.amount.minor - spent, original.amount.currency)
    wanted = start.amount or left
    if wanted.currency != left.currency or not 0 < wanted.minor <= left.minor:
        raise UnprocessableError(
            "refund-exceeds-payment", f"At most {left.decimal_text()} {left.currency} are left to pay back."
        )
    return wanted


def refund_variables(
    start: StartRefund,
    original: Original,
    transaction_id: str,
    amount: Money,
    tenant: TenantConfig,
    now_ms: int,
) -> dict[str, Any]:
    """Return the variables that ``payer-fund-transfer`` starts a refund with (FSPIOP 1.1 section 5.3.10)."""
    scenario = original.transaction_type.scenario
    payment = Payment(
        transaction_id=transaction_id,
        quote_id=ids.derive(transaction_id, "quote"),
        transfer_id=ids.derive(transaction_id, "transfer"),
        payer=original.received_by,
        payee=original.paid_by,
        amount=FspMoney(amount=amount.fspiop_text(), currency=amount.currency),
        amount_type="RECEIVE",
        transaction_type=TransactionType(
            scenario=REFUND,
            initiator="PAYER",
            initiator_type=_INITIATORS.get(scenario, "CONSUMER"),
            refund_info=Refund(
                original_transaction_id=original.transaction_id,
                refund_reason=start.reason[:NOTE_CHARACTERS_MAX] if start.reason else None,
            ),
        ),
    )
    return {
        **payment_variables(payment, tenant, now_ms),
        # The refund goes where the payment came from, wherever the payer can be found by now.
        "party": {"partyIdInfo": msgspec.to_builtins(original.paid_by)},
        "payeeFsp": original.paid_by.fsp_id,
        "confirmQuote": False,
        "clientRefId": start.client_ref_id,
        "correlationId": start.idempotency_key,
        "refundRequest": start.payment_id,
        "refundFingerprint": start.fingerprint,
    }


def _is_done(variables: dict[str, Any]) -> bool:
    return msgspec.convert(variables, _Settled).payment_state == "COMPLETED"


def _incoming(variables: dict[str, Any]) -> Original | None:
    priced = msgspec.convert(variables, PricedQuote)
    quote = priced.quote
    payer = msgspec.structs.replace(quote.payer.party_id_info, fsp_id=priced.requester_fsp)
    return Original(
        transaction_id=quote.transaction_id,
        received_by=quote.payee.party_id_info,
        paid_by=payer,
        amount=money_of(priced.quote_terms.transfer_amount),
        transaction_type=quote.transaction_type,
    )


def _on_us(variables: dict[str, Any]) -> Original | None:
    payment = msgspec.convert(variables, _PaidOnUs)
    if payment.payee_fsp != payment.payer.fsp_id:
        return None  # who received it banks elsewhere
    return Original(
        transaction_id=payment.transaction_id,
        received_by=msgspec.structs.replace(payment.payee, fsp_id=payment.payee_fsp),
        paid_by=payment.payer,
        amount=money_of(payment.quote_terms.transfer_amount),
        transaction_type=payment.transaction_type,
    )
