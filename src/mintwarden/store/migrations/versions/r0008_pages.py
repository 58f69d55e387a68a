"""Exceptions that are open are found in order, page by page.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_OPEN = "WHERE state IN ('requested', 'active')"


def upgrade() -> None:
    """Make the index, and drop the one that it takes the place of: with both, SQLite takes that and sorts."""
    op.execute(f"CREATE INDEX exceptions_open_by_id ON exceptions (id) {_OPEN}")
    op.execute("DROP INDEX exceptions_open")


def downgrade() -> None:
    """The other way round."""
    op.execute(f"CREATE INDEX exceptions_open ON exceptions (state) {_OPEN}")
    op.execute("DROP INDEX exceptions_open_by_id")
