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

# `decision_words` gives each term of a decision a number, so that the lists of leaves stay small; a sealing key needs
# none: its word is its own number, negative. `decision_progress` is the first leaf that is not indexed yet.
# `clients` holds what was registered (`record`), and public keys that replace a client's (`keys`).
SQLITE: tuple[str, ...] = (
    """
    CREATE TABLE decision_index (
        leaf INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        granted INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE decision_words (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        term TEXT NOT NULL,
        UNIQUE (kind, term)
    )
    """,
    """
    CREATE TABLE decision_terms (
        word INTEGER NOT NULL,
        leaf INTEGER NOT NULL,
        PRIMARY KEY (word, leaf)
    ) WITHOUT ROWID
    """,
    "CREATE TABLE decision_progress (id INTEGER PRIMARY KEY CHECK (id = 1), leaf INTEGER NOT NULL)",
    "INSERT INTO decision_progress (id, leaf) VALUES (1, 0)",
    """
    CREATE TABLE answers (
        key BLOB NOT NULL PRIMARY KEY,
        fingerprint BLOB NOT NULL,
        status INTEGER,
        sealed BLOB,
        expires_at INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE INDEX answers_end ON answers (expires_at)",
    """
    CREATE TABLE clients (
        client_id TEXT NOT NULL PRIMARY KEY,
        record BLOB,
        keys BLOB,
        retired_at INTEGER,
        version INTEGER NOT NULL,
        changed_at INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE finding_states (
        id TEXT NOT NULL PRIMARY KEY,
        state TEXT NOT NULL,
        ticket TEXT NOT NULL,
        until INTEGER,
        version INTEGER NOT NULL,
        changed_at INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
)

POSTGRES: tuple[str, ...] = (
    "CREATE TABLE decision_index (leaf BIGINT PRIMARY KEY, at BIGINT NOT NULL, granted BOOLEAN NOT NULL)",
    """
    CREATE TABLE decision_words (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        kind TEXT COLLATE "C" NOT NULL,
        term TEXT COLLATE "C" NOT NULL,
        UNIQUE (kind, term)
    )
    """,
    "CREATE TABLE decision_terms (word BIGINT NOT NULL, leaf BIGINT NOT NULL, PRIMARY KEY (word, leaf))",
    "CREATE TABLE decision_progress (id INTEGER PRIMARY KEY CHECK (id = 1), leaf BIGINT NOT NULL)",
    "INSERT INTO decision_progress (id, leaf) VALUES (1, 0)",
    """
    CREATE TABLE answers (
        key BYTEA NOT NULL PRIMARY KEY,
        fingerprint BYTEA NOT NULL,
        status INTEGER,
        sealed BYTEA,
        expires_at BIGINT NOT NULL
    )
    """,
    "CREATE INDEX answers_end ON answers (expires_at)",
    """
    CREATE TABLE clients (
        client_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
        record BYTEA,
        keys BYTEA,
        retired_at BIGINT,
        version BIGINT NOT NULL,
        changed_at BIGINT NOT NULL
    )
    """,
    """
    CREATE TABLE finding_states (
        id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
        state TEXT NOT NULL,
        ticket TEXT NOT NULL,
        until BIGINT,
        version BIGINT NOT NULL,
        changed_at BIGINT NOT NULL
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
