"""The jobs of a payment's payee that speak to the switch."""

import logging
from typing import Any, Final

import msgspec

from payhub_engines.connectors import refusals
from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.job import Handler, Job, JobFailedError
from payhub_engines.connectors.mojaloop import clearing, ilp, terms
from payhub_engines.connectors.mojaloop.client import SchemeRefusalError
from payhub_engines.connectors.mojaloop.direct import is_direct
from payhub_engines.connectors.mojaloop.jobs_sending import SEND_ATTEMPTS_MAX, Sender
from payhub_engines.connectors.mojaloop.keys import KeyRing
from payhub_engines.connectors.mojaloop.outgoing import answer, party_path, refuse
from payhub_engines.connectors.refusals import refusal
from payhub_engines.connectors.variables import (
    AgreedQuote,
    PartyQuestion,
    PayeeQuote,
    PreparedTransfer,
    PricedQuote,
    RefusedQuery,
    TransferReference,
    builtin,
    read,
)
from payhub_platform.clock import parse_iso
from payhub_platform.contracts.fspiop import (
    FspMoney,
    ParticipantResponse,
    Party,
    PartyIdInfo,
    PartyResponse,
    QuoteResponse,
    TransferFulfil,
)

_logger = logging.getLogger(__name__)

PREPARE_GRACE_MS: Final = 2_000  # a prepare sent just before the quote expired is still on its way


