"""What `authn` needs from storage and from the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct


class ClientSecret(Struct, frozen=True, kw_only=True):
    """A stored client secret. `scheme` `hmac-sha256` is a keyed hash of one of ours, `argon2id` an imported one."""

    client_id: str
    scheme: Literal["hmac-sha256", "argon2id"]
    digest: bytes
    created_at: int
    expires_at: int | None = None


class ClientRecord(Struct, frozen=True, kw_only=True):
    """What is kept about a client beside the bundle.

    Attributes:
        record: the registered client as JSON (`model.catalogue.Client`); None for a client of the bundle.
        keys: public keys that stand instead of the client's own, as a JSON array of JWKs; None for none.
        retired_at: since when it is refused, `Millis`; None while it is not.
        version: grows by one with each change, from 1.
    """

    client_id: str
    record: bytes | None = None
    keys: bytes | None = None
    retired_at: int | None = None
    version: int = 0
    changed_at: int = 0


class Credentials(Struct, frozen=True):
    """Every client's secrets, and what is kept about clients beside the bundle, as of `epoch`.

    `activation` is the number of the bundle activation that was in force then; 0 before the first.
    """

    epoch: int
    secrets: Mapping[str, Sequence[ClientSecret]]
    clients: Mapping[str, ClientRecord] = {}
    activation: int = 0


class CredentialReader(Protocol):
    """Reads client secrets and what is kept about clients."""

    async def credentials(self) -> Credentials:
        """All of them, from one committed state together with the epoch it belongs to."""
        ...


class CredentialWriter(Protocol):
    """Changes client secrets; each change bumps the epoch."""

    async def add_secrets(self, secrets: Sequence[ClientSecret]) -> None: ...

    async def remove_secrets(self, client_id: str) -> int:
        """How many were removed."""
        ...

    async def put_client(self, client: ClientRecord) -> bool:
        """Keep `client` if it follows the stored version by one; False, and nothing changed, otherwise."""
        ...


class DocumentFetcher(Protocol):
    """Fetches a JSON document for key discovery; the one guarded way out (`authn/fetch.py`)."""

    async def fetch(self, url: str) -> bytes:
        """The body of a 200 answer. Raises `MintwardenError(SOURCE)` for anything else."""
        ...
