"""Where OAuth clients are kept: the agreement, and how PostgreSQL keeps it."""

from typing import Protocol

from msgspec.structs import asdict
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from payhub_tenants.clients.model import Client
from payhub_tenants.schema import clients


class ClientRepository(Protocol):
    """Clients within one transaction."""

    async def add(self, client: Client) -> bool:
        """Keep a new client; False where its id is taken, by whichever tenant."""
        ...

    async def get(self, client_id: str) -> Client | None:
        """Return a client, unless another tenant has it."""
        ...

    async def of_tenant(self, tenant_id: str) -> list[Client]:
        """Return a tenant's clients in the order of their ids."""
        ...

    async def remove_all(self, tenant_id: str) -> int:
        """Forget a tenant's clients; return how many."""
        ...


class SqlClientRepository:
    """Clients in PostgreSQL."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, client: Client) -> bool:
        """Keep a new client; two that come at once are told apart by the unique key."""
        statement = insert(clients).values(asdict(client)).on_conflict_do_nothing()
        added = await self._connection.execute(statement.returning(clients.c.client_id))
        return added.first() is not None

    async def get(self, client_id: str) -> Client | None:
        """Return a client; the policy of the table hides those of others."""
        rows = await self._connection.execute(select(clients).where(clients.c.client_id == client_id))
        row = rows.mappings().first()
        return None if row is None else Client(**row)

    async def of_tenant(self, tenant_id: str) -> list[Client]:
        """Return a tenant's clients in the order of their ids."""
        query = select(clients).where(clients.c.tenant_id == tenant_id).order_by(clients.c.client_id)
        rows = await self._connection.execute(query)
        return [Client(**row) for row in rows.mappings()]

    async def remove_all(self, tenant_id: str) -> int:
        """Delete a tenant's clients; their tokens then name nobody."""
        return (
            await self._connection.execute(delete(clients).where(clients.c.tenant_id == tenant_id))
        ).rowcount
