"""Where party identifiers are kept: the agreement, and how PostgreSQL keeps it."""

from typing import Protocol

from msgspec.structs import asdict
from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from payhub_tenants.identifiers.model import IdentifierKey, IdentifierState, PartyIdentifier
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

    async def get(self, key: IdentifierKey) -> PartyIdentifier | None:
        """Return one identifier by what makes it one of a kind."""
        ...

    async def replace(self, known: PartyIdentifier, after: PartyIdentifier) -> bool:
        """Keep an identifier as ``after``, where it still is as it was seen; False where it is not."""
        ...

    async def remove(self, identifier: PartyIdentifier) -> None:
        """Forget an identifier, unless it went to another account meanwhile."""
        ...

    async def remove_all(self, tenant_id: str) -> int:
        """Forget all identifiers of a tenant; return how many."""
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
        outcome = (
            update(table).where(_claimed(identifier)).values(state=identifier.state, reason=identifier.reason)
        )
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

    async def get(self, key: IdentifierKey) -> PartyIdentifier | None:
        """Return one identifier."""
        row = (await self._connection.execute(select(table).where(_same(key)))).mappings().first()
        return None if row is None else PartyIdentifier(**row)

    async def replace(self, known: PartyIdentifier, after: PartyIdentifier) -> bool:
        """Update where account, state and time are as they were seen."""
        seen = and_(
            _claimed(known),
            table.c.state == known.state,
            table.c.attempted_at_ms == known.attempted_at_ms,
        )
        done = update(table).where(seen).values(asdict(after))
        return (await self._connection.execute(done.returning(table.c.tenant_id))).first() is not None

    async def remove(self, identifier: PartyIdentifier) -> None:
        """Delete one identifier."""
        await self._connection.execute(delete(table).where(_claimed(identifier)))

    async def remove_all(self, tenant_id: str) -> int:
        """Delete all identifiers of a tenant."""
        return (await self._connection.execute(delete(table).where(table.c.tenant_id == tenant_id))).rowcount


def _same(key: IdentifierKey) -> ColumnElement[bool]:
    columns = (table.c.tenant_id, table.c.type, table.c.value, table.c.sub_id)
    return and_(*(column == part for column, part in zip(columns, key, strict=True)))


def _claimed(identifier: PartyIdentifier) -> ColumnElement[bool]:
    return and_(_same(identifier.key), table.c.account_id == identifier.account_id)
