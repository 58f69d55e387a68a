"""Bundle versions in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mintwarden.govern.ports import Activation, Intent, OpenFinding, StoredSignature, StoredVersion, VersionName
from mintwarden.store.postgres.links import Links
from mintwarden.store.postgres.subject_keys import BUMP

_ACTIVATION = "number, digest, previous, kind, at, until, returns_to, reason, done_by, entry_id"
_LATEST = 2**62
"""No time and no number is as large."""

_FINDING = "id, kind, about, opened_at, closed_at, closed_by, note"
_LOCK = 0x4D57_4143
"""Of PostgreSQL's advisory locks: one activation at a time."""

_INSERT = f"INSERT INTO activations ({_ACTIVATION}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"  # noqa: S608 - ours
_OPEN = f"INSERT INTO findings ({_FINDING}) VALUES ($1, $2, $3, $4, NULL, '', '')"  # noqa: S608 - our own columns


class PostgresVersions:
    """See `VersionStore`."""

    def __init__(self, *, reads: Links, writes: Links) -> None:
        self._reads = reads
        self._writes = writes

    async def put_version(self, version: StoredVersion, signatures: Sequence[StoredSignature]) -> int:
        """See `VersionStore.put_version`."""
        async with self._writes.transaction() as connection:
            await connection.execute(
                "INSERT INTO bundle_versions (digest, content, added_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                version.digest,
                version.content,
                version.added_at,
            )
            done: str = await connection.execute(
                "INSERT INTO bundle_signatures (digest, id, content, added_at) "
                "SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[]) ORDER BY 1, 2 "
                "ON CONFLICT DO NOTHING",
                [one.digest for one in signatures],
                [one.id for one in signatures],
                [one.content for one in signatures],
                [one.added_at for one in signatures],
            )
        return int(done.rpartition(" ")[2])

    async def version(self, digest: str) -> StoredVersion | None:
        """See `VersionStore.version`."""
        rows = await self._fetch("SELECT digest, content, added_at FROM bundle_versions WHERE digest = $1", digest)
        return StoredVersion(*rows[0]) if rows else None

    async def versions(self, limit: int, beyond: VersionName | None = None) -> Sequence[VersionName]:
        """See `VersionStore.versions`."""
        found = (
            "SELECT digest, added_at FROM bundle_versions WHERE added_at <= $1 AND (added_at < $1 OR digest > $2) "
            "ORDER BY added_at DESC, digest LIMIT $3"
        )
        place = (_LATEST, "") if beyond is None else (beyond.added_at, beyond.digest)
        return [VersionName(*row) for row in await self._fetch(found, *place, limit)]

    async def signatures(self, digest: str) -> Sequence[StoredSignature]:
        """See `VersionStore.signatures`."""
        found = "SELECT digest, id, content, added_at FROM bundle_signatures WHERE digest = $1 ORDER BY id"
        return [StoredSignature(*row) for row in await self._fetch(found, digest)]

    async def active(self) -> Activation | None:
        """See `VersionStore.active`."""
        found = await self.activations(1)
        return found[0] if found else None

    async def activations(self, limit: int, below: int | None = None) -> Sequence[Activation]:
        """See `VersionStore.activations`."""
        found = f"SELECT {_ACTIVATION} FROM activations WHERE number < $1 ORDER BY number DESC LIMIT $2"  # noqa: S608 - our own columns
        return [_activation(row) for row in await self._fetch(found, _LATEST if below is None else below, limit)]

    async def intend(self, intent: Intent) -> None:
        """See `VersionStore.intend`."""
        async with self._writes.connection() as connection:
            await connection.execute(
                "INSERT INTO activation_intents (entry_id, number, digest, kind, at) VALUES ($1, $2, $3, $4, $5)",
                intent.entry_id,
                intent.number,
                intent.digest,
                intent.kind,
                intent.at,
            )

    async def abandoned(self, limit: int) -> Sequence[Intent]:
        """See `VersionStore.abandoned`."""
        found = (
            "SELECT entry_id, number, digest, kind, at FROM activation_intents "
            "WHERE entry_id NOT IN (SELECT entry_id FROM activations) ORDER BY at DESC, entry_id LIMIT $1"
        )
        return [Intent(**dict(row)) for row in await self._fetch(found, limit)]

    async def activate(self, activation: Activation, finding: OpenFinding | None = None) -> bool:
        """See `VersionStore.activate`."""
        new = activation
        async with self._writes.transaction() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            last = await connection.fetchrow("SELECT number, digest FROM activations ORDER BY number DESC LIMIT 1")
            number, digest = (0, "") if last is None else tuple(last)
            if (new.number, new.previous) != (number + 1, digest):
                return False
            await connection.execute(
                _INSERT, new.number, new.digest, new.previous, new.kind, new.at, new.until, new.returns_to, new.reason,
                new.by, new.entry_id,
            )  # fmt: skip
            if finding is not None:
                await connection.execute(_OPEN, finding.id, finding.kind, finding.about, finding.opened_at)
            await connection.execute(BUMP)
        return True

    async def findings(self, *, closed: bool = False) -> Sequence[OpenFinding]:
        """See `VersionStore.findings`."""
        which = "" if closed else "WHERE closed_at IS NULL"
        rows = await self._fetch(f"SELECT {_FINDING} FROM findings {which} ORDER BY opened_at, id")  # noqa: S608 - ours
        return [OpenFinding(**dict(row)) for row in rows]

    async def findings_page(self, limit: int, after: str = "") -> Sequence[OpenFinding]:
        """See `VersionStore.findings_page`."""
        found = f"SELECT {_FINDING} FROM findings WHERE id > $1 ORDER BY id LIMIT $2"  # noqa: S608 - our own columns
        return [OpenFinding(**dict(row)) for row in await self._fetch(found, after, limit)]

    async def finding(self, finding_id: str) -> OpenFinding | None:
        """See `VersionStore.finding`."""
        rows = await self._fetch(f"SELECT {_FINDING} FROM findings WHERE id = $1", finding_id)  # noqa: S608 - ours
        return OpenFinding(**dict(rows[0])) if rows else None

    async def close_finding(self, finding_id: str, *, at: int, by: str, note: str) -> bool:
        """See `VersionStore.close_finding`."""
        async with self._writes.connection() as connection:
            done: str = await connection.execute(
                "UPDATE findings SET closed_at = $2, closed_by = $3, note = $4 WHERE id = $1 AND closed_at IS NULL",
                finding_id,
                at,
                by,
                note,
            )
        return done.endswith(" 1")

    async def _fetch(self, statement: str, *parameters: object) -> list[Any]:
        async with self._reads.connection() as connection:
            rows: list[Any] = await connection.fetch(statement, *parameters)
        return rows


def _activation(row: Any) -> Activation:
    values = dict(row)
    values["by"] = values.pop("done_by")
    return Activation(**values)
