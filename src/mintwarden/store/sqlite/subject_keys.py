"""Per-subject sealing keys in SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mintwarden.store.sqlite.facts import KEY_SOURCE
from mintwarden.store.sqlite.part import Part

BUMP = "UPDATE meta SET epoch = epoch + 1"


class SqliteSubjectKeys(Part):
    """The random halves of the sealing keys, and their end."""

    async def get(self, entity: str) -> tuple[int, bytes] | None:
        """See `SubjectKeys.get`."""
        return await self._reader_thread.run(lambda: self._get(entity))

    async def by_id(self, key_id: int) -> tuple[str, bytes] | None:
        """See `SubjectKeys.by_id`."""
        return await self._reader_thread.run(lambda: self._by_id(key_id))

    async def by_ids(self, key_ids: Iterable[int]) -> Mapping[int, tuple[str, bytes]]:
        """See `SubjectKeys.by_ids`."""
        wanted = sorted(set(key_ids))
        return await self._reader_thread.run(lambda: self._by_ids(wanted))

    async def erase(self, entity: str) -> bool:
        """See `SubjectKeys.erase`."""
        return await self._writer_thread.run(lambda: self._erase(entity))

    def _get(self, entity: str) -> tuple[int, bytes] | None:
        with self._reader.reading() as connection:
            row = connection.execute(
                "SELECT observed_at, document FROM facts WHERE entity = ? AND source = ?", (entity, KEY_SOURCE)
            ).fetchone()
        return None if row is None else (int(row[0]), bytes(row[1]))

    def _by_id(self, key_id: int) -> tuple[str, bytes] | None:
        with self._reader.reading() as connection:
            row = connection.execute(
                "SELECT entity, document FROM subject_keys JOIN facts USING (entity) WHERE key_id = ? AND source = ?",
                (key_id, KEY_SOURCE),
            ).fetchone()
        return None if row is None else (str(row[0]), bytes(row[1]))

    def _by_ids(self, key_ids: Sequence[int]) -> dict[int, tuple[str, bytes]]:
        with self._reader.reading() as connection:
            rows = connection.execute(
                "SELECT key_id, entity, document FROM json_each(?) AS wanted "
                "JOIN subject_keys ON key_id = wanted.value JOIN facts USING (entity) WHERE source = ?",
                (str(key_ids), KEY_SOURCE),
            ).fetchall()
        return {key_id: (entity, salt) for key_id, entity, salt in rows}

    def _erase(self, entity: str) -> bool:
        with self._writer.writing() as connection:
            row = connection.execute(
                "SELECT observed_at FROM facts WHERE entity = ? AND source = ?", (entity, KEY_SOURCE)
            ).fetchone()
            removed = connection.execute("DELETE FROM facts WHERE entity = ?", (entity,)).rowcount
            if row is not None:
                connection.execute("DELETE FROM subject_keys WHERE key_id = ?", (row[0],))
                connection.execute("DELETE FROM decision_terms WHERE word = -?", (row[0],))
            if removed:
                connection.execute(BUMP)
        self._writer.checkpoint()
        return row is not None
