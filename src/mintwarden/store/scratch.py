"""Sorts what is too much for memory: records come in any order and go out by source and entity."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from mintwarden.context.ports import Span

_SCHEMA = """
    CREATE TABLE parts (
        source TEXT NOT NULL, entity TEXT NOT NULL, facts BLOB NOT NULL, groups BLOB, place TEXT NOT NULL,
        PRIMARY KEY (source, entity)
    ) WITHOUT ROWID;
    CREATE TABLE grants (
        source TEXT NOT NULL, entity TEXT NOT NULL, fact TEXT NOT NULL, element TEXT NOT NULL,
        start INTEGER, "end" INTEGER, place TEXT NOT NULL,
        PRIMARY KEY (source, entity, fact, element)
    ) WITHOUT ROWID;
    CREATE TABLE documents (
        source TEXT NOT NULL, entity TEXT NOT NULL, document BLOB NOT NULL, PRIMARY KEY (source, entity)
    ) WITHOUT ROWID;
"""
_SORTED = """
    SELECT entity, facts, groups, place, NULL, NULL, NULL, NULL FROM parts WHERE source = ?1
    UNION ALL SELECT entity, NULL, NULL, place, fact, element, start, "end" FROM grants WHERE source = ?1
    ORDER BY 1
"""
_CACHE_KIB = 65536


class Gathered(NamedTuple):
    """Everything that was said for one source about one entity, encoded as it came; `place` is where."""

    entity: str
    place: str
    facts: bytes | None
    groups: bytes | None
    grants: Sequence[tuple[str, str, Span]]


class Scratch:
    """A private database in a temporary file, gone when the block is left. Belongs to one thread."""

    def __init__(self) -> None:
        # An empty name is a temporary database: SQLite removes the file at once, and the system when we end.
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB:d}")
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.executescript(_SCHEMA)
        self._connection.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def add_part(self, source: str, entity: str, facts: bytes, groups: bytes | None, place: str) -> str | None:
        """Where the source already has something about the entity; None, and it is kept, when it has nothing."""
        done = self._connection.execute(
            "INSERT OR IGNORE INTO parts VALUES (?, ?, ?, ?, ?)", (source, entity, facts, groups, place)
        )
        if done.rowcount:
            return None
        row = self._connection.execute("SELECT place FROM parts WHERE source = ? AND entity = ?", (source, entity))
        return str(row.fetchone()[0])

    def add_grant(self, source: str, entity: str, fact: str, element: str, span: Span, place: str) -> str | None:
        """Where the element is granted already; None, and it is kept, when it is not."""
        done = self._connection.execute(
            "INSERT OR IGNORE INTO grants VALUES (?, ?, ?, ?, ?, ?, ?)", (source, entity, fact, element, *span, place)
        )
        if done.rowcount:
            return None
        row = self._connection.execute(
            "SELECT place FROM grants WHERE source = ? AND entity = ? AND fact = ? AND element = ?",
            (source, entity, fact, element),
        )
        return str(row.fetchone()[0])

    def sources(self) -> list[str]:
        """The sources that something was said for."""
        rows = self._connection.execute("SELECT source FROM parts UNION SELECT source FROM grants ORDER BY 1")
        return [row[0] for row in rows]

    def gathered(self, source: str) -> Iterator[Gathered]:
        """What was said for a source, in code point order of the entity keys."""
        entity, place, facts, groups, grants = "", "", None, None, list[tuple[str, str, Span]]()
        for row in self._connection.execute(_SORTED, (source,)):
            if row[0] != entity:
                if entity:
                    yield Gathered(entity, place, facts, groups, grants)
                entity, place, facts, groups, grants = row[0], row[3], None, None, []
            if row[4] is None:
                place, facts, groups = row[3], row[1], row[2]
            else:
                grants.append((row[4], row[5], (row[6], row[7])))
        if entity:
            yield Gathered(entity, place, facts, groups, grants)

    def add_document(self, source: str, entity: str, document: bytes) -> None:
        """Keep what was made of everything said for a source about an entity."""
        self._connection.execute("INSERT INTO documents VALUES (?, ?, ?)", (source, entity, document))

    def documents(self, source: str) -> Iterator[tuple[str, bytes]]:
        """The kept documents of a source, in code point order of the entity keys."""
        return self._connection.execute(
            "SELECT entity, document FROM documents WHERE source = ? ORDER BY entity", (source,)
        )
