"""The statements of webhooks; each runs in the transaction it is given."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import (
    ARRAY,
    Text,
    and_,
    bindparam,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from payhub_operations.schema import events, webhook_attempts, webhook_deliveries, webhook_endpoints
from payhub_operations.webhooks.messages import ENDED, PROCESSES
from payhub_operations.webhooks.model import (
    ATTEMPTS_SHOWN_MAX,
    PAGE_ROWS,
    REPLAY_EVENTS_MAX,
    DeliveryState,
    End,
    Endpoint,
    Message,
)
from payhub_platform.contracts.tenant import WebhookSecret

ENDPOINT_REMOVED: Final = "endpoint-removed"
_endpoints: Final = webhook_endpoints.c
_deliveries: Final = webhook_deliveries.c
_attempts: Final = webhook_attempts.c


async def endpoints_of(
    connection: AsyncConnection, tenants: Collection[str], *, held: bool = False
) -> list[Endpoint]:
    """Return the endpoints of some tenants; ``held``: none is removed before the transaction ends."""
    wanted = bindparam(None, sorted(tenants), ARRAY(Text))
    statement = select(webhook_endpoints).where(_endpoints.tenant == func.any(wanted))
    statement = statement.order_by(_endpoints.tenant, _endpoints.endpoint)
    if held:
        statement = statement.with_for_update(read=True, key_share=True)
    rows = await connection.execute(statement)
    return [Endpoint(**read(row)) for row in rows.mappings()]


async def put_endpoints(connection: AsyncConnection, tenant: str, wanted: Sequence[Endpoint]) -> None:
    """Keep a tenant's endpoints in place of those before; what waits for one that is gone has failed."""
    kept = bindparam(None, [endpoint.endpoint for endpoint in wanted], ARRAY(Text))
    await connection.execute(
        delete(webhook_endpoints).where(_endpoints.tenant == tenant, _endpoints.endpoint != func.all(kept))
    )
    await connection.execute(
        update(webhook_deliveries)
        .where(
            _deliveries.tenant == tenant,
            _deliveries.state == "pending",
            _deliveries.endpoint != func.all(kept),
        )
        .values(state="failed", error=ENDPOINT_REMOVED)
    )
    for endpoint in wanted:
        row = msgspec.to_builtins(endpoint)
        del row["failing_since"], row["retry_at"]
        statement = insert(webhook_endpoints).values(row)
        changed = {name: statement.excluded[name] for name in ("url", "purpose", "events", "secrets")}
        await connection.execute(
            statement.on_conflict_do_update(index_elements=["tenant", "endpoint"], set_=changed)
        )


async def variables_of(connection: AsyncConnection, ends: Sequence[End]) -> dict[End, list[str]]:
    """Return what the events of ended processes set, as JSON, in order."""
    by_key = {(end.tenant, end.payment, end.engine, end.instance): end for end in ends}
    found: dict[End, list[str]] = {end: [] for end in ends}
    if not ends:
        return found
    columns = (events.c.tenant, events.c.payment)
    parts = [
        bindparam(None, list(part), ARRAY(Text))
        for part in zip(*{(end.tenant, end.payment) for end in ends}, strict=True)
    ]
    wanted = func.unnest(*parts).table_valued(*(column.name for column in columns)).render_derived()
    variables = events.c.data["variables"].astext
    scope = func.coalesce(events.c.data["scope"].astext, "0")
    # By payment alone, for which there is an index: with the engine in the condition PostgreSQL may take the
    # one by position, and read all that a tenant has.
    statement = (
        select(*columns, events.c.engine, events.c.instance, variables)
        .join(wanted, and_(*(column == wanted.c[column.name] for column in columns)))
        .where(variables.is_not(None), ~and_(events.c.type == "VariablesMerged", scope != "0"))
        .order_by(events.c.position)
    )
    for tenant, payment, engine, instance, told in await connection.execute(statement):
        end = by_key.get((tenant, payment, engine, instance))
        if end is not None:  # it may be another process of the same payment
            found[end].append(told)
    return found


async def add(connection: AsyncConnection, made: Sequence[tuple[Endpoint, Message]], now: datetime) -> None:
    """Store deliveries that are not there yet, in the order given."""
    rows = [
        {
            "tenant": message.end.tenant,
            "endpoint": endpoint.endpoint,
            "message": message.message,
            "engine": message.end.engine,
            "position": message.end.position,
            "payment": message.end.payment,
            "type": message.type,
            "at": message.end.at,
            "body": message.body,
            "state": "pending",
            "attempts": 0,
            "started_at": now,
            "next_attempt_at": now,
            "error": "",
        }
        for endpoint, message in made
    ]
    if rows:
        await connection.execute(insert(webhook_deliveries).on_conflict_do_nothing(), rows)


