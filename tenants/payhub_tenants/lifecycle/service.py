"""Starts jobs and brings them to their end, however often that is interrupted."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from payhub_platform.clock import Clock
from payhub_platform.errors import PayhubError, UnavailableError
from payhub_tenants.lifecycle.errors import JobFailedError, NotYetError, RequirementsError
from payhub_tenants.lifecycle.facts import facts_of
from payhub_tenants.lifecycle.model import (
    MOVES,
    Evidence,
    Job,
    JobKind,
    LifecycleView,
    beginning,
    is_same,
    job_view,
    remaining,
)
from payhub_tenants.lifecycle.requirements import Requirements, missing_for, requirements
from payhub_tenants.lifecycle.steps import Steps, Work
from payhub_tenants.store import Store, Transaction
from payhub_tenants.tenants.errors import TenantNotFoundError
from payhub_tenants.tenants.model import Tenant, with_status

_logger = logging.getLogger(__name__)

POLL_S: Final = 1.0
RESUMED_AT_ONCE: Final = 100
JOBS_SHOWN_MAX: Final = 20
ACTOR: Final = "payhub"  # who jobs are, in the audit


class LifecycleService:
    """A job's every step is one transaction with its evidence, so that nothing is done and forgotten."""

    def __init__(self, store: Store, steps: Steps, clock: Clock, on_change: Callable[[], None]) -> None:
        self._store = store
        self._steps = steps
        self._clock = clock
        self._on_change = on_change

    async def start(self, tenant_id: str, kind: JobKind, actor: str, reason: str = "") -> LifecycleView:
        """Start a job and go as far as it gets now; asked again, tell how far it is.

        Raises:
            TenantNotFoundError: there is no such tenant.
            WrongStatusError: its status does not allow the job.
            JobOpenError: another job is not done.
            RequirementsError: something is missing.
        """
        async with self._store.transaction(tenant_id) as transaction:
            tenant = await locked(transaction, tenant_id)
            last = await transaction.lifecycle.last(tenant_id)
            if not is_same(kind, tenant.status, last):
                await self.begin(transaction, tenant, kind, actor, reason)
        await self.run(tenant_id)
        return await self.view(tenant_id)

    async def begin(
        self, transaction: Transaction, tenant: Tenant, kind: JobKind, actor: str, reason: str = ""
    ) -> Job:
        """Start a job within the transaction that decides on it; ``run`` then does it.

        Raises:
            ConflictError: see ``start``.
        """
        tenant_id, now = tenant.tenant_id, self._clock()
        last = await transaction.lifecycle.last(tenant_id)
        status = beginning(tenant.status, kind, last)
        missing = missing_for(kind, await facts_of(transaction, tenant, now))
        if missing:
            raise RequirementsError([each.code for each in missing])
        job = Job(
            tenant_id=tenant_id,
            number=last.number + 1 if last else 1,
            kind=kind,
            reason=reason,
            started_by=actor,
            started_at_ms=now,
        )
        await transaction.lifecycle.add(job)
        await transaction.tenants.save(with_status(tenant, status, now))
        detail = {"job": job.number, "from": tenant.status, "status": status, "reason": reason}
        await transaction.audit.append(tenant_id, now, actor, f"lifecycle.{kind}.started", detail)
        return job

    async def run(self, tenant_id: str) -> None:
        """Do the steps of a tenant's open job until it is done or has to wait."""
        while await self._one(tenant_id):
            pass
        self._on_change()

    async def run_waiting(self) -> None:
        """Go on with all open jobs."""
        async with self._store.registry() as registry:
            waiting = await registry.lifecycle.open_tenants(RESUMED_AT_ONCE)
        for tenant_id in waiting:
            try:
                await self.run(tenant_id)
            except UnavailableError:
                raise
            except PayhubError as error:  # one tenant's job must not hold up the others'
                _logger.exception("tenant %s: its job cannot go on: %s", tenant_id, error.code)

    async def keep_running(self) -> None:
        """Go on with open jobs until cancelled; another copy of the process may have left them."""
        while True:
            try:
                await self.run_waiting()
            except UnavailableError as error:
                _logger.warning("jobs of the lifecycle wait: %s", error)
            await asyncio.sleep(POLL_S)

    async def view(self, tenant_id: str) -> LifecycleView:
        """Return where a tenant stands.

        Raises:
            TenantNotFoundError: there is no such tenant.
        """
        async with self._store.transaction(tenant_id) as transaction:
            tenant = await transaction.tenants.get(tenant_id)
            if tenant is None:
                raise TenantNotFoundError
            jobs = await transaction.lifecycle.newest(tenant_id, JOBS_SHOWN_MAX)
            evidence = await transaction.lifecycle.evidence(tenant_id)
        views = [job_view(job, evidence) for job in jobs]
        return LifecycleView(tenant_id=tenant_id, status=tenant.status, jobs=views)

    async def requirements(self, tenant_id: str) -> Requirements:
        """Return what is missing, and why.

        Raises:
            TenantNotFoundError: there is no such tenant.
        """
        async with self._store.transaction(tenant_id) as transaction:
            tenant = await transaction.tenants.get(tenant_id)
            if tenant is None:
                raise TenantNotFoundError
            return requirements(await facts_of(transaction, tenant, self._clock()))

    async def _one(self, tenant_id: str) -> bool:
        """Do one step; False where nothing is left to do now."""
        async with self._store.transaction(tenant_id) as transaction:
            tenant = await transaction.tenants.get(tenant_id)
            job = await transaction.lifecycle.last(tenant_id)
            if tenant is None or job is None or job.ended_at_ms is not None:
                return False
            left = remaining(job, await _done(transaction, job))
        try:
            if left:
                await self._steps.outside(left[0], tenant)
            async with self._store.transaction(tenant_id) as transaction:
                return await self._within(transaction, tenant_id, job.number)
        except (NotYetError, RequirementsError) as error:
            await self._wait(tenant_id, job, error.what if isinstance(error, NotYetError) else error.detail)
            return False
        except JobFailedError as error:
            await self._fail(tenant_id, job, error.what)
            return False

    async def _within(self, transaction: Transaction, tenant_id: str, number: int) -> bool:
        tenant = await locked(transaction, tenant_id)
        job = await transaction.lifecycle.last(tenant_id)
        if job is None or job.number != number or job.ended_at_ms is not None:
            return False  # another copy of the process has done it meanwhile
        left = remaining(job, await _done(transaction, job))
        now = self._clock()
        if left:
            after, detail = await self._steps.within(left[0], Work(transaction, tenant, job))
            proof = Evidence(tenant_id=tenant_id, job=number, step=left[0], at_ms=now, detail=detail)
            await transaction.lifecycle.prove(proof)
            if after is not tenant:
                await transaction.tenants.save(after)
            await self._note(transaction, job, f"lifecycle.{job.kind}.{left[0]}", detail)
            return True
        status = MOVES[job.kind].ends
        await transaction.lifecycle.save(replace(job, ended_at_ms=now, waits_for=""))
        await transaction.tenants.save(with_status(tenant, status, now))
        await self._note(transaction, job, f"lifecycle.{job.kind}.done", {"status": status})
        _logger.info("tenant %s: %s is done, it is %s", tenant_id, job.kind, status)
        return False

    async def _fail(self, tenant_id: str, job: Job, what: str) -> None:
        """End a job that did not lead on; the tenant stays what it was, and the job may be begun again."""
        async with self._store.transaction(tenant_id) as transaction:
            await locked(transaction, tenant_id)
            last = await transaction.lifecycle.last(tenant_id)
            if last is None or last.number != job.number or last.ended_at_ms is not None:
                return  # another copy of the process has done it meanwhile
            ended = replace(job, ended_at_ms=self._clock(), waits_for="", failure=what)
            await transaction.lifecycle.save(ended)
            await self._note(transaction, job, f"lifecycle.{job.kind}.failed", {"failure": what})

    async def _note(self, transaction: Transaction, job: Job, action: str, detail: dict[str, Any]) -> None:
        noted = {"job": job.number, **detail}
        await transaction.audit.append(job.tenant_id, self._clock(), ACTOR, action, noted)

    async def _wait(self, tenant_id: str, job: Job, what: str) -> None:
        if job.waits_for == what:
            return
        async with self._store.transaction(tenant_id) as transaction:
            await transaction.lifecycle.save(replace(job, waits_for=what))


async def locked(transaction: Transaction, tenant_id: str) -> Tenant:
    """Return a tenant that nobody else changes until the transaction ends.

    Raises:
        TenantNotFoundError: there is none of this id.
    """
    tenant = await transaction.tenants.lock(tenant_id)
    if tenant is None:
        raise TenantNotFoundError
    return tenant


async def _done(transaction: Transaction, job: Job) -> set[str]:
    evidence = await transaction.lifecycle.evidence(job.tenant_id)
    return {each.step for each in evidence if each.job == job.number}
