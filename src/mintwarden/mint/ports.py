"""What `mint` needs: a place for sealed keys, something that seals them, something that signs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

KeyState = Literal["next", "active", "retiring", "gone"]


class StoredKey(Struct, frozen=True, kw_only=True):
    """A signing key at rest.

    Attributes:
        kid: its JWK thumbprint (RFC 7638).
        purpose: `access_token` or `checkpoint`.
        algorithm: JOSE algorithm, or `Ed25519` for checkpoints.
        state: see `docs/operations.md`; `gone` keys keep their public half and lose the sealed one.
        public_jwk: JSON bytes.
        sealed: the private JWK under the master key; empty when gone.
        created_at, activated_at, retired_at: `Millis`, None while not yet.
    """

    kid: str
    purpose: Literal["access_token", "checkpoint"]
    algorithm: str
    state: KeyState
    public_jwk: bytes
    sealed: bytes
    created_at: int
    activated_at: int | None = None
    retired_at: int | None = None


class Unrecorded(Struct, frozen=True):
    """A key that came into `state` at a time, `Millis`, of which the ledger does not know yet."""

    kid: str
    purpose: Literal["access_token", "checkpoint"]
    algorithm: str
    state: KeyState
    at: int


class KeyStore(Protocol):
    """Keeps signing keys; every change bumps the epoch, and is remembered until it is said to be recorded."""

    async def keys(self) -> Sequence[StoredKey]:
        """All keys, oldest first."""
        ...

    async def add(self, key: StoredKey) -> bool:
        """Store a new key; False when one of that purpose, algorithm and state is already there.

        So there is at most one `next` and one `active` key of a kind, and of two nodes the first stands.
        """
        ...

    async def move(self, kid: str, old: KeyState, new: KeyState, at: int) -> bool:
        """Change its state if it is still `old`; False when another node was first."""
        ...

    async def unrecorded(self, before: int) -> Sequence[Unrecorded]:
        """What happened to keys before a time, `Millis`, and was not said to be recorded; oldest first."""
        ...

    async def recorded(self, kid: str, state: KeyState) -> None:
        """That the key came into that state is in the ledger."""
        ...


class MasterKey(Protocol):
    """Seals what rests in the store. A file or environment key, or a KMS."""

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """Encrypt, bound to `context` (associated data)."""
        ...

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Decrypt; raises `MintwardenError(KEYS)` when it was not sealed here or was changed."""
        ...

    def derive(self, label: bytes) -> bytes:
        """32 bytes for a purpose named by `label`; the same for ever."""
        ...


class Signer(Protocol):
    """Signs with one key."""

    kid: str
    algorithm: str

    async def sign(self, data: bytes) -> bytes:
        """The JOSE signature (raw `r || s` for ECDSA, RFC 7518 section 3.4)."""
        ...


class Lease(Protocol):
    """An election through the store, so that one node makes keys and the others need not try."""

    async def acquire(self, name: str, holder: str, seconds: float) -> bool:
        """Take or renew the lease; False while another holder's has not run out."""
        ...
