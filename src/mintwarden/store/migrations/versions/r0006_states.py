"""What flows remember between requests: codes, sessions, grants, and the like.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SQLITE: tuple[str, ...] = (
    """
    CREATE TABLE states (
        kind TEXT NOT NULL,
        key BLOB NOT NULL,
        owner TEXT NOT NULL,
        version INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        document BLOB NOT NULL,
        PRIMARY KEY (kind, key)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX states_owner ON states (kind, owner) WHERE owner <> ''",
    "CREATE INDEX states_expires_at ON states (expires_at)",
)

POSTGRES: tuple[str, ...] = (
    """
    CREATE TABLE states (
        kind TEXT COLLATE "C" NOT NULL,
        key BYTEA NOT NULL,
        owner TEXT COLLATE "C" NOT NULL,
        version BIGINT NOT NULL,
        expires_at BIGINT NOT NULL,
        document BYTEA NOT NULL,
        PRIMARY KEY (kind, key)
    )
    """,
    "CREATE INDEX states_owner ON states (kind, owner) WHERE owner <> ''",
    "CREATE INDEX states_expires_at ON states (expires_at)",
)


def upgrade() -> None:
    """Make the tables."""
    statements = SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRES
    for statement in statements:
        op.execute(statement)


def downgrade() -> None:
    """Going back would end every session and grant without anybody being told."""
    raise NotImplementedError("restore a backup instead")
