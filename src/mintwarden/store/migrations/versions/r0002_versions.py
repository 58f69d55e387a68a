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

# `content` is every text of the version (`govern/ports.py`); the digest over it is checked whenever it is read.
# `activations.number` counts 1, 2, 3, ... without a gap: the last one governs. `activation_intents` holds what was
# about to be recorded and switched to; one that no activation names did not take effect.
SQLITE: tuple[str, ...] = (
    """
    CREATE TABLE bundle_versions (
        digest TEXT NOT NULL PRIMARY KEY,
        content BLOB NOT NULL,
        added_at INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE bundle_signatures (
        digest TEXT NOT NULL,
        id TEXT NOT NULL,
        content BLOB NOT NULL,
        added_at INTEGER NOT NULL,
        PRIMARY KEY (digest, id)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE activation_intents (
        entry_id BLOB NOT NULL PRIMARY KEY,
        number INTEGER NOT NULL,
        digest TEXT NOT NULL,
        kind TEXT NOT NULL,
        at INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE activations (
        number INTEGER PRIMARY KEY,
        digest TEXT NOT NULL,
        previous TEXT NOT NULL,
        kind TEXT NOT NULL,
        at INTEGER NOT NULL,
        until INTEGER,
        returns_to TEXT NOT NULL,
        reason TEXT NOT NULL,
        done_by TEXT NOT NULL,
        entry_id BLOB NOT NULL UNIQUE
    )
    """,
    """
    CREATE TABLE findings (
        id TEXT NOT NULL PRIMARY KEY,
        kind TEXT NOT NULL,
        about TEXT NOT NULL,
        opened_at INTEGER NOT NULL,
        closed_at INTEGER,
        closed_by TEXT NOT NULL,
        note TEXT NOT NULL
    ) WITHOUT ROWID
    """,
)

POSTGRES: tuple[str, ...] = (
    """
    CREATE TABLE bundle_versions (
        digest TEXT COLLATE "C" NOT NULL PRIMARY KEY,
        content BYTEA NOT NULL,
        added_at BIGINT NOT NULL
    )
    """,
    """
    CREATE TABLE bundle_signatures (
        digest TEXT COLLATE "C" NOT NULL,
        id TEXT COLLATE "C" NOT NULL,
        content BYTEA NOT NULL,
        added_at BIGINT NOT NULL,
        PRIMARY KEY (digest, id)
    )
    """,
    """
    CREATE TABLE activation_intents (
        entry_id BYTEA NOT NULL PRIMARY KEY,
        number BIGINT NOT NULL,
        digest TEXT COLLATE "C" NOT NULL,
        kind TEXT NOT NULL,
        at BIGINT NOT NULL
    )
    """,
    """
    CREATE TABLE activations (
        number BIGINT PRIMARY KEY,
        digest TEXT COLLATE "C" NOT NULL,
        previous TEXT COLLATE "C" NOT NULL,
        kind TEXT NOT NULL,
        at BIGINT NOT NULL,
        until BIGINT,
        returns_to TEXT COLLATE "C" NOT NULL,
        reason TEXT NOT NULL,
        done_by TEXT NOT NULL,
        entry_id BYTEA NOT NULL UNIQUE
    )
    """,
    """
    CREATE TABLE findings (
        id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
        kind TEXT NOT NULL,
        about TEXT NOT NULL,
        opened_at BIGINT NOT NULL,
        closed_at BIGINT,
        closed_by TEXT NOT NULL,
        note TEXT NOT NULL
    )
    """,
)


def upgrade() -> None:
    """Make the tables."""
    statements = SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRES
    for statement in statements:
        op.execute(statement)


def downgrade() -> None:
    """Going back would lose what was recorded."""
    raise NotImplementedError("restore a backup instead")
