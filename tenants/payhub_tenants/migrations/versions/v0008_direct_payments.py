"""The registry publishes with whom an institution pays directly."""

from typing import Final

from alembic import op

revision: Final = "0008"
down_revision: Final = "0007"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Let the registry read these documents besides those that it reads already."""
    op.execute(
        "CREATE POLICY direct_payments ON tenants.documents FOR SELECT TO payhub_tenants_registry "
        "USING (kind = 'direct-payments')"
    )


def downgrade() -> None:
    """Hide them again."""
    op.execute("DROP POLICY direct_payments ON tenants.documents")
