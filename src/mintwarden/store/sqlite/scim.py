"""What identity providers say over SCIM, in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Literal

from mintwarden.feeds.scim.ports import Kept, Kind, ScimChange
from mintwarden.store.sqlite.part import Part

_COLUMNS = "id, kind, name, external, entity, document, version, created, changed"
_OF = f"SELECT {_COLUMNS} FROM scim_resources WHERE source = ?"  # noqa: S608 - our own columns
_PUT = (
    f"INSERT INTO scim_resources (source, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608 - our own
    "ON CONFLICT (source, id) DO UPDATE SET name = excluded.name, external = excluded.external, "
    "entity = excluded.entity, document = excluded.document, version = excluded.version, changed = excluded.changed"
)
_SAY = (
    "INSERT INTO facts (entity, source, document, observed_at) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (entity, source) DO UPDATE SET document = excluded.document, observed_at = excluded.observed_at"
)


class SqliteScim(Part):
    """See `ScimStore`."""

    async def revision(self, source: str) -> int:
        """See `ScimStore.revision`."""
        return await self._reader_thread.run(lambda: self._revision(source))

    async def get(self, source: str, ids: Sequence[str]) -> Mapping[str, Kept]:
        """See `ScimStore.get`."""
        statement = f"{_OF} AND id IN (SELECT value FROM json_each(?))"  # noqa: S608 - placeholders only
        return {one.id: one for one in await self._read(statement, source, json.dumps(list(ids)))}

    async def find(self, source: str, kind: Kind, by: Literal["name", "external"], value: str) -> Sequence[Kept]:
        """See `ScimStore.find`."""
        # `<> ''` is what the index of external ids says of itself
        column = "name = ?" if by == "name" else "external <> '' AND external = ?"
        return await self._read(f"{_OF} AND kind = ? AND {column} ORDER BY id LIMIT 100", source, kind, value)

    async def count(self, source: str, kind: Kind) -> int:
        """See `ScimStore.count`."""
        return await self._reader_thread.run(lambda: self._count(source, kind))

    async def page(self, source: str, kind: Kind, offset: int, limit: int) -> Sequence[Kept]:
        """See `ScimStore.page`."""
        return await self._read(f"{_OF} AND kind = ? ORDER BY id LIMIT ? OFFSET ?", source, kind, limit, offset)

    async def members(self, source: str, groups: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """See `ScimStore.members`."""
        return await self._reader_thread.run(lambda: self._related("of", "member", source, groups))

    async def groups_of(self, source: str, users: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """See `ScimStore.groups_of`."""
        return await self._reader_thread.run(lambda: self._related("member", "of", source, users))

    async def commit(self, source: str, change: ScimChange) -> bool:
        """See `ScimStore.commit`."""
        return await self._writer_thread.run(lambda: self._commit(source, change))

    async def _read(self, statement: str, *values: object) -> list[Kept]:
        return await self._reader_thread.run(lambda: self._rows(statement, values))

    def _rows(self, statement: str, values: Sequence[object]) -> list[Kept]:
        with self._reader.reading() as connection:
            return [_kept(row) for row in connection.execute(statement, values)]

    def _revision(self, source: str) -> int:
        with self._reader.reading() as connection:
            found = connection.execute("SELECT revision FROM scim_feeds WHERE source = ?", (source,)).fetchone()
            return 0 if found is None else int(found[0])

    def _count(self, source: str, kind: Kind) -> int:
        with self._reader.reading() as connection:
            statement = "SELECT count(*) FROM scim_resources WHERE source = ? AND kind = ?"
            return int(connection.execute(statement, (source, kind)).fetchone()[0])

    def _related(self, one: str, other: str, source: str, ids: Sequence[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        with self._reader.reading() as connection:
            rows = connection.execute(
                f"SELECT {one}, {other} FROM scim_members WHERE source = ? "  # noqa: S608 - our own columns
                f"AND {one} IN (SELECT value FROM json_each(?)) ORDER BY 1, 2",
                (source, json.dumps(list(ids))),
            )
            for key, value in rows:
                found.setdefault(key, []).append(value)
        return found

    def _commit(self, source: str, change: ScimChange) -> bool:
        with self._writer.writing() as connection:
            if not _next(connection, source, change.revision):
                return False
            gone = [(source, id_) for id_ in change.gone]
            connection.executemany("DELETE FROM scim_resources WHERE source = ? AND id = ?", gone)
            connection.executemany("DELETE FROM scim_members WHERE source = ? AND of = ?", gone)
            connection.executemany("DELETE FROM scim_members WHERE source = ? AND member = ?", gone)
            connection.executemany(
                "DELETE FROM scim_members WHERE source = ? AND of = ? AND member = ?",
                [(source, *pair) for pair in change.left],
            )
            connection.executemany(_PUT, [(source, *_row(one)) for one in change.put])
            connection.executemany(
                "INSERT OR IGNORE INTO scim_members (source, of, member) VALUES (?, ?, ?)",
                [(source, *pair) for pair in change.joined],
            )
            said = [one for one in change.said if one.document is not None]
            connection.executemany(_SAY, [(one.entity, source, one.document, change.at) for one in said])
            connection.executemany(
                "DELETE FROM facts WHERE entity = ? AND source = ?",
                [(one.entity, source) for one in change.said if one.document is None],
            )
            return True


def _next(connection: sqlite3.Connection, source: str, revision: int) -> bool:
    """INVARIANT: whoever changes a feed knew all of it: of two that read the same, one begins again."""
    if revision == 0:
        first = "INSERT INTO scim_feeds (source, revision) VALUES (?, 1) ON CONFLICT (source) DO NOTHING"
        return connection.execute(first, (source,)).rowcount == 1
    step = "UPDATE scim_feeds SET revision = revision + 1 WHERE source = ? AND revision = ?"
    return connection.execute(step, (source, revision)).rowcount == 1


def _row(one: Kept) -> tuple[object, ...]:
    return (
        one.id, one.kind, one.name, one.external, one.entity, one.document, one.version, one.created, one.changed,
    )  # fmt: skip


def _kept(row: tuple[str, Kind, str, str, str, bytes, int, int, int]) -> Kept:
    id_, kind, name, external, entity, document, version, created, changed = row
    return Kept(
        id=id_,
        kind=kind,
        name=name,
        external=external,
        entity=entity,
        document=document,
        version=version,
        created=created,
        changed=changed,
    )
