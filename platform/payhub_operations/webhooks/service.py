"""Shows deliveries and has them sent again, always inside one tenant."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from payhub_operations.audit.model import moment
from payhub_operations.database import Database
from payhub_operations.payments.views import iso_of
from payhub_operations.webhooks import repository
from payhub_operations.webhooks.errors import (
    DeliveryNotFoundError,
    InvalidWebhookQueryError,
    WebhookEndpointNotFoundError,
)
from payhub_operations.webhooks.messages import message_id, trial_message
from payhub_operations.webhooks.model import (
    REPLAY_EVENTS_MAX,
    STATES,
    AttemptView,
    DeliveryDetail,
    DeliveryPage,
    DeliveryView,
    End,
    Endpoint,
    EndpointView,
    Replayed,
)
from payhub_operations.webhooks.outbox import deliveries_of, messages_of
from payhub_platform.clock import Clock, parse_iso

TEXT_CHARACTERS_MAX: Final = 128
_BIGINT_MAX: Final = 2**63 - 1


class WebhookService:
    """What an operator asks about webhooks, and does with them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def endpoints(self, tenant: str) -> list[EndpointView]:
        """Return where a tenant is told what, and how much waits for each."""
        _require_possible(tenant, "tenant")
        async with self._database.tenant(tenant) as connection:
            endpoints = await repository.endpoints_of(connection, [tenant])
            counts = await repository.counts(connection)
        return [_endpoint_view(endpoint, counts.get(endpoint.endpoint, {})) for endpoint in endpoints]

    async def deliveries(self, tenant: str, query: Mapping[str, str]) -> DeliveryPage:
        """Return one page, newest first; ``state``, ``payment`` and ``before`` filter where they are given.

        Raises:
            InvalidWebhookQueryError: which field is not understood.
        """
        _require_possible(tenant, "tenant")
        state, payment, before = query.get("state", ""), query.get("payment", ""), query.get("before", "")
        known = next((each for each in STATES if each == state), None)
        if state and known is None:
            raise InvalidWebhookQueryError("query:state", f"The state is one of {', '.join(STATES)}.")
        if payment:
            _require_possible(payment, "payment")
        number = _number(before, "query:before") if before else None
        async with self._database.tenant(tenant) as connection:
            rows, more = await repository.page(
                connection, tenant, state=known, payment=payment, before=number
            )
        return DeliveryPage(
            deliveries=[_delivery_view(row) for row in rows], next=rows[-1]["number"] if more else None
        )

    async def detail(self, tenant: str, number: str) -> DeliveryDetail:
        """Return one delivery with its attempts.

        Raises:
            DeliveryNotFoundError: this tenant has no such delivery.
        """
        _require_possible(tenant, "tenant")
        async with self._database.tenant(tenant) as connection:
            row = await _found(connection, tenant, number)
            attempts = await repository.attempts_of(connection, tenant, row["number"])
        return DeliveryDetail(
            delivery=_delivery_view(row),
            body=msgspec.Raw(row["body"].encode()),
            attempts=[
                AttemptView(
                    attempt=attempt["attempt"],
                    at=iso_of(attempt["at"]),
                    took_ms=attempt["took_ms"],
                    status=attempt["status"],
                    error=attempt["error"],
                )
                for attempt in attempts
            ],
        )

    async def replay(self, tenant: str, number: str) -> None:
        """Send a delivery again, whatever became of it.

        Raises:
            DeliveryNotFoundError: this tenant has no such delivery.
            WebhookEndpointNotFoundError: its endpoint is gone.
        """
        _require_possible(tenant, "tenant")
        async with self._database.operator(tenant) as connection:
            row = await _found(connection, tenant, number)
            await _endpoint(connection, tenant, row["endpoint"])
            await repository.resume(connection, tenant, row["endpoint"], self._now())
            await repository.restart(connection, tenant, row["number"], self._now())

    async def replay_since(self, tenant: str, endpoint: str, since: str) -> Replayed:
        """Send all again that ended since a time, and also what ended before the endpoint was there.

        Raises:
            WebhookEndpointNotFoundError: this tenant has no such endpoint.
            InvalidWebhookQueryError: this is no time.
        """
        _require_possible(tenant, "tenant")
        from_ms = _time(since)
        async with self._database.operator(tenant) as connection:
            found = await _endpoint(connection, tenant, endpoint)
            await repository.resume(connection, tenant, endpoint, self._now())
            ends = await repository.ends_since(connection, tenant, moment(from_ms))
            following = ends[REPLAY_EVENTS_MAX:]
            ends = ends[:REPLAY_EVENTS_MAX]
            told = [message_id(end) for end in ends]
            again = await repository.restart_all(connection, tenant, endpoint, told, self._now())
            missing = [end for end, message in zip(ends, told, strict=True) if message not in again]
            made = deliveries_of([found], await messages_of(connection, missing))
            await repository.add(connection, made, self._now())
        return Replayed(
            replayed=len(again) + len(made), next_since=iso_of(following[0].at) if following else None
        )

    async def send_test(self, tenant: str, endpoint: str) -> DeliveryView:
        """Send a message that tells of no payment, and return its delivery.

        Raises:
            WebhookEndpointNotFoundError: this tenant has no such endpoint.
        """
        _require_possible(tenant, "tenant")
        now = self._now()
        end = End(tenant=tenant, engine="", position=0, process="", payment="", instance=0, at=now)
        message = trial_message(end, f"msg_{uuid4()}")
        async with self._database.operator(tenant) as connection:
            found = await _endpoint(connection, tenant, endpoint)
            await repository.resume(connection, tenant, endpoint, now)
            await repository.add(connection, [(found, message)], now)
            return _delivery_view(await repository.of_message(connection, found, message.message))

    def _now(self) -> datetime:
        return moment(self._clock())


