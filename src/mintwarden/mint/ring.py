"""The key ring: what this node signs and verifies with, as of the store's last change."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from mintwarden.mint.generate import CHECKPOINT_ALGORITHM, open_signer
from mintwarden.mint.jwks import PUBLISHED, KeySet, key_set, public_jwk
from mintwarden.mint.ports import KeyStore, MasterKey, Signer, StoredKey
from mintwarden.mint.signers import LocalSigner
from mintwarden.model.errors import ErrorKind, MintwardenError

_SIGNS_FIRST = ("active", "retiring", "next")
"""`retiring` and `next` only in the blink between retiring one key and activating the next: both are published."""


class CheckpointKey(Struct, frozen=True):
    """The ledger's signing key and its 32 public bytes (RFC 8032)."""

    signer: LocalSigner
    public: bytes


class _View(Struct, frozen=True):
    """One consistent state of the ring."""

    keys: tuple[StoredKey, ...]
    signers: Mapping[tuple[str, str], LocalSigner]
    public: Mapping[str, Mapping[str, Any]]
    key_set: KeySet


class KeyRing:
    """Answers from memory; `follow` brings it up to date when the store's epoch has moved on."""

    def __init__(self, *, store: KeyStore, master: MasterKey, jwks_max_age: int) -> None:
        self._store = store
        self._master = master
        self._max_age = jwks_max_age
        self._epoch = -1
        self._opened: dict[tuple[bytes, bytes], LocalSigner] = {}
        self._lock = asyncio.Lock()
        self._view = _View((), {}, {}, key_set((), max_age=jwks_max_age))

    @property
    def epoch(self) -> int:
        """The store's epoch that the present keys are at least as new as; -1 before the first `follow`."""
        return self._epoch

    async def follow(self, epoch: int) -> None:
        """Be at least as new as `epoch`. Costs nothing while it has not moved.

        Raises `KEYS` when a key does not open, `UNAVAILABLE` when the store does not answer; the next call tries
        again, so that it recovers without a restart.
        """
        if epoch > self._epoch:
            async with self._lock:
                if epoch > self._epoch:
                    await self._load()
                    self._epoch = epoch

    async def refresh(self) -> None:
        """Read the keys again, whatever the epoch."""
        async with self._lock:
            await self._load()

    def signer_for(self, algorithm: str) -> Signer:
        """The active signer of an algorithm; raises `KEYS` when there is none."""
        signer = self._view.signers.get(("access_token", algorithm))
        if signer is None:
            raise MintwardenError(
                ErrorKind.KEYS, f"there is no signing key for `{algorithm}`", hint="see `mintwarden keys list`"
            )
        return signer

    def public_jwk(self, kid: str) -> Mapping[str, Any] | None:
        """The published key of that name, with its `alg`; None for unknown, revoked and outlived ones."""
        return self._view.public.get(kid)

    def checkpoint_key(self) -> CheckpointKey:
        """What the ledger's checkpoints are signed with; raises `KEYS` when there is none."""
        signer = self._view.signers.get(("checkpoint", CHECKPOINT_ALGORITHM))
        if signer is None:
            raise MintwardenError(ErrorKind.KEYS, "the ledger has no checkpoint key", hint="see `mintwarden keys list`")
        return CheckpointKey(signer, next(public for kid, public in self.checkpoint_keys() if kid == signer.kid))

    def checkpoint_keys(self) -> Sequence[tuple[str, bytes]]:
        """Every checkpoint key that ever was, oldest first, by `kid`: old checkpoints verify with old keys."""
        return [
            (key.kid, _raw(json.loads(key.public_jwk)["x"])) for key in self._view.keys if key.purpose == "checkpoint"
        ]

    @property
    def key_set(self) -> KeySet:
        """The published key set."""
        return self._view.key_set

    @property
    def keys(self) -> Sequence[StoredKey]:
        """Every key, oldest first."""
        return self._view.keys

    async def _load(self) -> None:
        keys = tuple(await self._store.keys())
        opened: dict[tuple[bytes, bytes], LocalSigner] = {}
        signers: dict[tuple[str, str], LocalSigner] = {}
        for key in _by_precedence(keys):
            kind = (key.purpose, key.algorithm)
            if kind not in signers:
                signers[kind] = self._open(key, opened)
        published = [
            key
            for key in keys
            if key.purpose == "access_token" and key.state in PUBLISHED and self._is_ours(key, opened)
        ]
        self._opened = opened
        self._view = _View(
            keys=keys,
            signers=signers,
            public={key.kid: public_jwk(key) for key in published},
            key_set=key_set(published, max_age=self._max_age),
        )

    def _open(self, key: StoredKey, opened: dict[tuple[bytes, bytes], LocalSigner]) -> LocalSigner:
        halves = (key.sealed, key.public_jwk)
        signer = opened.get(halves) or self._opened.get(halves) or open_signer(key, self._master)
        opened[halves] = signer
        return signer

    def _is_ours(self, key: StoredKey, opened: dict[tuple[bytes, bytes], LocalSigner]) -> bool:
        """INVARIANT: what was not sealed here is not published, or whoever writes to the store could sign tokens."""
        try:
            self._open(key, opened)
        except MintwardenError:
            return False
        return True


def _by_precedence(keys: Iterable[StoredKey]) -> list[StoredKey]:
    """Usable keys, the one that should sign first; of several retiring ones the youngest."""
    usable = [key for key in keys if key.state in _SIGNS_FIRST]
    return sorted(usable, key=lambda key: (_SIGNS_FIRST.index(key.state), -(key.activated_at or 0)))


def _raw(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
