"""Answers already given, in SQLite."""

from __future__ import annotations

from mintwarden.govern.answers import Answer, Standing
from mintwarden.store.sqlite.part import Part


class SqliteAnswers(Part):
    """See `Answers`."""

    async def claim(self, key: bytes, fingerprint: bytes, now: int, expires_at: int) -> Standing | None:
        """See `Answers.claim`."""
        return await self._writer_thread.run(lambda: self._claim(key, fingerprint, now, expires_at))

    async def settle(self, key: bytes, answer: Answer) -> None:
        """See `Answers.settle`."""
        await self._writer_thread.run(
            lambda: self._do(
                "UPDATE answers SET status = ?, sealed = ? WHERE key = ?", answer.status, answer.sealed, key
            )
        )

    async def forget(self, key: bytes) -> None:
        """See `Answers.forget`."""
        await self._writer_thread.run(lambda: self._do("DELETE FROM answers WHERE key = ?", key))

    def _claim(self, key: bytes, fingerprint: bytes, now: int, expires_at: int) -> Standing | None:
        with self._writer.writing() as connection:
            connection.execute("DELETE FROM answers WHERE key = ? AND expires_at <= ?", (key, now))
            row = connection.execute("SELECT fingerprint, status, sealed FROM answers WHERE key = ?", (key,)).fetchone()
            if row is None:
                connection.execute(
                    "INSERT INTO answers (key, fingerprint, expires_at) VALUES (?, ?, ?)",
                    (key, fingerprint, expires_at),
                )
                return None
        return Standing(row[0], None if row[1] is None else Answer(row[1], row[2]))

    def _do(self, statement: str, *values: object) -> None:
        with self._writer.writing() as connection:
            connection.execute(statement, values)
