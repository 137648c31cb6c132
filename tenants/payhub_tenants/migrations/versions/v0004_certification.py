"""Runs of the payment suite, core banks of other kinds, sealed identifiers, approved operators."""

from typing import Final

from alembic import op

revision: Final = "0004"
down_revision: Final = "0003"
branch_labels: Final = None
depends_on: Final = None

_TENANT: Final = "payhub_tenants_tenant"
_OWN: Final = "tenant_id = nullif(current_setting('app.tenant', true), '')"
# Rows in clear cannot be sealed here, without the tenants' keys: the process does it when it starts.
_IDENTIFIERS: Final = (
    "ALTER TABLE tenants.party_identifiers RENAME TO party_identifiers_clear",
    "ALTER INDEX tenants.party_identifiers_pkey RENAME TO party_identifiers_clear_pkey",
    """CREATE TABLE tenants.party_identifiers (
      tenant_id text NOT NULL REFERENCES tenants.tenants, lookup text NOT NULL,
      account_lookup text NOT NULL, content_sealed text NOT NULL,
      state text NOT NULL CHECK (state IN ('pending', 'registered', 'failed')),
      reason text NOT NULL, attempted_at_ms bigint NOT NULL, PRIMARY KEY (tenant_id, lookup))""",
    "ALTER TABLE tenants.party_identifiers ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE tenants.party_identifiers FORCE ROW LEVEL SECURITY",
    f"CREATE POLICY one_tenant ON tenants.party_identifiers TO {_TENANT} USING ({_OWN}) WITH CHECK ({_OWN})",
    f"GRANT SELECT, INSERT, UPDATE, DELETE ON tenants.party_identifiers TO {_TENANT}",
)
_REGISTRY: Final = "payhub_tenants_registry"
_OPERATORS: Final = (
    """ALTER TABLE tenants.operators ADD COLUMN state text NOT NULL DEFAULT 'active'
      CHECK (state IN ('waiting', 'active', 'removed')),
      ADD COLUMN requested_by text NOT NULL DEFAULT 'aggregator',
      ADD COLUMN approved_by text NOT NULL DEFAULT '' CHECK (approved_by <> requested_by)""",
    f"GRANT UPDATE ON tenants.operators TO {_REGISTRY}",
    f"REVOKE DELETE ON tenants.operators FROM {_REGISTRY}",
    """CREATE TABLE tenants.installation_audit (
      number bigint PRIMARY KEY, at_ms bigint NOT NULL, actor text NOT NULL, action text NOT NULL,
      detail jsonb NOT NULL, digest text NOT NULL)""",
    f"GRANT SELECT, INSERT ON tenants.installation_audit TO {_REGISTRY}",
)
_KINDS: Final = "'limits', 'placement', 'identifier-file'"


def upgrade() -> None:
    """Reports that others had written are kept under a name of their own, as history."""
    op.execute("ALTER TABLE tenants.jobs ADD COLUMN failure text NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE tenants.tenants ADD COLUMN ams_settings jsonb NOT NULL DEFAULT '{}'")
    op.execute("ALTER POLICY named ON tenants.documents USING (kind IN (" + _KINDS + ", 'certification'))")
    for statement in (*_IDENTIFIERS, *_OPERATORS):
        op.execute(statement)
    # Row level security is forced on the owner too, who has no policy and would find no row.
    op.execute("ALTER TABLE tenants.documents NO FORCE ROW LEVEL SECURITY")
    op.execute("UPDATE tenants.documents SET kind = 'certification-reported' WHERE kind = 'certification'")
    op.execute("ALTER TABLE tenants.documents FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    """Forget the runs, how jobs failed, who let operators in, and identifiers that are sealed."""
    op.execute("DELETE FROM tenants.operators WHERE state <> 'active'")
    for column in ("state", "requested_by", "approved_by"):
        op.execute(f"ALTER TABLE tenants.operators DROP COLUMN {column}")
    op.execute(f"GRANT DELETE ON tenants.operators TO {_REGISTRY}")
    op.execute("DROP TABLE tenants.installation_audit")
    op.execute("DROP TABLE tenants.party_identifiers")
    op.execute("ALTER TABLE tenants.party_identifiers_clear RENAME TO party_identifiers")
    op.execute("ALTER INDEX tenants.party_identifiers_clear_pkey RENAME TO party_identifiers_pkey")
    op.execute("ALTER TABLE tenants.documents NO FORCE ROW LEVEL SECURITY")
    op.execute("DELETE FROM tenants.documents WHERE kind = 'certification'")
    op.execute("UPDATE tenants.documents SET kind = 'certification' WHERE kind = 'certification-reported'")
    op.execute("ALTER TABLE tenants.documents FORCE ROW LEVEL SECURITY")
    op.execute("ALTER POLICY named ON tenants.documents USING (kind IN (" + _KINDS + "))")
    op.execute("ALTER TABLE tenants.tenants DROP COLUMN ams_settings")
    op.execute("ALTER TABLE tenants.jobs DROP COLUMN failure")
