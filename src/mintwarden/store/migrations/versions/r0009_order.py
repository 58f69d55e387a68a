"""Versions are found in the order in which they were added, what belongs to somebody in that of its keys.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the indexes. In SQLite that of owners has the keys already: they are what names a row there."""
    op.execute("CREATE INDEX bundle_versions_added ON bundle_versions (added_at DESC, digest)")
    if op.get_bind().dialect.name != "sqlite":
        op.execute("CREATE INDEX states_owned ON states (kind, owner, key) WHERE owner <> ''")
        op.execute("DROP INDEX states_owner")


def downgrade() -> None:
    """The other way round."""
    if op.get_bind().dialect.name != "sqlite":
        op.execute("CREATE INDEX states_owner ON states (kind, owner) WHERE owner <> ''")
        op.execute("DROP INDEX states_owned")
    op.execute("DROP INDEX bundle_versions_added")
