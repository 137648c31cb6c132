"""The jobs of the payment processes that speak to core banking."""

import logging
from typing import Any, Final

import msgspec

from payhub_engines.connectors import refusals
from payhub_engines.connectors.ams.banks import CoreBanks
from payhub_engines.connectors.ams.errors import PEOPLE_RETRY_MS, AmsRefusalError, Reason
from payhub_engines.connectors.ams.model import (
    Account,
    BankCall,
    LoanRepayment,
    Role,
    TransferOrder,
)
from payhub_engines.connectors.ams.refusals import account_fault
from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.job import Handler, Job, JobFailedError
from payhub_engines.connectors.pricing import offered_terms, service_fee
from payhub_engines.connectors.refusals import refusal
from payhub_engines.connectors.variables import (
    PartyQuestion,
    PayeeCredit,
    PayeeQuote,
    PayerFunds,
    PricedPayment,
    builtin,
    money_of,
    read,
)
from payhub_platform.clock import iso, parse_iso
from payhub_platform.contracts.fspiop import FspMoney, PartyIdInfo
from payhub_platform.errors import InvalidInputError
from payhub_platform.money import Money

_logger = logging.getLogger(__name__)

ASK_ATTEMPTS_MAX: Final = 5  # before any money is held, a payment had better fail than wait
QUOTE_LEAST_MS: Final = 500


