"""Signing keys in SQLite."""

from __future__ import annotations

from collections.abc import Sequence

from mintwarden.mint.ports import KeyState, StoredKey, Unrecorded
from mintwarden.store.sqlite.part import Part
from mintwarden.store.sqlite.subject_keys import BUMP

_COLUMNS = "kid, purpose, algorithm, state, public_jwk, sealed, created_at, activated_at, retired_at"
_ADD = f"""
    INSERT INTO signing_keys ({_COLUMNS})
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9
    WHERE NOT EXISTS (
        SELECT 1 FROM signing_keys
        WHERE kid = ?1 OR (?4 IN ('next', 'active') AND purpose = ?2 AND algorithm = ?3 AND state = ?4)
    )
"""  # noqa: S608 - our own column names
_MOVE = """
    UPDATE signing_keys SET
        state = ?3,
        activated_at = CASE WHEN ?3 = 'active' THEN ?4 ELSE activated_at END,
        retired_at = CASE WHEN ?3 = 'retiring' OR (?3 = 'gone' AND retired_at IS NULL) THEN ?4 ELSE retired_at END,
        sealed = CASE WHEN ?3 = 'gone' THEN x'' ELSE sealed END
    WHERE kid = ?1 AND state = ?2
"""

_NOTE = "INSERT OR REPLACE INTO key_changes (kid, state, at) VALUES (?, ?, ?)"
_UNRECORDED = """
    SELECT kid, purpose, algorithm, key_changes.state, at FROM key_changes JOIN signing_keys USING (kid)
    WHERE at < ? ORDER BY at, kid
"""


class SqliteKeys(Part):
    """Signing keys; every change bumps the epoch in the same transaction."""

    async def keys(self) -> Sequence[StoredKey]:
        """See `KeyStore.keys`."""
        return await self._reader_thread.run(self._keys)

    async def add(self, key: StoredKey) -> bool:
        """See `KeyStore.add`: False when one of that purpose, algorithm and state is there, or that `kid`."""
        return await self._writer_thread.run(lambda: self._add(key))

    async def move(self, kid: str, old: KeyState, new: KeyState, at: int) -> bool:
        """See `KeyStore.move`; sets `activated_at` or `retired_at`, and forgets the sealed half of a key gone."""
        return await self._writer_thread.run(lambda: self._move(kid, old, new, at))

    async def unrecorded(self, before: int) -> Sequence[Unrecorded]:
        """See `KeyStore.unrecorded`."""
        return await self._reader_thread.run(lambda: self._unrecorded(before))

    async def recorded(self, kid: str, state: KeyState) -> None:
        """See `KeyStore.recorded`."""
        await self._writer_thread.run(lambda: self._recorded(kid, state))

    def _keys(self) -> list[StoredKey]:
        with self._reader.reading() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM signing_keys ORDER BY created_at, kid"  # noqa: S608 - our own columns
            ).fetchall()
        return [
            StoredKey(
                kid=kid, purpose=purpose, algorithm=algorithm, state=state, public_jwk=public_jwk, sealed=sealed,
                created_at=created_at, activated_at=activated_at, retired_at=retired_at,
            )
            for kid, purpose, algorithm, state, public_jwk, sealed, created_at, activated_at, retired_at in rows
        ]  # fmt: skip

    def _add(self, key: StoredKey) -> bool:
        with self._writer.writing() as connection:
            added = connection.execute(
                _ADD,
                (
                    key.kid, key.purpose, key.algorithm, key.state, key.public_jwk, key.sealed,
                    key.created_at, key.activated_at, key.retired_at,
                ),
            ).rowcount == 1  # fmt: skip
            if added:
                connection.execute(_NOTE, (key.kid, key.state, key.created_at))
                connection.execute(BUMP)
            return added

    def _move(self, kid: str, old: KeyState, new: KeyState, at: int) -> bool:
        with self._writer.writing() as connection:
            moved = connection.execute(_MOVE, (kid, old, new, at)).rowcount == 1
            if moved:
                connection.execute(_NOTE, (kid, new, at))
                connection.execute(BUMP)
            return moved

    def _unrecorded(self, before: int) -> list[Unrecorded]:
        with self._reader.reading() as connection:
            return [Unrecorded(*row) for row in connection.execute(_UNRECORDED, (before,))]

    def _recorded(self, kid: str, state: KeyState) -> None:
        with self._writer.writing() as connection:
            connection.execute("DELETE FROM key_changes WHERE kid = ? AND state = ?", (kid, state))
