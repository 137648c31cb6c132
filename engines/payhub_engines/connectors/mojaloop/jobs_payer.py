"""The jobs of a payment's payer that speak to the switch."""

import logging
from typing import Any

from payhub_engines.connectors import refusals
from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.job import BpmnError, Handler, Job, JobFailedError
from payhub_engines.connectors.mojaloop import clearing, ilp, terms
from payhub_engines.connectors.mojaloop.client import SchemeRefusalError
from payhub_engines.connectors.mojaloop.direct import DIRECT, is_direct, on_the_way, way_to
from payhub_engines.connectors.mojaloop.jobs_sending import SEND_ATTEMPTS_MAX, Sender
from payhub_engines.connectors.mojaloop.outgoing import ask, party_path, request
from payhub_engines.connectors.refusals import refusal
from payhub_engines.connectors.variables import (
    AnsweredTransfer,
    FoundParty,
    PartySought,
    QuotedPayment,
    TransferReference,
    builtin,
    read,
)
from payhub_platform.contracts.fspiop import Party, PartyIdInfo, QuoteRequest, TransferPrepare

_logger = logging.getLogger(__name__)


class PayerJobs:
    """Handlers by job type; each does one thing and leaves the flow to the process."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def handlers(self) -> dict[str, Handler]:
        """Return job type to handler."""
        return {
            "mojaloop-request-party": self.request_party,
            "mojaloop-request-quote": self.request_quote,
            "mojaloop-check-quote": self.check_quote,
            "mojaloop-send-transfer": self.send_transfer,
            "mojaloop-query-transfer": self.query_transfer,
            "mojaloop-check-fulfilment": self.check_fulfilment,
        }

    async def request_party(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Ask who the payee is: GET /parties, of the institution that is named, where it is paid directly."""
        sought = read(job, PartySought)
        payee, way = (
            sought.payee,
            {} if sought.transfer_id is None else way_to(sought.payee.fsp_id, job, context),
        )
        message = ask("parties", *party_path(payee), to=(payee.fsp_id or "") if way.get(DIRECT) else "")
        await self._sender.ask(on_the_way(job, way), context, message)
        return way

    async def request_quote(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Ask the payee's institution for its terms: POST /quotes.

        By which way it is paid is decided here: through the scheme, or directly.
        """
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
            transaction_type=payment.transaction_type,
            transaction_request_id=payment.transaction_request_id,
            note=payment.note,
        )
        way = way_to(payment.payee_fsp, job, context)
        await self._sender.ask(on_the_way(job, way), context, request(body, to=payment.payee_fsp))
        return way

    async def check_quote(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Accept or refuse the payee's terms, and fix when a transfer sent now expires.

        The process does it again before it sends the transfer, since the payer and the bank take their time.
        """
        agreed, expiration = terms.accepted_terms(read(job, QuotedPayment), context.clock())
        return {"quoteTerms": builtin(agreed), "transferExpiration": expiration}

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
            await self._sender.send(job, context, request(body, to=payment.payee_fsp))
        except SchemeRefusalError as error:
            if is_direct(job):
                # An earlier try may be on its way, and no scheme would ever end it: the payee is asked.
                _logger.warning("transfer %s: not taken with %s", payment.transfer_id, error.code)
                return {}
            kept = {"sendRefusal": refusals.error_value(error.code, error.description)}
            raise BpmnError(refusals.TRANSFER_REFUSED, error.description, kept) from error
        except JobFailedError as error:
            if job.attempt < SEND_ATTEMPTS_MAX:
                raise
            _logger.warning("transfer %s: outcome unknown, %s", payment.transfer_id, error.message)
        return {}

    async def query_transfer(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Ask the scheme, or the payee of a direct payment, how a transfer stands: GET /transfers/{ID}.

        Asking in vain is no failure: the process waits for the answer with a timer and asks again.
        """
        asked = read(job, TransferReference)
        transfer_id, switch = asked.transfer_id, context.tenant(job.tenant).scheme.switch_fsp_id
        to = (asked.payee_fsp or "") if is_direct(job) else switch
        try:
            await self._sender.send(job, context, ask("transfers", transfer_id, to=to))
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
            return clearing.owed(read(job, QuotedPayment)) if is_direct(job) else {}
        _logger.error("tenant %s, payment %s: the fulfilment does not fit", job.tenant, job.payment)
        raise refusal(
            refusals.FULFILMENT_MISMATCH, refusals.SERVER_ERROR, "The fulfilment does not fit the condition."
        )
