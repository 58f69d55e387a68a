"""What flows remember between requests, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mintwarden.authn.ports import LAST, Place, State
from mintwarden.store.batch import ReadBatcher, share_named
from mintwarden.store.postgres.links import Links

SHARED_LIMIT = 256
Name = tuple[str, bytes]

_COLUMNS = "kind, key, owner, version, expires_at, document"
_READ = f"""
    SELECT {_COLUMNS} FROM states WHERE (kind, key) IN (SELECT * FROM unnest($1::text[], $2::bytea[]))
"""  # noqa: S608 - our own columns
_OWNED = f"""
    SELECT {_COLUMNS} FROM states WHERE kind = $1 AND owner = $2 AND owner <> '' AND key > $4 ORDER BY key LIMIT $3
"""  # noqa: S608 - our own columns


def _beyond(than: str, order: str) -> str:
    return f"""
        SELECT {_COLUMNS} FROM states WHERE kind = $1 AND owner = $2 AND owner <> ''
        AND (expires_at, key) {than} ($3, $4) ORDER BY expires_at {order}, key {order} LIMIT $5
    """  # noqa: S608 - our own columns


_LASTING, _BACK = _beyond("<", "DESC"), _beyond(">", "ASC")
_ADD = f"INSERT INTO states ({_COLUMNS}) VALUES ($1, $2, $3, 1, $4, $5) ON CONFLICT DO NOTHING"  # noqa: S608 - ours
_REPLACE = """
    UPDATE states SET version = version + 1, owner = $4, expires_at = $5, document = $6
    WHERE kind = $1 AND key = $2 AND version = $3
"""


class _Taken(Exception):
    """One of the states is there already: the transaction is taken back."""


class PostgresStates:
    """See `States`."""

    def __init__(self, *, reads: Links, writes: Links) -> None:
        self._reads = reads
        self._writes = writes
        self._batcher: ReadBatcher[Name, Mapping[Name, State]] = ReadBatcher(
            fetch=self._fetch, share=share_named, limit=SHARED_LIMIT
        )

    async def read(self, names: Sequence[Name]) -> Mapping[Name, State]:
        """See `States.read`."""
        return await self._batcher.read(names) if names else {}

    async def _fetch(self, names: Sequence[Name]) -> Mapping[Name, State]:
        async with self._reads.connection() as connection:
            rows = await connection.fetch(_READ, [kind for kind, _ in names], [key for _, key in names])
        return {(row["kind"], row["key"]): _state(row) for row in rows}

    async def owned(self, kind: str, owner: str, limit: int, after: bytes = b"") -> Sequence[State]:
        """See `States.owned`."""
        async with self._reads.connection() as connection:
            return [_state(row) for row in await connection.fetch(_OWNED, kind, owner, limit, after)]

    async def lasting(
        self, kind: str, owner: str, limit: int, beyond: Place | None = None, *, back: bool = False
    ) -> Sequence[State]:
        """See `States.lasting`."""
        async with self._reads.connection() as connection:
            rows = await connection.fetch(_BACK if back else _LASTING, kind, owner, *(beyond or LAST), limit)
        return [_state(row) for row in (reversed(rows) if back else rows)]

    async def add(self, states: Sequence[State]) -> bool:
        """See `States.add`."""
        try:
            async with self._writes.transaction() as connection:
                # in one order, so that two that add the same never wait for each other
                for one in sorted(states, key=lambda each: (each.kind, each.key)):
                    done = await connection.execute(_ADD, one.kind, one.key, one.owner, one.expires_at, one.document)
                    if not done.endswith(" 1"):
                        raise _Taken
        except _Taken:
            return False
        return True

    async def replace(self, state: State) -> bool:
        """See `States.replace`."""
        async with self._writes.connection() as connection:
            done = await connection.execute(
                _REPLACE, state.kind, state.key, state.version, state.owner, state.expires_at, state.document
            )
        return bool(done.endswith(" 1"))

    async def remove(self, kind: str, key: bytes) -> bool:
        """See `States.remove`."""
        async with self._writes.connection() as connection:
            done = await connection.execute("DELETE FROM states WHERE kind = $1 AND key = $2", kind, key)
        return bool(done.endswith(" 1"))

    async def remove_all(self, kind: str, keys: Sequence[bytes]) -> int:
        """See `States.remove_all`."""
        async with self._writes.connection() as connection:
            done = await connection.execute(
                "DELETE FROM states WHERE kind = $1 AND key = ANY($2::bytea[])", kind, list(keys)
            )
        return int(done.rpartition(" ")[2])

    async def forget(self, owner: str) -> int:
        """See `States.forget`."""
        async with self._writes.connection() as connection:
            done = await connection.execute("DELETE FROM states WHERE owner = $1 AND owner <> ''", owner)
        return int(done.rpartition(" ")[2])


def _state(row: Any) -> State:
    return State(
        kind=row["kind"],
        key=row["key"],
        owner=row["owner"],
        version=row["version"],
        expires_at=row["expires_at"],
        document=row["document"],
    )
