"""Bundle versions in SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mintwarden.govern.ports import Activation, Intent, OpenFinding, StoredSignature, StoredVersion, VersionName
from mintwarden.store.sqlite.part import Part
from mintwarden.store.sqlite.subject_keys import BUMP

_ACTIVATION = "number, digest, previous, kind, at, until, returns_to, reason, done_by, entry_id"
_LATEST = 2**62
"""No time and no number is as large."""

_FINDING = "id, kind, about, opened_at, closed_at, closed_by, note"


class SqliteVersions(Part):
    """See `VersionStore`."""

    async def put_version(self, version: StoredVersion, signatures: Sequence[StoredSignature]) -> int:
        """See `VersionStore.put_version`."""
        return await self._writer_thread.run(lambda: self._put_version(version, signatures))

    async def version(self, digest: str) -> StoredVersion | None:
        """See `VersionStore.version`."""
        rows = await self._read("SELECT digest, content, added_at FROM bundle_versions WHERE digest = ?", digest)
        return StoredVersion(*rows[0]) if rows else None

    async def versions(self, limit: int, beyond: VersionName | None = None) -> Sequence[VersionName]:
        """See `VersionStore.versions`."""
        found = (
            "SELECT digest, added_at FROM bundle_versions WHERE added_at <= ?1 AND (added_at < ?1 OR digest > ?2) "
            "ORDER BY added_at DESC, digest LIMIT ?3"
        )
        place = (_LATEST, "") if beyond is None else (beyond.added_at, beyond.digest)
        return [VersionName(*row) for row in await self._read(found, *place, limit)]

    async def signatures(self, digest: str) -> Sequence[StoredSignature]:
        """See `VersionStore.signatures`."""
        found = "SELECT digest, id, content, added_at FROM bundle_signatures WHERE digest = ? ORDER BY id"
        return [StoredSignature(*row) for row in await self._read(found, digest)]

    async def active(self) -> Activation | None:
        """See `VersionStore.active`."""
        found = await self.activations(1)
        return found[0] if found else None

    async def activations(self, limit: int, below: int | None = None) -> Sequence[Activation]:
        """See `VersionStore.activations`."""
        found = f"SELECT {_ACTIVATION} FROM activations WHERE number < ? ORDER BY number DESC LIMIT ?"  # noqa: S608 - our own columns
        return [_activation(row) for row in await self._read(found, _LATEST if below is None else below, limit)]

    async def intend(self, intent: Intent) -> None:
        """See `VersionStore.intend`."""
        await self._writer_thread.run(lambda: self._intend(intent))

    async def abandoned(self, limit: int) -> Sequence[Intent]:
        """See `VersionStore.abandoned`."""
        found = (
            "SELECT entry_id, number, digest, kind, at FROM activation_intents "
            "WHERE entry_id NOT IN (SELECT entry_id FROM activations) ORDER BY at DESC, entry_id LIMIT ?"
        )
        rows = await self._read(found, limit)
        return [Intent(entry_id=e, number=n, digest=d, kind=k, at=at) for e, n, d, k, at in rows]

    async def activate(self, activation: Activation, finding: OpenFinding | None = None) -> bool:
        """See `VersionStore.activate`."""
        return await self._writer_thread.run(lambda: self._activate(activation, finding))

    async def findings(self, *, closed: bool = False) -> Sequence[OpenFinding]:
        """See `VersionStore.findings`."""
        which = "" if closed else "WHERE closed_at IS NULL"
        rows = await self._read(f"SELECT {_FINDING} FROM findings {which} ORDER BY opened_at, id")  # noqa: S608 - ours
        return [_finding(row) for row in rows]

    async def findings_page(self, limit: int, after: str = "") -> Sequence[OpenFinding]:
        """See `VersionStore.findings_page`."""
        found = f"SELECT {_FINDING} FROM findings WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608 - our own columns
        return [_finding(row) for row in await self._read(found, after, limit)]

    async def finding(self, finding_id: str) -> OpenFinding | None:
        """See `VersionStore.finding`."""
        rows = await self._read(f"SELECT {_FINDING} FROM findings WHERE id = ?", finding_id)  # noqa: S608 - ours
        return _finding(rows[0]) if rows else None

    async def close_finding(self, finding_id: str, *, at: int, by: str, note: str) -> bool:
        """See `VersionStore.close_finding`."""
        return await self._writer_thread.run(lambda: self._close(finding_id, at, by, note))

    async def _read(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        def read() -> list[tuple[Any, ...]]:
            with self._reader.reading() as connection:
                return connection.execute(statement, parameters).fetchall()

        return await self._reader_thread.run(read)

    def _put_version(self, version: StoredVersion, signatures: Sequence[StoredSignature]) -> int:
        with self._writer.writing() as connection:
            connection.execute(
                "INSERT INTO bundle_versions (digest, content, added_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (version.digest, version.content, version.added_at),
            )
            return sum(
                connection.execute(
                    "INSERT INTO bundle_signatures (digest, id, content, added_at) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT DO NOTHING",
                    (one.digest, one.id, one.content, one.added_at),
                ).rowcount
                for one in signatures
            )

    def _intend(self, intent: Intent) -> None:
        with self._writer.writing() as connection:
            connection.execute(
                "INSERT INTO activation_intents (entry_id, number, digest, kind, at) VALUES (?, ?, ?, ?, ?)",
                (intent.entry_id, intent.number, intent.digest, intent.kind, intent.at),
            )

    def _activate(self, new: Activation, finding: OpenFinding | None) -> bool:
        with self._writer.writing() as connection:
            last, digest = connection.execute(
                "SELECT number, digest FROM activations UNION ALL SELECT 0, '' ORDER BY number DESC LIMIT 1"
            ).fetchone()
            if (new.number, new.previous) != (last + 1, digest):
                return False
            connection.execute(
                f"INSERT INTO activations ({_ACTIVATION}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - ours
                (
                    new.number, new.digest, new.previous, new.kind, new.at, new.until, new.returns_to, new.reason,
                    new.by, new.entry_id,
                ),
            )  # fmt: skip
            if finding is not None:
                connection.execute(
                    f"INSERT INTO findings ({_FINDING}) VALUES (?, ?, ?, ?, NULL, '', '')",  # noqa: S608 - ours
                    (finding.id, finding.kind, finding.about, finding.opened_at),
                )
            connection.execute(BUMP)
            return True

    def _close(self, finding_id: str, at: int, by: str, note: str) -> bool:
        with self._writer.writing() as connection:
            return (
                connection.execute(
                    "UPDATE findings SET closed_at = ?, closed_by = ?, note = ? WHERE id = ? AND closed_at IS NULL",
                    (at, by, note, finding_id),
                ).rowcount
                == 1
            )


def _activation(row: Sequence[Any]) -> Activation:
    names = ("number", "digest", "previous", "kind", "at", "until", "returns_to", "reason", "by", "entry_id")
    return Activation(**dict(zip(names, row, strict=True)))


def _finding(row: Sequence[Any]) -> OpenFinding:
    names = ("id", "kind", "about", "opened_at", "closed_at", "closed_by", "note")
    return OpenFinding(**dict(zip(names, row, strict=True)))
