"""The jobs that make a member's identifier known to the scheme, or take it back."""

from typing import Any

from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.job import Handler, Job
from payhub_engines.connectors.mojaloop.jobs_sending import Sender
from payhub_engines.connectors.mojaloop.outgoing import party_path, request, withdraw
from payhub_engines.connectors.variables import Registration, read
from payhub_platform.contracts.fspiop import ParticipantRegistration


class RegistrationJobs:
    """Handlers by job type; each does one thing and leaves the flow to the process."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def handlers(self) -> dict[str, Handler]:
        """Return job type to handler."""
        return {
            "mojaloop-register-party": self.register_party,
            "mojaloop-withdraw-party": self.withdraw_party,
        }

    async def register_party(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Have the scheme find the identifier at this institution: POST /participants/{Type}/{ID}."""
        tenant = context.tenant(job.tenant)
        # Of several currencies the identifier's own is not known here; without one it is found for all.
        currency = None if tenant.other_currencies else tenant.currency
        body = ParticipantRegistration(fsp_id=tenant.fsp_id, currency=currency)
        await self._sender.ask(job, context, request(body, *party_path(read(job, Registration).party_id)))
        return {}

    async def withdraw_party(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Have the scheme find the identifier here no more: DELETE /participants/{Type}/{ID}."""
        path = party_path(read(job, Registration).party_id)
        await self._sender.ask(job, context, withdraw("participants", *path))
        return {}
