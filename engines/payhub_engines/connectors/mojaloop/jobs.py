"""The jobs of the payment processes that speak to the switch."""

import logging
from typing import Any, Final

from payhub_engines.connectors import refusals
from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.job import BpmnError, Handler, Job, JobFailedError
from payhub_engines.connectors.mojaloop import ilp, terms
from payhub_engines.connectors.mojaloop.client import RETRY_AFTER_MS, FspiopClient, SchemeRefusalError
from payhub_engines.connectors.mojaloop.keys import KeyRing
from payhub_engines.connectors.refusals import refusal
from payhub_engines.connectors.variables import (
    AnsweredTransfer,
    FoundParty,
    PartyQuestion,
    PayeeQuote,
    Payment,
    PreparedTransfer,
    PricedQuote,
    QuotedPayment,
    RefusedQuestion,
    TransferReference,
    builtin,
    read,
)
from payhub_platform.clock import parse_iso
from payhub_platform.contracts.fspiop import (
    ErrorInformation,
    ErrorResponse,
    FspMoney,
    Message,
    Party,
    PartyIdInfo,
    PartyResponse,
    QuoteRequest,
    QuoteResponse,
    TransactionType,
    TransferFulfil,
    TransferPrepare,
)

_logger = logging.getLogger(__name__)

SEND_ATTEMPTS_MAX: Final = 5
PREPARE_GRACE_MS: Final = 2_000  # a prepare sent just before the quote expired is still on its way
PEER_TO_PEER: Final = TransactionType(scenario="TRANSFER", initiator="PAYER", initiator_type="CONSUMER")


