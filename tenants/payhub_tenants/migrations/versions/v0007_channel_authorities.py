"""Authorities of channels are published: the registry reads them, their keys sealed, as it reads limits."""

from typing import Final

from alembic import op

revision: Final = "0007"
down_revision: Final = "0006"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Let the registry read them, and publish those that there are already."""
    op.execute(
        "CREATE POLICY authorities ON tenants.documents FOR SELECT TO payhub_tenants_registry "
        "USING (kind = 'authority')"
    )
    op.execute(
        "UPDATE tenants.tenants SET version = version + 1 "
        "WHERE tenant_id IN (SELECT tenant_id FROM tenants.documents WHERE kind = 'authority')"
    )


def downgrade() -> None:
    """Hide them again."""
    op.execute("DROP POLICY authorities ON tenants.documents")
