"""What administration keeps: an index of decisions, registered clients, answers already given.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SQLITE: tuple[str, ...] = ()

POSTGRES: tuple[str, ...] = ()


def upgrade() -> None:
    """Make the tables."""
    statements = SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRES
    for statement in statements:
        op.execute(statement)


def downgrade() -> None:
    """Going back would lose what was recorded."""
    raise NotImplementedError("restore a backup instead")