class PayeeJobs:
    """Handlers by job type; each does one thing and leaves the flow to the process."""

    def __init__(self, sender: Sender, keys: KeyRing) -> None:
        self._sender = sender
        self._keys = keys

    def handlers(self) -> dict[str, Handler]:
        """Return job type to handler."""
        return {
            "mojaloop-answer-party": self.answer_party,
            "mojaloop-refuse-party": self.refuse_party,
            "mojaloop-answer-participant": self.answer_participant,
            "mojaloop-refuse-participant": self.refuse_participant,
            "mojaloop-refuse-query": self.refuse_query,
            "mojaloop-agree-quote": self.agree_quote,
            "mojaloop-answer-quote": self.answer_quote,
            "mojaloop-refuse-quote": self.refuse_quote,
            "mojaloop-check-prepare": self.check_prepare,
            "mojaloop-answer-transfer": self.answer_transfer,
            "mojaloop-refuse-transfer": self.refuse_transfer,
        }

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
        message = answer(body, *party_path(asked), to=question.requester_fsp)
        await self._sender.answer(job, context, message)
        return {}

    async def refuse_party(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Tell that the party is no member here: PUT /parties/.../error."""
        path = party_path(read(job, PartyQuestion).party_id)
        await self._sender.refuse(job, context, "parties", *path)
        return {}

    async def answer_participant(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Tell that the party's account is here: PUT /participants."""
        question = read(job, PartyQuestion)
        body = ParticipantResponse(fsp_id=context.tenant(job.tenant).fsp_id)
        message = answer(body, *party_path(question.party_id), to=question.requester_fsp)
        await self._sender.answer(job, context, message)
        return {}

    async def refuse_participant(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Tell that the party has no account here: PUT /participants/.../error."""
        path = party_path(read(job, PartyQuestion).party_id)
        await self._sender.refuse(job, context, "participants", *path)
        return {}

    async def refuse_query(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Tell that what was asked for is not known here, or over: PUT .../error."""
        asked = read(job, RefusedQuery)
        query, error = asked.query, asked.query_refusal
        message = refuse(query.resource, *query.path, error=error, to=asked.queried_by)
        await self._sender.answer(job, context, message)
        return {}

    async def agree_quote(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Commit to the terms of the quote: packet and condition, and how long a transfer is waited for.

        They are in the log before they are told, so that a secret that is replaced meanwhile changes nothing.
        """
        own_quote = self._agreed(read(job, PricedQuote), job, context)
        wait_ms = max(0, parse_iso(own_quote.expiration) - context.clock()) + PREPARE_GRACE_MS
        return {"ownQuote": builtin(own_quote), "prepareWait": f"PT{wait_ms // 1000}.{wait_ms % 1000:03d}S"}

    async def answer_quote(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Tell the terms: PUT /quotes/{ID} with packet and condition."""
        agreed = read(job, AgreedQuote)
        if agreed.own_quote is None:  # the process is of a release that did both at once
            variables = await self.agree_quote(job, context)
            own_quote = msgspec.convert(variables["ownQuote"], QuoteResponse)
        else:
            variables, own_quote = {}, agreed.own_quote
        message = answer(own_quote, agreed.quote.quote_id, to=agreed.requester_fsp)
        await self._sender.answer(job, context, message)
        return variables

    def _agreed(self, priced: PricedQuote, job: Job, context: ConnectorContext) -> QuoteResponse:
        given, tenant = priced.quote_terms, context.tenant(job.tenant)
        transaction = ilp.transaction_of(priced.quote, given.transfer_amount, given.expiration)
        secret = self._keys.of(tenant, context.secrets).ilp_secret
        agreed = ilp.agree(transaction, secret, tenant.scheme)
        return QuoteResponse(
            transfer_amount=given.transfer_amount,
            payee_receive_amount=given.payee_receive_amount,
            payee_fsp_fee=given.payee_fsp_fee
            or FspMoney(amount="0", currency=given.transfer_amount.currency),
            expiration=given.expiration,
            ilp_packet=agreed.packet,
            condition=agreed.condition,
        )

    async def refuse_quote(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Refuse to quote: PUT /quotes/{ID}/error."""
        quote_id = read(job, PayeeQuote).quote.quote_id
        await self._sender.refuse(job, context, "quotes", quote_id)
        return {}

    async def check_prepare(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Accept or refuse the transfer: it must be what this institution quoted.

        One that is paid directly is credited before its fulfilment is told, so that is made first.
        """
        prepared, tenant = read(job, PreparedTransfer), context.tenant(job.tenant)
        terms.check_prepare(prepared, tenant.fsp_id, context.clock())
        if not is_direct(job):
            return {}
        transfer, secrets = prepared.transfer, self._keys.of(tenant, context.secrets).ilp_secrets
        secret = ilp.secret_for(transfer.ilp_packet, transfer.condition, secrets)
        if secret is None:
            what = "The quote can no longer be fulfilled."
            raise refusal(refusals.TRANSFER_REFUSED, refusals.QUOTE_EXPIRED, what)
        return {"fulfilment": ilp.fulfilment_of(transfer.ilp_packet, secret)}

    async def answer_transfer(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Release the fulfilment: PUT /transfers/{ID} RESERVED, or COMMITTED where no scheme decides.

        Of a scheme's transfer it is made anew each time and kept nowhere, so that no log holds it before the
        scheme does. Whether it arrived is asked for, so that giving up here loses nothing.
        """
        prepared = read(job, PreparedTransfer)
        transfer = prepared.transfer
        if prepared.fulfilment is not None and is_direct(job):
            body = TransferFulfil(transfer_state="COMMITTED", fulfilment=prepared.fulfilment)
        else:
            secrets = self._keys.of(context.tenant(job.tenant), context.secrets).ilp_secrets
            # Where no secret fits any more, the newest makes a fulfilment that the scheme refuses.
            secret = ilp.secret_for(transfer.ilp_packet, transfer.condition, secrets) or secrets[0]
            fulfilment = ilp.fulfilment_of(transfer.ilp_packet, secret)
            body = TransferFulfil(transfer_state="RESERVED", fulfilment=fulfilment)
        try:
            message = answer(body, transfer.transfer_id, to=transfer.payer_fsp)
            await self._sender.send(job, context, message)
        except SchemeRefusalError as error:
            _logger.warning("transfer %s: fulfilment refused with %s", transfer.transfer_id, error.code)
        except JobFailedError as error:
            if job.attempt < SEND_ATTEMPTS_MAX:
                raise
            _logger.warning("transfer %s: fulfilment not delivered: %s", transfer.transfer_id, error.message)
        return clearing.due(prepared) if is_direct(job) else {}

    async def refuse_transfer(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Refuse the transfer: PUT /transfers/{ID}/error."""
        transfer_id = read(job, TransferReference).transfer_id
        await self._sender.refuse(job, context, "transfers", transfer_id)
        return {}
