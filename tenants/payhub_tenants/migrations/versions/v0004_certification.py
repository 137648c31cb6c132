"""The payment suite's runs, jobs that end without leading on, and core banks of other kinds."""

from typing import Final

from alembic import op

revision: Final = "0004"
down_revision: Final = "0003"
branch_labels: Final = None
depends_on: Final = None

_KINDS: Final = "'limits', 'placement', 'identifier-file'"


def upgrade() -> None:
    """Reports that others had written are kept under a name of their own, as history."""
    op.execute("ALTER TABLE tenants.jobs ADD COLUMN failure text NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE tenants.tenants ADD COLUMN ams_settings jsonb NOT NULL DEFAULT '{}'")
    op.execute("ALTER POLICY named ON tenants.documents USING (kind IN (" + _KINDS + ", 'certification'))")
    # Row level security is forced on the owner too, who has no policy and would find no row.
    op.execute("ALTER TABLE tenants.documents NO FORCE ROW LEVEL SECURITY")
    op.execute("UPDATE tenants.documents SET kind = 'certification-reported' WHERE kind = 'certification'")
    op.execute("ALTER TABLE tenants.documents FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    """Forget the runs, and how jobs failed."""
    op.execute("ALTER TABLE tenants.documents NO FORCE ROW LEVEL SECURITY")
    op.execute("DELETE FROM tenants.documents WHERE kind = 'certification'")
    op.execute("UPDATE tenants.documents SET kind = 'certification' WHERE kind = 'certification-reported'")
    op.execute("ALTER TABLE tenants.documents FORCE ROW LEVEL SECURITY")
    op.execute("ALTER POLICY named ON tenants.documents USING (kind IN (" + _KINDS + "))")
    op.execute("ALTER TABLE tenants.tenants DROP COLUMN ams_settings")
    op.execute("ALTER TABLE tenants.jobs DROP COLUMN failure")
