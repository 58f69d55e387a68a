"""Tokens that were revoked before their end.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# `before`: tokens that were issued by then are revoked; `until`: no such token is alive any more.
SQLITE: tuple[str, ...] = (
    """
    CREATE TABLE revocations (
        about TEXT NOT NULL,
        value TEXT NOT NULL,
        before INTEGER NOT NULL,
        until INTEGER NOT NULL,
        PRIMARY KEY (about, value)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX revocations_until ON revocations (until)",
)

POSTGRES: tuple[str, ...] = (
    """
    CREATE TABLE revocations (
        about TEXT COLLATE "C" NOT NULL,
        value TEXT COLLATE "C" NOT NULL,
        before BIGINT NOT NULL,
        until BIGINT NOT NULL,
        PRIMARY KEY (about, value)
    )
    """,
    "CREATE INDEX revocations_until ON revocations (until)",
)


def upgrade() -> None:
    """Make the tables."""
    statements = SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRES
    for statement in statements:
        op.execute(statement)


def downgrade() -> None:
    """Going back would make revoked tokens good again."""
    raise NotImplementedError("restore a backup instead")
