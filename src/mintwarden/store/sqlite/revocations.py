"""Revoked tokens, and proofs that count once, in SQLite."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence

from mintwarden.authn.ports import Revocation
from mintwarden.model.caller import OnceKey
from mintwarden.store.batch import ReadBatcher, share_named
from mintwarden.store.sqlite.inline import InlineReads
from mintwarden.store.sqlite.lookup import Lookup
from mintwarden.store.sqlite.part import Access, Part

SHARED_LIMIT = 256
"""Names of the tokens of one moment; any one has fewer than a hundred."""

Name = tuple[str, str]

_REVOKE = """
    INSERT INTO revocations (about, value, before, until) VALUES (?, ?, ?, ?)
    ON CONFLICT (about, value) DO UPDATE SET
        before = max(before, excluded.before), until = max(until, excluded.until)
"""

_LOOKUP = Lookup(
    "SELECT revocations.about, revocations.value, before FROM wanted CROSS JOIN revocations "
    "ON revocations.about = wanted.about AND revocations.value = wanted.value",
    ("about", "value"),
)


class _Claimed(Exception):
    """One of the proofs was claimed before: the transaction is taken back."""


class SqliteRevocations(Part):
    """Revoked tokens; read by whoever is about to believe one."""

    def __init__(self, access: Access, *, inline: InlineReads) -> None:
        super().__init__(access)
        self._inline = inline
        self._batcher = ReadBatcher(fetch=self._fetch, share=share_named, limit=SHARED_LIMIT)

    def revoked(self, names: Sequence[Name]) -> asyncio.Future[Mapping[Name, int]]:
        """See `RevocationReader.revoked`; the read has begun when this returns."""
        return self._batcher.read(names)

    async def since(self, before: int) -> Sequence[Revocation]:
        """See `RevocationLog.since`."""
        return await self._reader_thread.run(lambda: self._since(before))

    async def revoke(self, revocations: Sequence[Revocation]) -> None:
        """See `RevocationWriter.revoke`."""
        await self._writer_thread.run(lambda: self._revoke(revocations))

    async def claim(self, once: Sequence[OnceKey]) -> bool:
        """See `Claims.claim`."""
        try:
            await self._writer_thread.run(lambda: self._claim(once))
        except _Claimed:
            return False
        return True

    def _fetch(self, names: Sequence[Name]) -> Mapping[Name, int] | asyncio.Future[Mapping[Name, int]]:
        read = self._inline.read if len(names) <= SHARED_LIMIT else self._inline.threaded
        return read(lambda connection: _revoked(connection, names))

    def _since(self, before: int) -> list[Revocation]:
        with self._reader.reading() as connection:
            rows = connection.execute(
                "SELECT about, value, before, until FROM revocations WHERE before >= ?", (before,)
            )
            return [Revocation(about=about, value=value, before=by, until=until) for about, value, by, until in rows]

    def _revoke(self, revocations: Sequence[Revocation]) -> None:
        with self._writer.writing() as connection:
            for one in revocations:
                connection.execute(_REVOKE, (one.about, one.value, one.before, one.until))

    def _claim(self, once: Sequence[OnceKey]) -> None:
        with self._writer.writing() as connection:
            for key in once:
                row = (key.expires_at, key.digest)
                if connection.execute("INSERT OR IGNORE INTO replay VALUES (?, ?)", row).rowcount != 1:
                    raise _Claimed


def _revoked(connection: sqlite3.Connection, names: Sequence[Name]) -> Mapping[Name, int]:
    return {(about, value): before for about, value, before in _LOOKUP.find(connection, names)}
