"""What every store's signing keys do."""

# ruff: noqa: S101

from __future__ import annotations

import asyncio
from typing import Literal

from mintwarden.mint.ports import KeyState, StoredKey, Unrecorded
from mintwarden.store.contract.samples import NOW, MakeStore


def _key(
    kid: str,
    state: KeyState = "next",
    *,
    purpose: Literal["access_token", "checkpoint"] = "access_token",
    algorithm: str = "ES256",
    created_at: int = NOW,
) -> StoredKey:
    return StoredKey(
        kid=kid,
        purpose=purpose,
        algorithm=algorithm,
        state=state,
        public_jwk=b'{"kid":"%s"}' % kid.encode(),
        sealed=b"sealed " + kid.encode(),
        created_at=created_at,
    )


class KeysContract:
    """Every change is compare-and-swap and moves the epoch."""

    async def test_keys_come_oldest_first(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        keys = [_key("c", created_at=NOW + 2), _key("b", "active", created_at=NOW), _key("a", "retiring")]
        for key in keys:
            assert await one.keys.add(key)
        assert list(await other.keys.keys()) == sorted(keys, key=lambda key: (key.created_at, key.kid))

    async def test_of_two_nodes_one_adds_the_next_key(self, make_store: MakeStore) -> None:
        nodes = [await make_store(), await make_store()]
        epoch = await nodes[0].epoch()
        added = await asyncio.gather(*(nodes[number % 2].keys.add(_key(f"k{number}")) for number in range(6)))
        assert sum(added) == 1
        assert await nodes[1].epoch() == epoch + 1
        assert await nodes[0].keys.add(_key("active", "active"))
        assert not await nodes[1].keys.add(_key("active too", "active"))
        assert not await nodes[1].keys.add(_key("active", "retiring"))
        assert await nodes[1].keys.add(_key("other purpose", purpose="checkpoint"))
        assert await nodes[1].keys.add(_key("other algorithm", algorithm="EdDSA"))

    async def test_a_key_lives_once_through_its_states(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        assert await one.keys.add(_key("k"))
        steps: list[tuple[KeyState, KeyState]] = [("next", "active"), ("active", "retiring"), ("retiring", "gone")]
        for step, (old, new) in enumerate(steps):
            epoch = await one.epoch()
            moved = await asyncio.gather(*(n.keys.move("k", old, new, NOW + step) for n in (one, other)))
            assert sorted(moved) == [False, True]
            assert await other.epoch() == epoch + 1
        (key,) = await one.keys.keys()
        assert (key.state, key.activated_at, key.retired_at) == ("gone", NOW, NOW + 1)
        assert key.sealed == b"", "the private half of a key that is gone is gone"
        assert key.public_jwk == b'{"kid":"k"}'
        assert not await one.keys.move("unknown", "next", "active", NOW)

    async def test_what_happened_is_remembered_until_it_is_recorded(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        assert await one.keys.add(_key("k"))
        assert await one.keys.move("k", "next", "active", NOW + 5)
        made = Unrecorded("k", "access_token", "ES256", "next", NOW)
        active = Unrecorded("k", "access_token", "ES256", "active", NOW + 5)
        assert list(await other.keys.unrecorded(NOW + 5)) == [made]
        assert list(await other.keys.unrecorded(NOW + 6)) == [made, active]
        assert not await one.keys.move("k", "next", "active", NOW + 7), "and what did not happen is not"
        await other.keys.recorded("k", "next")
        await other.keys.recorded("k", "next")
        assert list(await one.keys.unrecorded(NOW + 9)) == [active]
