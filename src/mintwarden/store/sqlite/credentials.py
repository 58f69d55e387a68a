"""Client secrets in SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mintwarden.authn.ports import ClientRecord, ClientSecret, Credentials
from mintwarden.store.sqlite.part import Part
from mintwarden.store.sqlite.subject_keys import BUMP

_ADD = """
    INSERT INTO client_secrets (client_id, digest, scheme, created_at, expires_at) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (client_id, digest) DO UPDATE SET expires_at = excluded.expires_at
"""
_CLIENT = "client_id, record, keys, retired_at, version, changed_at"
_FIRST = f"INSERT INTO clients ({_CLIENT}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (client_id) DO NOTHING"  # noqa: S608
_REGISTERED = "SELECT client_id FROM clients WHERE record IS NOT NULL AND client_id > ? ORDER BY client_id LIMIT ?"
_NEXT = (
    "UPDATE clients SET record = ?2, keys = ?3, retired_at = ?4, version = ?5, changed_at = ?6 "
    "WHERE client_id = ?1 AND version = ?5 - 1"
)


class SqliteCredentials(Part):
    """Hashes of client secrets, and records of clients; every change bumps the epoch in the same transaction."""

    async def credentials(self) -> Credentials:
        """See `CredentialReader.credentials`."""
        return await self._reader_thread.run(self._credentials)

    async def of(self, client_ids: Sequence[str]) -> Credentials:
        """See `ClientLookup.of`."""
        which = f"WHERE client_id IN ({', '.join('?' * len(client_ids))})"
        return await self._reader_thread.run(lambda: self._credentials(which, tuple(client_ids)))

    async def registered(self, limit: int, after: str = "") -> Sequence[str]:
        """See `ClientLookup.registered`."""
        return await self._reader_thread.run(lambda: self._registered(limit, after))

    async def add_secrets(self, secrets: Sequence[ClientSecret]) -> None:
        """Add them; one that is there already (same client, same digest) takes the new `expires_at`."""
        if secrets:
            await self._writer_thread.run(lambda: self._add(secrets))

    async def remove_secrets(self, client_id: str) -> int:
        """See `CredentialWriter.remove_secrets`."""
        return await self._writer_thread.run(lambda: self._remove(client_id))

    async def put_client(self, client: ClientRecord) -> bool:
        """See `CredentialWriter.put_client`."""
        return await self._writer_thread.run(lambda: self._put_client(client))

    async def forget_client(self, client_id: str, version: int) -> bool:
        """See `CredentialWriter.forget_client`."""
        return await self._writer_thread.run(lambda: self._forget_client(client_id, version))

    def _registered(self, limit: int, after: str) -> list[str]:
        with self._reader.reading() as connection:
            return [client_id for (client_id,) in connection.execute(_REGISTERED, (after, limit))]

    def _credentials(self, which: str = "", client_ids: tuple[str, ...] = ()) -> Credentials:
        secrets: dict[str, list[ClientSecret]] = {}
        with self._reader.reading() as connection:
            connection.execute("BEGIN")
            epoch, activation = connection.execute(
                "SELECT epoch, (SELECT coalesce(max(number), 0) FROM activations) FROM meta"
            ).fetchone()
            rows = connection.execute(
                "SELECT client_id, scheme, digest, created_at, expires_at FROM client_secrets "  # noqa: S608 - our own words
                f"{which} ORDER BY client_id, created_at",
                client_ids,
            )
            for client_id, scheme, digest, created_at, expires_at in rows:
                secrets.setdefault(client_id, []).append(
                    ClientSecret(
                        client_id=client_id, scheme=scheme, digest=digest, created_at=created_at, expires_at=expires_at
                    )
                )
            kept = connection.execute(f"SELECT {_CLIENT} FROM clients {which}", client_ids).fetchall()  # noqa: S608 - ours
            connection.execute("COMMIT")
        return Credentials(epoch, secrets, {row[0]: _client(row) for row in kept}, activation)

    def _add(self, secrets: Sequence[ClientSecret]) -> None:
        with self._writer.writing() as connection:
            connection.executemany(
                _ADD, [(s.client_id, s.digest, s.scheme, s.created_at, s.expires_at) for s in secrets]
            )
            connection.execute(BUMP)

    def _remove(self, client_id: str) -> int:
        with self._writer.writing() as connection:
            removed = connection.execute("DELETE FROM client_secrets WHERE client_id = ?", (client_id,)).rowcount
            if removed:
                connection.execute(BUMP)
            return removed

    def _put_client(self, client: ClientRecord) -> bool:
        values = (client.client_id, client.record, client.keys, client.retired_at, client.version, client.changed_at)
        with self._writer.writing() as connection:
            if connection.execute(_FIRST if client.version == 1 else _NEXT, values).rowcount != 1:
                return False
            connection.execute(BUMP)
            return True

    def _forget_client(self, client_id: str, version: int) -> bool:
        with self._writer.writing() as connection:
            gone = connection.execute("DELETE FROM clients WHERE client_id = ? AND version = ?", (client_id, version))
            if gone.rowcount != 1:
                return False
            connection.execute("DELETE FROM client_secrets WHERE client_id = ?", (client_id,))
            connection.execute(BUMP)
            return True


def _client(row: tuple[Any, ...]) -> ClientRecord:
    client_id, record, keys, retired_at, version, changed_at = row
    return ClientRecord(
        client_id=client_id, record=record, keys=keys, retired_at=retired_at, version=version, changed_at=changed_at
    )
