"""The jobs of the payment processes that speak to core banking."""

import logging
from typing import Any, Final

from payhub_engines.connectors import refusals
from payhub_engines.connectors.ams.client import (
    RETRY_AFTER_MS,
    Action,
    AmsRefusalError,
    FineractClient,
    TransferOrder,
)
from payhub_engines.connectors.ams.refusals import (
    HOLD_MISSING,
    REPEATED_CREATE,
    REPEATED_PREPARE,
    Reason,
    Role,
    account_fault,
    not_found,
    refused,
)
from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.job import Handler, Job, JobFailedError
from payhub_engines.connectors.pricing import offered_terms
from payhub_engines.connectors.refusals import refusal
from payhub_engines.connectors.variables import (
    PartyQuestion,
    PayeeCredit,
    PayeeQuote,
    PayerFunds,
    Payment,
    builtin,
    money_of,
    read,
)
from payhub_platform.clock import iso, parse_iso
from payhub_platform.contracts.fspiop import PartyIdInfo
from payhub_platform.errors import InvalidInputError
from payhub_platform.money import Money

_logger = logging.getLogger(__name__)

ASK_ATTEMPTS_MAX: Final = 5  # before any money is held, a payment had better fail than wait
QUOTE_LEAST_MS: Final = 500


class AmsJobs:
    """Handlers by job type; each does one thing and leaves the flow to the process."""

    def __init__(self, client: FineractClient) -> None:
        self._client = client

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
        }

    async def quote_payer(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Find the payer's account, check that it may pay, and fix the fee for all later actions."""
        payment = read(job, Payment)
        amount = money_of(payment.amount)
        try:
            account = await self._usable_account(job, context, payment.payer, "PAYER", amount)
            fee = await self._client.fee(job, context, account, "PAYER", amount, payment.quote_id)
        except AmsRefusalError as error:
            reason = not_found("PAYER") if error.not_found else refused(error.codes, "PAYER")
            raise _refusal(refusals.PAYER_REFUSED, reason) from error
        except JobFailedError as error:
            raise _give_up(job, error, refusals.PAYER_REFUSED) from error
        return {"payerAccount": account, "payerFee": fee.decimal_text()}

    async def reserve(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Hold the payer's funds: PREPARE.

        A refusal for want of funds may be caused by our own hold, when the answer to an earlier PREPARE
        was lost: Fineract checks the balance first. So a hold is released before the payment is refused;
        where there is none, Fineract says so.
        """
        funds = read(job, PayerFunds)
        try:
            await self._client.transfer(job, context, _payer_order("PREPARE", funds))
        except AmsRefusalError as error:
            if REPEATED_PREPARE in error.codes:
                return {}
            if error.not_found:
                raise _refusal(refusals.PAYER_REFUSED, not_found("PAYER")) from error
            await self._release(job, context, funds)
            raise _refusal(refusals.PAYER_REFUSED, refused(error.codes, "PAYER")) from error
        return {}

    async def commit(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Take the held funds: CREATE. The scheme has committed, so this is tried until it is done."""
        order = _payer_order("CREATE", read(job, PayerFunds))
        await self._book(job, context, order)
        return {}

    async def release(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Let go of the held funds: RELEASE. The process never sends CREATE afterwards."""
        await self._release(job, context, read(job, PayerFunds))
        return {}

    async def look_up_party(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Tell whether an identifier belongs to a member."""
        question = read(job, PartyQuestion)
        try:
            await self._client.account_of(job, context, question.party_id)
        except AmsRefusalError as error:
            raise _refusal(refusals.PARTY_REFUSED, not_found("PAYEE")) from error
        except JobFailedError as error:
            raise _give_up(job, error, refusals.PARTY_REFUSED) from error
        return {}

    async def quote_payee(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Check that the payee's account can receive, and fix the terms of the quote, once."""
        asked = read(job, PayeeQuote)
        quote = asked.quote
        amount = money_of(quote.amount)
        try:
            account = await self._usable_account(job, context, quote.payee.party_id_info, "PAYEE", amount)
            fee = await self._client.fee(job, context, account, "PAYEE", amount, quote.quote_id)
        except AmsRefusalError as error:
            reason = not_found("PAYEE") if error.not_found else refused(error.codes, "PAYEE")
            raise _refusal(refusals.QUOTE_REFUSED, reason) from error
        except JobFailedError as error:
            raise _give_up(job, error, refusals.QUOTE_REFUSED) from error
        now_ms = context.clock()
        limit_ms = now_ms + context.tenant(job.tenant).quote_validity_ms
        if quote.expiration is not None:
            limit_ms = min(limit_ms, parse_iso(quote.expiration))
            if limit_ms - now_ms < QUOTE_LEAST_MS:
                reason = Reason(refusals.QUOTE_EXPIRED, "The quote request has expired.")
                raise _refusal(refusals.QUOTE_REFUSED, reason)
        try:
            given = offered_terms(quote, fee, iso(limit_ms))
        except InvalidInputError as error:
            raise refusal(refusals.QUOTE_REFUSED, refusals.PAYEE_REJECTED_QUOTE, error.detail) from error
        return {"payeeAccount": account, "quoteTerms": builtin(given)}

    async def reserve_credit(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Make sure that the payee can still be paid, before the fulfilment promises it.

        Fineract reserves nothing for a payee: its PREPARE does not even look at the account.
        """
        credit = read(job, PayeeCredit)
        try:
            state = await self._client.account(job, context, credit.payee_account)
        except AmsRefusalError as error:
            reason = not_found("PAYEE") if error.not_found else refused(error.codes, "PAYEE")
            raise _refusal(refusals.TRANSFER_REFUSED, reason) from error
        except JobFailedError as error:
            if job.attempt < ASK_ATTEMPTS_MAX:
                raise
            # An error of the 20xx kind says nothing of a transfer; this one is refused.
            reason = Reason(refusals.PAYEE_ERROR, "The payee's bank is not reachable.")
            raise _refusal(refusals.TRANSFER_REFUSED, reason) from error
        fault = account_fault(state, "PAYEE", credit.quote_terms.transfer_amount.currency)
        if fault is not None:
            raise _refusal(refusals.TRANSFER_REFUSED, fault)
        return {}

    async def credit(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Pay the payee what the scheme has settled: CREATE, tried until it is done."""
        await self._book(job, context, _payee_order(read(job, PayeeCredit)))
        return {}

    async def deposit(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Pay a payee of the payer's own bank: CREATE. Nothing is settled yet, so it may be refused.

        Only the first attempt's refusal says that nothing was booked: a later one may be about an account
        that an earlier attempt, whose answer was lost, has paid already. That is for an operator to see.
        """
        try:
            await self._book(job, context, _payee_order(read(job, PayeeCredit)))
        except JobFailedError as error:
            cause = error.__cause__
            if not isinstance(cause, AmsRefusalError) or job.attempt > 1:
                raise
            reason = not_found("PAYEE") if cause.not_found else refused(cause.codes, "PAYEE")
            raise _refusal(refusals.CREDIT_REFUSED, reason) from error
        return {}

    async def _usable_account(
        self, job: Job, context: ConnectorContext, party: PartyIdInfo, role: Role, amount: Money
    ) -> str:
        account = await self._client.account_of(job, context, party)
        state = await self._client.account(job, context, account)
        fault = account_fault(state, role, amount.currency)
        if fault is not None:
            raise _refusal(refusals.PAYER_REFUSED if role == "PAYER" else refusals.QUOTE_REFUSED, fault)
        return account

    async def _book(self, job: Job, context: ConnectorContext, order: TransferOrder) -> None:
        try:
            await self._client.transfer(job, context, order)
        except AmsRefusalError as error:
            if REPEATED_CREATE in error.codes:
                return
            _logger.warning("payment %s: the bank refuses a committed booking: %s", job.payment, error)
            raise JobFailedError(f"CREATE {order.role}: refused: {error}", RETRY_AFTER_MS) from error

    async def _release(self, job: Job, context: ConnectorContext, funds: PayerFunds) -> None:
        try:
            await self._client.transfer(job, context, _payer_order("RELEASE", funds))
        except AmsRefusalError as error:
            # Nothing was ever created under this code, so a hold that is missing is released or never was.
            if HOLD_MISSING not in error.codes:
                raise JobFailedError(f"RELEASE: refused: {error}", RETRY_AFTER_MS) from error


def _payer_order(action: Action, funds: PayerFunds) -> TransferOrder:
    amount = money_of(funds.amount)
    return TransferOrder(
        action=action,
        role="PAYER",
        transaction_id=funds.transaction_id,
        transfer_id=funds.transfer_id,
        account=funds.payer_account,
        amount=amount,
        fee=Money.parse(funds.payer_fee, amount.currency),
    )


def _payee_order(credit: PayeeCredit) -> TransferOrder:
    amount = money_of(credit.quote_terms.payee_receive_amount)
    return TransferOrder(
        action="CREATE",
        role="PAYEE",
        transaction_id=credit.transaction_id,
        transfer_id=credit.transfer_id,
        account=credit.payee_account,
        amount=amount,
        fee=Money(0, amount.currency),
    )


def _refusal(bpmn_code: str, reason: Reason) -> Exception:
    return refusal(bpmn_code, reason.code, reason.description)


def _give_up(job: Job, error: JobFailedError, bpmn_code: str) -> Exception:
    """Return the failure itself, or a refusal when it was tried often enough."""
    if job.attempt < ASK_ATTEMPTS_MAX:
        return error
    return refusal(bpmn_code, refusals.SERVICE_UNAVAILABLE, "The bank is not reachable.")
