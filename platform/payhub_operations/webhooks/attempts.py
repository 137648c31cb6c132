"""The statements of attempts: what is due begins one, and what came of it is kept."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, text, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from payhub_operations.schema import webhook_attempts, webhook_deliveries, webhook_endpoints
from payhub_operations.webhooks.model import (
    ENDPOINT_WAIT_MAX,
    LEASE,
    RECOVERED_WAIT,
    RETRY_WAIT_MIN,
    Answer,
    Delivery,
)
from payhub_operations.webhooks.repository import read

_endpoints: Final = webhook_endpoints.c
_deliveries: Final = webhook_deliveries.c

# For each endpoint its oldest due deliveries, as many as it may have on their way: one where it fails. A
# payment's later delivery waits for its earlier one. Rows that another copy of the service takes are left;
# a locked row keeps its place (ctid) until the statement ends.
_CLAIM: Final = text("""
WITH due AS (
  SELECT d.place, e.url, e.secrets
  FROM operations.webhook_endpoints e
  LEFT JOIN unnest(CAST(:tenants AS text[]), CAST(:endpoints AS text[]), CAST(:counts AS integer[]))
    AS busy (tenant, endpoint, count) USING (tenant, endpoint)
  CROSS JOIN LATERAL (
    SELECT waiting.ctid AS place FROM operations.webhook_deliveries waiting
    WHERE waiting.tenant = e.tenant AND waiting.endpoint = e.endpoint
      AND waiting.state = 'pending' AND waiting.next_attempt_at <= :now
      AND (waiting.payment = '' OR NOT EXISTS (
        SELECT FROM operations.webhook_deliveries earlier
        WHERE earlier.tenant = waiting.tenant AND earlier.endpoint = waiting.endpoint
          AND earlier.payment = waiting.payment AND earlier.state = 'pending'
          AND earlier.number < waiting.number))
    ORDER BY waiting.next_attempt_at, waiting.number
    LIMIT greatest(0, CASE WHEN e.failing_since IS NULL THEN CAST(:sends_max AS integer) ELSE 1 END
      - coalesce(busy.count, 0))
    FOR UPDATE SKIP LOCKED
  ) d
  WHERE e.retry_at IS NULL OR e.retry_at <= :now
  LIMIT :free
)
UPDATE operations.webhook_deliveries d SET attempts = d.attempts + 1, next_attempt_at = :leased_until
FROM due WHERE d.ctid = due.place
RETURNING d.tenant, d.number, d.endpoint, d.message, d.body, d.attempts, d.started_at, due.url, due.secrets
""").columns(secrets=JSONB())


# Each wait of an endpoint is as long as it has failed: what hangs takes less and less of what all share.
_FAILS: Final = text("""
UPDATE operations.webhook_endpoints SET
  failing_since = coalesce(failing_since, CAST(:now AS timestamptz)),
  retry_at = CAST(:now AS timestamptz) + least(
    greatest(CAST(:now AS timestamptz) - failing_since, CAST(:wait_min AS interval)),
    CAST(:wait_max AS interval))
WHERE tenant = :tenant AND endpoint = :endpoint
""")


async def claim(
    connection: AsyncConnection, now: datetime, busy: Mapping[tuple[str, str], int], sends_max: int, free: int
) -> list[Delivery]:
    """Begin an attempt of what is due; whoever dies in it leaves it due again when the lease ends.

    Args:
        connection: the writer's transaction.
        now: the time.
        busy: how many are on their way already, by tenant and endpoint.
        sends_max: how many may be, for one endpoint.
        free: how many more may be, over all.
    """
    given = {
        "tenants": [tenant for tenant, _endpoint in busy],
        "endpoints": [endpoint for _tenant, endpoint in busy],
        "counts": list(busy.values()),
        "now": now,
        "leased_until": now + LEASE,
        "sends_max": sends_max,
        "free": free,
    }
    rows = await connection.execute(_CLAIM, given)
    return [Delivery(**read(row)) for row in rows.mappings()]


async def note_attempt(connection: AsyncConnection, delivery: Delivery, at: datetime, answer: Answer) -> None:
    """Keep what came of an attempt."""
    row = {
        "tenant": delivery.tenant,
        "delivery": delivery.number,
        "attempt": delivery.attempts,
        "at": at,
        **msgspec.structs.asdict(answer),
    }
    await connection.execute(insert(webhook_attempts).values(row).on_conflict_do_nothing())


async def mark_delivered(connection: AsyncConnection, delivery: Delivery, now: datetime) -> None:
    """Be done with a delivery; an endpoint that had failed has what waits for it soon.

    The endpoint's row comes first here, in ``mark_refused`` and in ``put_endpoints``, so that none of them
    waits for another that waits for it.
    """
    recovered = await connection.execute(
        update(webhook_endpoints)
        .where(*_to_endpoint(delivery), _endpoints.failing_since.is_not(None))
        .values(failing_since=None, retry_at=None)
    )
    await connection.execute(
        update(webhook_deliveries)
        .where(_deliveries.tenant == delivery.tenant, _deliveries.number == delivery.number)
        .values(state="delivered", delivered_at=now, error="")
    )
    if recovered.rowcount:
        await connection.execute(
            update(webhook_deliveries)
            .where(
                _deliveries.tenant == delivery.tenant,
                _deliveries.endpoint == delivery.endpoint,
                _deliveries.state == "pending",
                _deliveries.next_attempt_at > now + RECOVERED_WAIT,
            )
            .values(next_attempt_at=now + RECOVERED_WAIT)
        )


async def mark_refused(
    connection: AsyncConnection, delivery: Delivery, now: datetime, following: datetime | None, error: str
) -> None:
    """Have a delivery tried again, or be done with it where nothing follows; a later attempt stays."""
    given = {
        "now": now,
        "wait_min": RETRY_WAIT_MIN,
        "wait_max": ENDPOINT_WAIT_MAX,
        "tenant": delivery.tenant,
        "endpoint": delivery.endpoint,
    }
    await connection.execute(_FAILS, given)
    values: dict[str, Any] = {"error": error}
    values |= {"state": "failed"} if following is None else {"next_attempt_at": following}
    await connection.execute(
        update(webhook_deliveries)
        .where(
            _deliveries.tenant == delivery.tenant,
            _deliveries.number == delivery.number,
            _deliveries.state == "pending",
            _deliveries.attempts == delivery.attempts,
        )
        .values(values)
    )


def _to_endpoint(delivery: Delivery) -> tuple[ColumnElement[bool], ...]:
    return _endpoints.tenant == delivery.tenant, _endpoints.endpoint == delivery.endpoint
