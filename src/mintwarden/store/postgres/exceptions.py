"""Exceptions in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mintwarden.govern.exception_ports import (
    OPEN,
    ExceptionState,
    InForce,
    PlannedAct,
    StoredApproval,
    StoredException,
)
from mintwarden.store.postgres.links import Connection, Links
from mintwarden.store.postgres.subject_keys import BUMP

_COLUMNS = "id, document, state, changed_at, start_entry, end_entry"
# One statement, so that the epoch, the exceptions and their approvals are of one state.
_READ = f"""
    SELECT m.epoch, {", ".join(f"e.{name}" for name in _COLUMNS.split(", "))}, a.approver, a.signature, a.at
    FROM meta m
    LEFT JOIN exceptions e ON {{where}}
    LEFT JOIN exception_approvals a ON a.exception_id = e.id
    ORDER BY e.id, a.at, a.approver
"""  # noqa: S608 - our own columns and conditions
# The same of some of them, before any approval is looked at.
_PAGE = f"""
    SELECT m.epoch, {", ".join(f"e.{name}" for name in _COLUMNS.split(", "))}, a.approver, a.signature, a.at
    FROM meta m
    LEFT JOIN (SELECT {_COLUMNS} FROM exceptions WHERE id > $1 AND {{where}} ORDER BY id LIMIT $2) e ON TRUE
    LEFT JOIN exception_approvals a ON a.exception_id = e.id
    ORDER BY e.id, a.at, a.approver
"""  # noqa: S608 - our own columns and conditions
# To the letter what the index is of: from a value that is handed over it is not inferred.
_OPEN = "state IN ('requested', 'active')"
# Both the change and the answer are of the row as it is once its lock is held.
_PLANS: dict[PlannedAct, str] = {
    act: f"UPDATE exceptions SET {act}_entry = coalesce({act}_entry, $2) WHERE id = $1 RETURNING {act}_entry"  # noqa: S608 - ours
    for act in ("start", "end")
}


class PostgresExceptions:
    """See `ExceptionStore`."""

    def __init__(self, *, reads: Links, writes: Links) -> None:
        self._reads = reads
        self._writes = writes

    async def add(self, exception: StoredException) -> bool:
        """See `ExceptionStore.add`."""
        async with self._writes.connection() as connection:
            return await _changed(
                connection,
                f"INSERT INTO exceptions ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",  # noqa: S608 - ours
                exception.id,
                exception.document,
                exception.state,
                exception.changed_at,
                exception.start_entry,
                exception.end_entry,
            )

    async def get(self, exception_id: str) -> StoredException | None:
        """See `ExceptionStore.get`."""
        found = (await self._read(_READ.format(where="e.id = $1"), exception_id)).exceptions
        return found[0] if found else None

    async def find(self, states: Sequence[ExceptionState] = ()) -> Sequence[StoredException]:
        """See `ExceptionStore.find`."""
        if not states:
            return (await self._read(_READ.format(where="TRUE"))).exceptions
        where = "e.state = ANY($1::text[])" + (f" AND e.{_OPEN}" if set(states) <= set(OPEN) else "")
        return (await self._read(_READ.format(where=where), list(states))).exceptions

    async def page(self, limit: int, after: str = "", *, still_open: bool = False) -> Sequence[StoredException]:
        """See `ExceptionStore.page`."""
        return (await self._read(_PAGE.format(where=_OPEN if still_open else "TRUE"), after, limit)).exceptions

    async def in_force(self) -> InForce:
        """See `ExceptionStore.in_force`."""
        return await self._read(_READ.format(where="e.state = 'active'"))

    async def approve(self, exception_id: str, approval: StoredApproval) -> bool:
        """See `ExceptionStore.approve`."""
        async with self._writes.connection() as connection:
            # Shares the row's lock with other approvals, and excludes whoever moves it to another state.
            return await _changed(
                connection,
                "INSERT INTO exception_approvals (exception_id, approver, signature, at) "
                "SELECT id, $2, $3, $4 FROM exceptions WHERE id = $1 AND state = 'requested' FOR SHARE "
                "ON CONFLICT DO NOTHING",
                exception_id,
                approval.approver,
                approval.signature,
                approval.at,
            )

    async def plan(self, exception_id: str, act: PlannedAct, entry_id: bytes) -> bytes | None:
        """See `ExceptionStore.plan`."""
        async with self._writes.connection() as connection:
            found: bytes | None = await connection.fetchval(_PLANS[act], exception_id, entry_id)
        return found

    async def move(self, exception_id: str, before: ExceptionState, after: ExceptionState, at: int) -> bool:
        """See `ExceptionStore.move`."""
        async with self._writes.transaction() as connection:
            moved = await _changed(
                connection,
                "UPDATE exceptions SET state = $3, changed_at = $4 WHERE id = $1 AND state = $2",
                exception_id,
                before,
                after,
                at,
            )
            if moved and "active" in (before, after):
                await connection.execute(BUMP)
        return moved

    async def _read(self, statement: str, *parameters: object) -> InForce:
        async with self._reads.connection() as connection:
            rows = await connection.fetch(statement, *parameters)
        by_id: dict[str, tuple[Any, list[StoredApproval]]] = {}
        for row in rows:
            if row["id"] is None:  # there is none, and the one row is there for the epoch
                continue
            approvals = by_id.setdefault(row["id"], (row, []))[1]
            if row["approver"] is not None:
                approvals.append(StoredApproval(approver=row["approver"], signature=row["signature"], at=row["at"]))
        return InForce(
            rows[0]["epoch"],
            tuple(
                StoredException(
                    id=row["id"],
                    document=row["document"],
                    state=row["state"],
                    changed_at=row["changed_at"],
                    start_entry=row["start_entry"],
                    end_entry=row["end_entry"],
                    approvals=tuple(approvals),
                )
                for row, approvals in by_id.values()
            ),
        )


async def _changed(connection: Connection, statement: str, *parameters: object) -> bool:
    done: str = await connection.execute(statement, *parameters)
    return done.rpartition(" ")[2] == "1"
