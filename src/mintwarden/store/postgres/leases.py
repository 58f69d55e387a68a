"""Elections in PostgreSQL."""

from __future__ import annotations

from mintwarden.store.postgres.links import Links

SLACK = 60
"""Seconds. A lease that lasts longer than anybody asks for, and this beside, is of a clock that has stepped back."""

_ACQUIRE = f"""
    INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
    WHERE leases.holder = excluded.holder OR leases.expires_at <= clock_timestamp()
        OR leases.expires_at > clock_timestamp() + make_interval(secs => $3 + {SLACK})
"""  # noqa: S608 - our own number


class PostgresLeases:
    """Leases by the database's clock."""

    def __init__(self, *, writes: Links) -> None:
        self._writes = writes

    async def acquire(self, name: str, holder: str, seconds: float) -> bool:
        """See `Leases.acquire`."""
        async with self._writes.connection() as connection:
            done: str = await connection.execute(_ACQUIRE, name, holder, float(seconds))
        return done.endswith(" 1")

    async def release(self, name: str, holder: str) -> None:
        """See `Leases.release`; another holder's lease stays."""
        async with self._writes.connection() as connection:
            await connection.execute("DELETE FROM leases WHERE name = $1 AND holder = $2", name, holder)
