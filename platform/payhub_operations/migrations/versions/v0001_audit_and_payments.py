"""Events, payments, positions and gaps, with the roles and policies that guard them."""

from typing import Final

from alembic import op

revision: Final = "0001"
down_revision: Final = None
branch_labels: Final = None
depends_on: Final = None

# A released migration is never edited, so it spells names out and borrows none from schema.py.
_READER: Final = "payhub_operations_reader"
_OVERSEER: Final = "payhub_operations_overseer"
_WRITER: Final = "payhub_operations_writer"

_TABLES: Final = (
    """CREATE TABLE operations.events (
      tenant text NOT NULL, engine text NOT NULL, position bigint NOT NULL, at timestamptz NOT NULL,
      type text NOT NULL, process text NOT NULL, payment text NOT NULL, instance bigint NOT NULL,
      element text NOT NULL, trace text NOT NULL, data jsonb NOT NULL,
      PRIMARY KEY (tenant, engine, position))""",
    "CREATE INDEX events_by_payment ON operations.events (tenant, payment, engine, position)",
    """CREATE TABLE operations.payments (
      tenant text NOT NULL, payment text NOT NULL,
      direction text NOT NULL CHECK (direction IN ('outgoing', 'incoming')),
      engine text NOT NULL, payer text NOT NULL, payer_hash text NOT NULL, payer_fsp text NOT NULL,
      payee text NOT NULL, payee_hash text NOT NULL, payee_fsp text NOT NULL,
      amount_minor bigint, currency text NOT NULL,
      state text NOT NULL CHECK (state IN ('PENDING', 'COMPLETED', 'FAILED')),
      error_code text NOT NULL, error_description text NOT NULL, handed_over boolean NOT NULL,
      started_at timestamptz NOT NULL, ended_at timestamptz, trace text NOT NULL,
      PRIMARY KEY (tenant, payment, direction))""",
    "CREATE INDEX payments_by_time ON operations.payments (tenant, started_at, payment, direction)",
    "CREATE INDEX payments_by_trace ON operations.payments (tenant, trace)",
    "CREATE INDEX payments_by_payer ON operations.payments (tenant, payer_hash)",
    "CREATE INDEX payments_by_payee ON operations.payments (tenant, payee_hash)",
    "CREATE TABLE operations.tenants (tenant text PRIMARY KEY, events bigint NOT NULL)",
    """CREATE TABLE operations.positions (
      engine text PRIMARY KEY, next_position bigint NOT NULL, stored bigint NOT NULL,
      updated_at timestamptz NOT NULL)""",
    """CREATE TABLE operations.gaps (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, engine text NOT NULL,
      from_position bigint NOT NULL, to_position bigint NOT NULL,
      seen_at timestamptz NOT NULL, closed_at timestamptz)""",
    # An engine's audit stops at its first gap, so that it has one open gap at most.
    "CREATE UNIQUE INDEX gaps_open ON operations.gaps (engine) WHERE closed_at IS NULL",
)

# Roles belong to the whole server, so they may be there already: from another database, or from a
# schema that was dropped. Without INHERIT the policies of a role hold only after SET ROLE.
_ROLE: Final = (
    """DO $$ BEGIN
      IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} NOLOGIN NOSUPERUSER NOBYPASSRLS;
      END IF;
    END $$""",
    "GRANT {role} TO CURRENT_USER WITH INHERIT FALSE, SET TRUE",
    "GRANT USAGE ON SCHEMA operations TO {role}",
)

_TENANT_TABLES: Final = ("events", "payments", "tenants")
_ONE_TENANT: Final = "tenant = nullif(current_setting('app.tenant', true), '')"
_POLICIES: Final = (
    "ALTER TABLE operations.{table} ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE operations.{table} FORCE ROW LEVEL SECURITY",
    f"CREATE POLICY one_tenant ON operations.{{table}} FOR SELECT TO {_READER} USING ({_ONE_TENANT})",
    f"CREATE POLICY all_tenants ON operations.{{table}} TO {_WRITER} USING (true) WITH CHECK (true)",
)

_GRANTS: Final = (
    f"CREATE POLICY overview ON operations.tenants FOR SELECT TO {_OVERSEER} USING (true)",
    f"GRANT SELECT ON operations.events, operations.payments, operations.tenants TO {_READER}",
    f"GRANT SELECT ON operations.tenants, operations.positions, operations.gaps TO {_OVERSEER}",
    # No UPDATE and no DELETE: what was recorded stays as it was recorded.
    f"GRANT SELECT, INSERT ON operations.events TO {_WRITER}",
    f"GRANT SELECT, INSERT, UPDATE ON operations.payments, operations.tenants TO {_WRITER}",
    f"GRANT SELECT, INSERT, UPDATE ON operations.positions, operations.gaps TO {_WRITER}",
)


def upgrade() -> None:
    """Make everything."""
    roles = [line.format(role=role) for role in (_READER, _OVERSEER, _WRITER) for line in _ROLE]
    policies = [line.format(table=table) for table in _TENANT_TABLES for line in _POLICIES]
    for statement in (*_TABLES, *roles, *policies, *_GRANTS):
        op.execute(statement)


def downgrade() -> None:
    """Drop the tables; the engines' logs still hold what the events came from."""
    op.execute(
        "DROP TABLE operations.gaps, operations.positions, operations.tenants, "
        "operations.payments, operations.events"
    )
