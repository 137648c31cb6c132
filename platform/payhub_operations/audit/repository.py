"""The audit's statements; each runs in the transaction it is given."""

from collections import Counter
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ARRAY, Text, bindparam, cast, func, literal_column, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from payhub_operations.audit.model import (
    FIRST_POSITION,
    AuditOverview,
    EngineOverview,
    Gap,
    TenantOverview,
    row_of,
)
from payhub_operations.schema import EVENTS_TABLE, events, gaps, positions, tenants
from payhub_platform.contracts.audit import AuditRecord

OVERVIEW_ROWS_MAX: Final = 5000
# JSON travels as text: ``row_of`` has written it already.
_SENT_AS: Final[dict[str, TypeEngine[Any]]] = {
    column.name: Text() if isinstance(column.type, JSONB) else column.type for column in events.c
}


async def lock_position(connection: AsyncConnection, engine: str, now: datetime) -> int:
    """Return the next position of an engine, and keep other writers off it until the end."""
    first = {"engine": engine, "next_position": FIRST_POSITION, "stored": 0, "updated_at": now}
    await connection.execute(insert(positions).values(first).on_conflict_do_nothing())
    statement = select(positions.c.next_position).where(positions.c.engine == engine).with_for_update()
    return int((await connection.execute(statement)).scalar_one())


async def next_position(connection: AsyncConnection, engine: str) -> int:
    """Return the position before which an engine's log is stored."""
    statement = select(positions.c.next_position).where(positions.c.engine == engine)
    return int((await connection.execute(statement)).scalar_one_or_none() or FIRST_POSITION)


async def insert_events(connection: AsyncConnection, engine: str, records: list[AuditRecord]) -> int:
    """Store records that follow the locked position; return how many were new.

    The position makes the records new already; the primary key makes sure of it.
    """
    rows = [row_of(engine, record) for record in records]
    columns = {
        column.name: bindparam(None, [row[column.name] for row in rows], ARRAY(_SENT_AS[column.name]))
        for column in events.c
    }
    # Arrays, for then the statement is the same whatever the number of records, and prepared once.
    sent = func.unnest(*columns.values()).table_valued(*_SENT_AS).render_derived()
    selected = [cast(sent.c[column.name], column.type) for column in events.c]
    statement = insert(events).from_select(list(columns), select(*selected))
    stored = await connection.execute(statement.on_conflict_do_nothing().returning(events.c.tenant))
    counts = Counter(stored.scalars())
    # In one order always, so that two writers never wait for each other.
    for tenant, count in sorted(counts.items()):
        row = insert(tenants).values(tenant=tenant, events=count)
        await connection.execute(
            row.on_conflict_do_update(
                index_elements=[tenants.c.tenant], set_={"events": tenants.c.events + row.excluded.events}
            )
        )
    return counts.total()


async def advance(
    connection: AsyncConnection, engine: str, next_position: int, stored: int, now: datetime
) -> None:
    """Move an engine's position on and close the gap that it has passed."""
    await connection.execute(
        update(positions)
        .where(positions.c.engine == engine)
        .values(next_position=next_position, stored=positions.c.stored + stored, updated_at=now)
    )
    await connection.execute(
        update(gaps)
        .where(gaps.c.engine == engine, gaps.c.closed_at.is_(None), gaps.c.to_position < next_position)
        .values(closed_at=now)
    )


async def open_gap(connection: AsyncConnection, engine: str, gap: Gap, now: datetime) -> None:
    """Record what is missing; an open gap of the engine stays as it was first seen."""
    await connection.execute(
        insert(gaps)
        .values(engine=engine, from_position=gap.from_position, to_position=gap.to_position, seen_at=now)
        .on_conflict_do_nothing()
    )


async def note_lost(connection: AsyncConnection, engine: str, lost: Gap, now: datetime) -> None:
    """Record what is missing for ever."""
    await connection.execute(
        insert(gaps).values(
            engine=engine,
            from_position=lost.from_position,
            to_position=lost.to_position,
            seen_at=now,
            closed_at=now,
            lost=True,
        )
    )


async def overview(connection: AsyncConnection) -> AuditOverview:
    """Return how far each engine's log is stored and how many records each tenant has."""
    open_gaps = (
        select(func.count(literal_column("*")))
        .where(gaps.c.engine == positions.c.engine, gaps.c.closed_at.is_(None))
        .scalar_subquery()
    )
    lost_events = (
        select(func.coalesce(func.sum(gaps.c.to_position - gaps.c.from_position + 1), 0))
        .where(gaps.c.engine == positions.c.engine, gaps.c.lost)
        .scalar_subquery()
    )
    engines = await connection.execute(
        select(positions.c.engine, positions.c.stored, positions.c.next_position, open_gaps, lost_events)
        .order_by(positions.c.engine)
        .limit(OVERVIEW_ROWS_MAX)
    )
    counts = await connection.execute(
        select(tenants.c.tenant, tenants.c.events).order_by(tenants.c.tenant).limit(OVERVIEW_ROWS_MAX)
    )
    return AuditOverview(
        engines=[
            EngineOverview(
                engine=engine,
                stored_events=stored,
                next_position=position,
                gaps=missing,
                lost_events=int(lost),
            )
            for engine, stored, position, missing, lost in engines
        ],
        tenants=[TenantOverview(tenant=tenant, events=count, table=EVENTS_TABLE) for tenant, count in counts],
    )
