"""Where audit entries are kept: the agreement, and how PostgreSQL keeps it."""

from typing import Any, Final, Protocol

from msgspec.structs import asdict, replace
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from payhub_tenants.audit.model import FIRST, AuditEntry, digest_of
from payhub_tenants.schema import audit as table
from payhub_tenants.schema import installation_audit as installation

INSTALLATION_LOCK: Final = 7_163_002  # any number that only this chain uses


class AuditRepository(Protocol):
    """A tenant's audit within one transaction, in which the tenant is locked or new."""

    async def append(
        self, tenant_id: str, at_ms: int, actor: str, action: str, detail: dict[str, Any]
    ) -> None:
        """Keep one more entry."""
        ...

    async def page(self, tenant_id: str, after: int, limit: int) -> list[AuditEntry]:
        """Return up to ``limit`` entries after a number, in order."""
        ...


class InstallationAudit(Protocol):
    """The audit of what is no tenant's, within one transaction of the registry."""

    async def lock(self) -> None:
        """Keep others from appending until the transaction ends."""
        ...

    async def append(self, at_ms: int, actor: str, action: str, detail: dict[str, Any]) -> None:
        """Keep one more entry."""
        ...

    async def page(self, after: int, limit: int) -> list[AuditEntry]:
        """Return up to ``limit`` entries after a number, in order."""
        ...


def following(
    last: AuditEntry | None, tenant_id: str, at_ms: int, actor: str, action: str, detail: dict[str, Any]
) -> AuditEntry:
    """Return the entry that follows ``last``."""
    entry = AuditEntry(
        tenant_id=tenant_id,
        number=last.number + 1 if last else 1,
        at_ms=at_ms,
        actor=actor,
        action=action,
        detail=detail,
    )
    return replace(entry, digest=digest_of(last.digest if last else FIRST, entry))


class SqlAuditRepository:
    """Audit entries in PostgreSQL; the role may insert them and nothing else."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def append(
        self, tenant_id: str, at_ms: int, actor: str, action: str, detail: dict[str, Any]
    ) -> None:
        """Bind to the last one; the tenant's lock keeps a second one out meanwhile."""
        query = select(table).where(table.c.tenant_id == tenant_id).order_by(table.c.number.desc()).limit(1)
        row = (await self._connection.execute(query)).mappings().first()
        last = None if row is None else AuditEntry(**row)
        entry = following(last, tenant_id, at_ms, actor, action, detail)
        await self._connection.execute(insert(table).values(asdict(entry)))

    async def page(self, tenant_id: str, after: int, limit: int) -> list[AuditEntry]:
        """Return entries by keyset."""
        query = select(table).where(table.c.tenant_id == tenant_id, table.c.number > after)
        rows = await self._connection.execute(query.order_by(table.c.number).limit(limit))
        return [AuditEntry(**row) for row in rows.mappings()]


class SqlInstallationAudit:
    """The installation's audit in PostgreSQL; the role may insert entries and nothing else."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def lock(self) -> None:
        """Take a lock that ends with the transaction; it is repeatable within it."""
        await self._connection.execute(select(func.pg_advisory_xact_lock(INSTALLATION_LOCK)))

    async def append(self, at_ms: int, actor: str, action: str, detail: dict[str, Any]) -> None:
        """Bind to the last one."""
        await self.lock()
        query = select(installation).order_by(installation.c.number.desc()).limit(1)
        row = (await self._connection.execute(query)).mappings().first()
        last = None if row is None else AuditEntry(tenant_id="", **row)
        values = asdict(following(last, "", at_ms, actor, action, detail))
        del values["tenant_id"]
        await self._connection.execute(insert(installation).values(values))

    async def page(self, after: int, limit: int) -> list[AuditEntry]:
        """Return entries by keyset."""
        query = select(installation).where(installation.c.number > after)
        rows = await self._connection.execute(query.order_by(installation.c.number).limit(limit))
        return [AuditEntry(tenant_id="", **row) for row in rows.mappings()]
