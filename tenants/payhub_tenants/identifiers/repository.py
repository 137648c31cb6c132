"""Where party identifiers are kept: the agreement, and how PostgreSQL keeps it."""

from typing import Protocol

from msgspec.structs import asdict
from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from payhub_tenants.identifiers.model import IdentifierState, PartyIdentifier
from payhub_tenants.schema import party_identifiers as table


class IdentifierRepository(Protocol):
    """Party identifiers within one transaction."""

    async def claim(self, identifier: PartyIdentifier, stale_before_ms: int) -> bool:
        """Take an identifier for an account before it is registered.

        False where it is registered for another account, or is just being registered for another: an
        attempt older than ``stale_before_ms`` no longer counts.
        """
        ...

    async def record(self, identifier: PartyIdentifier) -> None:
        """Keep the outcome of an attempt, unless the identifier went to another account meanwhile."""
        ...

    async def page(self, tenant_id: str, after: tuple[str, str, str], limit: int) -> list[PartyIdentifier]:
        """Return up to ``limit`` identifiers after (type, value, sub id), in order."""
        ...

    async def counts(self, tenant_id: str) -> dict[IdentifierState, int]:
        """Return how many identifiers of a tenant are in each state."""
        ...


class SqlIdentifierRepository:
    """Party identifiers in PostgreSQL."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def claim(self, identifier: PartyIdentifier, stale_before_ms: int) -> bool:
        """Insert, or update what may be taken over; the unique key decides between two at once."""
        free = or_(
            table.c.account_id == identifier.account_id,
            table.c.state == "failed",
            and_(table.c.state == "pending", table.c.attempted_at_ms < stale_before_ms),
        )
        statement = insert(table).values(asdict(identifier))
        claimed = await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[table.c.tenant_id, table.c.type, table.c.value, table.c.sub_id],
                set_={
                    "account_id": identifier.account_id,
                    "state": identifier.state,
                    "reason": identifier.reason,
                    "attempted_at_ms": identifier.attempted_at_ms,
                },
                where=free,
            ).returning(table.c.tenant_id)
        )
        return claimed.first() is not None

    async def record(self, identifier: PartyIdentifier) -> None:
        """Write an outcome where the claim still stands."""
        claimed = and_(
            table.c.tenant_id == identifier.tenant_id,
            table.c.type == identifier.type,
            table.c.value == identifier.value,
            table.c.sub_id == identifier.sub_id,
            table.c.account_id == identifier.account_id,
        )
        outcome = update(table).where(claimed).values(state=identifier.state, reason=identifier.reason)
        await self._connection.execute(outcome)

    async def page(self, tenant_id: str, after: tuple[str, str, str], limit: int) -> list[PartyIdentifier]:
        """Return identifiers by keyset."""
        order = (table.c.type, table.c.value, table.c.sub_id)
        later = func.row(*order) > func.row(*after)
        query = select(table).where(table.c.tenant_id == tenant_id, later).order_by(*order).limit(limit)
        rows = await self._connection.execute(query)
        return [PartyIdentifier(**row) for row in rows.mappings()]

    async def counts(self, tenant_id: str) -> dict[IdentifierState, int]:
        """Count by state."""
        query = select(table.c.state, func.count()).where(table.c.tenant_id == tenant_id)
        rows = await self._connection.execute(query.group_by(table.c.state))
        return {state: count for state, count in rows}  # noqa: C416 - rows are no tuples
