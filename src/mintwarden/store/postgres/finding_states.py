"""What people have said about findings, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mintwarden.review.finding_states import FindingState
from mintwarden.store.postgres.links import Links

_OF = "SELECT id, state, ticket, until, version, changed_at FROM finding_states WHERE id = ANY($1::text[])"
_FIRST = """
    INSERT INTO finding_states (id, state, ticket, until, version, changed_at) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (id) DO NOTHING RETURNING id
"""
_NEXT = """
    UPDATE finding_states SET state = $2, ticket = $3, until = $4, version = $5, changed_at = $6
    WHERE id = $1 AND version = $5 - 1 RETURNING id
"""


class PostgresFindingStates:
    """See `FindingStates`."""

    def __init__(self, *, reads: Links, writes: Links) -> None:
        self._reads = reads
        self._writes = writes

    async def of(self, names: Sequence[str]) -> Mapping[str, FindingState]:
        """See `FindingStates.of`."""
        async with self._reads.connection() as connection:
            rows = await connection.fetch(_OF, list(names))
        return {
            row[0]: FindingState(
                id=row[0], state=row[1], ticket=row[2], until=row[3], version=row[4], changed_at=row[5]
            )
            for row in rows
        }

    async def say(self, state: FindingState) -> bool:
        """See `FindingStates.say`."""
        statement = _FIRST if state.version == 1 else _NEXT
        async with self._writes.connection() as connection:
            said = await connection.fetchval(
                statement, state.id, state.state, state.ticket, state.until, state.version, state.changed_at
            )
        return said is not None
