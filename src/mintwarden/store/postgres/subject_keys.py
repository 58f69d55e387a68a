"""Per-subject sealing keys in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mintwarden.store.postgres.entries import KEYS_LOCK
from mintwarden.store.postgres.facts import KEY_SOURCE
from mintwarden.store.postgres.links import Links

BUMP = "UPDATE meta SET epoch = epoch + 1"


class PostgresSubjectKeys:
    """The random halves of the sealing keys, and their end."""

    def __init__(self, *, reads: Links, writes: Links) -> None:
        self._reads = reads
        self._writes = writes

    async def get(self, entity: str) -> tuple[int, bytes] | None:
        """See `SubjectKeys.get`."""
        async with self._reads.connection() as connection:
            row = await connection.fetchrow(
                "SELECT observed_at, document FROM facts WHERE entity = $1 AND source = $2", entity, KEY_SOURCE
            )
        return None if row is None else (row[0], row[1])

    async def by_id(self, key_id: int) -> tuple[str, bytes] | None:
        """See `SubjectKeys.by_id`."""
        async with self._reads.connection() as connection:
            row = await connection.fetchrow(
                "SELECT entity, document FROM subject_keys JOIN facts USING (entity) WHERE key_id = $1 AND source = $2",
                key_id,
                KEY_SOURCE,
            )
        return None if row is None else (row[0], row[1])

    async def by_ids(self, key_ids: Iterable[int]) -> Mapping[int, tuple[str, bytes]]:
        """See `SubjectKeys.by_ids`."""
        async with self._reads.connection() as connection:
            rows = await connection.fetch(
                "SELECT key_id, entity, document FROM subject_keys JOIN facts USING (entity) "
                "WHERE key_id = ANY($1::bigint[]) AND source = $2",
                sorted(set(key_ids)),
                KEY_SOURCE,
            )
        return {key_id: (entity, salt) for key_id, entity, salt in rows}

    async def erase(self, entity: str) -> bool:
        """See `SubjectKeys.erase`.

        PostgreSQL keeps the old row until the table is vacuumed, and in its write-ahead log until that is recycled:
        `docs/operations.md` says what to do about backups and archives.
        """
        async with self._writes.transaction() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock($1)", KEYS_LOCK)
            removed = await connection.fetch(
                "DELETE FROM facts WHERE entity = $1 RETURNING source, observed_at", entity
            )
            keys = [number for source, number in removed if source == KEY_SOURCE]
            await connection.execute("DELETE FROM subject_keys WHERE key_id = ANY($1::bigint[])", keys)
            await connection.execute(
                "DELETE FROM decision_terms WHERE word = ANY($1::bigint[])", [-number for number in keys]
            )
            if removed:
                await connection.execute(BUMP)
        return bool(keys)
