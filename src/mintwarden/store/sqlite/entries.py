"""Ledger entries in SQLite.

Life of an entry: the batch comes to the writer's thread and takes the write lock; its leaves follow the last one in
the file; keys, claims and entries are written; the commit returns once the write-ahead log is on disk (synchronous =
FULL); only then does `append` answer. A crash before that leaves nothing of it, a crash after it leaves all of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from mintwarden.ledger.ports import Appended, PendingEntry, Rekey, Replayed, StoredEntry
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.store.sqlite.facts import KEY_SOURCE
from mintwarden.store.sqlite.part import Part

Outcome = Appended | Replayed | Rekey

_COLUMNS = "leaf, decision_id, leaf_hash, entry, sealed, key_id"
_WIDTHS = (64, 32, 16, 8, 4, 2, 1)


def _insert(width: int) -> str:
    values = ", ".join(["(?, ?, ?, ?, ?, ?)"] * width)
    return f"INSERT INTO entries ({_COLUMNS}) VALUES {values}"  # noqa: S608 - placeholders only


def _claim(width: int) -> str:
    values = ", ".join(["(?, ?)"] * width)
    return f"INSERT OR IGNORE INTO replay (expires_at, digest) VALUES {values}"  # noqa: S608 - placeholders only


# Many rows in one statement: between two steps of a statement the interpreter may turn to another thread,
# which on a busy event loop costs more than the row itself.
_INSERTS = {width: _insert(width) for width in _WIDTHS}
_CLAIMS = {width: _claim(width) for width in _WIDTHS}
_NEXT_LEAF = "SELECT coalesce(max(leaf) + 1, 0) FROM entries"
_STANDING = "SELECT count(*) FROM json_each(?) AS used JOIN subject_keys ON key_id = used.value"
_KEY_OF = "SELECT observed_at, document FROM facts WHERE entity = ? AND source = ?"


class _Unusual(Exception):
    """The batch holds a replay, a lost key or a decision that is there already: it has to go entry by entry."""


class SqliteEntries(Part):
    """Ledger entries; position and leaf index are the same."""

    async def append(self, batch: Sequence[PendingEntry]) -> Sequence[Outcome]:
        """See `EntryAppender.append`."""
        if not batch:
            return ()
        return await self._writer_thread.run(lambda: self._append(batch))

    async def by_decision(self, decision_id: bytes) -> StoredEntry | None:
        """See `EntryReader.by_decision`."""
        where = "decision_id = ?"
        found = await self._reader_thread.run(lambda: self._select(where, (decision_id,)))
        return found[0] if found else None

    async def by_index(self, start: int, count: int) -> Sequence[StoredEntry]:
        """See `EntryReader.by_index`."""
        where = "leaf >= ? AND leaf < ? ORDER BY leaf"
        return await self._reader_thread.run(lambda: self._select(where, (start, start + count)))

    async def leaf_hashes(self, start: int, count: int) -> Sequence[bytes]:
        """See `EntryReader.leaf_hashes`."""
        return await self._reader_thread.run(lambda: self._leaf_hashes(start, count))

    async def count(self) -> int:
        """See `EntryReader.count`."""
        return await self._reader_thread.run(self._count)

    async def sequenced(self) -> int:
        """See `EntryReader.sequenced`: here every entry has its place at once."""
        return await self._reader_thread.run(self._count)

    def _append(self, batch: Sequence[PendingEntry]) -> list[Outcome]:
        try:
            with self._writer.writing() as connection:
                return _append_all(connection, batch)
        except _Unusual:
            with self._writer.writing() as connection:
                return _append_each(connection, batch)

    def _select(self, where: str, parameters: tuple[Any, ...]) -> list[StoredEntry]:
        with self._reader.reading() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM entries WHERE {where}",  # noqa: S608 - our own conditions
                parameters,
            ).fetchall()
        return [
            StoredEntry(
                position=leaf, index=leaf, decision_id=decision_id, leaf_hash=leaf_hash, entry=entry, sealed=sealed,
                key_id=key_id,
            )
            for leaf, decision_id, leaf_hash, entry, sealed, key_id in rows
        ]  # fmt: skip

    def _leaf_hashes(self, start: int, count: int) -> list[bytes]:
        with self._reader.reading() as connection:
            return [
                leaf_hash
                for (leaf_hash,) in connection.execute(
                    "SELECT leaf_hash FROM entries WHERE leaf >= ? AND leaf < ? ORDER BY leaf", (start, start + count)
                )
            ]

    def _count(self) -> int:
        with self._reader.reading() as connection:
            return int(connection.execute(_NEXT_LEAF).fetchone()[0])


def _append_all(connection: sqlite3.Connection, batch: Sequence[PendingEntry]) -> list[Outcome]:
    """The usual case, in few statements; raises `_Unusual` (and is rolled back) for any other."""
    rows: list[object] = []
    claims: list[object] = []
    used: set[int] = set()
    first = leaf = int(connection.execute(_NEXT_LEAF).fetchone()[0])
    for e in batch:
        key_id = e.key_id
        if key_id:
            used.add(key_id)
        elif e.entity:
            key_id = _new_key(connection, e)
        rows += (leaf, e.decision_id, e.leaf_hash, e.entry, e.sealed, key_id)
        for once in e.once:
            claims += (once.expires_at, once.digest)
        leaf += 1
    if used:
        standing = connection.execute(_STANDING, (str(list(used)),)).fetchone()[0]
        if standing != len(used):
            raise _Unusual
    if claims and _write(connection, _CLAIMS, claims, 2) * 2 != len(claims):
        raise _Unusual
    try:
        _write(connection, _INSERTS, rows, 6)
    except sqlite3.IntegrityError as error:
        raise _Unusual from error
    return [Appended(position) for position in range(first, leaf)]


def _write(connection: sqlite3.Connection, statements: dict[int, str], parameters: list[object], columns: int) -> int:
    """Write all rows in as few statements as there are prepared widths for; how many were written."""
    written, start, left = 0, 0, len(parameters) // columns
    for width in _WIDTHS:
        while left >= width:
            end = start + width * columns
            written += connection.execute(statements[width], parameters[start:end]).rowcount
            start, left = end, left - width
    return written


def _new_key(connection: sqlite3.Connection, entry: PendingEntry) -> int:
    """Id of the key that `entry` brings with it; raises `_Unusual` when the subject has another one."""
    standing = connection.execute(_KEY_OF, (entry.entity, KEY_SOURCE)).fetchone()
    if standing is None:
        return _store_key(connection, entry)
    if standing[1] != entry.new_salt:
        raise _Unusual
    return int(standing[0])


def _store_key(connection: sqlite3.Connection, entry: PendingEntry) -> int:
    connection.execute("INSERT INTO subject_keys (entity) VALUES (?)", (entry.entity,))
    key_id = int(connection.execute("SELECT last_insert_rowid()").fetchone()[0])
    connection.execute("INSERT INTO facts VALUES (?, ?, ?, ?)", (entry.entity, KEY_SOURCE, entry.new_salt, key_id))
    return key_id


def _append_each(connection: sqlite3.Connection, batch: Sequence[PendingEntry]) -> list[Outcome]:
    """Entry by entry, in order: what is refused leaves nothing behind, and the others are not disturbed."""
    leaf = int(connection.execute(_NEXT_LEAF).fetchone()[0])
    outcomes: list[Outcome] = []
    for entry in batch:
        outcome = _append_one(connection, entry, leaf)
        if isinstance(outcome, Appended) and outcome.position == leaf:
            leaf += 1
        outcomes.append(outcome)
    return outcomes


def _append_one(connection: sqlite3.Connection, entry: PendingEntry, leaf: int) -> Outcome:
    known = connection.execute(
        "SELECT leaf, leaf_hash FROM entries WHERE decision_id = ?", (entry.decision_id,)
    ).fetchone()
    if known is not None:
        if known[1] != entry.leaf_hash:
            raise MintwardenError(ErrorKind.CONFLICT, "a decision id was used for two different entries")
        return Appended(known[0])
    standing = None
    if entry.entity:
        standing = connection.execute(_KEY_OF, (entry.entity, KEY_SOURCE)).fetchone()
        if not _fits(entry, standing):
            return Rekey(*standing) if standing else Rekey(0, b"")
    for number, once in enumerate(entry.once):
        if connection.execute(_CLAIMS[1], (once.expires_at, once.digest)).rowcount == 1:
            continue
        for earlier in entry.once[:number]:
            connection.execute(
                "DELETE FROM replay WHERE expires_at = ? AND digest = ?", (earlier.expires_at, earlier.digest)
            )
        return Replayed(once.digest)
    key_id = 0
    if entry.entity:
        key_id = standing[0] if standing else _store_key(connection, entry)
    connection.execute(_INSERTS[1], (leaf, entry.decision_id, entry.leaf_hash, entry.entry, entry.sealed, key_id))
    return Appended(leaf)


def _fits(entry: PendingEntry, standing: tuple[int, bytes] | None) -> bool:
    """The entry is sealed under the key that stands, or brings the first one."""
    if standing is None:
        return entry.key_id == 0 and bool(entry.new_salt)
    if entry.key_id:
        return entry.key_id == standing[0]
    return entry.new_salt == standing[1]
