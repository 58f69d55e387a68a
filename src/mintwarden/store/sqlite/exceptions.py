"""Exceptions in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from mintwarden.govern.exception_ports import (
    OPEN,
    ExceptionState,
    InForce,
    PlannedAct,
    StoredApproval,
    StoredException,
)
from mintwarden.store.sqlite.part import Part
from mintwarden.store.sqlite.subject_keys import BUMP

_COLUMNS = "id, document, state, changed_at, start_entry, end_entry"
# To the letter what the index is of: from a value that is bound, or from `= 'active'`, SQLite does not infer it.
_OPEN = "state IN ('requested', 'active')"
_PLANS: dict[PlannedAct, str] = {
    act: f"UPDATE exceptions SET {act}_entry = ? WHERE id = ? AND {act}_entry IS NULL"  # noqa: S608 - our own columns
    for act in ("start", "end")
}
_PLANNED: dict[PlannedAct, str] = {
    act: f"SELECT {act}_entry FROM exceptions WHERE id = ?"  # noqa: S608 - our own columns
    for act in ("start", "end")
}


class SqliteExceptions(Part):
    """See `ExceptionStore`."""

    async def add(self, exception: StoredException) -> bool:
        """See `ExceptionStore.add`."""
        return await self._writer_thread.run(lambda: self._add(exception))

    async def get(self, exception_id: str) -> StoredException | None:
        """See `ExceptionStore.get`."""
        found = await self._reader_thread.run(lambda: self._read("WHERE id = ?", (exception_id,)))
        return found.exceptions[0] if found.exceptions else None

    async def find(self, states: Sequence[ExceptionState] = ()) -> Sequence[StoredException]:
        """See `ExceptionStore.find`."""
        where = f"WHERE state IN ({', '.join('?' * len(states))})" if states else ""
        if states and set(states) <= set(OPEN):
            where += f" AND {_OPEN}"
        return (await self._reader_thread.run(lambda: self._read(where, tuple(states)))).exceptions

    async def page(self, limit: int, after: str = "", *, still_open: bool = False) -> Sequence[StoredException]:
        """See `ExceptionStore.page`."""
        where = "WHERE id > ?" + (f" AND {_OPEN}" if still_open else "")
        return (await self._reader_thread.run(lambda: self._read(where, (after,), limit))).exceptions

    async def in_force(self) -> InForce:
        """See `ExceptionStore.in_force`."""
        return await self._reader_thread.run(lambda: self._read(f"WHERE state = 'active' AND {_OPEN}", ()))

    async def approve(self, exception_id: str, approval: StoredApproval) -> bool:
        """See `ExceptionStore.approve`."""
        return await self._writer_thread.run(lambda: self._approve(exception_id, approval))

    async def plan(self, exception_id: str, act: PlannedAct, entry_id: bytes) -> bytes | None:
        """See `ExceptionStore.plan`."""
        return await self._writer_thread.run(lambda: self._plan(exception_id, act, entry_id))

    async def move(self, exception_id: str, before: ExceptionState, after: ExceptionState, at: int) -> bool:
        """See `ExceptionStore.move`."""
        return await self._writer_thread.run(lambda: self._move(exception_id, before, after, at))

    def _read(self, where: str, parameters: tuple[object, ...], limit: int = -1) -> InForce:
        with self._reader.reading() as connection:
            connection.execute("BEGIN")
            epoch = connection.execute("SELECT epoch FROM meta").fetchone()[0]
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM exceptions {where} ORDER BY id LIMIT ?",  # noqa: S608 - our own conditions
                (*parameters, limit),
            ).fetchall()
            found = tuple([_stored(row, _approvals(connection, row[0])) for row in rows])
            connection.execute("COMMIT")
        return InForce(epoch, found)

    def _add(self, exception: StoredException) -> bool:
        with self._writer.writing() as connection:
            return (
                connection.execute(
                    f"INSERT OR IGNORE INTO exceptions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608 - our own columns
                    (
                        exception.id,
                        exception.document,
                        exception.state,
                        exception.changed_at,
                        exception.start_entry,
                        exception.end_entry,
                    ),
                ).rowcount
                == 1
            )

    def _approve(self, exception_id: str, approval: StoredApproval) -> bool:
        with self._writer.writing() as connection:
            return (
                connection.execute(
                    "INSERT OR IGNORE INTO exception_approvals (exception_id, approver, signature, at) "
                    "SELECT id, ?, ?, ? FROM exceptions WHERE id = ? AND state = 'requested'",
                    (approval.approver, approval.signature, approval.at, exception_id),
                ).rowcount
                == 1
            )

    def _plan(self, exception_id: str, act: PlannedAct, entry_id: bytes) -> bytes | None:
        with self._writer.writing() as connection:
            connection.execute(_PLANS[act], (entry_id, exception_id))
            row = connection.execute(_PLANNED[act], (exception_id,)).fetchone()
            return None if row is None else row[0]

    def _move(self, exception_id: str, before: ExceptionState, after: ExceptionState, at: int) -> bool:
        with self._writer.writing() as connection:
            moved = connection.execute(
                "UPDATE exceptions SET state = ?, changed_at = ? WHERE id = ? AND state = ?",
                (after, at, exception_id, before),
            ).rowcount
            if moved and "active" in (before, after):
                connection.execute(BUMP)
            return moved == 1


def _approvals(connection: sqlite3.Connection, exception_id: str) -> Iterable[tuple[Any, ...]]:
    return connection.execute(
        "SELECT approver, signature, at FROM exception_approvals WHERE exception_id = ? ORDER BY at, approver",
        (exception_id,),
    )


def _stored(row: tuple[Any, ...], approvals: Iterable[tuple[Any, ...]]) -> StoredException:
    exception_id, document, state, changed_at, start_entry, end_entry = row
    return StoredException(
        id=exception_id,
        document=document,
        state=state,
        changed_at=changed_at,
        start_entry=start_entry,
        end_entry=end_entry,
        approvals=tuple(StoredApproval(approver=a, signature=s, at=at) for a, s, at in approvals),
    )
