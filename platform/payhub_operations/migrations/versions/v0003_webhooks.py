"""Webhooks: where they go, each delivery with its attempts, and the role that has them sent again."""

from typing import Final

from alembic import op

revision: Final = "0003"
down_revision: Final = "0002"
branch_labels: Final = None
depends_on: Final = None

# A released migration is never edited, so it spells names out and borrows none from schema.py.
_READER: Final = "payhub_operations_reader"
_WRITER: Final = "payhub_operations_writer"
_OPERATOR: Final = "payhub_operations_operator"

_TABLES: Final = (
    """CREATE TABLE operations.webhook_endpoints (
      tenant text NOT NULL, endpoint text NOT NULL, url text NOT NULL, purpose text NOT NULL,
      events jsonb NOT NULL, secrets jsonb NOT NULL, failing_since timestamptz, retry_at timestamptz,
      PRIMARY KEY (tenant, endpoint))""",
    """CREATE TABLE operations.webhook_deliveries (
      tenant text NOT NULL, number bigint GENERATED ALWAYS AS IDENTITY, endpoint text NOT NULL,
      message text NOT NULL, engine text NOT NULL, position bigint NOT NULL, payment text NOT NULL,
      type text NOT NULL, at timestamptz NOT NULL, body text NOT NULL,
      state text NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
      attempts integer NOT NULL, started_at timestamptz NOT NULL, next_attempt_at timestamptz NOT NULL,
      delivered_at timestamptz, error text NOT NULL,
      PRIMARY KEY (tenant, number), UNIQUE (tenant, endpoint, message))""",
    """CREATE INDEX webhook_deliveries_due ON operations.webhook_deliveries
      (tenant, endpoint, next_attempt_at, number) WHERE state = 'pending'""",
    """CREATE INDEX webhook_deliveries_waiting ON operations.webhook_deliveries
      (tenant, endpoint, payment, number) WHERE state = 'pending'""",
    "CREATE INDEX webhook_deliveries_by_state ON operations.webhook_deliveries (tenant, state, number)",
    "CREATE INDEX webhook_deliveries_by_payment ON operations.webhook_deliveries (tenant, payment, number)",
    """CREATE TABLE operations.webhook_attempts (
      tenant text NOT NULL, delivery bigint NOT NULL, attempt integer NOT NULL, at timestamptz NOT NULL,
      took_ms integer NOT NULL, status integer NOT NULL, error text NOT NULL,
      PRIMARY KEY (tenant, delivery, attempt))""",
    # Final states in the order of time, to send them again from a time on.
    """CREATE INDEX events_of_ends ON operations.events (tenant, at, engine, position)
      WHERE type = 'InstanceCompleted'""",
)

# Roles belong to the whole server, so it may be there already (see version 0001).
_ROLE: Final = (
    f"""DO $$ BEGIN
      IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{_OPERATOR}') THEN
        CREATE ROLE {_OPERATOR} NOLOGIN NOSUPERUSER NOBYPASSRLS;
      END IF;
    END $$""",
    f"GRANT {_OPERATOR} TO CURRENT_USER WITH INHERIT FALSE, SET TRUE",
    f"GRANT USAGE ON SCHEMA operations TO {_OPERATOR}",
)

_TENANT_TABLES: Final = ("webhook_endpoints", "webhook_deliveries", "webhook_attempts")
_ONE_TENANT: Final = "tenant = nullif(current_setting('app.tenant', true), '')"
_POLICIES: Final = (
    "ALTER TABLE operations.{table} ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE operations.{table} FORCE ROW LEVEL SECURITY",
    f"CREATE POLICY one_tenant ON operations.{{table}} FOR SELECT TO {_READER} USING ({_ONE_TENANT})",
    f"""CREATE POLICY one_tenants_operator ON operations.{{table}} TO {_OPERATOR}
      USING ({_ONE_TENANT}) WITH CHECK ({_ONE_TENANT})""",
    f"CREATE POLICY all_tenants ON operations.{{table}} TO {_WRITER} USING (true) WITH CHECK (true)",
    f"GRANT SELECT ON operations.{{table}} TO {_READER}, {_OPERATOR}",
)

_GRANTS: Final = (
    f"""CREATE POLICY one_tenants_operator ON operations.events FOR SELECT TO {_OPERATOR}
      USING ({_ONE_TENANT})""",
    f"GRANT SELECT ON operations.events TO {_OPERATOR}",
    f"GRANT INSERT, UPDATE ON operations.webhook_deliveries TO {_OPERATOR}",
    f"GRANT UPDATE (retry_at) ON operations.webhook_endpoints TO {_OPERATOR}",
    f"GRANT SELECT, INSERT, UPDATE, DELETE ON operations.webhook_endpoints TO {_WRITER}",
    f"GRANT SELECT, INSERT, UPDATE ON operations.webhook_deliveries TO {_WRITER}",
    f"GRANT SELECT, INSERT ON operations.webhook_attempts TO {_WRITER}",
)


def upgrade() -> None:
    """Make everything."""
    policies = [line.format(table=table) for table in _TENANT_TABLES for line in _POLICIES]
    for statement in (*_TABLES, *_ROLE, *policies, *_GRANTS):
        op.execute(statement)


def downgrade() -> None:
    """Drop the tables; what was not delivered is told no more."""
    op.execute("DROP INDEX operations.events_of_ends")
    op.execute("DROP POLICY one_tenants_operator ON operations.events")
    op.execute(
        "DROP TABLE operations.webhook_attempts, operations.webhook_deliveries, operations.webhook_endpoints"
    )
