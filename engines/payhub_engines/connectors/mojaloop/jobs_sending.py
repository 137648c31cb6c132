"""How the jobs speak to the switch: what they ask may be given up, what they answer may not."""

import logging
from typing import Final

from payhub_engines.connectors import refusals
from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.job import Job, JobFailedError
from payhub_engines.connectors.mojaloop.client import RETRY_AFTER_MS, FspiopClient, SchemeRefusalError
from payhub_engines.connectors.refusals import refusal
from payhub_engines.connectors.variables import ErrorValue, RefusedQuestion, read
from payhub_platform.contracts.fspiop import ErrorInformation, ErrorResponse, Message, PartyIdInfo

SEND_ATTEMPTS_MAX: Final = 5
ANSWER_ATTEMPTS_MAX: Final = 15  # with the pauses between them as long as others wait for an answer

_logger = logging.getLogger(__name__)


class Sender:
    """Sends in the name of a job's tenant."""

    def __init__(self, client: FspiopClient) -> None:
        self._client = client

    async def send(
        self,
        job: Job,
        context: ConnectorContext,
        method: str,
        path: list[str],
        body: Message | None = None,
        destination: str = "",
        query: str = "",
    ) -> None:
        """Send once; errors as ``FspiopClient.send``."""
        await self._client.send(job, context, method, path, body=body, destination=destination, query=query)

    async def ask(
        self,
        job: Job,
        context: ConnectorContext,
        method: str,
        path: list[str],
        body: Message | None = None,
        destination: str = "",
        query: str = "",
    ) -> None:
        """Ask before any money has moved: after some attempts the payment had better fail than wait.

        Raises:
            BpmnError: ``scheme-refused``.
            JobFailedError: not taken now.
        """
        try:
            await self.send(job, context, method, path, body, destination, query)
        except SchemeRefusalError as error:
            raise refusal(refusals.SCHEME_REFUSED, error.code, error.description) from error
        except JobFailedError as error:
            if job.attempt < SEND_ATTEMPTS_MAX:
                raise
            raise refusal(
                refusals.SCHEME_REFUSED, refusals.SERVICE_UNAVAILABLE, "The scheme is not reachable."
            ) from error

    async def answer(
        self, job: Job, context: ConnectorContext, path: list[str], body: Message, destination: str
    ) -> None:
        """Answer another institution: PUT.

        After some attempts it is given up: no money depends on it, and who asked has given up, too, or asks
        again.

        Raises:
            JobFailedError: not taken now, or refused.
        """
        try:
            await self.send(job, context, "PUT", path, body, destination)
        except (SchemeRefusalError, JobFailedError) as error:
            if job.attempt < ANSWER_ATTEMPTS_MAX:
                raise JobFailedError(f"PUT /{path[0]}: {error}", RETRY_AFTER_MS) from error
            _logger.warning("payment %s: PUT /%s given up: %s", job.payment, path[0], error)

    async def refuse(self, job: Job, context: ConnectorContext, path: list[str]) -> None:
        """Tell who asked why not: PUT .../error with the variable ``error``; errors as ``answer``."""
        question = read(job, RefusedQuestion)
        await self.tell_error(job, context, path, question.error, question.requester_fsp)

    async def tell_error(
        self, job: Job, context: ConnectorContext, path: list[str], error: ErrorValue, destination: str
    ) -> None:
        """Tell an institution an error: PUT .../error; errors as ``answer``."""
        information = ErrorInformation(error_code=error.code, error_description=error.description)
        body = ErrorResponse(error_information=information)
        await self.answer(job, context, [*path, "error"], body, destination)


def party_path(party: PartyIdInfo, resource: str = "parties") -> list[str]:
    """Return a party's path below the host: resource, type, identifier and sub-identifier."""
    path = [resource, party.party_id_type, party.party_identifier]
    return [*path, party.party_sub_id_or_type] if party.party_sub_id_or_type else path
