"""Bulk reading and writing of documents in SQLite."""

from __future__ import annotations

from collections.abc import Sequence

from mintwarden.context.ports import FactRow
from mintwarden.store.sqlite.part import Part
from mintwarden.store.store import DocumentChange

_SET = (
    "INSERT INTO facts (entity, source, document, observed_at) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (entity, source) DO UPDATE SET document = excluded.document, observed_at = excluded.observed_at"
)
_PART = 500


class SqliteDirectory(Part):
    """Documents in bulk; a long import does not hold up the ledger, since each call is one short transaction."""

    async def stored(self, source: str, entities: Sequence[str]) -> dict[str, FactRow]:
        """See `DirectoryStore.stored`."""
        return await self._reader_thread.run(lambda: self._stored(source, entities))

    async def page(self, source: str, after: str, limit: int) -> Sequence[tuple[str, FactRow]]:
        """See `DirectoryStore.page`."""
        return await self._reader_thread.run(lambda: self._page(source, after, limit))

    async def apply(self, changes: Sequence[DocumentChange]) -> None:
        """See `DirectoryStore.apply`."""
        if changes:
            await self._writer_thread.run(lambda: self._apply(changes))

    def _stored(self, source: str, entities: Sequence[str]) -> dict[str, FactRow]:
        found: dict[str, FactRow] = {}
        with self._reader.reading() as connection:
            for start in range(0, len(entities), _PART):
                part = entities[start : start + _PART]
                holes = ", ".join("?" * len(part))
                rows = connection.execute(
                    "SELECT entity, document, observed_at FROM facts "  # noqa: S608 - placeholders only
                    f"WHERE source = ? AND entity IN ({holes})",
                    (source, *part),
                )
                for entity, document, observed_at in rows:
                    found[entity] = FactRow(source, document, observed_at)
        return found

    def _page(self, source: str, after: str, limit: int) -> list[tuple[str, FactRow]]:
        with self._reader.reading() as connection:
            return [
                (entity, FactRow(source, document, observed_at))
                for entity, document, observed_at in connection.execute(
                    "SELECT entity, document, observed_at FROM facts "
                    "WHERE source = ? AND entity > ? ORDER BY entity LIMIT ?",
                    (source, after, limit),
                )
            ]

    def _apply(self, changes: Sequence[DocumentChange]) -> None:
        with self._writer.writing() as connection:
            connection.executemany(
                _SET, [(c.entity, c.source, c.document, c.observed_at) for c in changes if c.document is not None]
            )
            connection.executemany(
                "DELETE FROM facts WHERE entity = ? AND source = ?",
                [(c.entity, c.source) for c in changes if c.document is None],
            )
