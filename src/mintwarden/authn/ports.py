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


class Credentials(Struct, frozen=True):
    """Every client's secrets, as of `epoch`."""

    epoch: int
    secrets: Mapping[str, Sequence[ClientSecret]]


class CredentialReader(Protocol):
    """Reads client secrets."""

    async def credentials(self) -> Credentials:
        """All of them, from one committed state together with the epoch it belongs to."""
        ...


class CredentialWriter(Protocol):
    """Changes client secrets; each change bumps the epoch."""

    async def add_secrets(self, secrets: Sequence[ClientSecret]) -> None: ...

    async def remove_secrets(self, client_id: str) -> int:
        """How many were removed."""
        ...


class DocumentFetcher(Protocol):
    """Fetches a JSON document for key discovery; the one guarded way out (`authn/fetch.py`)."""

    async def fetch(self, url: str) -> bytes:
        """The body of a 200 answer. Raises `MintwardenError(SOURCE)` for anything else."""
        ...
