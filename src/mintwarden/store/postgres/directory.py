"""Bulk reading and writing of documents in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from mintwarden.context.ports import FactRow
from mintwarden.store.postgres.links import Links
from mintwarden.store.store import DocumentChange

_SET = """
    INSERT INTO facts (entity, source, document, observed_at)
    SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[]) ORDER BY 1, 2
    ON CONFLICT (entity, source) DO UPDATE SET document = excluded.document, observed_at = excluded.observed_at
"""
_DROP = """
    DELETE FROM facts USING unnest($1::text[], $2::text[]) AS gone (entity, source)
    WHERE facts.entity = gone.entity AND facts.source = gone.source
"""


class PostgresDirectory:
    """Documents in bulk; each call is one short transaction."""

    def __init__(self, *, reads: Links, writes: Links) -> None:
        self._reads = reads
        self._writes = writes

    async def stored(self, source: str, entities: Sequence[str]) -> dict[str, FactRow]:
        """See `DirectoryStore.stored`."""
        async with self._reads.connection() as connection:
            rows = await connection.fetch(
                "SELECT entity, document, observed_at FROM facts WHERE entity = ANY($1::text[]) AND source = $2",
                entities,
                source,
            )
        return {entity: FactRow(source, document, observed_at) for entity, document, observed_at in rows}

    async def page(self, source: str, after: str, limit: int) -> Sequence[tuple[str, FactRow]]:
        """See `DirectoryStore.page`."""
        async with self._reads.connection() as connection:
            rows = await connection.fetch(
                "SELECT entity, document, observed_at FROM facts "
                "WHERE source = $1 AND entity > $2 ORDER BY entity LIMIT $3",
                source,
                after,
                limit,
            )
        return [(entity, FactRow(source, document, observed_at)) for entity, document, observed_at in rows]

    async def apply(self, changes: Sequence[DocumentChange]) -> None:
        """See `DirectoryStore.apply`."""
        last = {(c.entity, c.source): c for c in changes}.values()
        kept = [(c.entity, c.source, c.document, c.observed_at) for c in last if c.document is not None]
        gone = sorted((c.entity, c.source) for c in last if c.document is None)
        if not last:
            return
        async with self._writes.transaction() as connection:
            if kept:
                await connection.execute(_SET, *(list(column) for column in zip(*kept, strict=True)))
            if gone:
                await connection.execute(_DROP, *(list(column) for column in zip(*gone, strict=True)))
