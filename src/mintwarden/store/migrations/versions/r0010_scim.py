"""What identity providers say over SCIM: people, groups, and who is in which.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

SQLITE: tuple[str, ...] = (
    """
    CREATE TABLE scim_feeds (
        source TEXT PRIMARY KEY NOT NULL,
        revision INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE scim_resources (
        source TEXT NOT NULL,
        id TEXT NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        external TEXT NOT NULL,
        entity TEXT NOT NULL,
        document BLOB NOT NULL,
        version INTEGER NOT NULL,
        created INTEGER NOT NULL,
        changed INTEGER NOT NULL,
        PRIMARY KEY (source, id)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE scim_members (
        source TEXT NOT NULL,
        of TEXT NOT NULL,
        member TEXT NOT NULL,
        PRIMARY KEY (source, of, member)
    ) WITHOUT ROWID
    """,
)

POSTGRES: tuple[str, ...] = (
    """
    CREATE TABLE scim_feeds (
        source TEXT COLLATE "C" PRIMARY KEY,
        revision BIGINT NOT NULL
    )
    """,
    """
    CREATE TABLE scim_resources (
        source TEXT COLLATE "C" NOT NULL,
        id TEXT COLLATE "C" NOT NULL,
        kind TEXT COLLATE "C" NOT NULL,
        name TEXT COLLATE "C" NOT NULL,
        external TEXT COLLATE "C" NOT NULL,
        entity TEXT COLLATE "C" NOT NULL,
        document BYTEA NOT NULL,
        version BIGINT NOT NULL,
        created BIGINT NOT NULL,
        changed BIGINT NOT NULL,
        PRIMARY KEY (source, id)
    )
    """,
    """
    CREATE TABLE scim_members (
        source TEXT COLLATE "C" NOT NULL,
        of TEXT COLLATE "C" NOT NULL,
        member TEXT COLLATE "C" NOT NULL,
        PRIMARY KEY (source, of, member)
    )
    """,
)

INDEXES: tuple[str, ...] = (
    "CREATE UNIQUE INDEX scim_resources_name ON scim_resources (source, kind, name)",
    "CREATE UNIQUE INDEX scim_resources_entity ON scim_resources (source, entity) WHERE entity <> ''",
    "CREATE INDEX scim_resources_external ON scim_resources (source, kind, external, id) WHERE external <> ''",
    "CREATE INDEX scim_resources_kind ON scim_resources (source, kind, id)",
    "CREATE INDEX scim_members_member ON scim_members (source, member)",
)


def upgrade() -> None:
    """Make the tables."""
    tables = SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRES
    for statement in (*tables, *INDEXES):
        op.execute(statement)


def downgrade() -> None:
    """Forget what was said over SCIM; the facts that came of it stay."""
    for table in ("scim_members", "scim_resources", "scim_feeds"):
        op.execute(f"DROP TABLE {table}")
