"""The jobs of a bulk's payer that speak to the switch."""

import logging
from typing import Any

import msgspec

from payhub_engines.connectors import refusals
from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.job import BpmnError, Handler, Job, JobFailedError
from payhub_engines.connectors.mojaloop import bulk_terms
from payhub_engines.connectors.mojaloop.bulk_variables import (
    AnsweredBulk,
    BulkItem,
    BulkPayment,
    BulkReference,
    PayerBulk,
)
from payhub_engines.connectors.mojaloop.client import SchemeRefusalError
from payhub_engines.connectors.mojaloop.jobs_sending import SEND_ATTEMPTS_MAX, Sender
from payhub_engines.connectors.mojaloop.outgoing import ask, request
from payhub_engines.connectors.variables import ErrorValue, read
from payhub_platform.contracts.fspiop import Party
from payhub_platform.contracts.fspiop_bulk import (
    BulkQuoteRequest,
    BulkTransferPrepare,
    IndividualQuoteResult,
    IndividualTransfer,
)

_logger = logging.getLogger(__name__)


class BulkPayerJobs:
    """Handlers by job type; each does one thing and leaves the flow to the process."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def handlers(self) -> dict[str, Handler]:
        """Return job type to handler."""
        return {
            "mojaloop-form-bulks": self.form_bulks,
            "mojaloop-request-bulk-quote": self.request_bulk_quote,
            "mojaloop-check-bulk-quote": self.check_bulk_quote,
            "mojaloop-form-bulk-transfer": self.form_bulk_transfer,
            "mojaloop-send-bulk-transfer": self.send_bulk_transfer,
            "mojaloop-query-bulk-transfer": self.query_bulk_transfer,
            "mojaloop-check-bulk-fulfilments": self.check_bulk_fulfilments,
        }

    async def form_bulks(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Group the payments by the institutions at which their payees were found."""
        fsp_id = context.tenant(job.tenant).fsp_id
        found = bulk_terms.grouped(read(job, BulkPayment), job.tenant, fsp_id, context.clock())
        return {
            "bulks": msgspec.to_builtins(found.bulks),
            "neighbours": msgspec.to_builtins(found.neighbours),
            "results": msgspec.to_builtins(found.refused),
        }

    async def request_bulk_quote(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Ask the payees' institution for its terms: POST /bulkQuotes."""
        bulk = read(job, PayerBulk)
        body = BulkQuoteRequest(
            bulk_quote_id=bulk.bulk_quote_id,
            payer=Party(party_id_info=bulk.payer),
            individual_quotes=[bulk_terms.individual_quote(item) for item in bulk.payments],
        )
        await self._sender.ask(job, context, request(body, to=bulk.payee_fsp))
        return {}

    async def check_bulk_quote(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Accept or refuse the terms of each payment."""
        items = bulk_terms.agreed(read(job, PayerBulk), context.clock())
        return {"payments": msgspec.to_builtins(items)}

    async def form_bulk_transfer(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Take the payments whose funds are reserved, and fix when a bulk that is sent now expires.

        Where the quotes are over meanwhile, those funds are to be released.
        """
        bulk = read(job, PayerBulk)
        reserved = [item for item in bulk.payments if item.refusal is None]
        refused = [
            bulk_terms.failed(item, item.refusal) for item in bulk.payments if item.refusal is not None
        ]
        formed = {
            "payments": msgspec.to_builtins(reserved),
            "results": msgspec.to_builtins([*bulk.results, *refused]),
        }
        if not reserved:
            return formed
        try:
            expiration = bulk_terms.transfer_expiration(bulk, context.clock())
        except BpmnError as error:
            why = msgspec.convert(error.variables["error"], ErrorValue)
            over = [msgspec.structs.replace(item, failure=why) for item in reserved]
            kept = {**formed, "payments": [], "releasing": msgspec.to_builtins(over), **error.variables}
            raise BpmnError(error.code, error.description, kept) from error
        return {**formed, "transferExpiration": expiration}

    async def send_bulk_transfer(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Send the bulk: POST /bulkTransfers. From here on only the scheme knows the outcome.

        Even an immediate refusal is none, as of a single transfer: it is kept in the variable ``sendRefusal``
        and the process asks the scheme.
        """
        bulk = read(job, PayerBulk)
        answered = bulk.bulk_quote_response
        quotes = {} if answered is None else {one.quote_id: one for one in answered.individual_quote_results}
        body = BulkTransferPrepare(
            bulk_transfer_id=bulk.bulk_transfer_id,
            bulk_quote_id=bulk.bulk_quote_id,
            payer_fsp=context.tenant(job.tenant).fsp_id,
            payee_fsp=bulk.payee_fsp,
            individual_transfers=[_transfer(item, quotes[item.quote_id]) for item in bulk.payments],
            expiration=bulk.transfer_expiration,
        )
        try:
            await self._sender.send(job, context, request(body, to=bulk.payee_fsp))
        except SchemeRefusalError as error:
            kept = {"sendRefusal": refusals.error_value(error.code, error.description)}
            raise BpmnError(refusals.TRANSFER_REFUSED, error.description, kept) from error
        except JobFailedError as error:
            if job.attempt < SEND_ATTEMPTS_MAX:
                raise
            _logger.warning("bulk %s: outcome unknown, %s", bulk.bulk_transfer_id, error.message)
        return {}

    async def query_bulk_transfer(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Ask the scheme how a bulk stands: GET /bulkTransfers/{ID}.

        Asking in vain is no failure: the process waits for the answer with a timer and asks again.
        """
        bulk_id = read(job, BulkReference).bulk_transfer_id
        switch = context.tenant(job.tenant).scheme.switch_fsp_id
        try:
            await self._sender.send(job, context, ask("bulkTransfers", bulk_id, to=switch))
        except SchemeRefusalError as error:
            _logger.warning("bulk %s: the scheme does not tell its state: %s", bulk_id, error.code)
        except JobFailedError as error:
            _logger.warning("bulk %s: its state cannot be asked for: %s", bulk_id, error.message)
        return {}

    async def check_bulk_fulfilments(self, job: Job, _context: ConnectorContext) -> dict[str, Any]:
        """See what an answer decides of each payment: to be committed, to be released, or still open."""
        found = bulk_terms.decided(read(job, AnsweredBulk))
        return {
            "payments": msgspec.to_builtins(found.open),
            "committing": msgspec.to_builtins(found.committing),
            "releasing": msgspec.to_builtins(found.releasing),
        }


def _transfer(item: BulkItem, quote: IndividualQuoteResult) -> IndividualTransfer:
    return IndividualTransfer(
        transfer_id=item.transfer_id,
        transfer_amount=item.amount,
        ilp_packet=quote.ilp_packet or "",
        condition=quote.condition or "",
    )
