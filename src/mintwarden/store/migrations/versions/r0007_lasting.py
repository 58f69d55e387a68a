"""What belongs to somebody is found in the order in which it ends, page by page.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index."""
    op.execute("CREATE INDEX states_lasting ON states (kind, owner, expires_at, key) WHERE owner <> ''")


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP INDEX states_lasting")
