"""Head, tiles and the order of the leaves in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from mintwarden.ledger.ports import Head
from mintwarden.model.errors import FatalLedgerError
from mintwarden.store.postgres.links import Links
from mintwarden.store.tiles import check_swap, partial_end

_ORDER_LOCK = 0x4D57_5345
# READ COMMITTED and the lock before it: this statement sees whatever an earlier holder of the lock has committed.
_SEQUENCE = """
    WITH taken AS (
        DELETE FROM waiting WHERE position IN (SELECT position FROM waiting ORDER BY position LIMIT $1)
        RETURNING position
    ),
    start AS (SELECT coalesce(max(leaf) + 1, 0) AS leaf FROM leaves)
    INSERT INTO leaves (leaf, position)
    SELECT start.leaf + row_number() OVER (ORDER BY position) - 1, position FROM taken, start
"""
_PUT_TILES = """
    INSERT INTO tiles (path, level, partial_end, data)
    SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bytea[]) ORDER BY 1
    ON CONFLICT (path) DO NOTHING
"""


class PostgresTree:
    """The published head, the tiles, and who comes after whom.

    INVARIANT: a leaf, once committed, never changes its position, and leaves are 0, 1, 2, ... without a gap:
    positions are given in one transaction at a time, taken off the waiting list in that same transaction.
    """

    def __init__(self, *, reads: Links, writes: Links) -> None:
        self._reads = reads
        self._writes = writes

    async def sequence(self, limit: int) -> int:
        """See `TreeStore.sequence`."""
        async with self._writes.transaction() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _ORDER_LOCK)
            done = await connection.execute(_SEQUENCE, limit)
        return int(done.rpartition(" ")[2])

    async def head(self) -> Head:
        """See `TreeStore.head`."""
        async with self._reads.connection() as connection:
            row = await connection.fetchrow("SELECT size, root, checkpoint FROM head")
        return Head(*row)

    async def swap_head(self, old_size: int, new: Head) -> bool:
        """See `TreeStore.swap_head`. Raises `FatalLedgerError` for a head that would take back what was said."""
        async with self._writes.transaction() as connection:
            standing = Head(*await connection.fetchrow("SELECT size, root, checkpoint FROM head FOR UPDATE"))
            if standing.size != old_size:
                return False
            check_swap(standing, new)
            await connection.execute(
                "UPDATE head SET size = $1, root = $2, checkpoint = $3", new.size, new.root, new.checkpoint
            )
            return True

    async def put_tiles(self, tiles: Sequence[tuple[str, bytes]]) -> None:
        """See `TreeStore.put_tiles`. Raises `FatalLedgerError` when a path has other bytes already."""
        if not tiles:
            return
        wanted = dict(tiles)
        places = {path: partial_end(path) for path in wanted}
        async with self._writes.transaction() as connection:
            await connection.execute(
                _PUT_TILES,
                list(wanted),
                [level for level, _ in places.values()],
                [end for _, end in places.values()],
                list(wanted.values()),
            )
            stored = await connection.fetch("SELECT path, data FROM tiles WHERE path = ANY($1::text[])", list(wanted))
            for path, data in [*stored, *tiles]:
                if wanted[path] != data:
                    raise FatalLedgerError(f"tile `{path}` is stored with other content")

    async def tile(self, path: str) -> bytes | None:
        """See `TreeStore.tile`."""
        async with self._reads.connection() as connection:
            found: bytes | None = await connection.fetchval("SELECT data FROM tiles WHERE path = $1", path)
        return found

    async def drop_partial_tiles(self, older_than_size: int) -> None:
        """See `TreeStore.drop_partial_tiles`."""
        async with self._writes.connection() as connection:
            await connection.execute(
                "DELETE FROM tiles WHERE partial_end IS NOT NULL AND partial_end < ($1::bigint >> (8 * level))",
                older_than_size,
            )
