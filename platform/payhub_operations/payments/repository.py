"""The read model's statements; each runs in the transaction it is given."""

from collections.abc import Collection
from typing import Final

import msgspec
from sqlalchemy import ARRAY, Text, bindparam, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from payhub_operations.payments.model import (
    EVENTS_SHOWN_MAX,
    PAGE_ROWS,
    PROCESS_OF_DIRECTION,
    PaymentKey,
    PaymentRow,
    Search,
    StoredEvent,
)
from payhub_operations.schema import events, payments, tenants

TENANTS_SHOWN_MAX: Final = 500
_KEY: Final = (payments.c.tenant, payments.c.payment, payments.c.direction)
_ORDER: Final = (payments.c.started_at, payments.c.payment, payments.c.direction)


async def lock_rows(
    connection: AsyncConnection, keys: Collection[PaymentKey]
) -> dict[PaymentKey, PaymentRow]:
    """Return the rows that exist, and keep other writers off them until the end."""
    if not keys:
        return {}
    # Arrays, for then the statement is the same whatever the number of keys, and prepared once.
    parts = [bindparam(None, list(part), ARRAY(Text)) for part in zip(*sorted(keys), strict=True)]
    wanted = func.unnest(*parts).table_valued(*(column.name for column in _KEY)).render_derived()
    statement = (
        select(payments)
        .where(tuple_(*_KEY).in_(select(*wanted.c)))
        .order_by(*_KEY)
        .with_for_update(of=payments)
    )
    found = await connection.execute(statement)
    rows = [PaymentRow(**row) for row in found.mappings()]
    return {row.key: row for row in rows}


async def save_rows(connection: AsyncConnection, rows: Collection[PaymentRow]) -> None:
    """Insert or replace rows."""
    if not rows:
        return
    statement = insert(payments)
    changed = {
        column.name: statement.excluded[column.name] for column in payments.c if not column.primary_key
    }
    await connection.execute(
        statement.on_conflict_do_update(index_elements=list(_KEY), set_=changed),
        [msgspec.structs.asdict(row) for row in rows],
    )


async def tenant_names(connection: AsyncConnection) -> list[str]:
    """Return the tenants that have records (needs the overseer's transaction)."""
    statement = select(tenants.c.tenant).order_by(tenants.c.tenant).limit(TENANTS_SHOWN_MAX)
    return list((await connection.execute(statement)).scalars())


async def search(
    connection: AsyncConnection, search: Search, identifier_hash: str
) -> tuple[list[PaymentRow], bool]:
    """Return one page of payments, newest first, and whether there are more."""
    statement = select(payments).order_by(*(column.desc() for column in _ORDER)).limit(PAGE_ROWS + 1)
    if search.text:
        statement = statement.where(
            or_(
                payments.c.payment == search.text,
                payments.c.trace == search.text,
                payments.c.payer_hash == identifier_hash,
                payments.c.payee_hash == identifier_hash,
            )
        )
    if search.state is not None:
        statement = statement.where(payments.c.state == search.state)
    if search.direction is not None:
        statement = statement.where(payments.c.direction == search.direction)
    if search.before is not None:
        cursor = search.before
        statement = statement.where(
            tuple_(*_ORDER) < tuple_(cursor.started_at, cursor.payment, cursor.direction)
        )
    found = await connection.execute(statement)
    rows = [PaymentRow(**row) for row in found.mappings()]
    return rows[:PAGE_ROWS], len(rows) > PAGE_ROWS


async def find(connection: AsyncConnection, payment: str) -> list[PaymentRow]:
    """Return a payment as the transaction's tenant sees it: one row, or two inside one institution."""
    statement = select(payments).where(payments.c.payment == payment).order_by(payments.c.direction.desc())
    found = await connection.execute(statement)
    return [PaymentRow(**row) for row in found.mappings()]


async def events_of(connection: AsyncConnection, row: PaymentRow) -> tuple[list[StoredEvent], bool]:
    """Return a payment's events in order, and whether there are more than are shown."""
    shown = (events.c.engine, events.c.position, events.c.at, events.c.type, events.c.element, events.c.data)
    statement = (
        select(*shown)
        .where(
            events.c.payment == row.payment,
            events.c.process.in_(("", PROCESS_OF_DIRECTION[row.direction])),
        )
        .order_by(events.c.at, events.c.engine, events.c.position)
        .limit(EVENTS_SHOWN_MAX + 1)
    )
    found = await connection.execute(statement)
    listed = [StoredEvent(**row) for row in found.mappings()]
    return listed[:EVENTS_SHOWN_MAX], len(listed) > EVENTS_SHOWN_MAX
