"""Gaps that no replica can fill any more: closed, and told apart from those that were filled."""

from typing import Final

from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Add the mark."""
    op.execute("ALTER TABLE operations.gaps ADD COLUMN lost boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    """Forget which gaps were lost."""
    op.execute("ALTER TABLE operations.gaps DROP COLUMN lost")
