"""Head and tiles in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from mintwarden.ledger.ports import Head
from mintwarden.model.errors import FatalLedgerError
from mintwarden.store.sqlite.part import Part
from mintwarden.store.tiles import check_swap, partial_end


class SqliteTree(Part):
    """The published head and the tiles. Entries get their leaf index when they are appended."""

    async def sequence(self, limit: int) -> int:
        """See `TreeStore.sequence`: nothing ever waits here."""
        return 0

    async def head(self) -> Head:
        """See `TreeStore.head`."""
        return await self._reader_thread.run(self._head)

    async def swap_head(self, old_size: int, new: Head) -> bool:
        """See `TreeStore.swap_head`. Raises `FatalLedgerError` for a head that would take back what was said."""
        return await self._writer_thread.run(lambda: self._swap_head(old_size, new))

    async def put_tiles(self, tiles: Sequence[tuple[str, bytes]]) -> None:
        """See `TreeStore.put_tiles`. Raises `FatalLedgerError` when a path has other bytes already."""
        rows = [(path, *partial_end(path), data) for path, data in tiles]
        if rows:
            await self._writer_thread.run(lambda: self._put_tiles(rows))

    async def tile(self, path: str) -> bytes | None:
        """See `TreeStore.tile`."""
        return await self._reader_thread.run(lambda: self._tile(path))

    async def drop_partial_tiles(self, older_than_size: int) -> None:
        """See `TreeStore.drop_partial_tiles`."""
        await self._writer_thread.run(lambda: self._drop_partial_tiles(older_than_size))

    def _head(self) -> Head:
        with self._reader.reading() as connection:
            return _read_head(connection)

    def _swap_head(self, old_size: int, new: Head) -> bool:
        with self._writer.writing() as connection:
            standing = _read_head(connection)
            if standing.size != old_size:
                return False
            check_swap(standing, new)
            connection.execute(
                "UPDATE head SET size = ?, root = ?, checkpoint = ?", (new.size, new.root, new.checkpoint)
            )
            return True

    def _put_tiles(self, rows: list[tuple[str, int, int | None, bytes]]) -> None:
        with self._writer.writing() as connection:
            for row in rows:
                written = connection.execute(
                    "INSERT INTO tiles (path, level, partial_end, data) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", row
                ).rowcount
                if written:
                    continue
                standing = connection.execute("SELECT data FROM tiles WHERE path = ?", (row[0],)).fetchone()
                if standing is None or standing[0] != row[3]:
                    raise FatalLedgerError(f"tile `{row[0]}` is stored with other content")

    def _tile(self, path: str) -> bytes | None:
        with self._reader.reading() as connection:
            row = connection.execute("SELECT data FROM tiles WHERE path = ?", (path,)).fetchone()
        return None if row is None else bytes(row[0])

    def _drop_partial_tiles(self, older_than_size: int) -> None:
        with self._writer.writing() as connection:
            connection.execute(
                "DELETE FROM tiles WHERE partial_end IS NOT NULL AND partial_end < (? >> (8 * level))",
                (older_than_size,),
            )


def _read_head(connection: sqlite3.Connection) -> Head:
    size, root, checkpoint = connection.execute("SELECT size, root, checkpoint FROM head").fetchone()
    return Head(size, root, checkpoint)