async def _endpoint(connection: AsyncConnection, tenant: str, wanted: str) -> Endpoint:
    for endpoint in await repository.endpoints_of(connection, [tenant]):
        if endpoint.endpoint == wanted:
            return endpoint
    raise WebhookEndpointNotFoundError


async def _found(connection: AsyncConnection, tenant: str, number: str) -> dict[str, Any]:
    is_number = number.isascii() and number.isdigit() and len(number) <= len(str(_BIGINT_MAX))
    row = None
    if is_number and int(number) <= _BIGINT_MAX:
        row = await repository.find(connection, tenant, int(number))
    if row is None:
        raise DeliveryNotFoundError
    return row


def _endpoint_view(endpoint: Endpoint, counts: Mapping[str, int]) -> EndpointView:
    return EndpointView(
        endpoint=endpoint.endpoint,
        url=endpoint.url,
        purpose=endpoint.purpose,
        events=endpoint.events,
        failing_since=iso_of(endpoint.failing_since) if endpoint.failing_since else None,
        retry_at=iso_of(endpoint.retry_at) if endpoint.retry_at else None,
        pending=counts.get("pending", 0),
        failed=counts.get("failed", 0),
    )


def _delivery_view(row: Mapping[str, Any]) -> DeliveryView:
    return DeliveryView(
        delivery=row["number"],
        endpoint=row["endpoint"],
        message=row["message"],
        type=row["type"],
        payment=row["payment"],
        at=iso_of(row["at"]),
        state=row["state"],
        attempts=row["attempts"],
        next_attempt_at=iso_of(row["next_attempt_at"]) if row["state"] == "pending" else None,
        delivered_at=iso_of(row["delivered_at"]) if row["delivered_at"] else None,
        error=row["error"],
    )


def _time(text: str) -> int:
    try:
        return parse_iso(text)
    except (ValueError, OverflowError) as error:
        raise InvalidWebhookQueryError(
            "/since", "A time is ISO 8601 with an offset, such as 2026-01-31T09:05:00Z."
        ) from error


def _number(text: str, where: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text[:20]) > _BIGINT_MAX:
        raise InvalidWebhookQueryError(where, "This is no number of a delivery.")
    return int(text)


def _require_possible(text: str, field: str) -> None:
    """Refuse what is missing, and what PostgreSQL could not even compare."""
    if not text or "\0" in text or len(text) > TEXT_CHARACTERS_MAX:
        raise InvalidWebhookQueryError(f"query:{field}", f"No {field} looks like this.")
