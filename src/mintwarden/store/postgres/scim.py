"""What identity providers say over SCIM, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from mintwarden.feeds.scim.ports import Kept, Kind, ScimChange
from mintwarden.store.postgres.links import Connection, Links

_COLUMNS = "id, kind, name, external, entity, document, version, created, changed"
_OF = f"SELECT {_COLUMNS} FROM scim_resources WHERE source = $1"  # noqa: S608 - our own columns
_PUT = f"""
    INSERT INTO scim_resources (source, {_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (source, id) DO UPDATE SET name = excluded.name, external = excluded.external,
    entity = excluded.entity, document = excluded.document, version = excluded.version, changed = excluded.changed
"""  # noqa: S608 - our own columns
_FIRST = """
    INSERT INTO scim_feeds (source, revision) VALUES ($1, 1) ON CONFLICT (source) DO NOTHING RETURNING revision
"""
_NEXT = "UPDATE scim_feeds SET revision = revision + 1 WHERE source = $1 AND revision = $2 RETURNING revision"
_JOIN = """
    INSERT INTO scim_members (source, of, member)
    SELECT $1, * FROM unnest($2::text[], $3::text[]) ON CONFLICT DO NOTHING
"""
_LEAVE = """
    DELETE FROM scim_members USING unnest($2::text[], $3::text[]) AS gone (of, member)
    WHERE source = $1 AND scim_members.of = gone.of AND scim_members.member = gone.member
"""
_SAY = """
    INSERT INTO facts (entity, source, document, observed_at)
    SELECT entity, $1, document, $4 FROM unnest($2::text[], $3::bytea[]) AS said (entity, document) ORDER BY 1
    ON CONFLICT (entity, source) DO UPDATE SET document = excluded.document, observed_at = excluded.observed_at
"""


class PostgresScim:
    """See `ScimStore`."""

    def __init__(self, *, reads: Links, writes: Links) -> None:
        self._reads = reads
        self._writes = writes

    async def revision(self, source: str) -> int:
        """See `ScimStore.revision`."""
        async with self._reads.connection() as connection:
            found = await connection.fetchval("SELECT revision FROM scim_feeds WHERE source = $1", source)
        return int(found or 0)

    async def get(self, source: str, ids: Sequence[str]) -> Mapping[str, Kept]:
        """See `ScimStore.get`."""
        return {one.id: one for one in await self._read(f"{_OF} AND id = ANY($2::text[])", source, list(ids))}

    async def find(self, source: str, kind: Kind, by: Literal["name", "external"], value: str) -> Sequence[Kept]:
        """See `ScimStore.find`."""
        column = "name = $3" if by == "name" else "external <> '' AND external = $3"
        return await self._read(f"{_OF} AND kind = $2 AND {column} ORDER BY id LIMIT 100", source, kind, value)

    async def count(self, source: str, kind: Kind) -> int:
        """See `ScimStore.count`."""
        statement = "SELECT count(*) FROM scim_resources WHERE source = $1 AND kind = $2"
        async with self._reads.connection() as connection:
            return int(await connection.fetchval(statement, source, kind))

    async def page(self, source: str, kind: Kind, offset: int, limit: int) -> Sequence[Kept]:
        """See `ScimStore.page`."""
        return await self._read(f"{_OF} AND kind = $2 ORDER BY id LIMIT $3 OFFSET $4", source, kind, limit, offset)

    async def members(self, source: str, groups: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """See `ScimStore.members`."""
        return await self._related("of", "member", source, groups)

    async def groups_of(self, source: str, users: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """See `ScimStore.groups_of`."""
        return await self._related("member", "of", source, users)

    async def commit(self, source: str, change: ScimChange) -> bool:
        """See `ScimStore.commit`."""
        async with self._writes.transaction() as connection:
            first = (_FIRST, source) if change.revision == 0 else (_NEXT, source, change.revision)
            # INVARIANT: whoever changes a feed knew all of it: of two that read the same, one begins again
            if await connection.fetchval(*first) is None:
                return False
            await _write(connection, source, change)
        return True

    async def _read(self, statement: str, *values: object) -> list[Kept]:
        async with self._reads.connection() as connection:
            return [Kept(**row) for row in await connection.fetch(statement, *values)]

    async def _related(self, one: str, other: str, source: str, ids: Sequence[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        statement = (
            f"SELECT {one}, {other} FROM scim_members WHERE source = $1 "  # noqa: S608 - our own columns
            f"AND {one} = ANY($2::text[]) ORDER BY 1, 2"
        )
        async with self._reads.connection() as connection:
            for key, value in await connection.fetch(statement, source, list(ids)):
                found.setdefault(key, []).append(value)
        return found


async def _write(connection: Connection, source: str, change: ScimChange) -> None:
    if change.gone:
        gone = list(change.gone)
        await connection.execute("DELETE FROM scim_resources WHERE source = $1 AND id = ANY($2::text[])", source, gone)
        await connection.execute(
            "DELETE FROM scim_members WHERE source = $1 AND (of = ANY($2::text[]) OR member = ANY($2::text[]))",
            source,
            gone,
        )
    if change.left:
        await connection.execute(_LEAVE, source, *_columns(change.left))
    for one in change.put:
        await connection.execute(
            _PUT, source, one.id, one.kind, one.name, one.external, one.entity, one.document, one.version,
            one.created, one.changed,
        )  # fmt: skip
    if change.joined:
        await connection.execute(_JOIN, source, *_columns(change.joined))
    said = [(one.entity, one.document) for one in change.said if one.document is not None]
    if said:
        await connection.execute(_SAY, source, *_columns(said), change.at)
    gone = sorted(one.entity for one in change.said if one.document is None)
    if gone:
        await connection.execute("DELETE FROM facts WHERE source = $1 AND entity = ANY($2::text[])", source, gone)


def _columns(rows: Sequence[tuple[Any, Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
