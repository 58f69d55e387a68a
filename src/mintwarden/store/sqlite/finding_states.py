"""What people have said about findings, in SQLite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mintwarden.review.finding_states import FindingState
from mintwarden.store.sqlite.part import Part

_FIRST = (
    "INSERT INTO finding_states (id, state, ticket, until, version, changed_at) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (id) DO NOTHING"
)
_NEXT = (
    "UPDATE finding_states SET state = ?2, ticket = ?3, until = ?4, version = ?5, changed_at = ?6 "
    "WHERE id = ?1 AND version = ?5 - 1"
)


class SqliteFindingStates(Part):
    """See `FindingStates`."""

    async def of(self, names: Sequence[str]) -> Mapping[str, FindingState]:
        """See `FindingStates.of`."""
        return await self._reader_thread.run(lambda: self._of(names))

    async def say(self, state: FindingState) -> bool:
        """See `FindingStates.say`."""
        return await self._writer_thread.run(lambda: self._say(state))

    def _of(self, names: Sequence[str]) -> dict[str, FindingState]:
        with self._reader.reading() as connection:
            rows = connection.execute(
                "SELECT id, state, ticket, until, version, changed_at FROM finding_states "  # noqa: S608 - placeholders
                f"WHERE id IN ({', '.join('?' * len(names))})",
                tuple(names),
            )
            return {
                row[0]: FindingState(
                    id=row[0], state=row[1], ticket=row[2], until=row[3], version=row[4], changed_at=row[5]
                )
                for row in rows
            }

    def _say(self, state: FindingState) -> bool:
        values = (state.id, state.state, state.ticket, state.until, state.version, state.changed_at)
        with self._writer.writing() as connection:
            return connection.execute(_FIRST if state.version == 1 else _NEXT, values).rowcount == 1
