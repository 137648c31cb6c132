"""Where requests for approval are kept: the agreement, and how PostgreSQL keeps them."""

from typing import Protocol

from msgspec.structs import asdict
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from payhub_tenants.approvals.model import Approval
from payhub_tenants.schema import approvals


class ApprovalRepository(Protocol):
    """Requests for approval within one transaction, in which the tenant is locked."""

    async def add(self, approval: Approval) -> None:
        """Keep a new request."""
        ...

    async def save(self, approval: Approval) -> None:
        """Keep a decision."""
        ...

    async def get(self, tenant_id: str, approval_id: str) -> Approval | None:
        """Return a request."""
        ...

    async def all(self, tenant_id: str) -> list[Approval]:
        """Return a tenant's requests, the newest first."""
        ...


class SqlApprovalRepository:
    """Requests for approval in PostgreSQL; a check there keeps the two people apart as well."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, approval: Approval) -> None:
        """Insert."""
        await self._connection.execute(insert(approvals).values(asdict(approval)))

    async def save(self, approval: Approval) -> None:
        """Write the decision."""
        same = (
            approvals.c.tenant_id == approval.tenant_id,
            approvals.c.approval_id == approval.approval_id,
        )
        await self._connection.execute(update(approvals).where(*same).values(asdict(approval)))

    async def get(self, tenant_id: str, approval_id: str) -> Approval | None:
        """Return a request."""
        same = (approvals.c.tenant_id == tenant_id, approvals.c.approval_id == approval_id)
        row = (await self._connection.execute(select(approvals).where(*same))).mappings().first()
        return None if row is None else Approval(**row)

    async def all(self, tenant_id: str) -> list[Approval]:
        """Return all requests of a tenant."""
        query = select(approvals).where(approvals.c.tenant_id == tenant_id)
        order = (approvals.c.requested_at_ms.desc(), approvals.c.approval_id)
        rows = await self._connection.execute(query.order_by(*order))
        return [Approval(**row) for row in rows.mappings()]
