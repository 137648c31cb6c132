"""How the jobs speak to others: what they ask may be given up, what they answer may not."""

import logging
from typing import Final

from payhub_engines.connectors import refusals
from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.job import Job, JobFailedError
from payhub_engines.connectors.mojaloop import outgoing
from payhub_engines.connectors.mojaloop.client import RETRY_AFTER_MS, FspiopClient, SchemeRefusalError
from payhub_engines.connectors.mojaloop.direct import RESOURCES, DirectLine, is_direct
from payhub_engines.connectors.mojaloop.outgoing import Outgoing
from payhub_engines.connectors.refusals import refusal
from payhub_engines.connectors.variables import RefusedQuestion, read

SEND_ATTEMPTS_MAX: Final = 5
ANSWER_ATTEMPTS_MAX: Final = 15  # with the pauses between them as long as others wait for an answer

_logger = logging.getLogger(__name__)


class Sender:
    """Sends in the name of a job's tenant."""

    def __init__(self, client: FspiopClient, line: DirectLine) -> None:
        self._client = client
        self._line = line

    async def send(self, job: Job, context: ConnectorContext, message: Outgoing) -> None:
        """Send once, to the switch or, of a direct payment, to the other institution's engine.

        Errors as ``FspiopClient.deliver`` and ``DirectLine.deliver``.
        """
        if is_direct(job) and message.path[0] in RESOURCES:
            await self._line.deliver(job, context, message)
        else:
            await self._client.deliver(job, context, message)

    async def ask(self, job: Job, context: ConnectorContext, message: Outgoing) -> None:
        """Ask before any money has moved: after some attempts the payment had better fail than wait.

        Raises:
            BpmnError: ``scheme-refused``.
            JobFailedError: not taken now.
        """
        try:
            await self.send(job, context, message)
        except SchemeRefusalError as error:
            raise refusal(refusals.SCHEME_REFUSED, error.code, error.description) from error
        except JobFailedError as error:
            if job.attempt < SEND_ATTEMPTS_MAX:
                raise
            raise refusal(
                refusals.SCHEME_REFUSED, refusals.SERVICE_UNAVAILABLE, "The scheme is not reachable."
            ) from error

    async def answer(self, job: Job, context: ConnectorContext, message: Outgoing) -> None:
        """Answer another institution: PUT.

        After some attempts it is given up: no money depends on it, and who asked has given up, too, or asks
        again.

        Raises:
            JobFailedError: not taken now, or refused.
        """
        try:
            await self.send(job, context, message)
        except (SchemeRefusalError, JobFailedError) as error:
            what = f"{message.method} /{message.path[0]}"
            if job.attempt < ANSWER_ATTEMPTS_MAX:
                raise JobFailedError(f"{what}: {error}", RETRY_AFTER_MS) from error
            _logger.warning("payment %s: %s given up: %s", job.payment, what, error)

    async def refuse(self, job: Job, context: ConnectorContext, resource: str, *path: str) -> None:
        """Tell who asked why not: PUT .../error with the variable ``error``; errors as ``answer``."""
        question = read(job, RefusedQuestion)
        message = outgoing.refuse(resource, *path, error=question.error, to=question.requester_fsp)
        await self.answer(job, context, message)
