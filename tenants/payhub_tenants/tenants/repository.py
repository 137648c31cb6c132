"""Where tenants are kept: the agreement, and how PostgreSQL keeps it."""

from typing import Any, Protocol

from msgspec.structs import asdict
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from payhub_tenants.schema import tenants
from payhub_tenants.tenants.model import Tenant


class TenantRepository(Protocol):
    """Tenants within one transaction."""

    async def add(self, tenant: Tenant) -> bool:
        """Keep a new tenant; False where its id or FSP id is taken."""
        ...

    async def get(self, tenant_id: str) -> Tenant | None:
        """Return a tenant."""
        ...

    async def lock(self, tenant_id: str) -> Tenant | None:
        """Return a tenant that nobody else changes until the transaction ends."""
        ...

    async def page(self, after: str, limit: int) -> list[Tenant]:
        """Return up to ``limit`` tenants whose ids come after ``after``, in order."""
        ...

    async def save(self, tenant: Tenant) -> None:
        """Keep a locked tenant's new version."""
        ...

    async def lock_unpublished(self, after: str) -> Tenant | None:
        """Return and lock the next tenant whose newest version is not on the bus, unless another has it."""
        ...

    async def unpublish_all(self) -> None:
        """Have every tenant published anew."""
        ...

    async def record_published(self, tenant: Tenant) -> None:
        """Keep that a locked tenant's version reached the bus."""
        ...


class SqlTenantRepository:
    """Tenants in PostgreSQL."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, tenant: Tenant) -> bool:
        """Keep a new tenant; two that come at once are told apart by the unique keys."""
        statement = upsert(tenants).values(asdict(tenant)).on_conflict_do_nothing()
        added = await self._connection.execute(statement.returning(tenants.c.tenant_id))
        return added.first() is not None

    async def get(self, tenant_id: str) -> Tenant | None:
        """Return a tenant."""
        return await self._first(select(tenants).where(tenants.c.tenant_id == tenant_id))

    async def lock(self, tenant_id: str) -> Tenant | None:
        """Return a tenant and hold its row."""
        return await self._first(select(tenants).where(tenants.c.tenant_id == tenant_id).with_for_update())

    async def page(self, after: str, limit: int) -> list[Tenant]:
        """Return tenants by keyset."""
        query = select(tenants).where(tenants.c.tenant_id > after).order_by(tenants.c.tenant_id)
        rows = await self._connection.execute(query.limit(limit))
        return [Tenant(**row) for row in rows.mappings()]

    async def save(self, tenant: Tenant) -> None:
        """Write all columns of a locked tenant."""
        same = tenants.c.tenant_id == tenant.tenant_id
        await self._connection.execute(update(tenants).where(same).values(asdict(tenant)))

    async def lock_unpublished(self, after: str) -> Tenant | None:
        """Hold one row of the outbox; other copies of the process skip it."""
        waiting = select(tenants).where(
            tenants.c.tenant_id > after,
            tenants.c.published_version < tenants.c.version,
            tenants.c.status.not_in(("requested", "provisioning")),  # nothing to tell of them yet
        )
        query = waiting.order_by(tenants.c.tenant_id).limit(1).with_for_update(skip_locked=True)
        return await self._first(query)

    async def unpublish_all(self) -> None:
        """Reset the outbox."""
        await self._connection.execute(update(tenants).values(published_version=0))

    async def record_published(self, tenant: Tenant) -> None:
        """Write the version that is out."""
        same = tenants.c.tenant_id == tenant.tenant_id
        await self._connection.execute(update(tenants).where(same).values(published_version=tenant.version))

    async def _first(self, query: Any) -> Tenant | None:
        row = (await self._connection.execute(query)).mappings().first()
        return None if row is None else Tenant(**row)
