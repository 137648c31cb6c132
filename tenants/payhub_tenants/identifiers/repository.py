"""Where party identifiers are kept: the agreement, and how PostgreSQL keeps it."""

from typing import Protocol

from msgspec.structs import asdict
from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from payhub_tenants.identifiers.cipher import SealedIdentifier
from payhub_tenants.identifiers.model import IdentifierState, PartyIdentifier
from payhub_tenants.schema import party_identifiers as table
from payhub_tenants.schema import party_identifiers_clear as clear_table


class IdentifierRepository(Protocol):
    """Party identifiers within one transaction."""

    async def claim(self, identifier: SealedIdentifier, stale_before_ms: int) -> bool:
        """Take an identifier for an account before it is registered.

        False where it is registered for another account, or is just being registered for another: an
        attempt older than ``stale_before_ms`` no longer counts.
        """
        ...

    async def record(self, identifier: SealedIdentifier) -> None:
        """Keep the outcome of an attempt, unless the identifier went to another account meanwhile."""
        ...

    async def page(self, tenant_id: str, after: str, limit: int) -> list[SealedIdentifier]:
        """Return up to ``limit`` identifiers after a ``lookup``, in the order of these."""
        ...

    async def counts(self, tenant_id: str) -> dict[IdentifierState, int]:
        """Return how many identifiers of a tenant are in each state."""
        ...

    async def get(self, tenant_id: str, lookup: str) -> SealedIdentifier | None:
        """Return one identifier."""
        ...

    async def replace(self, known: SealedIdentifier, after: SealedIdentifier) -> bool:
        """Keep an identifier as ``after``, where it still is as it was seen; False where it is not."""
        ...

    async def remove(self, identifier: SealedIdentifier) -> None:
        """Forget an identifier, unless it went to another account meanwhile."""
        ...

    async def remove_all(self, tenant_id: str) -> int:
        """Forget all identifiers of a tenant; return how many."""
        ...

    async def clear_rows(self, tenant_id: str, limit: int) -> list[PartyIdentifier]:
        """Return some that are from before identifiers were sealed."""
        ...

    async def seal_row(self, clear: PartyIdentifier, sealed: SealedIdentifier) -> None:
        """Keep one of them sealed, unless it was registered anew meanwhile, and forget it in clear."""
        ...


class SqlIdentifierRepository:
    """Party identifiers in PostgreSQL."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def claim(self, identifier: SealedIdentifier, stale_before_ms: int) -> bool:
        """Insert, or update what may be taken over; the unique key decides between two at once."""
        free = or_(
            table.c.account_lookup == identifier.account_lookup,
            table.c.state == "failed",
            and_(table.c.state == "pending", table.c.attempted_at_ms < stale_before_ms),
        )
        values = asdict(identifier)
        changes = {name: value for name, value in values.items() if name not in ("tenant_id", "lookup")}
        claimed = await self._connection.execute(
            insert(table)
            .values(values)
            .on_conflict_do_update(
                index_elements=[table.c.tenant_id, table.c.lookup], set_=changes, where=free
            )
            .returning(table.c.tenant_id)
        )
        return claimed.first() is not None

    async def record(self, identifier: SealedIdentifier) -> None:
        """Write an outcome where the claim still stands."""
        outcome = (
            update(table).where(_claimed(identifier)).values(state=identifier.state, reason=identifier.reason)
        )
        await self._connection.execute(outcome)

    async def page(self, tenant_id: str, after: str, limit: int) -> list[SealedIdentifier]:
        """Return identifiers by keyset."""
        query = select(table).where(table.c.tenant_id == tenant_id, table.c.lookup > after)
        rows = await self._connection.execute(query.order_by(table.c.lookup).limit(limit))
        return [SealedIdentifier(**row) for row in rows.mappings()]

    async def counts(self, tenant_id: str) -> dict[IdentifierState, int]:
        """Count by state."""
        query = select(table.c.state, func.count()).where(table.c.tenant_id == tenant_id)
        rows = await self._connection.execute(query.group_by(table.c.state))
        return {state: count for state, count in rows}  # noqa: C416 - rows are no tuples

    async def get(self, tenant_id: str, lookup: str) -> SealedIdentifier | None:
        """Return one identifier."""
        query = select(table).where(table.c.tenant_id == tenant_id, table.c.lookup == lookup)
        row = (await self._connection.execute(query)).mappings().first()
        return None if row is None else SealedIdentifier(**row)

    async def replace(self, known: SealedIdentifier, after: SealedIdentifier) -> bool:
        """Update where account, state and time are as they were seen."""
        seen = and_(
            _claimed(known),
            table.c.state == known.state,
            table.c.attempted_at_ms == known.attempted_at_ms,
        )
        done = update(table).where(seen).values(asdict(after))
        return (await self._connection.execute(done.returning(table.c.tenant_id))).first() is not None

    async def remove(self, identifier: SealedIdentifier) -> None:
        """Delete one identifier."""
        await self._connection.execute(delete(table).where(_claimed(identifier)))

    async def remove_all(self, tenant_id: str) -> int:
        """Delete all identifiers of a tenant."""
        await self._connection.execute(delete(clear_table).where(clear_table.c.tenant_id == tenant_id))
        return (await self._connection.execute(delete(table).where(table.c.tenant_id == tenant_id))).rowcount

    async def clear_rows(self, tenant_id: str, limit: int) -> list[PartyIdentifier]:
        """Read the table of before."""
        rows = await self._connection.execute(
            select(clear_table).where(clear_table.c.tenant_id == tenant_id).limit(limit)
        )
        return [PartyIdentifier(**row) for row in rows.mappings()]

    async def seal_row(self, clear: PartyIdentifier, sealed: SealedIdentifier) -> None:
        """Insert where there is none, and delete from the table of before."""
        await self._connection.execute(insert(table).values(asdict(sealed)).on_conflict_do_nothing())
        columns = (clear_table.c.tenant_id, clear_table.c.type, clear_table.c.value, clear_table.c.sub_id)
        same = and_(*(column == part for column, part in zip(columns, clear.key, strict=True)))
        await self._connection.execute(delete(clear_table).where(same))


def _claimed(identifier: SealedIdentifier) -> ColumnElement[bool]:
    return and_(
        table.c.tenant_id == identifier.tenant_id,
        table.c.lookup == identifier.lookup,
        table.c.account_lookup == identifier.account_lookup,
    )
