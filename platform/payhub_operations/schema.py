"""The tables as queries see them; the migrations make them and say who may do what.

Every table with a tenant column has forced row level security and unique keys that start with the
tenant, so that no key of one tenant can collide with, or reveal, another's.
"""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Identity, Integer, MetaData, Table, Text, false
from sqlalchemy.dialects.postgresql import JSONB

SCHEMA: Final = "operations"
EVENTS_TABLE: Final = f"{SCHEMA}.events"

# NOLOGIN roles that the service steps into for one transaction (see database.py).
READER: Final = "payhub_operations_reader"  # one tenant's rows, read only
OVERSEER: Final = "payhub_operations_overseer"  # how far the audit got, and no payment at all
WRITER: Final = "payhub_operations_writer"  # the consumer: all tenants; may not change or delete events
OPERATOR: Final = "payhub_operations_operator"  # one tenant's webhooks, to have them sent again

_metadata = MetaData(schema=SCHEMA)

events: Final = Table(
    "events",
    _metadata,
    Column("tenant", Text, primary_key=True),
    Column("engine", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("type", Text, nullable=False),
    Column("process", Text, nullable=False),
    Column("payment", Text, nullable=False),
    Column("instance", BigInteger, nullable=False),
    Column("element", Text, nullable=False),
    Column("trace", Text, nullable=False),
    Column("data", JSONB, nullable=False),
)

payments: Final = Table(
    "payments",
    _metadata,
    Column("tenant", Text, primary_key=True),
    Column("payment", Text, primary_key=True),
    Column("direction", Text, primary_key=True),
    Column("engine", Text, nullable=False),
    Column("payer", Text, nullable=False),
    Column("payer_hash", Text, nullable=False),
    Column("payer_fsp", Text, nullable=False),
    Column("payee", Text, nullable=False),
    Column("payee_hash", Text, nullable=False),
    Column("payee_fsp", Text, nullable=False),
    Column("amount_minor", BigInteger),
    Column("currency", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("error_code", Text, nullable=False),
    Column("error_description", Text, nullable=False),
    Column("handed_over", Boolean, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("trace", Text, nullable=False),
)

tenants: Final = Table(
    "tenants",
    _metadata,
    Column("tenant", Text, primary_key=True),
    Column("events", BigInteger, nullable=False),
)

positions: Final = Table(
    "positions",
    _metadata,
    Column("engine", Text, primary_key=True),
    Column("next_position", BigInteger, nullable=False),
    Column("stored", BigInteger, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

gaps: Final = Table(
    "gaps",
    _metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("engine", Text, nullable=False),
    Column("from_position", BigInteger, nullable=False),
    Column("to_position", BigInteger, nullable=False),
    Column("seen_at", DateTime(timezone=True), nullable=False),
    Column("closed_at", DateTime(timezone=True)),
    Column("lost", Boolean, nullable=False, server_default=false()),
)

webhook_endpoints: Final = Table(
    "webhook_endpoints",
    _metadata,
    Column("tenant", Text, primary_key=True),
    Column("endpoint", Text, primary_key=True),
    Column("url", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("events", JSONB, nullable=False),
    Column("secrets", JSONB, nullable=False),  # list[WebhookSecret]: sealed
    Column("failing_since", DateTime(timezone=True)),
    Column("retry_at", DateTime(timezone=True)),  # while it fails: left alone until then
)

webhook_deliveries: Final = Table(
    "webhook_deliveries",
    _metadata,
    Column("tenant", Text, primary_key=True),
    Column("number", BigInteger, Identity(), primary_key=True),  # grows in the order of the log
    Column("endpoint", Text, nullable=False),
    Column("message", Text, nullable=False),  # the webhook-id: one an event, the same at every attempt
    Column("engine", Text, nullable=False),  # with the position the event that it tells; empty for a test
    Column("position", BigInteger, nullable=False),
    Column("payment", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("body", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),  # begun ones
    Column("started_at", DateTime(timezone=True), nullable=False),  # made, or last sent again by an operator
    Column("next_attempt_at", DateTime(timezone=True), nullable=False),
    Column("delivered_at", DateTime(timezone=True)),
    Column("error", Text, nullable=False),  # of the last attempt
)

webhook_attempts: Final = Table(
    "webhook_attempts",
    _metadata,
    Column("tenant", Text, primary_key=True),
    Column("delivery", BigInteger, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("took_ms", Integer, nullable=False),
    Column("status", Integer, nullable=False),  # 0 where there was no answer
    Column("error", Text, nullable=False),
)
