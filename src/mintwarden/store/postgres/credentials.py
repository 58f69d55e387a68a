"""Client secrets in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mintwarden.authn.ports import ClientRecord, ClientSecret, Credentials
from mintwarden.store.postgres.links import Links
from mintwarden.store.postgres.subject_keys import BUMP

_ADD = """
    INSERT INTO client_secrets (client_id, digest, scheme, created_at, expires_at)
    SELECT * FROM unnest($1::text[], $2::bytea[], $3::text[], $4::bigint[], $5::bigint[]) ORDER BY 1, 2
    ON CONFLICT (client_id, digest) DO UPDATE SET expires_at = excluded.expires_at
"""
_SECRETS = """
    SELECT m.epoch, (SELECT coalesce(max(number), 0) FROM activations),
        s.client_id, s.scheme, s.digest, s.created_at, s.expires_at
    FROM meta m LEFT JOIN client_secrets s ON {which} ORDER BY s.client_id, s.created_at
"""
_CLIENTS = "SELECT client_id, record, keys, retired_at, version, changed_at FROM clients WHERE {which}"
_REGISTERED = "SELECT client_id FROM clients WHERE record IS NOT NULL AND client_id > $1 ORDER BY client_id LIMIT $2"
_FIRST = """
    INSERT INTO clients (client_id, record, keys, retired_at, version, changed_at) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (client_id) DO NOTHING RETURNING client_id
"""
_NEXT = """
    UPDATE clients SET record = $2, keys = $3, retired_at = $4, version = $5, changed_at = $6
    WHERE client_id = $1 AND version = $5 - 1 RETURNING client_id
"""


class PostgresCredentials:
    """Hashes of client secrets, and records of clients; every change bumps the epoch in the same transaction."""

    def __init__(self, *, reads: Links, writes: Links) -> None:
        self._reads = reads
        self._writes = writes

    async def credentials(self) -> Credentials:
        """See `CredentialReader.credentials`."""
        return await self._read("true")

    async def of(self, client_ids: Sequence[str]) -> Credentials:
        """See `ClientLookup.of`."""
        return await self._read("client_id = ANY($1::text[])", list(client_ids))

    async def registered(self, limit: int, after: str = "") -> Sequence[str]:
        """See `ClientLookup.registered`."""
        async with self._reads.connection() as connection:
            return [row["client_id"] for row in await connection.fetch(_REGISTERED, after, limit)]

    async def _read(self, which: str, *parameters: object) -> Credentials:
        async with self._reads.connection() as connection, connection.transaction(isolation="repeatable_read"):
            rows = await connection.fetch(_SECRETS.format(which=which), *parameters)
            kept = await connection.fetch(_CLIENTS.format(which=which), *parameters)
        secrets: dict[str, list[ClientSecret]] = {}
        for _, _, client_id, scheme, digest, created_at, expires_at in rows:
            if client_id is not None:
                secret = ClientSecret(
                    client_id=client_id, scheme=scheme, digest=digest, created_at=created_at, expires_at=expires_at
                )
                secrets.setdefault(client_id, []).append(secret)
        return Credentials(rows[0][0], secrets, {row[0]: _client(row) for row in kept}, rows[0][1])

    async def add_secrets(self, secrets: Sequence[ClientSecret]) -> None:
        """Add them; one that is there already (same client, same digest) takes the new `expires_at`."""
        unique = {(s.client_id, s.digest): s for s in secrets}.values()
        if not unique:
            return
        async with self._writes.transaction() as connection:
            await connection.execute(
                _ADD,
                [s.client_id for s in unique],
                [s.digest for s in unique],
                [s.scheme for s in unique],
                [s.created_at for s in unique],
                [s.expires_at for s in unique],
            )
            await connection.execute(BUMP)

    async def remove_secrets(self, client_id: str) -> int:
        """See `CredentialWriter.remove_secrets`."""
        async with self._writes.transaction() as connection:
            done = await connection.execute("DELETE FROM client_secrets WHERE client_id = $1", client_id)
            removed = int(done.rpartition(" ")[2])
            if removed:
                await connection.execute(BUMP)
            return removed

    async def put_client(self, client: ClientRecord) -> bool:
        """See `CredentialWriter.put_client`."""
        values = (client.client_id, client.record, client.keys, client.retired_at, client.version, client.changed_at)
        async with self._writes.transaction() as connection:
            put = await connection.fetchval(_FIRST if client.version == 1 else _NEXT, *values)
            if put is not None:
                await connection.execute(BUMP)
        return put is not None

    async def forget_client(self, client_id: str, version: int) -> bool:
        """See `CredentialWriter.forget_client`."""
        async with self._writes.transaction() as connection:
            gone = await connection.execute(
                "DELETE FROM clients WHERE client_id = $1 AND version = $2", client_id, version
            )
            if int(gone.rpartition(" ")[2]) != 1:
                return False
            await connection.execute("DELETE FROM client_secrets WHERE client_id = $1", client_id)
            await connection.execute(BUMP)
        return True


def _client(row: Sequence[Any]) -> ClientRecord:
    client_id, record, keys, retired_at, version, changed_at = row
    return ClientRecord(
        client_id=client_id, record=record, keys=keys, retired_at=retired_at, version=version, changed_at=changed_at
    )
