"""What a payment moves, from what is asked and what institutions charge (FSPIOP 1.1 section 5.1). Pure."""

from typing import Final, Literal

from payhub_engines.connectors.variables import Payment, QuoteTerms, is_refund, money_of
from payhub_platform.contracts.fspiop import FspMoney, QuoteRequest, QuoteResponse, TransactionType
from payhub_platform.contracts.tenant import TenantConfig, fee_minor
from payhub_platform.errors import InvalidInputError
from payhub_platform.money import Money

TERMS_REFUSED: Final = "terms-refused"


class TermsError(InvalidInputError):
    """Terms that are not what was asked for."""

    def __init__(self, detail: str) -> None:
        super().__init__(TERMS_REFUSED, detail, "/transferAmount")


def service_fee(
    tenant: TenantConfig, side: Literal["PAYER", "PAYEE"], amount: Money, kind: TransactionType
) -> Money:
    """Return what an institution takes by its own tariff, besides what its bank takes.

    A refund pays back what came in and costs nothing more.
    """
    fees = None if is_refund(kind) else tenant.fees_in(amount.currency)
    if fees is None:
        return Money(0, amount.currency)
    return Money(fee_minor(fees.payer if side == "PAYER" else fees.payee, amount.minor), amount.currency)


def offered_terms(quote: QuoteRequest, fee: Money, expiration: str) -> QuoteTerms:
    """Return the payee's terms for a quote (listings 7 to 11 of the section); payhub gives no commission.

    Args:
        quote: what the payer's institution asks.
        fee: what the payee's institution charges, its bank included.
        expiration: until when the terms stand.

    Raises:
        TermsError: the payee would get nothing.
    """
    asked, none = money_of(quote.amount), Money(0, fee.currency)
    if quote.amount_type == "RECEIVE":
        transferred, received = _plus(asked, fee, none), asked
    else:
        # Fees that the payer's institution discloses come out of what is sent.
        transferred = _plus(asked, none, _told(quote.fees, asked))
        received = _plus(transferred, none, fee)
    if transferred.minor <= 0 or received.minor <= 0:
        raise TermsError("The fees leave nothing to be paid.")
    return QuoteTerms(
        transfer_amount=_fspiop(transferred),
        payee_receive_amount=_fspiop(received),
        payee_fsp_fee=_fspiop(fee) if fee.minor else None,
        expiration=expiration,
    )


def agreed_terms(payment: Payment, quote: QuoteResponse, expiration: str) -> QuoteTerms:
    """Check the payee's terms on the payer's side and return them.

    A fee that is not told is none: nothing is transferred that cannot be explained to the payer.

    Raises:
        TermsError: they are not what was asked for.
    """
    asked, transferred = money_of(payment.amount), money_of(quote.transfer_amount)
    fee, commission = _told(quote.payee_fsp_fee, asked), _told(quote.payee_fsp_commission, asked)
    currencies = {money.currency for money in (asked, transferred, fee, commission)}
    if currencies != {asked.currency}:
        raise TermsError("The quote is in another currency than the payment.")
    if payment.amount_type == "RECEIVE":
        expected = _plus(asked, fee, commission)
    else:
        expected = Money(asked.minor - commission.minor, asked.currency)
    if transferred != expected or transferred.minor <= 0:
        raise TermsError("The quote's transfer amount does not follow from the amount of the payment.")
    received = _plus(transferred, commission, fee)
    if received.minor <= 0:
        raise TermsError("The fees leave nothing to be paid.")
    told = quote.payee_receive_amount
    paid = received if told is None else money_of(told)  # less what the payee's bank charges the payee itself
    if paid.currency != asked.currency or (payment.amount_type == "RECEIVE" and paid != asked):
        raise TermsError("The payee would not receive the amount of the payment.")
    return QuoteTerms(
        transfer_amount=quote.transfer_amount,
        payee_receive_amount=_fspiop(paid),
        payee_fsp_fee=quote.payee_fsp_fee,
        payee_fsp_commission=quote.payee_fsp_commission,
        expiration=expiration,
    )


def _plus(amount: Money, more: Money, less: Money) -> Money:
    return Money(amount.minor + more.minor - less.minor, amount.currency)


def _told(amount: FspMoney | None, asked: Money) -> Money:
    return Money(0, asked.currency) if amount is None else money_of(amount)


def _fspiop(amount: Money) -> FspMoney:
    return FspMoney(amount=amount.fspiop_text(), currency=amount.currency)
