"""What each step of a job does; every one may be done again without harm."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from msgspec import Struct

from payhub_platform.clock import Clock
from payhub_tenants.certification.model import DOCUMENT as CERTIFICATION_DOCUMENT
from payhub_tenants.certification.model import CertificationRun, certification_view, digest_of
from payhub_tenants.export import export_of
from payhub_tenants.identifiers.book import IdentifierBook
from payhub_tenants.identifiers.errors import RegistrationError
from payhub_tenants.identifiers.withdrawal import Withdrawal
from payhub_tenants.lifecycle.errors import JobFailedError, NotYetError, RequirementsError
from payhub_tenants.lifecycle.facts import facts_of
from payhub_tenants.lifecycle.model import Job, Step
from payhub_tenants.lifecycle.requirements import missing_for
from payhub_tenants.placement.draining import Draining
from payhub_tenants.store import Transaction
from payhub_tenants.tenants.model import Tenant, changed, without_secrets
from payhub_tenants.vault import Vault

WITHDRAWN_AT_ONCE: Final = 50


class Work(Struct, frozen=True):
    """One step to do, on a tenant that is locked."""

    transaction: Transaction
    tenant: Tenant
    job: Job


Within = Callable[[Work], Awaitable[tuple[Tenant, dict[str, Any]]]]


class Steps:
    """Does steps: calls to others first, without a transaction, then what is kept, within one."""

    def __init__(
        self, vault: Vault, withdrawal: Withdrawal, book: IdentifierBook, draining: Draining, clock: Clock
    ) -> None:
        self._vault = vault
        self._book = book
        self._withdrawal = withdrawal
        self._draining = draining
        self._clock = clock
        self._within: dict[Step, Within] = {
            "tenant-key": self._tenant_key,
            "signing-key": self._signing_key,
            "placement": self._placement,
            "suite": self._suite,
            "requirements": self._requirements,
            "approval": self._approval,
            "publication": self._publication,
            "credentials": self._credentials,
            "drain": self._drain,
            "export": self._export,
            "identifiers": self._identifiers,
            "secrets": self._secrets,
            "destroyed-key": self._destroyed_key,
            "data": self._data,
        }

    async def outside(self, step: Step, tenant: Tenant) -> None:
        """Do what calls others.

        Raises:
            NotYetError: they could not do it now.
        """
        if step == "drain" and (open_work := await self._draining.left(tenant)):
            raise NotYetError(open_work)
        if step != "identifiers":
            return
        try:
            left = await self._withdrawal.some(tenant, WITHDRAWN_AT_ONCE)
        except RegistrationError as error:
            raise NotYetError(str(error)) from error
        if left:
            raise NotYetError(f"{left} party identifiers are still to be withdrawn")

    async def within(self, step: Step, work: Work) -> tuple[Tenant, dict[str, Any]]:
        """Do what is kept, and return the tenant after it with the evidence.

        Raises:
            NotYetError: it has to wait.
            JobFailedError: it has shown that the job cannot lead on.
        """
        return await self._within[step](work)

    async def _tenant_key(self, work: Work) -> tuple[Tenant, dict[str, Any]]:
        await self._vault.create(work.tenant.tenant_id)
        sealed = work.tenant.private_key_sealed
        if not await self._vault.is_readable(work.tenant.tenant_id, sealed, "jws"):
            raise NotYetError("the tenant's secrets cannot be read with its key")
        return work.tenant, {"readable": True}

    async def _signing_key(self, work: Work) -> tuple[Tenant, dict[str, Any]]:
        return work.tenant, {"keyId": work.tenant.key_id}

    async def _placement(self, work: Work) -> tuple[Tenant, dict[str, Any]]:
        return work.tenant, {"placement": work.tenant.placement, "epoch": work.tenant.epoch}

    async def _suite(self, work: Work) -> tuple[Tenant, dict[str, Any]]:
        # The cases themselves are done by ``certification.service``; here is what they came to.
        run = await work.transaction.documents.get(
            work.tenant.tenant_id, CERTIFICATION_DOCUMENT, CertificationRun
        )
        if run is None or run.job != work.job.number:
            raise JobFailedError("The run of the payment suite is not there; POST .../certify begins one.")
        if not run.is_done:
            view = certification_view(run)
            raise NotYetError(f"payment suite: {view.done} of {view.total} cases are done")
        if run.failed:
            raise JobFailedError(f"Cases failed: {', '.join(run.failed)}. See .../certification.")
        proof = {"suiteVersion": run.suite_version, "cases": len(run.cases), "endedAtMs": run.ended_at_ms}
        return work.tenant, {"sha256": digest_of(run), **proof}

    async def _requirements(self, work: Work) -> tuple[Tenant, dict[str, Any]]:
        facts = await facts_of(work.transaction, work.tenant, self._clock())
        missing = missing_for(work.job.kind, facts)
        if missing:
            raise NotYetError(", ".join(each.code for each in missing))
        proof = {"clients": facts.clients, "amsCheckedAtMs": facts.ams_checked_at_ms}
        return work.tenant, {**proof, "identifiers": facts.identifiers}

    async def _approval(self, work: Work) -> tuple[Tenant, dict[str, Any]]:
        approved = await work.transaction.approvals.get(work.tenant.tenant_id, work.job.reason)
        if approved is None or approved.state != "approved":
            raise RequirementsError(["approval"])
        by = {"requestedBy": approved.requested_by, "approvedBy": approved.decided_by}
        return work.tenant, {"approvalId": approved.approval_id, **by}

    async def _publication(self, work: Work) -> tuple[Tenant, dict[str, Any]]:
        if work.tenant.published_version < work.tenant.version:
            raise NotYetError("publication to gateways and engines")
        return work.tenant, {"version": work.tenant.published_version}

    async def _credentials(self, work: Work) -> tuple[Tenant, dict[str, Any]]:
        removed = await work.transaction.clients.remove_all(work.tenant.tenant_id)
        return changed(work.tenant, self._clock()), {"clients": removed}

    async def _drain(self, work: Work) -> tuple[Tenant, dict[str, Any]]:
        evidence = await work.transaction.lifecycle.evidence(work.tenant.tenant_id)
        [since_ms] = [e.at_ms for e in evidence if (e.job, e.step) == (work.job.number, "publication")]
        return work.tenant, {"refusedSinceMs": since_ms, "waitedMs": self._clock() - since_ms, "open": 0}

    async def _export(self, work: Work) -> tuple[Tenant, dict[str, Any]]:
        export = await export_of(work.transaction, work.tenant, self._book)
        return work.tenant, {"sha256": export.digest, "records": export.records}

    async def _identifiers(self, work: Work) -> tuple[Tenant, dict[str, Any]]:
        counts = await work.transaction.identifiers.counts(work.tenant.tenant_id)
        if sum(counts.values()):
            raise NotYetError("party identifiers are still to be withdrawn")
        return work.tenant, {"left": 0}

    async def _secrets(self, work: Work) -> tuple[Tenant, dict[str, Any]]:
        # What gateways and engines hold on their disks is replaced by a configuration without secrets.
        removed = ["ams", "ams-tls", "ams-oauth", "jws", "ilp", "scheme-tls", "scheme-oauth"]
        return changed(without_secrets(work.tenant), self._clock()), {"removed": removed}

    async def _destroyed_key(self, work: Work) -> tuple[Tenant, dict[str, Any]]:
        tenant_id = work.tenant.tenant_id
        held = await work.transaction.keys.all(tenant_id)
        await self._vault.destroy(tenant_id)
        readable = [
            key.key_id
            for key in held
            if await self._vault.is_readable(tenant_id, key.private_key_sealed, "jws")
        ]
        if readable:
            raise NotYetError("keys that can still be read")
        return work.tenant, {"unreadable": [key.key_id for key in held]}

    async def _data(self, work: Work) -> tuple[Tenant, dict[str, Any]]:
        tenant_id = work.tenant.tenant_id
        counts = {
            "keys": await work.transaction.keys.remove_all(tenant_id),
            "certificates": await work.transaction.keys.remove_certificates(tenant_id),
            "identifiers": await work.transaction.identifiers.remove_all(tenant_id),
            "documents": await work.transaction.documents.remove_all(tenant_id),
        }
        return work.tenant, counts
