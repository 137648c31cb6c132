"""The jobs of requests to pay: the payee's, which asks, and the payer's, which answers."""

import logging
from typing import Any, Final

from payhub_engines.connectors import refusals
from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.job import Handler, Job, JobFailedError
from payhub_engines.connectors.mojaloop.client import SchemeRefusalError
from payhub_engines.connectors.mojaloop.jobs_authorizations import OTP
from payhub_engines.connectors.mojaloop.jobs_sending import Sender
from payhub_engines.connectors.mojaloop.outgoing import answer, ask, request
from payhub_engines.connectors.payment import requested_payment
from payhub_engines.connectors.refusals import refusal
from payhub_engines.connectors.variables import RequestAnswer, RequestReceived, RequestToPay, money_of, read
from payhub_platform.clock import parse_iso
from payhub_platform.contracts.fspiop import Party, TransactionRequest, TransactionRequestResponse
from payhub_platform.errors import InvalidInputError

_logger = logging.getLogger(__name__)

RESOURCE: Final = "transactionRequests"
REQUEST_LEAST_MS: Final = 500  # less than this cannot be answered by anybody


class RequestJobs:
    """Handlers by job type; each does one thing and leaves the flow to the process."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def handlers(self) -> dict[str, Handler]:
        """Return job type to handler."""
        return {
            "mojaloop-request-payment": self.request_payment,
            "mojaloop-query-request": self.query_request,
            "mojaloop-check-request": self.check_request,
            "mojaloop-answer-request": self.answer_request,
            "mojaloop-refuse-request": self.refuse_request,
        }

    async def request_payment(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Ask the payer's institution to have our member paid: POST /transactionRequests."""
        asked = read(job, RequestToPay)
        body = TransactionRequest(
            transaction_request_id=asked.transaction_request_id,
            payee=Party(party_id_info=asked.payee),
            payer=asked.payer,
            amount=asked.amount,
            transaction_type=asked.transaction_type,
            authentication_type=asked.authentication_type,
            note=asked.note,
            expiration=asked.expiration,
        )
        await self._sender.ask(job, context, request(body, to=asked.payee_fsp or ""))
        return {}

    async def query_request(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Ask how our request stands: GET /transactionRequests/{ID}. Asking in vain is no failure."""
        asked = read(job, RequestToPay)
        message = ask(RESOURCE, asked.transaction_request_id, to=asked.payee_fsp or "")
        try:
            await self._sender.send(job, context, message)
        except (SchemeRefusalError, JobFailedError) as error:
            _logger.warning("request %s: its state is not told: %s", asked.transaction_request_id, error)
        return {}

    async def check_request(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Accept or refuse to put a request to our member, and fix the payment that it asks for.

        Raises:
            BpmnError: ``request-refused``.
        """
        received = read(job, RequestReceived)
        asked, tenant = received.transaction_request, context.tenant(job.tenant)
        try:
            amount = money_of(asked.amount)
        except InvalidInputError as error:
            raise _refused(refusals.MALFORMED_SYNTAX, error.detail) from error
        if amount.minor == 0 or asked.transaction_type.initiator != "PAYEE":
            raise _refused(refusals.PAYER_TYPE, "It is no request of a payee for an amount.")
        if amount.currency not in tenant.currencies:
            offered = ", ".join(tenant.currencies)
            raise _refused(refusals.PAYER_CURRENCY, f"This institution pays in {offered}.")
        limits = tenant.limits_in(amount.currency)
        if limits is not None and amount.minor > limits.per_payment_minor:
            raise _refused(refusals.PAYER_LIMIT, "The amount is more than one payment may have.")
        if asked.payee.party_id_info.fsp_id not in (None, received.requester_fsp):
            raise _refused(refusals.PAYER_TYPE, "Only the payee's own institution may ask for it.")
        if asked.authentication_type not in (None, OTP):
            raise _refused(refusals.PAYER_TYPE, "Payments are authorized with one-time passwords here.")
        limit_ms = None if asked.expiration is None else parse_iso(asked.expiration)
        if limit_ms is not None and limit_ms - context.clock() < REQUEST_LEAST_MS:
            raise _refused(refusals.REQUEST_EXPIRED, "The request has expired.")
        return requested_payment(asked, received.requester_fsp, tenant, context.clock())

    async def answer_request(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Tell the payee how its request stands: PUT /transactionRequests/{ID}."""
        told = read(job, RequestAnswer)
        body = TransactionRequestResponse(
            transaction_request_state=told.request_state, transaction_id=told.transaction_id
        )
        message = answer(body, told.transaction_request.transaction_request_id, to=told.requester_fsp)
        await self._sender.answer(job, context, message)
        return {}

    async def refuse_request(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Tell the payee why it is not paid: PUT /transactionRequests/{ID}/error."""
        received = read(job, RequestReceived)
        request_id = received.transaction_request.transaction_request_id
        await self._sender.refuse(job, context, RESOURCE, request_id)
        return {}


def _refused(code: str, description: str) -> Exception:
    return refusal(refusals.REQUEST_REFUSED, code, description)
