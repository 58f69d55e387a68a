"""Answers already given, in PostgreSQL."""

from __future__ import annotations

from mintwarden.govern.answers import Answer, Standing
from mintwarden.store.postgres.links import Links

# What has ended is taken over in place; the row's lock makes whoever claims the same key wait.
_CLAIM = """
    INSERT INTO answers AS a (key, fingerprint, expires_at) VALUES ($1, $2, $4)
    ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, status = NULL, sealed = NULL,
        expires_at = excluded.expires_at WHERE a.expires_at <= $3
    RETURNING key
"""


class PostgresAnswers:
    """See `Answers`."""

    def __init__(self, *, writes: Links) -> None:
        self._writes = writes

    async def claim(self, key: bytes, fingerprint: bytes, now: int, expires_at: int) -> Standing | None:
        """See `Answers.claim`."""
        async with self._writes.transaction() as connection:
            if await connection.fetchval(_CLAIM, key, fingerprint, now, expires_at) is not None:
                return None
            row = await connection.fetchrow("SELECT fingerprint, status, sealed FROM answers WHERE key = $1", key)
        if row is None:  # given free in between: the caller comes again
            return Standing(fingerprint, None)
        return Standing(row[0], None if row[1] is None else Answer(row[1], row[2]))

    async def settle(self, key: bytes, answer: Answer) -> None:
        """See `Answers.settle`."""
        async with self._writes.connection() as connection:
            await connection.execute(
                "UPDATE answers SET status = $2, sealed = $3 WHERE key = $1", key, answer.status, answer.sealed
            )

    async def forget(self, key: bytes) -> None:
        """See `Answers.forget`."""
        async with self._writes.connection() as connection:
            await connection.execute("DELETE FROM answers WHERE key = $1", key)
