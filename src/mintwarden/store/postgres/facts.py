"""Facts in PostgreSQL: one statement answers a batch, from one snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mintwarden.context.ports import FactBatch, FactRow, SubjectKey
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.store.batch import ReadBatcher, share_facts
from mintwarden.store.postgres.links import Links

KEY_SOURCE = ""
"""The source under which `facts` holds a subject's sealing key: salt as document, key id as `observed_at`."""

SHARED_LIMIT = 512

_READ = """
    SELECT entity, source, document, observed_at FROM facts WHERE entity = ANY($1::text[])
    UNION ALL SELECT NULL, NULL, NULL, epoch FROM meta
"""
# Sorted: two batches that meet take their row locks in the same order.
_PUT = """
    INSERT INTO facts (entity, source, document, observed_at)
    SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[]) ORDER BY 1, 2
    ON CONFLICT (entity, source) DO UPDATE SET document = excluded.document, observed_at = excluded.observed_at
    WHERE excluded.observed_at >= facts.observed_at
"""


class PostgresFacts:
    """Facts, with their sealing keys and the epoch."""

    def __init__(self, *, reads: Links, writes: Links) -> None:
        self._reads = reads
        self._writes = writes
        self._batcher = ReadBatcher(fetch=self._fetch, share=share_facts, limit=SHARED_LIMIT)

    def read(self, entities: Sequence[str]) -> asyncio.Future[FactBatch]:
        """See `FactReader.read`; the read has begun when this returns."""
        return self._batcher.read(entities)

    async def put(self, rows: Sequence[tuple[str, FactRow]]) -> None:
        """See `FactWriter.put`."""
        if any(not row.source for _, row in rows):
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "a fact needs a source")
        latest: dict[tuple[str, str], FactRow] = {}
        for entity, row in rows:
            known = latest.get((entity, row.source))
            if known is None or row.observed_at >= known.observed_at:
                latest[entity, row.source] = row
        if not latest:
            return
        async with self._writes.connection() as connection:
            await connection.execute(
                _PUT,
                [entity for entity, _ in latest],
                [source for _, source in latest],
                [row.document for row in latest.values()],
                [row.observed_at for row in latest.values()],
            )

    async def _fetch(self, entities: Sequence[str]) -> FactBatch:
        async with self._reads.connection() as connection:
            found = await connection.fetch(_READ, entities)
        rows: dict[str, list[FactRow]] = {}
        keys: dict[str, SubjectKey] = {}
        epoch = 0
        for entity, source, document, number in found:
            if source:
                rows.setdefault(entity, []).append(FactRow(source, document, number))
            elif entity is None:
                epoch = number
            else:
                keys[entity] = SubjectKey(number, document)
        return FactBatch(rows, keys, epoch)
