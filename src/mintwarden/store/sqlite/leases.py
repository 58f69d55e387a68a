"""Elections in SQLite, for several processes on one file."""

from __future__ import annotations

from mintwarden.store.sqlite.part import Part

SLACK = 60
"""Seconds. A lease that lasts longer than anybody asks for, and this beside, is of a clock that has stepped back."""

# Not `unixepoch('subsec')`: SQLite older than 3.42 answers it with NULL.
_NOW = "((julianday('now') - 2440587.5) * 86400.0)"
_ACQUIRE = f"""
    INSERT INTO leases (name, holder, expires_at) VALUES (?1, ?2, {_NOW} + ?3)
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
    WHERE leases.holder = excluded.holder OR leases.expires_at <= {_NOW} OR leases.expires_at > {_NOW} + ?3 + {SLACK}
"""  # noqa: S608 - our own expression


class SqliteLeases(Part):
    """Leases by SQLite's own clock, which is the machine's."""

    async def acquire(self, name: str, holder: str, seconds: float) -> bool:
        """See `Leases.acquire`."""
        return await self._writer_thread.run(lambda: self._acquire(name, holder, seconds))

    async def release(self, name: str, holder: str) -> None:
        """See `Leases.release`; another holder's lease stays."""
        await self._writer_thread.run(lambda: self._release(name, holder))

    def _acquire(self, name: str, holder: str, seconds: float) -> bool:
        with self._writer.writing() as connection:
            return connection.execute(_ACQUIRE, (name, holder, seconds)).rowcount == 1

    def _release(self, name: str, holder: str) -> None:
        with self._writer.writing() as connection:
            connection.execute("DELETE FROM leases WHERE name = ? AND holder = ?", (name, holder))
