"""A PostgreSQL store, opened: which connections there are and what each is for."""

from __future__ import annotations

from mintwarden.model.errors import MintwardenError
from mintwarden.store.postgres.answers import PostgresAnswers
from mintwarden.store.postgres.credentials import PostgresCredentials
from mintwarden.store.postgres.decision_index import PostgresDecisionIndex
from mintwarden.store.postgres.directory import PostgresDirectory
from mintwarden.store.postgres.entries import PostgresEntries
from mintwarden.store.postgres.exceptions import PostgresExceptions
from mintwarden.store.postgres.facts import PostgresFacts
from mintwarden.store.postgres.finding_states import PostgresFindingStates
from mintwarden.store.postgres.keys import PostgresKeys
from mintwarden.store.postgres.leases import PostgresLeases
from mintwarden.store.postgres.links import Links
from mintwarden.store.postgres.revocations import PostgresRevocations
from mintwarden.store.postgres.scim import PostgresScim
from mintwarden.store.postgres.states import PostgresStates
from mintwarden.store.postgres.subject_keys import BUMP, PostgresSubjectKeys
from mintwarden.store.postgres.tree import PostgresTree
from mintwarden.store.postgres.versions import PostgresVersions
from mintwarden.store.store import Health

PURGE_LIMIT = 5000
# Something must be written: a commit of nothing says nothing about the disk.
_PROBE = """
    INSERT INTO leases (name, holder, expires_at) VALUES ('readiness', '', clock_timestamp())
    ON CONFLICT (name) DO UPDATE SET expires_at = excluded.expires_at
"""


class PostgresStore:
    """See `Store`. The hot path has connections of its own, so that nothing else makes it wait."""

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self._hot_reads = Links(url, size=1, read_only=True)
        self._appends = Links(url, size=2, read_only=read_only)
        self._reads = Links(url, size=2, read_only=True)
        self._writes = Links(url, size=2, read_only=read_only)
        self.facts = PostgresFacts(reads=self._hot_reads, writes=self._writes)
        self.entries = PostgresEntries(reads=self._reads, appends=self._appends)
        self.tree = PostgresTree(reads=self._reads, writes=self._writes)
        self.leases = PostgresLeases(writes=self._writes)
        self.subject_keys = PostgresSubjectKeys(reads=self._reads, writes=self._writes)
        self.credentials = PostgresCredentials(reads=self._reads, writes=self._writes)
        self.keys = PostgresKeys(reads=self._reads, writes=self._writes)
        self.directory = PostgresDirectory(reads=self._reads, writes=self._writes)
        self.exceptions = PostgresExceptions(reads=self._reads, writes=self._writes)
        self.versions = PostgresVersions(reads=self._reads, writes=self._writes)
        self.decision_index = PostgresDecisionIndex(reads=self._reads, writes=self._writes)
        self.revocations = PostgresRevocations(reads=self._reads, writes=self._writes)
        self.states = PostgresStates(reads=self._reads, writes=self._writes)
        self.answers = PostgresAnswers(writes=self._writes)
        self.scim = PostgresScim(reads=self._reads, writes=self._writes)
        self.finding_states = PostgresFindingStates(reads=self._reads, writes=self._writes)

    async def epoch(self) -> int:
        """See `Store.epoch`."""
        async with self._reads.connection() as connection:
            return int(await connection.fetchval("SELECT epoch FROM meta"))

    async def bump_epoch(self) -> int:
        """See `Store.bump_epoch`."""
        async with self._writes.connection() as connection:
            return int(await connection.fetchval(f"{BUMP} RETURNING epoch"))

    async def purge(self, now: int) -> int:
        """See `Store.purge`."""
        async with self._writes.connection() as connection:
            await connection.execute("DELETE FROM answers WHERE expires_at < $1", now)
            await connection.execute("DELETE FROM states WHERE expires_at < $1", now)
            await connection.execute("DELETE FROM revocations WHERE until < $1", now)
            done = await connection.execute(
                "DELETE FROM replay WHERE (expires_at, digest) IN "
                "(SELECT expires_at, digest FROM replay WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
                now,
                PURGE_LIMIT,
            )
        return int(done.rpartition(" ")[2])

    async def health(self) -> Health:
        """See `Store.health`."""
        try:
            entries = await self.entries.count()
        except MintwardenError as error:
            return Health(reads=False, writes=False, detail=error.public)
        try:
            async with self._writes.connection() as connection:
                await connection.execute(_PROBE)
        except MintwardenError as error:
            return Health(reads=True, writes=False, detail=error.public, entries=entries)
        return Health(reads=True, writes=True, entries=entries)

    async def close(self) -> None:
        """See `Store.close`."""
        for links in (self._hot_reads, self._appends, self._reads, self._writes):
            await links.close()


async def open_postgres(url: str, *, read_only: bool) -> PostgresStore:
    """Connect to `url`; raises `UNAVAILABLE`, or `STORE` when the schema does not fit this code."""
    store = PostgresStore(url, read_only=read_only)
    try:
        await store.epoch()
    except BaseException:
        await store.close()
        raise
    return store
