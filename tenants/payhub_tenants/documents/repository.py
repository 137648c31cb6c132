"""Where documents are kept: the agreement, and how PostgreSQL keeps them."""

from typing import Any, Protocol, TypeVar

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from payhub_tenants.schema import documents

T = TypeVar("T", bound=msgspec.Struct)


class DocumentRepository(Protocol):
    """Documents within one transaction: one of each kind for a tenant."""

    async def put(self, tenant_id: str, kind: str, body: msgspec.Struct, at_ms: int) -> None:
        """Keep a document in place of the one before."""
        ...

    async def get(self, tenant_id: str, kind: str, type_: type[T]) -> T | None:
        """Return a document."""
        ...

    async def all(self, tenant_id: str) -> dict[str, Any]:
        """Return all documents of a tenant by kind, as they are kept."""
        ...

    async def remove_all(self, tenant_id: str) -> int:
        """Forget all documents of a tenant; return how many."""
        ...

    async def of_kind(self, kind: str, type_: type[T]) -> dict[str, T]:
        """Return all tenants' documents of a kind; for the registry."""
        ...

    async def tenants_with_open(self, kind: str) -> list[str]:
        """Return the tenants whose document of a kind is not done; for the registry."""
        ...


class SqlDocumentRepository:
    """Documents in PostgreSQL, as jsonb."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def put(self, tenant_id: str, kind: str, body: msgspec.Struct, at_ms: int) -> None:
        """Insert or replace."""
        values = {"body": msgspec.to_builtins(body), "changed_at_ms": at_ms}
        statement = insert(documents).values(tenant_id=tenant_id, kind=kind, **values)
        await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[documents.c.tenant_id, documents.c.kind], set_=values
            )
        )

    async def get(self, tenant_id: str, kind: str, type_: type[T]) -> T | None:
        """Return a document of a kind."""
        query = select(documents.c.body)
        query = query.where(documents.c.tenant_id == tenant_id, documents.c.kind == kind)
        body = (await self._connection.execute(query)).scalar()
        return None if body is None else msgspec.convert(body, type_)

    async def all(self, tenant_id: str) -> dict[str, Any]:
        """Return all documents."""
        query = select(documents.c.kind, documents.c.body).where(documents.c.tenant_id == tenant_id)
        return {kind: body for kind, body in await self._connection.execute(query)}  # noqa: C416 - rows are no tuples

    async def remove_all(self, tenant_id: str) -> int:
        """Delete all documents."""
        gone = delete(documents).where(documents.c.tenant_id == tenant_id)
        return (await self._connection.execute(gone)).rowcount

    async def tenants_with_open(self, kind: str) -> list[str]:
        """Find documents that say of themselves that they are not done."""
        is_open = documents.c.body["is_done"].as_boolean().is_(False)
        query = select(documents.c.tenant_id).where(documents.c.kind == kind, is_open)
        return list((await self._connection.execute(query.order_by(documents.c.tenant_id))).scalars())

    async def of_kind(self, kind: str, type_: type[T]) -> dict[str, T]:
        """Read a kind of all tenants."""
        query = select(documents.c.tenant_id, documents.c.body).where(documents.c.kind == kind)
        rows = await self._connection.execute(query)
        return {tenant_id: msgspec.convert(body, type_) for tenant_id, body in rows}
