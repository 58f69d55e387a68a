"""What flows remember between requests, in SQLite."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence

from mintwarden.authn.ports import LAST, Place, State
from mintwarden.store.batch import ReadBatcher, share_named
from mintwarden.store.sqlite.inline import InlineReads
from mintwarden.store.sqlite.lookup import Lookup
from mintwarden.store.sqlite.part import Access, Part

SHARED_LIMIT = 64

Name = tuple[str, bytes]

_COLUMNS = "kind, key, owner, version, expires_at, document"
_ADD = f"INSERT OR IGNORE INTO states ({_COLUMNS}) VALUES (?, ?, ?, 1, ?, ?)"  # noqa: S608 - our own columns


def _beyond(than: str, order: str) -> str:
    return f"""
        SELECT {_COLUMNS} FROM states WHERE kind = ? AND owner = ? AND owner <> '' AND (expires_at, key) {than} (?, ?)
        ORDER BY expires_at {order}, key {order} LIMIT ?
    """  # noqa: S608 - our own columns


_LASTING, _BACK = _beyond("<", "DESC"), _beyond(">", "ASC")
_LOOKUP = Lookup(
    "SELECT states.kind, states.key, owner, version, expires_at, document "
    "FROM wanted CROSS JOIN states ON states.kind = wanted.kind AND states.key = wanted.key",
    ("kind", "key"),
)


class _Taken(Exception):
    """One of the states is there already: the transaction is taken back."""


class SqliteStates(Part):
    """See `States`."""

    def __init__(self, access: Access, *, inline: InlineReads) -> None:
        super().__init__(access)
        self._inline = inline
        self._batcher = ReadBatcher(fetch=self._fetch, share=share_named, limit=SHARED_LIMIT)

    async def read(self, names: Sequence[Name]) -> Mapping[Name, State]:
        """See `States.read`."""
        return await self._batcher.read(names) if names else {}

    async def owned(self, kind: str, owner: str, limit: int, after: bytes = b"") -> Sequence[State]:
        """See `States.owned`."""
        return await self._reader_thread.run(lambda: self._owned(kind, owner, limit, after))

    async def lasting(
        self, kind: str, owner: str, limit: int, beyond: Place | None = None, *, back: bool = False
    ) -> Sequence[State]:
        """See `States.lasting`."""
        found = await self._reader_thread.run(lambda: self._lasting(kind, owner, limit, beyond or LAST, back))
        return found[::-1] if back else found

    async def add(self, states: Sequence[State]) -> bool:
        """See `States.add`."""
        try:
            await self._writer_thread.run(lambda: self._add(states))
        except _Taken:
            return False
        return True

    async def replace(self, state: State) -> bool:
        """See `States.replace`."""
        return await self._writer_thread.run(lambda: self._replace(state))

    async def remove(self, kind: str, key: bytes) -> bool:
        """See `States.remove`."""
        return await self._writer_thread.run(lambda: self._remove(kind, key))

    async def remove_all(self, kind: str, keys: Sequence[bytes]) -> int:
        """See `States.remove_all`."""
        return await self._writer_thread.run(lambda: self._remove_all(kind, keys))

    async def forget(self, owner: str) -> int:
        """See `States.forget`."""
        return await self._writer_thread.run(lambda: self._forget(owner))

    def _fetch(self, names: Sequence[Name]) -> Mapping[Name, State] | asyncio.Future[Mapping[Name, State]]:
        read = self._inline.read if len(names) <= SHARED_LIMIT else self._inline.threaded
        return read(lambda connection: _read(connection, names))

    def _forget(self, owner: str) -> int:
        with self._writer.writing() as connection:
            return connection.execute("DELETE FROM states WHERE owner = ? AND owner <> ''", (owner,)).rowcount

    def _owned(self, kind: str, owner: str, limit: int, after: bytes) -> list[State]:
        with self._reader.reading() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM states WHERE kind = ? AND owner = ? AND owner <> '' AND key > ? "  # noqa: S608
                "ORDER BY key LIMIT ?",
                (kind, owner, after, limit),
            )
            return [_state(row) for row in rows]

    def _lasting(self, kind: str, owner: str, limit: int, beyond: Place, back: bool) -> list[State]:
        with self._reader.reading() as connection:
            rows = connection.execute(_BACK if back else _LASTING, (kind, owner, *beyond, limit))
            return [_state(row) for row in rows]

    def _add(self, states: Sequence[State]) -> None:
        with self._writer.writing() as connection:
            for state in states:
                row = (state.kind, state.key, state.owner, state.expires_at, state.document)
                if connection.execute(_ADD, row).rowcount != 1:
                    raise _Taken

    def _replace(self, state: State) -> bool:
        with self._writer.writing() as connection:
            done = connection.execute(
                "UPDATE states SET version = version + 1, owner = ?, expires_at = ?, document = ? "
                "WHERE kind = ? AND key = ? AND version = ?",
                (state.owner, state.expires_at, state.document, state.kind, state.key, state.version),
            )
            return done.rowcount == 1

    def _remove(self, kind: str, key: bytes) -> bool:
        with self._writer.writing() as connection:
            return connection.execute("DELETE FROM states WHERE kind = ? AND key = ?", (kind, key)).rowcount == 1

    def _remove_all(self, kind: str, keys: Sequence[bytes]) -> int:
        with self._writer.writing() as connection:
            rows = [(kind, key) for key in keys]
            return max(connection.executemany("DELETE FROM states WHERE kind = ? AND key = ?", rows).rowcount, 0)


def _read(connection: sqlite3.Connection, names: Sequence[Name]) -> Mapping[Name, State]:
    return {(row[0], row[1]): _state(row) for row in _LOOKUP.find(connection, names)}


def _state(row: tuple[str, bytes, str, int, int, bytes]) -> State:
    kind, key, owner, version, expires_at, document = row
    return State(kind=kind, key=key, owner=owner, version=version, expires_at=expires_at, document=document)
