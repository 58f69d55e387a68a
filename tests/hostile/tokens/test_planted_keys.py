"""Whoever writes to the database, but has no master key, must not make the world trust a key of his own."""

from __future__ import annotations

import json
import secrets

import pytest
from joserfc.jwk import ECKey
from msgspec.structs import replace

from mintwarden.mint.generate import generate
from mintwarden.mint.master import LocalMasterKey
from mintwarden.mint.ports import KeyState, StoredKey, Unrecorded
from mintwarden.mint.ring import KeyRing
from mintwarden.model.errors import ErrorKind, MintwardenError

MASTER = LocalMasterKey(b"m" * 32, random_bytes=secrets.token_bytes)
OTHER = LocalMasterKey(b"o" * 32, random_bytes=secrets.token_bytes)


class Database:
    """A key store that holds what an intruder left in it."""

    def __init__(self, *keys: StoredKey) -> None:
        self._keys = keys

    async def keys(self) -> tuple[StoredKey, ...]:
        return self._keys

    async def add(self, key: StoredKey) -> bool:
        raise NotImplementedError

    async def move(self, kid: str, old: KeyState, new: KeyState, at: int) -> bool:
        raise NotImplementedError

    async def unrecorded(self, before: int) -> tuple[Unrecorded, ...]:
        raise NotImplementedError

    async def recorded(self, kid: str, state: KeyState) -> None:
        raise NotImplementedError


def stored(state: KeyState, master: LocalMasterKey = MASTER) -> StoredKey:
    return generate(purpose="access_token", algorithm="ES256", state=state, now=1, master=master)


async def ring_of(*keys: StoredKey) -> KeyRing:
    ring = KeyRing(store=Database(*keys), master=MASTER, jwks_max_age=60)
    await ring.follow(1)
    return ring


def published(ring: KeyRing) -> set[str]:
    kids = {key["kid"] for key in json.loads(ring.key_set.body)["keys"]}
    assert all(ring.public_jwk(kid) for kid in kids)
    return kids


@pytest.mark.parametrize("state", ["next", "retiring"])
async def test_a_key_that_was_not_sealed_here_is_not_published(state: KeyState) -> None:
    good, waiting, planted = stored("active"), stored("next"), stored(state, OTHER)
    unsealed = replace(stored(state), sealed=b"")
    ring = await ring_of(good, waiting, planted, unsealed)
    assert published(ring) == {good.kid, waiting.kid}
    assert ring.public_jwk(planted.kid) is None
    assert ring.signer_for("ES256").kid == good.kid


@pytest.mark.parametrize("state", ["active", "next", "retiring"])
async def test_a_public_half_that_was_replaced_is_not_published(state: KeyState) -> None:
    """Name and sealed half are the real ones, the public half is the intruder's."""
    intruder = json.dumps(ECKey.generate_key("P-256").as_dict(private=False)).encode()
    good, victim = stored("active"), stored(state)
    changed = replace(victim, public_jwk=intruder)
    if state == "active":
        with pytest.raises(MintwardenError) as caught:
            await ring_of(changed)
        assert caught.value.kind is ErrorKind.KEYS
        return
    assert published(await ring_of(good, changed)) == {good.kid}
