"""Exceptions: grants outside the rules, with an end.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# `document` is the request as it was approved; what may change about an exception is its state. `start_entry` is
# chosen before the ledger entry of that id is written, `end_entry` by whoever first sets out to write that of the end.
SQLITE: tuple[str, ...] = (
    """
    CREATE TABLE exceptions (
        id TEXT NOT NULL PRIMARY KEY,
        document BLOB NOT NULL,
        state TEXT NOT NULL,
        changed_at INTEGER NOT NULL,
        start_entry BLOB,
        end_entry BLOB
    ) WITHOUT ROWID
    """,
    "CREATE INDEX exceptions_open ON exceptions (state) WHERE state IN ('requested', 'active')",
    """
    CREATE TABLE exception_approvals (
        exception_id TEXT NOT NULL,
        approver TEXT NOT NULL,
        signature BLOB NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (exception_id, approver)
    ) WITHOUT ROWID
    """,
)

POSTGRES: tuple[str, ...] = (
    """
    CREATE TABLE exceptions (
        id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
        document BYTEA NOT NULL,
        state TEXT NOT NULL,
        changed_at BIGINT NOT NULL,
        start_entry BYTEA,
        end_entry BYTEA
    )
    """,
    "CREATE INDEX exceptions_open ON exceptions (state) WHERE state IN ('requested', 'active')",
    """
    CREATE TABLE exception_approvals (
        exception_id TEXT COLLATE "C" NOT NULL,
        approver TEXT COLLATE "C" NOT NULL,
        signature BYTEA NOT NULL,
        at BIGINT NOT NULL,
        PRIMARY KEY (exception_id, approver)
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
