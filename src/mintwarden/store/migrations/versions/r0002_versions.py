"""Bundle versions, their signatures, and which one governs.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
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
