"""Endpoints are published: the registry reads them, their secrets sealed, as it reads limits."""

from typing import Final

from alembic import op

revision: Final = "0006"
down_revision: Final = "0005"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Let the registry read them; to what it could read before, this adds."""
    op.execute(
        "CREATE POLICY endpoints ON tenants.documents FOR SELECT TO payhub_tenants_registry "
        "USING (kind = 'endpoints')"
    )


def downgrade() -> None:
    """Hide them again."""
    op.execute("DROP POLICY endpoints ON tenants.documents")
