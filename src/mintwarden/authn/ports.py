"""What `authn` needs from storage and from the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from mintwarden.model.caller import OnceKey


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


class Revocation(Struct, frozen=True, kw_only=True):
    """Tokens that are good no more.

    Attributes:
        about: what they have in common: `token` (a `jti`), `client`, `subject`, `actor` (an entity key), `session`.
        value: which one.
        before: those that were issued by then, `Millis`, are revoked.
        until: none of them is alive after that, `Millis`.
    """

    about: Literal["token", "client", "subject", "actor", "session"]
    value: str
    before: int
    until: int


class RevocationReader(Protocol):
    """Knows what was revoked."""

    async def revoked(self, names: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], int]:
        """Of `names` (about, value), those that were revoked, and `before` of each."""
        ...


class RevocationWriter(Protocol):
    """Revokes."""

    async def revoke(self, revocations: Sequence[Revocation]) -> None:
        """All of them in one transaction; the next read of any node sees them. Nothing revoked becomes good again."""
        ...


class Claims(Protocol):
    """One-time proofs of requests that leave no decision."""

    async def claim(self, once: Sequence[OnceKey]) -> bool:
        """Claim all of `once`, durably; False, and nothing is claimed, where one of them was claimed before."""
        ...


class DocumentFetcher(Protocol):
    """Fetches a JSON document for key discovery; the one guarded way out (`authn/fetch.py`)."""

    async def fetch(self, url: str) -> bytes:
        """The body of a 200 answer. Raises `MintwardenError(SOURCE)` for anything else."""
        ...
