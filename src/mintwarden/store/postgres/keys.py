"""Signing keys in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from mintwarden.mint.ports import KeyState, StoredKey, Unrecorded
from mintwarden.store.postgres.links import Connection, Links
from mintwarden.store.postgres.subject_keys import BUMP

_COLUMNS = "kid, purpose, algorithm, state, public_jwk, sealed, created_at, activated_at, retired_at"
_ADD = f"""
    INSERT INTO signing_keys ({_COLUMNS})
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
    WHERE NOT EXISTS (
        SELECT 1 FROM signing_keys
        WHERE kid = $1 OR ($4 IN ('next', 'active') AND purpose = $2 AND algorithm = $3 AND state = $4)
    )
"""  # noqa: S608 - our own column names
_MOVE = """
    UPDATE signing_keys SET
        state = $3,
        activated_at = CASE WHEN $3 = 'active' THEN $4 ELSE activated_at END,
        retired_at = CASE WHEN $3 = 'retiring' OR ($3 = 'gone' AND retired_at IS NULL) THEN $4 ELSE retired_at END,
        sealed = CASE WHEN $3 = 'gone' THEN ''::bytea ELSE sealed END
    WHERE kid = $1 AND state = $2
"""

_NOTE = """
    INSERT INTO key_changes (kid, state, at) VALUES ($1, $2, $3)
    ON CONFLICT (kid, state) DO UPDATE SET at = EXCLUDED.at
"""
_UNRECORDED = """
    SELECT kid, purpose, algorithm, key_changes.state, at FROM key_changes JOIN signing_keys USING (kid)
    WHERE at < $1 ORDER BY at, kid
"""


class PostgresKeys:
    """Signing keys; every change bumps the epoch in the same transaction."""

    def __init__(self, *, reads: Links, writes: Links) -> None:
        self._reads = reads
        self._writes = writes

    async def keys(self) -> Sequence[StoredKey]:
        """See `KeyStore.keys`."""
        async with self._reads.connection() as connection:
            rows = await connection.fetch(
                f"SELECT {_COLUMNS} FROM signing_keys ORDER BY created_at, kid"  # noqa: S608 - our own columns
            )
        return [StoredKey(**dict(row)) for row in rows]

    async def add(self, key: StoredKey) -> bool:
        """See `KeyStore.add`: False when one of that purpose, algorithm and state is there, or that `kid`."""
        async with self._writes.transaction() as connection:
            # two nodes that both find none there would both add one
            await connection.execute("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE")
            done = await connection.execute(
                _ADD,
                key.kid,
                key.purpose,
                key.algorithm,
                key.state,
                key.public_jwk,
                key.sealed,
                key.created_at,
                key.activated_at,
                key.retired_at,
            )
            return await _noted(connection, done, key.kid, key.state, key.created_at)

    async def move(self, kid: str, old: KeyState, new: KeyState, at: int) -> bool:
        """See `KeyStore.move`; sets `activated_at` or `retired_at`, and forgets the sealed half of a key gone."""
        async with self._writes.transaction() as connection:
            done = await connection.execute(_MOVE, kid, old, new, at)
            return await _noted(connection, done, kid, new, at)

    async def unrecorded(self, before: int) -> Sequence[Unrecorded]:
        """See `KeyStore.unrecorded`."""
        async with self._reads.connection() as connection:
            rows = await connection.fetch(_UNRECORDED, before)
        return [Unrecorded(**dict(row)) for row in rows]

    async def recorded(self, kid: str, state: KeyState) -> None:
        """See `KeyStore.recorded`."""
        async with self._writes.transaction() as connection:
            await connection.execute("DELETE FROM key_changes WHERE kid = $1 AND state = $2", kid, state)


async def _noted(connection: Connection, done: str, kid: str, state: KeyState, at: int) -> bool:
    """Whether `done` changed a row: that is then to be recorded, and the epoch moves on."""
    changed = done.endswith(" 1")
    if changed:
        await connection.execute(_NOTE, kid, state, at)
        await connection.execute(BUMP)
    return changed
