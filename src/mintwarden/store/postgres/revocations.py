"""Revoked tokens, and proofs that count once, in PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from mintwarden.authn.ports import Revocation
from mintwarden.model.caller import OnceKey
from mintwarden.store.batch import ReadBatcher, share_named
from mintwarden.store.postgres.links import Links

SHARED_LIMIT = 512
Name = tuple[str, str]

_REVOKE = """
    INSERT INTO revocations (about, value, before, until) VALUES ($1, $2, $3, $4)
    ON CONFLICT (about, value) DO UPDATE SET
        before = greatest(revocations.before, excluded.before), until = greatest(revocations.until, excluded.until)
"""
_REVOKED = """
    SELECT about, value, before FROM revocations
    WHERE (about, value) IN (SELECT * FROM unnest($1::text[], $2::text[]))
"""


class _Claimed(Exception):
    """One of the proofs was claimed before: the transaction is taken back."""


class PostgresRevocations:
    """Revoked tokens; read by whoever is about to believe one."""

    def __init__(self, *, reads: Links, writes: Links) -> None:
        self._reads = reads
        self._writes = writes
        self._batcher: ReadBatcher[Name, Mapping[Name, int]] = ReadBatcher(
            fetch=self._fetch, share=share_named, limit=SHARED_LIMIT
        )

    def revoked(self, names: Sequence[Name]) -> asyncio.Future[Mapping[Name, int]]:
        """See `RevocationReader.revoked`; the read has begun when this returns."""
        return self._batcher.read(names)

    async def _fetch(self, names: Sequence[Name]) -> Mapping[Name, int]:
        async with self._reads.connection() as connection:
            rows = await connection.fetch(_REVOKED, [about for about, _ in names], [value for _, value in names])
        return {(row["about"], row["value"]): row["before"] for row in rows}

    async def since(self, before: int) -> Sequence[Revocation]:
        """See `RevocationLog.since`."""
        async with self._reads.connection() as connection:
            rows = await connection.fetch(
                "SELECT about, value, before, until FROM revocations WHERE before >= $1", before
            )
        return [Revocation(**row) for row in rows]

    async def revoke(self, revocations: Sequence[Revocation]) -> None:
        """See `RevocationWriter.revoke`."""
        async with self._writes.transaction() as connection:
            # in one order, so that two that revoke the same never wait for each other
            for one in sorted(revocations, key=lambda each: (each.about, each.value)):
                await connection.execute(_REVOKE, one.about, one.value, one.before, one.until)

    async def claim(self, once: Sequence[OnceKey]) -> bool:
        """See `Claims.claim`."""
        try:
            async with self._writes.transaction() as connection:
                for key in sorted(once, key=lambda each: (each.expires_at, each.digest)):
                    done = await connection.execute(
                        "INSERT INTO replay (expires_at, digest) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                        key.expires_at,
                        key.digest,
                    )
                    if not done.endswith(" 1"):
                        raise _Claimed
        except _Claimed:
            return False
        return True