class MojaloopJobs:
    """Handlers by job type; each does one thing and leaves the flow to the process."""

    def __init__(self, client: FspiopClient, keys: KeyRing) -> None:
        self._client = client
        self._keys = keys

    def handlers(self) -> dict[str, Handler]:
        """Return job type to handler."""
        return {
            "mojaloop-request-party": self.request_party,
            "mojaloop-request-quote": self.request_quote,
            "mojaloop-check-quote": self.check_quote,
            "mojaloop-send-transfer": self.send_transfer,
            "mojaloop-query-transfer": self.query_transfer,
            "mojaloop-check-fulfilment": self.check_fulfilment,
            "mojaloop-answer-party": self.answer_party,
            "mojaloop-refuse-party": self.refuse_party,
            "mojaloop-answer-quote": self.answer_quote,
            "mojaloop-refuse-quote": self.refuse_quote,
            "mojaloop-check-prepare": self.check_prepare,
            "mojaloop-answer-transfer": self.answer_transfer,
            "mojaloop-refuse-transfer": self.refuse_transfer,
        }

    async def request_party(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Ask the scheme who the payee is: GET /parties."""
        payee = read(job, Payment).payee
        await self._ask(job, context, "GET", _party_path(payee))
        return {}

    async def request_quote(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Ask the payee's institution for its terms: POST /quotes."""
        payment = read(job, FoundParty)
        if payment.payee.fsp_id not in (None, payment.payee_fsp):
            # The channel said where the payee is; paying somebody elsewhere is not what it asked for.
            raise refusal(
                refusals.SCHEME_REFUSED,
                refusals.PARTY_NOT_FOUND,
                "The payee is not at the institution named.",
            )
        found = payment.party.party_id_info
        payee_id = PartyIdInfo(
            party_id_type=found.party_id_type,
            party_identifier=found.party_identifier,
            party_sub_id_or_type=found.party_sub_id_or_type,
            fsp_id=payment.payee_fsp,
        )
        body = QuoteRequest(
            quote_id=payment.quote_id,
            transaction_id=payment.transaction_id,
            payee=Party(party_id_info=payee_id, name=payment.party.name),
            payer=Party(party_id_info=payment.payer),
            amount_type=payment.amount_type,
            amount=payment.amount,
            transaction_type=PEER_TO_PEER,
            note=payment.note,
        )
        await self._ask(job, context, "POST", ["quotes"], body, payment.payee_fsp)
        return {}

    async def check_quote(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Accept or refuse the payee's terms, and fix when the transfer expires."""
        payment = read(job, QuotedPayment)
        return {"transferExpiration": terms.transfer_expiration(payment, context.clock())}

    async def send_transfer(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Send the transfer: POST /transfers. From here on only the scheme knows the outcome.

        Even an immediate refusal is none: it may refuse the repetition of a message whose first answer was
        lost. So it is kept in the variable ``sendRefusal`` and the process asks the scheme.
        """
        payment = read(job, QuotedPayment)
        quote = payment.quote_response
        body = TransferPrepare(
            transfer_id=payment.transfer_id,
            payer_fsp=context.tenant(job.tenant).fsp_id,
            payee_fsp=payment.payee_fsp,
            amount=quote.transfer_amount,
            ilp_packet=quote.ilp_packet,
            condition=quote.condition,
            expiration=payment.transfer_expiration,
        )
        try:
            await self._client.send(
                job, context, "POST", ["transfers"], body=body, destination=payment.payee_fsp
            )
        except SchemeRefusalError as error:
            kept = {"sendRefusal": refusals.error_value(error.code, error.description)}
            raise BpmnError(refusals.TRANSFER_REFUSED, error.description, kept) from error
        except JobFailedError as error:
            if job.attempt < SEND_ATTEMPTS_MAX:
                raise
            _logger.warning("transfer %s: outcome unknown, %s", payment.transfer_id, error.message)
        return {}

    async def query_transfer(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Ask the scheme how a transfer stands: GET /transfers/{ID}.

        Asking in vain is no failure: the process waits for the answer with a timer and asks again.
        """
        transfer_id = read(job, TransferReference).transfer_id
        switch = context.tenant(job.tenant).scheme.switch_fsp_id
        try:
            await self._client.send(job, context, "GET", ["transfers", transfer_id], destination=switch)
        except SchemeRefusalError as error:
            _logger.warning("transfer %s: the scheme does not tell its state: %s", transfer_id, error.code)
        except JobFailedError as error:
            _logger.warning("transfer %s: its state cannot be asked for: %s", transfer_id, error.message)
        return {}

    async def check_fulfilment(self, job: Job, _context: ConnectorContext) -> dict[str, Any]:
        """Check that the scheme's COMMITTED carries the payee's fulfilment.

        It is mandatory there (FSPIOP 1.1 section 6.7.4.1). Without one that fits nothing is proven, so the
        outcome stays unknown, the funds stay reserved and the process asks again.
        """
        answered = read(job, AnsweredTransfer)
        fulfilment = answered.transfer_result.fulfilment
        if fulfilment is not None and ilp.fulfils(fulfilment, answered.quote_response.condition):
            return {}
        _logger.error("tenant %s, payment %s: the fulfilment does not fit", job.tenant, job.payment)
        raise refusal(
            refusals.FULFILMENT_MISMATCH, refusals.SERVER_ERROR, "The fulfilment does not fit the condition."
        )

    async def answer_party(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Tell that the party is a member here: PUT /parties."""
        question = read(job, PartyQuestion)
        asked = question.party_id
        info = PartyIdInfo(
            party_id_type=asked.party_id_type,
            party_identifier=asked.party_identifier,
            party_sub_id_or_type=asked.party_sub_id_or_type,
            fsp_id=context.tenant(job.tenant).fsp_id,
        )
        body = PartyResponse(party=Party(party_id_info=info))
        await self._answer(job, context, _party_path(asked), body, question.requester_fsp)
        return {}

    async def refuse_party(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Tell that the party is no member here: PUT /parties/.../error."""
        path = _party_path(read(job, PartyQuestion).party_id)
        await self._refuse(job, context, path)
        return {}

    async def answer_quote(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Commit to the terms of the quote: PUT /quotes/{ID} with packet and condition."""
        priced = read(job, PricedQuote)
        given = priced.quote_terms
        transaction = ilp.transaction_of(priced.quote, given.transfer_amount, given.expiration)
        tenant = context.tenant(job.tenant)
        secret = self._keys.of(tenant, context.secrets).ilp_secret
        agreed = ilp.agree(transaction, secret, tenant.scheme)
        body = QuoteResponse(
            transfer_amount=given.transfer_amount,
            payee_receive_amount=given.payee_receive_amount,
            payee_fsp_fee=FspMoney(amount="0", currency=given.transfer_amount.currency),
            expiration=given.expiration,
            ilp_packet=agreed.packet,
            condition=agreed.condition,
        )
        await self._answer(job, context, ["quotes", priced.quote.quote_id], body, priced.requester_fsp)
        wait_ms = max(0, parse_iso(given.expiration) - context.clock()) + PREPARE_GRACE_MS
        return {"ownQuote": builtin(body), "prepareWait": f"PT{wait_ms // 1000}.{wait_ms % 1000:03d}S"}

    async def refuse_quote(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Refuse to quote: PUT /quotes/{ID}/error."""
        quote_id = read(job, PayeeQuote).quote.quote_id
        await self._refuse(job, context, ["quotes", quote_id])
        return {}

    async def check_prepare(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Accept or refuse the transfer: it must be what this institution quoted."""
        terms.check_prepare(read(job, PreparedTransfer), context.tenant(job.tenant).fsp_id, context.clock())
        return {}

    async def answer_transfer(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Release the fulfilment: PUT /transfers/{ID} RESERVED. The scheme decides from here on.

        The fulfilment is made anew each time and kept nowhere, so that no log holds it before the scheme
        does. Whether it arrived is asked for by the process, so that giving up here loses nothing.
        """
        prepared = read(job, PreparedTransfer)
        transfer = prepared.transfer
        secrets = self._keys.of(context.tenant(job.tenant), context.secrets).ilp_secrets
        # Where no secret fits any more, the newest makes a fulfilment that the scheme refuses: nothing moves.
        secret = ilp.secret_for(transfer.ilp_packet, transfer.condition, secrets) or secrets[0]
        fulfilment = ilp.fulfilment_of(transfer.ilp_packet, secret)
        body = TransferFulfil(transfer_state="RESERVED", fulfilment=fulfilment)
        try:
            await self._client.send(
                job,
                context,
                "PUT",
                ["transfers", transfer.transfer_id],
                body=body,
                destination=transfer.payer_fsp,
            )
        except SchemeRefusalError as error:
            _logger.warning("transfer %s: fulfilment refused with %s", transfer.transfer_id, error.code)
        except JobFailedError as error:
            if job.attempt < SEND_ATTEMPTS_MAX:
                raise
            _logger.warning("transfer %s: fulfilment not delivered: %s", transfer.transfer_id, error.message)
        return {}

    async def refuse_transfer(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Refuse the transfer: PUT /transfers/{ID}/error."""
        transfer_id = read(job, TransferReference).transfer_id
        await self._refuse(job, context, ["transfers", transfer_id])
        return {}

    async def _ask(
        self,
        job: Job,
        context: ConnectorContext,
        method: str,
        path: list[str],
        body: Message | None = None,
        destination: str = "",
    ) -> None:
        """Ask before any money has moved: after some attempts the payment had better fail than wait."""
        try:
            await self._client.send(job, context, method, path, body=body, destination=destination)
        except SchemeRefusalError as error:
            raise refusal(refusals.SCHEME_REFUSED, error.code, error.description) from error
        except JobFailedError as error:
            if job.attempt < SEND_ATTEMPTS_MAX:
                raise
            raise refusal(
                refusals.SCHEME_REFUSED, refusals.SERVICE_UNAVAILABLE, "The scheme is not reachable."
            ) from error

    async def _answer(
        self, job: Job, context: ConnectorContext, path: list[str], body: Message, destination: str
    ) -> None:
        try:
            await self._client.send(job, context, "PUT", path, body=body, destination=destination)
        except SchemeRefusalError as error:
            # Our own answer is refused: nobody but an operator can mend that, so it ends as an incident.
            raise JobFailedError(f"PUT /{path[0]}: refused with {error.code}", RETRY_AFTER_MS) from error

    async def _refuse(self, job: Job, context: ConnectorContext, path: list[str]) -> None:
        question = read(job, RefusedQuestion)
        information = ErrorInformation(
            error_code=question.error.code, error_description=question.error.description
        )
        body = ErrorResponse(error_information=information)
        await self._answer(job, context, [*path, "error"], body, question.requester_fsp)


def _party_path(party: PartyIdInfo) -> list[str]:
    path = ["parties", party.party_id_type, party.party_identifier]
    return [*path, party.party_sub_id_or_type] if party.party_sub_id_or_type else path
