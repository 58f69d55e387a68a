"""Signing keys in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from mintwarden.mint.ports import KeyState, StoredKey
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
            return await _bumped(connection, done)

    async def move(self, kid: str, old: KeyState, new: KeyState, at: int) -> bool:
        """See `KeyStore.move`; sets `activated_at` or `retired_at`, and forgets the sealed half of a key gone."""
        async with self._writes.transaction() as connection:
            return await _bumped(connection, await connection.execute(_MOVE, kid, old, new, at))


async def _bumped(connection: Connection, done: str) -> bool:
    """Whether `done` changed a row; the epoch then moves on."""
    changed = done.endswith(" 1")
    if changed:
        await connection.execute(BUMP)
    return changed
