"""The jobs of a bulk's payee that speak to the switch."""

import logging
from typing import Any

import msgspec

from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.job import Handler, Job, JobFailedError
from payhub_engines.connectors.mojaloop import bulk_terms, ilp
from payhub_engines.connectors.mojaloop.bulk_answers import quote_response, transfer_response
from payhub_engines.connectors.mojaloop.bulk_variables import (
    AcceptedBulk,
    BulkQuoteReference,
    BulkReference,
    OwnQuote,
    PreparedBulk,
    QuotedBulk,
    SettledBulk,
)
from payhub_engines.connectors.mojaloop.client import SchemeRefusalError
from payhub_engines.connectors.mojaloop.jobs_payee import PREPARE_GRACE_MS
from payhub_engines.connectors.mojaloop.jobs_sending import SEND_ATTEMPTS_MAX, Sender
from payhub_engines.connectors.mojaloop.keys import KeyRing
from payhub_engines.connectors.mojaloop.outgoing import answer
from payhub_engines.connectors.variables import read
from payhub_platform.clock import iso, parse_iso
from payhub_platform.contracts.fspiop import QuoteRequest
from payhub_platform.contracts.tenant import SchemeConnection

_logger = logging.getLogger(__name__)


class BulkPayeeJobs:
    """Handlers by job type; each does one thing and leaves the flow to the process."""

    def __init__(self, sender: Sender, keys: KeyRing) -> None:
        self._sender = sender
        self._keys = keys

    def handlers(self) -> dict[str, Handler]:
        """Return job type to handler."""
        return {
            "mojaloop-answer-bulk-quote": self.answer_bulk_quote,
            "mojaloop-refuse-bulk-quote": self.refuse_bulk_quote,
            "mojaloop-check-bulk-prepare": self.check_bulk_prepare,
            "mojaloop-answer-bulk-transfer": self.answer_bulk_transfer,
            "mojaloop-refuse-bulk-transfer": self.refuse_bulk_transfer,
            "mojaloop-check-bulk-settlement": self.check_bulk_settlement,
        }

    async def answer_bulk_quote(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Commit to the terms of each payment, or say why not: PUT /bulkQuotes/{ID}.

        All terms of a bulk expire together. What was given once is given again as it was.
        """
        bulk, tenant = read(job, QuotedBulk), context.tenant(job.tenant)
        given = [quote.quote_terms.expiration for quote in bulk.own_quotes if quote.quote_terms is not None]
        expiration = bulk.quotes_expire or min(
            given, key=parse_iso, default=iso(context.clock() + tenant.quote_validity_ms)
        )
        secret = self._keys.of(tenant, context.secrets).ilp_secret
        quotes = _committed(bulk, expiration, secret, tenant.scheme)
        body = quote_response(quotes, expiration)
        message = answer(body, bulk.bulk_quote.bulk_quote_id, to=bulk.requester_fsp)
        await self._sender.answer(job, context, message)
        wait_ms = max(0, parse_iso(expiration) - context.clock()) + PREPARE_GRACE_MS
        return {
            "ownQuotes": msgspec.to_builtins(quotes),
            "quotesExpire": expiration,
            "prepareWait": f"PT{wait_ms // 1000}.{wait_ms % 1000:03d}S",
        }

    async def refuse_bulk_quote(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Refuse to quote a bulk at all: PUT /bulkQuotes/{ID}/error."""
        await self._sender.refuse(job, context, "bulkQuotes", read(job, BulkQuoteReference).bulk_quote_id)
        return {}

    async def check_bulk_prepare(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Accept or refuse each transfer: it must be what this institution quoted.

        The packets stand in the quotes, so that the transfer's own are not kept.
        """
        prepared = read(job, PreparedBulk)
        items = bulk_terms.accepted(prepared, context.tenant(job.tenant).fsp_id, context.clock())
        return {"transferItems": msgspec.to_builtins(items), "bulkTransfer": None}

    async def answer_bulk_transfer(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Release the fulfilments, and say what was refused: PUT /bulkTransfers/{ID}.

        COMPLETED makes the scheme decide; no state of FSPIOP asks it to tell the payee. Each fulfilment is
        made anew and kept nowhere. Whether they arrived is asked for by the process, so that giving up here
        loses nothing.
        """
        bulk = read(job, AcceptedBulk)
        secrets = self._keys.of(context.tenant(job.tenant), context.secrets).ilp_secrets
        promised = [item for item in bulk.transfer_items if item.refusal is None]
        body = transfer_response(bulk.transfer_items, bulk.own_quotes, secrets)
        try:
            message = answer(body, bulk.bulk_transfer_id, to=bulk.requester_fsp)
            await self._sender.send(job, context, message)
        except SchemeRefusalError as error:
            _logger.warning("bulk %s: fulfilments refused with %s", bulk.bulk_transfer_id, error.code)
        except JobFailedError as error:
            if job.attempt < SEND_ATTEMPTS_MAX:
                raise
            _logger.warning("bulk %s: fulfilments not delivered: %s", bulk.bulk_transfer_id, error.message)
        if bulk.open_items is not None:
            return {}  # it was answered before, and the scheme may have decided some since
        refused = [bulk_terms.refused(item) for item in bulk.transfer_items if item.refusal is not None]
        return {"openItems": msgspec.to_builtins(promised), "results": msgspec.to_builtins(refused)}

    async def refuse_bulk_transfer(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Refuse a bulk as a whole: PUT /bulkTransfers/{ID}/error."""
        await self._sender.refuse(job, context, "bulkTransfers", read(job, BulkReference).bulk_transfer_id)
        return {}

    async def check_bulk_settlement(self, job: Job, _context: ConnectorContext) -> dict[str, Any]:
        """See what the scheme has committed: it is credited next; what is not decided stays open."""
        bulk = read(job, SettledBulk)
        found = bulk_terms.settled(bulk)
        return {
            "openItems": msgspec.to_builtins(found.open),
            "crediting": msgspec.to_builtins(found.crediting),
            "results": msgspec.to_builtins([*bulk.results, *found.results]),
        }


def _committed(bulk: QuotedBulk, expiration: str, secret: str, scheme: SchemeConnection) -> list[OwnQuote]:
    """Return the quotes with packet and condition; those that have them keep them."""
    asked = {one.quote_id: one for one in bulk.bulk_quote.individual_quotes}
    quotes: list[OwnQuote] = []
    for quote in bulk.own_quotes:
        if quote.quote_terms is None or quote.ilp_packet is not None:
            quotes.append(quote)
            continue
        one = asked[quote.quote_id]
        single = QuoteRequest(
            quote_id=one.quote_id,
            transaction_id=one.transaction_id,
            payee=one.payee,
            payer=bulk.bulk_quote.payer,
            amount_type=one.amount_type,
            amount=one.amount,
            transaction_type=one.transaction_type,
            note=one.note,
        )
        transaction = ilp.transaction_of(single, quote.quote_terms.transfer_amount, expiration)
        made = ilp.agree(transaction, secret, scheme)
        terms = msgspec.structs.replace(quote.quote_terms, expiration=expiration)
        quotes.append(
            msgspec.structs.replace(
                quote, quote_terms=terms, ilp_packet=made.packet, condition=made.condition
            )
        )
    return quotes
