"""The job that answers what is asked again of something that does not wait to be asked."""

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.job import Handler, Job
from payhub_engines.connectors.mojaloop import bulk_answers, ilp
from payhub_engines.connectors.mojaloop.again import AskedAgain, answer_of
from payhub_engines.connectors.mojaloop.jobs_sending import Sender
from payhub_engines.connectors.mojaloop.keys import KeyRing
from payhub_engines.connectors.variables import Query, read
from payhub_platform.contracts.fspiop import TransferPrepare


class AgainJobs:
    """One handler: what it is about stands in the variables, as the log had it when the question came."""

    def __init__(self, sender: Sender, keys: KeyRing) -> None:
        self._sender = sender
        self._keys = keys

    def handlers(self) -> dict[str, Handler]:
        """Return job type to handler."""
        return {"mojaloop-answer-again": self.answer_again}

    async def answer_again(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Tell how something stands: PUT of the resource that was asked for, or its error form."""
        if read(job, Asked).query.resource in bulk_answers.RESOURCES:
            return await self._answer_bulk_again(job, context)
        asked, tenant = read(job, AskedAgain), context.tenant(job.tenant)

        def fulfilment_of(transfer: TransferPrepare) -> str | None:
            secrets = self._keys.of(tenant, context.secrets).ilp_secrets
            secret = ilp.secret_for(transfer.ilp_packet, transfer.condition, secrets)
            return None if secret is None else ilp.fulfilment_of(transfer.ilp_packet, secret)

        if asked.subject is not None:
            job = replace(job, started_at_ms=asked.subject.started_at_ms)
        message = answer_of(asked, tenant.scheme.switch_fsp_id, fulfilment_of)
        if message is not None:
            await self._sender.answer(job, context, message)
        return {}

    async def _answer_bulk_again(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        asked, tenant = read(job, bulk_answers.BulkAskedAgain), context.tenant(job.tenant)
        if asked.subject is not None:
            job = replace(job, started_at_ms=asked.subject.started_at_ms)
        secrets = self._keys.of(tenant, context.secrets).ilp_secrets
        message = bulk_answers.answer_of(asked, tenant.scheme.switch_fsp_id, secrets)
        if message is not None:
            await self._sender.answer(job, context, message)
        return {}


class Asked(Struct, frozen=True, kw_only=True):
    """What is asked for, of whatever kind."""

    query: Query
