"""Where keys and certificates are kept: the agreement, and how PostgreSQL keeps them."""

from typing import Protocol

from msgspec.structs import asdict
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from payhub_tenants.keys.model import Certificate, SigningKeyRow
from payhub_tenants.schema import certificates, keys


class KeyRepository(Protocol):
    """Keys and certificates within one transaction, in which the tenant is locked or new."""

    async def put(self, key: SigningKeyRow) -> None:
        """Keep a key, or what changed of it."""
        ...

    async def all(self, tenant_id: str) -> list[SigningKeyRow]:
        """Return all keys, the oldest first."""
        ...

    async def remove(self, tenant_id: str, key_id: str) -> None:
        """Forget a key."""
        ...

    async def remove_all(self, tenant_id: str) -> int:
        """Forget all keys; return how many."""
        ...

    async def add_certificate(self, certificate: Certificate) -> None:
        """Keep a certificate."""
        ...

    async def certificates(self, tenant_id: str) -> list[Certificate]:
        """Return all certificates, those that expire first in front."""
        ...

    async def remove_certificates(self, tenant_id: str) -> int:
        """Forget all certificates; return how many."""
        ...


class SqlKeyRepository:
    """Keys and certificates in PostgreSQL."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def put(self, key: SigningKeyRow) -> None:
        """Insert, or write state and expiry."""
        statement = insert(keys).values(asdict(key))
        await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[keys.c.tenant_id, keys.c.key_id],
                set_={"state": key.state, "expires_at_ms": key.expires_at_ms},
            )
        )

    async def all(self, tenant_id: str) -> list[SigningKeyRow]:
        """Return all keys."""
        query = select(keys).where(keys.c.tenant_id == tenant_id)
        rows = await self._connection.execute(query.order_by(keys.c.created_at_ms, keys.c.key_id))
        return [SigningKeyRow(**row) for row in rows.mappings()]

    async def remove(self, tenant_id: str, key_id: str) -> None:
        """Delete a key."""
        gone = delete(keys).where(keys.c.tenant_id == tenant_id, keys.c.key_id == key_id)
        await self._connection.execute(gone)

    async def remove_all(self, tenant_id: str) -> int:
        """Delete all keys."""
        return (await self._connection.execute(delete(keys).where(keys.c.tenant_id == tenant_id))).rowcount

    async def add_certificate(self, certificate: Certificate) -> None:
        """Insert."""
        await self._connection.execute(insert(certificates).values(asdict(certificate)))

    async def certificates(self, tenant_id: str) -> list[Certificate]:
        """Return all certificates."""
        query = select(certificates).where(certificates.c.tenant_id == tenant_id)
        order = (certificates.c.expires_at_ms, certificates.c.serial)
        rows = await self._connection.execute(query.order_by(*order))
        return [Certificate(**row) for row in rows.mappings()]

    async def remove_certificates(self, tenant_id: str) -> int:
        """Delete all certificates."""
        gone = delete(certificates).where(certificates.c.tenant_id == tenant_id)
        return (await self._connection.execute(gone)).rowcount
