"""Tenants with their outbox, OAuth clients and party identifiers."""

from typing import Final

from alembic import op

revision: Final = "0001"
down_revision: Final = None
branch_labels: Final = None
depends_on: Final = None

_STATEMENTS: Final = (
    """CREATE TABLE tenants.tenants (
      tenant_id text PRIMARY KEY, fsp_id text NOT NULL UNIQUE, name text NOT NULL,
      currency text NOT NULL, status text NOT NULL CHECK (status IN ('active', 'suspended')),
      version bigint NOT NULL CHECK (version >= 1), epoch bigint NOT NULL CHECK (epoch >= 1),
      published_version bigint NOT NULL CHECK (published_version <= version),
      placement text[] NOT NULL CHECK (cardinality(placement) >= 1),
      scheme_base_url text NOT NULL, switch_fsp_id text NOT NULL, switch_public_key_pem text NOT NULL,
      ams_base_url text NOT NULL, ams_platform_tenant text NOT NULL,
      ams_username text NOT NULL, ams_password_sealed text NOT NULL,
      key_id text NOT NULL, public_key_pem text NOT NULL, private_key_sealed text NOT NULL,
      quote_validity_ms integer NOT NULL, request_fingerprint text NOT NULL,
      created_at_ms bigint NOT NULL, updated_at_ms bigint NOT NULL)""",
    "CREATE INDEX tenants_unpublished ON tenants.tenants (tenant_id) WHERE published_version < version",
    """CREATE TABLE tenants.clients (
      client_id text PRIMARY KEY, tenant_id text NOT NULL REFERENCES tenants.tenants,
      name text NOT NULL, jwks jsonb NOT NULL, scopes text[] NOT NULL,
      request_fingerprint text NOT NULL, created_at_ms bigint NOT NULL)""",
    "CREATE INDEX clients_by_tenant ON tenants.clients (tenant_id, client_id)",
    """CREATE TABLE tenants.party_identifiers (
      tenant_id text NOT NULL REFERENCES tenants.tenants, type text NOT NULL, value text NOT NULL,
      sub_id text NOT NULL, account_id text NOT NULL,
      state text NOT NULL CHECK (state IN ('pending', 'registered', 'failed')),
      reason text NOT NULL, attempted_at_ms bigint NOT NULL,
      PRIMARY KEY (tenant_id, type, value, sub_id))""",
)


def upgrade() -> None:
    """Make the first tables."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Remove them again."""
    for table in ("party_identifiers", "clients", "tenants"):
        op.execute(f"DROP TABLE tenants.{table}")