class AccountQuestion(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What ``ams-look-up-account`` reads: whose account is looked at."""

    party_id: PartyIdInfo


class LoanPayment(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What ``ams-repay-loan`` reads; ``loan_account`` is the bank's own number of the loan."""

    transfer_id: str
    loan_account: str
    amount: FspMoney


class AmsJobs:
    """Handlers by job type; each does one thing and leaves the flow to the process."""

    def __init__(self, banks: CoreBanks) -> None:
        self._banks = banks

    def handlers(self) -> dict[str, Handler]:
        """Return job type to handler."""
        return {
            "ams-quote-payer": self.quote_payer,
            "ams-reserve": self.reserve,
            "ams-commit": self.commit,
            "ams-release": self.release,
            "ams-look-up-party": self.look_up_party,
            "ams-quote-payee": self.quote_payee,
            "ams-reserve-credit": self.reserve_credit,
            "ams-credit": self.credit,
            "ams-deposit": self.deposit,
            "ams-look-up-account": self.look_up_account,
            "ams-repay-loan": self.repay_loan,
        }

    async def quote_payer(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Find the payer's account, check that it may pay, and fix the fee for all later actions."""
        payment, call = read(job, PricedPayment), BankCall.of(job, context)
        amount = money_of(payment.amount)
        own = service_fee(context.tenant(job.tenant), "PAYER", amount, payment.transaction_type)
        withdrawn = Money(amount.minor + own.minor, amount.currency)
        try:
            account = await self._usable_account(call, payment.payer, "PAYER", amount)
            fee = await self._banks.of(call).fee(call, account, "PAYER", withdrawn, payment.quote_id)
        except AmsRefusalError as error:
            raise _refusal(refusals.PAYER_REFUSED, error.reason) from error
        except JobFailedError as error:
            raise _give_up(job, error, refusals.PAYER_REFUSED) from error
        total = Money(fee.minor + own.minor, amount.currency)
        priced = {"payerAccount": account, "payerFee": total.decimal_text()}
        if own.minor or payment.payer_service_fee is not None:
            priced["payerServiceFee"] = own.decimal_text()
        return priced

    async def reserve(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Hold the payer's funds; after a refusal nothing is held."""
        call = BankCall.of(job, context)
        try:
            await self._banks.of(call).reserve(call, _payer_order(read(job, PayerFunds)))
        except AmsRefusalError as error:
            raise _refusal(refusals.PAYER_REFUSED, error.reason) from error
        return {}

    async def commit(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Take the held funds. The scheme has committed, so this is tried until it is done."""
        order, call = _payer_order(read(job, PayerFunds)), BankCall.of(job, context)
        try:
            await self._banks.of(call).commit(call, order)
        except AmsRefusalError as error:
            raise _refused_booking(job, error) from error
        return {}

    async def release(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Let go of the held funds. The process never commits afterwards."""
        order, call = _payer_order(read(job, PayerFunds)), BankCall.of(job, context)
        await self._banks.of(call).release(call, order)
        return {}

    async def look_up_party(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Tell whether an identifier belongs to a member."""
        question, call = read(job, PartyQuestion), BankCall.of(job, context)
        try:
            await self._banks.account_of(call, question.party_id, "PAYEE")
        except AmsRefusalError as error:
            raise _refusal(refusals.PARTY_REFUSED, error.reason) from error
        except JobFailedError as error:
            raise _give_up(job, error, refusals.PARTY_REFUSED) from error
        return {}

    async def look_up_account(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Tell a member's account: status, balance, and by what it is reached."""
        question, call = read(job, AccountQuestion), BankCall.of(job, context)
        try:
            name = await self._banks.account_of(call, question.party_id, "PAYER")
            account = await self._account(call, question.party_id, name, "PAYER")
            identifiers = await self._banks.of(call).identifiers(call, name)
        except AmsRefusalError as error:
            raise _refusal(refusals.ACCOUNT_REFUSED, error.reason) from error
        except JobFailedError as error:
            raise _give_up(job, error, refusals.ACCOUNT_REFUSED) from error
        told = [
            {"type": one.kind, "value": one.value} | ({"subId": one.sub_id} if one.sub_id else {})
            for one in identifiers
        ]
        return {"account": _account_value(account), "accountIdentifiers": told}

    async def repay_loan(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Pay off a loan, once; a loan that cannot be repaid is refused."""
        payment, call = read(job, LoanPayment), BankCall.of(job, context)
        repayment = LoanRepayment(
            reference=payment.transfer_id,
            loan_account=payment.loan_account,
            amount=money_of(payment.amount),
        )
        try:
            await self._banks.of(call).repay_loan(call, repayment)
        except AmsRefusalError as error:
            raise _refusal(refusals.LOAN_REFUSED, error.reason) from error
        return {}

    async def quote_payee(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Check that the payee's account can receive, and fix the terms of the quote, once."""
        quote, call = read(job, PayeeQuote).quote, BankCall.of(job, context)
        amount = money_of(quote.amount)
        try:
            account = await self._usable_account(call, quote.payee.party_id_info, "PAYEE", amount)
            fee = await self._banks.of(call).fee(call, account, "PAYEE", amount, quote.quote_id)
        except AmsRefusalError as error:
            raise _refusal(refusals.QUOTE_REFUSED, error.reason) from error
        except JobFailedError as error:
            raise _give_up(job, error, refusals.QUOTE_REFUSED) from error
        own = service_fee(context.tenant(job.tenant), "PAYEE", amount, quote.transaction_type)
        now_ms = context.clock()
        limit_ms = now_ms + context.tenant(job.tenant).quote_validity_ms
        if quote.expiration is not None:
            limit_ms = min(limit_ms, parse_iso(quote.expiration))
            if limit_ms - now_ms < QUOTE_LEAST_MS:
                reason = Reason(refusals.QUOTE_EXPIRED, "The quote request has expired.")
                raise _refusal(refusals.QUOTE_REFUSED, reason)
        try:
            given = offered_terms(quote, Money(fee.minor + own.minor, fee.currency), iso(limit_ms))
        except InvalidInputError as error:
            raise refusal(refusals.QUOTE_REFUSED, refusals.PAYEE_REJECTED_QUOTE, error.detail) from error
        return {"payeeAccount": account, "quoteTerms": builtin(given)}

    async def reserve_credit(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Make sure that the payee can still be paid, before the fulfilment promises it.

        Banks reserve nothing for a payee: Fineract's PREPARE does not even look at the account.
        """
        credit, call = read(job, PayeeCredit), BankCall.of(job, context)
        try:
            account = await self._banks.of(call).account(call, credit.payee_account, "PAYEE")
        except AmsRefusalError as error:
            raise _refusal(refusals.TRANSFER_REFUSED, error.reason) from error
        except JobFailedError as error:
            if job.attempt < ASK_ATTEMPTS_MAX:
                raise
            # An error of the 20xx kind says nothing of a transfer; this one is refused.
            reason = Reason(refusals.PAYEE_ERROR, "The payee's bank is not reachable.")
            raise _refusal(refusals.TRANSFER_REFUSED, reason) from error
        fault = account_fault(account, "PAYEE", credit.quote_terms.transfer_amount.currency)
        if fault is not None:
            raise _refusal(refusals.TRANSFER_REFUSED, fault)
        return {}

    async def credit(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Pay the payee what the scheme has settled, tried until it is done."""
        order, call = _payee_order(read(job, PayeeCredit)), BankCall.of(job, context)
        try:
            await self._banks.of(call).credit(call, order)
        except AmsRefusalError as error:
            raise _refused_booking(job, error) from error
        return {}

    async def deposit(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Pay a payee of the payer's own bank. Nothing is settled yet, so it may be refused."""
        order, call = _payee_order(read(job, PayeeCredit)), BankCall.of(job, context)
        try:
            await self._banks.of(call).credit(call, order)
        except AmsRefusalError as error:
            raise _refusal(refusals.CREDIT_REFUSED, error.reason) from error
        return {}

    async def _usable_account(self, call: BankCall, party: PartyIdInfo, role: Role, amount: Money) -> str:
        name = await self._banks.account_of(call, party, role)
        account = await self._account(call, party, name, role)
        fault = account_fault(account, role, amount.currency)
        if fault is not None:
            raise AmsRefusalError(fault)
        return name

    async def _account(self, call: BankCall, party: PartyIdInfo, name: str, role: Role) -> Account:
        try:
            return await self._banks.of(call).account(call, name, role)
        except AmsRefusalError:
            self._banks.forget(call, party)
            raise


def _payer_order(funds: PayerFunds) -> TransferOrder:
    """Return what the bank does; it books its own fee by itself, and the institution's with the amount."""
    amount = money_of(funds.amount)
    fee = Money.parse(funds.payer_fee, amount.currency)
    own = Money.parse(funds.payer_service_fee or "0", amount.currency)
    return TransferOrder(
        transaction_id=funds.transaction_id,
        reference=funds.transfer_id,
        account=funds.payer_account,
        amount=Money(amount.minor + own.minor, amount.currency),
        fee=Money(fee.minor - own.minor, amount.currency),
    )


def _payee_order(credit: PayeeCredit) -> TransferOrder:
    amount = money_of(credit.quote_terms.payee_receive_amount)
    return TransferOrder(
        transaction_id=credit.transaction_id,
        reference=credit.transfer_id,
        account=credit.payee_account,
        amount=amount,
        fee=Money(0, amount.currency),
    )


def _account_value(account: Account) -> dict[str, Any]:
    """Return the variable ``account``; amounts are decimal text, absent where the bank tells none."""
    amounts = {"balance": account.balance, "available": account.available}
    return {
        "accountId": account.account_id,
        "currency": account.currency,
        "status": account.status,
        "mayPay": account.may_pay,
        "mayReceive": account.may_receive,
        **{name: amount.decimal_text() for name, amount in amounts.items() if amount is not None},
    }


def _refusal(bpmn_code: str, reason: Reason) -> Exception:
    return refusal(bpmn_code, reason.code, reason.description)


def _refused_booking(job: Job, error: AmsRefusalError) -> JobFailedError:
    """Return the failure of a booking that the scheme has decided: people must mend what the bank refuses."""
    _logger.warning("payment %s: the bank refuses a committed booking: %s", job.payment, error)
    return JobFailedError(f"{job.type}: refused: {error}", PEOPLE_RETRY_MS)


def _give_up(job: Job, error: JobFailedError, bpmn_code: str) -> Exception:
    """Return the failure itself, or a refusal when it was tried often enough."""
    if job.attempt < ASK_ATTEMPTS_MAX:
        return error
    return refusal(bpmn_code, refusals.SERVICE_UNAVAILABLE, "The bank is not reachable.")