async def counts(connection: AsyncConnection) -> dict[str, dict[str, int]]:
    """Return how many deliveries of the transaction's tenant have failed or wait, by endpoint."""
    statement = (
        select(_deliveries.endpoint, _deliveries.state, func.count())
        .where(_deliveries.state.in_(("pending", "failed")))
        .group_by(_deliveries.endpoint, _deliveries.state)
    )
    found: dict[str, dict[str, int]] = {}
    for endpoint, state, count in await connection.execute(statement):
        found.setdefault(endpoint, {})[state] = count
    return found


async def page(
    connection: AsyncConnection,
    tenant: str,
    *,
    state: DeliveryState | None = None,
    payment: str = "",
    before: int | None = None,
) -> tuple[list[dict[str, Any]], bool]:
    """Return one page of deliveries, newest first, and whether there are more."""
    statement = select(webhook_deliveries).where(_deliveries.tenant == tenant)
    if state is not None:
        statement = statement.where(_deliveries.state == state)
    if payment:
        statement = statement.where(_deliveries.payment == payment)
    if before is not None:
        statement = statement.where(_deliveries.number < before)
    found = await connection.execute(statement.order_by(_deliveries.number.desc()).limit(PAGE_ROWS + 1))
    rows = [dict(row) for row in found.mappings()]
    return rows[:PAGE_ROWS], len(rows) > PAGE_ROWS


async def find(connection: AsyncConnection, tenant: str, number: int) -> dict[str, Any] | None:
    """Return a delivery."""
    statement = select(webhook_deliveries).where(_deliveries.tenant == tenant, _deliveries.number == number)
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else dict(row)


async def of_message(connection: AsyncConnection, endpoint: Endpoint, message: str) -> dict[str, Any]:
    """Return the delivery of a message to an endpoint."""
    statement = select(webhook_deliveries).where(
        _deliveries.tenant == endpoint.tenant,
        _deliveries.endpoint == endpoint.endpoint,
        _deliveries.message == message,
    )
    return dict((await connection.execute(statement)).mappings().one())


async def attempts_of(connection: AsyncConnection, tenant: str, number: int) -> list[dict[str, Any]]:
    """Return the newest attempts of a delivery, the last one first."""
    statement = (
        select(_attempts.attempt, _attempts.at, _attempts.took_ms, _attempts.status, _attempts.error)
        .where(_attempts.tenant == tenant, _attempts.delivery == number)
        .order_by(_attempts.attempt.desc())
        .limit(ATTEMPTS_SHOWN_MAX)
    )
    return [dict(row) for row in (await connection.execute(statement)).mappings()]


async def resume(connection: AsyncConnection, tenant: str, endpoint: str, now: datetime) -> None:
    """Leave an endpoint alone no longer: an operator wants to see whether it answers."""
    await connection.execute(
        update(webhook_endpoints)
        .where(_endpoints.tenant == tenant, _endpoints.endpoint == endpoint, _endpoints.retry_at > now)
        .values(retry_at=now)
    )


async def restart(connection: AsyncConnection, tenant: str, number: int, now: datetime) -> None:
    """Send a delivery again."""
    await connection.execute(
        update(webhook_deliveries)
        .where(_deliveries.tenant == tenant, _deliveries.number == number)
        .values(**_afresh(now))
    )


async def ends_since(connection: AsyncConnection, tenant: str, since: datetime) -> list[End]:
    """Return ends from a time on, in order: one more than may be sent again at once, where there are more."""
    statement = (
        select(
            events.c.tenant,
            events.c.engine,
            events.c.position,
            events.c.process,
            events.c.payment,
            events.c.instance,
            events.c.at,
        )
        .where(
            events.c.tenant == tenant,
            events.c.type == ENDED,
            events.c.process.in_(PROCESSES),
            events.c.payment != "",
            events.c.at >= since,
        )
        .order_by(events.c.at, events.c.engine, events.c.position)
        .limit(REPLAY_EVENTS_MAX + 1)
    )
    return [End(**row) for row in (await connection.execute(statement)).mappings()]


async def restart_all(
    connection: AsyncConnection, tenant: str, endpoint: str, messages: Sequence[str], now: datetime
) -> set[str]:
    """Send again those of some messages that an endpoint was sent before; return which they are."""
    wanted = bindparam(None, list(messages), ARRAY(Text))
    found = await connection.execute(
        update(webhook_deliveries)
        .where(
            _deliveries.tenant == tenant,
            _deliveries.endpoint == endpoint,
            _deliveries.message == func.any(wanted),
        )
        .values(**_afresh(now))
        .returning(_deliveries.message)
    )
    return set(found.scalars())


def _afresh(now: datetime) -> dict[str, Any]:
    """Return the columns of a delivery that is sent again, at once and then for the whole time."""
    return {"state": "pending", "started_at": now, "next_attempt_at": now}


def read(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the fields of a row with secrets."""
    return {**row, "secrets": msgspec.convert(row["secrets"], list[WebhookSecret])}
