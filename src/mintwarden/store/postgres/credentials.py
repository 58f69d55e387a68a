"""Client secrets in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from mintwarden.authn.ports import ClientSecret, Credentials
from mintwarden.store.postgres.links import Links
from mintwarden.store.postgres.subject_keys import BUMP

_ADD = """
    INSERT INTO client_secrets (client_id, digest, scheme, created_at, expires_at)
    SELECT * FROM unnest($1::text[], $2::bytea[], $3::text[], $4::bigint[], $5::bigint[]) ORDER BY 1, 2
    ON CONFLICT (client_id, digest) DO UPDATE SET expires_at = excluded.expires_at
"""
# One statement, so that the epoch is that of the snapshot.
_ALL = """
    SELECT m.epoch, s.client_id, s.scheme, s.digest, s.created_at, s.expires_at
    FROM meta m LEFT JOIN client_secrets s ON true ORDER BY s.client_id, s.created_at
"""


class PostgresCredentials:
    """Hashes of client secrets; every change bumps the epoch in the same transaction."""

    def __init__(self, *, reads: Links, writes: Links) -> None:
        self._reads = reads
        self._writes = writes

    async def credentials(self) -> Credentials:
        """See `CredentialReader.credentials`."""
        async with self._reads.connection() as connection:
            rows = await connection.fetch(_ALL)
        secrets: dict[str, list[ClientSecret]] = {}
        for _, client_id, scheme, digest, created_at, expires_at in rows:
            if client_id is not None:
                secret = ClientSecret(
                    client_id=client_id, scheme=scheme, digest=digest, created_at=created_at, expires_at=expires_at
                )
                secrets.setdefault(client_id, []).append(secret)
        return Credentials(rows[0][0], secrets)

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
