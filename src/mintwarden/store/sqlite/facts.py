"""Facts in SQLite: one statement answers a batch, from one snapshot."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence

from mintwarden.context.ports import FactBatch, FactRow, SubjectKey
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.store.batch import ReadBatcher, share_facts
from mintwarden.store.sqlite.inline import InlineReads
from mintwarden.store.sqlite.lookup import Lookup
from mintwarden.store.sqlite.part import Access, Part

KEY_SOURCE = ""
"""The source under which `facts` holds a subject's sealing key: salt as document, key id as `observed_at`."""

SHARED_LIMIT = 256

PUT = (
    "INSERT INTO facts (entity, source, document, observed_at) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (entity, source) DO UPDATE SET document = excluded.document, observed_at = excluded.observed_at "
    "WHERE excluded.observed_at >= facts.observed_at"
)


_LOOKUP = Lookup(
    "SELECT entity, source, document, observed_at FROM wanted CROSS JOIN facts ON entity = wanted.e "
    "UNION ALL SELECT NULL, NULL, NULL, epoch FROM meta",
    ("e",),
)


def query(connection: sqlite3.Connection, entities: Sequence[str]) -> FactBatch:
    """What is stored about at most `SHARED_LIMIT` entities, each named once, from one snapshot."""
    rows: dict[str, list[FactRow]] = {}
    keys: dict[str, SubjectKey] = {}
    epoch = 0
    for entity, source, document, number in _LOOKUP.find(connection, entities):
        if source:
            known = rows.get(entity)
            if known is None:
                rows[entity] = [FactRow(source, document, number)]
            else:
                known.append(FactRow(source, document, number))
        elif entity is None:
            epoch = number
        else:
            keys[entity] = SubjectKey(number, document)
    return FactBatch(rows, keys, epoch)


def query_any(connection: sqlite3.Connection, entities: Sequence[str]) -> FactBatch:
    """The same for any number of entities, still from one snapshot."""
    rows: dict[str, Sequence[FactRow]] = {}
    keys: dict[str, SubjectKey] = {}
    wanted = list(dict.fromkeys(entities))
    connection.execute("BEGIN")
    epoch = 0
    for start in range(0, len(wanted) or 1, SHARED_LIMIT):
        part = query(connection, wanted[start : start + SHARED_LIMIT])
        rows.update(part.rows)
        keys.update(part.subject_keys)
        epoch = part.epoch
    connection.execute("COMMIT")
    return FactBatch(rows, keys, epoch)


class SqliteFacts(Part):
    """Facts, with their sealing keys and the epoch.

    A read of at most `SHARED_LIMIT` entities runs on the event loop itself.
    """

    def __init__(self, access: Access, *, inline: InlineReads) -> None:
        super().__init__(access)
        self._inline = inline
        self._batcher = ReadBatcher(fetch=self._fetch, share=share_facts, limit=SHARED_LIMIT)

    def read(self, entities: Sequence[str]) -> asyncio.Future[FactBatch]:
        """See `FactReader.read`; the read has begun when this returns."""
        return self._batcher.read(entities)

    async def put(self, rows: Sequence[tuple[str, FactRow]]) -> None:
        """See `FactWriter.put`."""
        parameters = [(entity, row.source, row.document, row.observed_at) for entity, row in rows]
        if any(not source for _, source, _, _ in parameters):
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "a fact needs a source")
        if parameters:
            await self._writer_thread.run(lambda: self._put(parameters))

    def _put(self, parameters: list[tuple[str, str, bytes, int]]) -> None:
        with self._writer.writing() as connection:
            connection.executemany(PUT, parameters)

    def _fetch(self, entities: Sequence[str]) -> FactBatch | asyncio.Future[FactBatch]:
        if len(entities) > SHARED_LIMIT:
            return self._inline.threaded(lambda connection: query_any(connection, entities))
        return self._inline.read(lambda connection: query(connection, entities))
