"""The registry publishes fees and currencies too."""

from typing import Final

from alembic import op

revision: Final = "0005"
down_revision: Final = "0004"
branch_labels: Final = None
depends_on: Final = None

_REGISTRY: Final = "payhub_tenants_registry"


def upgrade() -> None:
    """Let the registry see these documents besides those that it sees already."""
    op.execute(
        f"CREATE POLICY terms ON tenants.documents FOR SELECT TO {_REGISTRY} "
        "USING (kind IN ('fees', 'currencies'))"
    )


def downgrade() -> None:
    """Hide them again."""
    op.execute("DROP POLICY terms ON tenants.documents")
