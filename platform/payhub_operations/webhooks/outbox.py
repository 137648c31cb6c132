"""Makes deliveries of what the log tells, in the transaction that stores it: none is lost."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from payhub_operations.webhooks import repository
from payhub_operations.webhooks.messages import ends_of, message_of
from payhub_operations.webhooks.model import End, Endpoint, Message
from payhub_platform.contracts.audit import AuditRecord


async def add_deliveries(
    connection: AsyncConnection, engine: str, records: Iterable[AuditRecord], now: datetime
) -> None:
    """Store a delivery for each payment that ends in these records and each endpoint that wants to know."""
    ends = ends_of(engine, records)
    if not ends:
        return
    endpoints = await repository.endpoints_of(connection, {end.tenant for end in ends}, held=True)
    if not endpoints:
        return
    tenants = {endpoint.tenant for endpoint in endpoints}
    told = [end for end in ends if end.tenant in tenants]
    await repository.add(connection, deliveries_of(endpoints, await messages_of(connection, told)), now)


async def messages_of(connection: AsyncConnection, ends: Sequence[End]) -> list[Message]:
    """Return the messages that tell some ends, in order, out of the events that are stored."""
    variables = await repository.variables_of(connection, ends)
    found = (message_of(end, variables[end]) for end in ends)
    return [message for message in found if message is not None]


def deliveries_of(
    endpoints: Sequence[Endpoint], messages: Iterable[Message]
) -> list[tuple[Endpoint, Message]]:
    """Return which message goes where."""
    return [
        (endpoint, message)
        for message in messages
        for endpoint in endpoints
        if endpoint.tenant == message.end.tenant and endpoint.takes(message)
    ]
