"""Where jobs and evidence are kept: the agreement, and how PostgreSQL keeps them."""

from typing import Protocol

from msgspec.structs import asdict
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from payhub_tenants.lifecycle.model import Evidence, Job
from payhub_tenants.schema import evidence, jobs


class LifecycleRepository(Protocol):
    """Jobs and evidence within one transaction."""

    async def add(self, job: Job) -> None:
        """Keep a new job of a locked or new tenant."""
        ...

    async def save(self, job: Job) -> None:
        """Keep a job's end, or what it waits for."""
        ...

    async def last(self, tenant_id: str) -> Job | None:
        """Return a tenant's newest job."""
        ...

    async def newest(self, tenant_id: str, limit: int) -> list[Job]:
        """Return a tenant's jobs, the newest first."""
        ...

    async def prove(self, proof: Evidence) -> None:
        """Keep evidence; what is there already stays."""
        ...

    async def evidence(self, tenant_id: str) -> list[Evidence]:
        """Return a tenant's evidence, the oldest first."""
        ...

    async def open_tenants(self, limit: int) -> list[str]:
        """Return ids of tenants with an open job, those with the oldest first; for the registry."""
        ...


class SqlLifecycleRepository:
    """Jobs and evidence in PostgreSQL."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, job: Job) -> None:
        """Insert; a unique key keeps a second open job out."""
        await self._connection.execute(insert(jobs).values(asdict(job)))

    async def save(self, job: Job) -> None:
        """Write what changes."""
        same = (jobs.c.tenant_id == job.tenant_id, jobs.c.number == job.number)
        values = {"ended_at_ms": job.ended_at_ms, "waits_for": job.waits_for, "failure": job.failure}
        await self._connection.execute(update(jobs).where(*same).values(values))

    async def last(self, tenant_id: str) -> Job | None:
        """Return the newest job."""
        found = await self.newest(tenant_id, 1)
        return found[0] if found else None

    async def newest(self, tenant_id: str, limit: int) -> list[Job]:
        """Return the newest jobs."""
        query = select(jobs).where(jobs.c.tenant_id == tenant_id).order_by(jobs.c.number.desc()).limit(limit)
        return [Job(**row) for row in (await self._connection.execute(query)).mappings()]

    async def prove(self, proof: Evidence) -> None:
        """Insert, unless another copy of the process did it first."""
        await self._connection.execute(insert(evidence).values(asdict(proof)).on_conflict_do_nothing())

    async def evidence(self, tenant_id: str) -> list[Evidence]:
        """Return all evidence of a tenant."""
        query = select(evidence).where(evidence.c.tenant_id == tenant_id)
        rows = await self._connection.execute(query.order_by(evidence.c.job, evidence.c.at_ms))
        return [Evidence(**row) for row in rows.mappings()]

    async def open_tenants(self, limit: int) -> list[str]:
        """Find open jobs by their index."""
        query = select(jobs.c.tenant_id).where(jobs.c.ended_at_ms.is_(None))
        rows = await self._connection.execute(query.order_by(jobs.c.started_at_ms).limit(limit))
        return list(rows.scalars())
