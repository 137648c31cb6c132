"""How tenants speak at their schemes, their earlier signing keys, and ILP secrets of their own."""

from typing import Final

from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"
branch_labels: Final = None
depends_on: Final = None

_COLUMNS: Final = {
    "scheme_settings": "jsonb NOT NULL DEFAULT '{}'",
    "earlier_keys": "jsonb NOT NULL DEFAULT '[]'",
    "ilp_secrets_sealed": "text[] NOT NULL DEFAULT '{}'",
}


def upgrade() -> None:
    """Add them; tenants that are there speak as they did."""
    for name, kind in _COLUMNS.items():
        op.execute(f"ALTER TABLE tenants.tenants ADD COLUMN {name} {kind}")


def downgrade() -> None:
    """Remove them again."""
    for name in _COLUMNS:
        op.execute(f"ALTER TABLE tenants.tenants DROP COLUMN {name}")
