from __future__ import annotations

import asyncio
import json
import secrets
from collections import Counter
from typing import Any

import msgspec
import pytest

from mintwarden.mint.generate import generate, open_signer
from mintwarden.mint.master import LocalMasterKey
from mintwarden.mint.ring import KeyRing
from mintwarden.mint.rotate import REFRESH_SLACK, KeyKeeper, Rhythm
from mintwarden.model.errors import ErrorKind, MintwardenError
from tests.unit.mint.memory import MemoryKeyStore, MemoryLease
from tests.unit.mint.sample import NOW

MASTER = LocalMasterKey(bytes(32), random_bytes=secrets.token_bytes)
HOUR, DAY = 3_600_000, 86_400_000
RHYTHM = Rhythm(rotation_interval=30 * DAY, publish_before=DAY, longest_token=HOUR)


class Node:
    """One node: its keeper and its ring."""

    def __init__(
        self, store: MemoryKeyStore, lease: MemoryLease | None = None, name: str = "n1", algorithms=("ES256",)
    ):
        self.store: Any = store
        self.keeper = KeyKeeper(
            store=store, master=MASTER, lease=lease or MemoryLease(), holder=name, algorithms=algorithms, rhythm=RHYTHM
        )
        self.ring = KeyRing(store=store, master=MASTER, jwks_max_age=RHYTHM.key_set_max_age)

    async def tick(self, now: int):
        changes = await self.keeper.tick(now)
        await self.ring.follow(self.store.epoch)
        return changes


@pytest.fixture
def node() -> Node:
    return Node(MemoryKeyStore())


def states(store: MemoryKeyStore) -> Counter:
    return Counter((key.algorithm, key.state) for key in store.rows.values())


async def test_the_first_tick_makes_what_is_needed_and_the_second_nothing(node: Node):
    changes = await node.tick(NOW)
    assert [(c.algorithm, c.state, c.reason) for c in changes] == [
        ("Ed25519", "active", "needed"),
        ("ES256", "active", "needed"),
        ("ES256", "next", "needed"),
    ]
    assert await node.tick(NOW + 1) == []


async def test_the_ring_signs_with_the_active_key_and_publishes_the_next(node: Node):
    await node.tick(NOW)
    active = node.ring.signer_for("ES256")
    published = json.loads(node.ring.key_set.body)["keys"]
    assert [key["kid"] == active.kid for key in published] == [True, False]
    assert (node.ring.public_jwk(active.kid) or {})["alg"] == "ES256"
    assert node.ring.public_jwk("unknown") is None


async def test_a_life_from_next_to_gone_without_a_refused_token(node: Node):
    """Hour by hour over three rotations: whoever keeps the key set as long as it says verifies every live token."""
    live: list[tuple[str, int]] = []
    cached: set[str] = set()
    fetched_at = 0
    signed_with = []
    for hour in range(24 * 95):
        now = NOW + hour * HOUR
        await node.tick(now)
        if now - fetched_at >= RHYTHM.key_set_max_age * 1000:
            cached, fetched_at = {key["kid"] for key in json.loads(node.ring.key_set.body)["keys"]}, now
        kid = node.ring.signer_for("ES256").kid
        live = [(k, end) for k, end in [*live, (kid, now + RHYTHM.longest_token)] if end > now]
        assert {k for k, _ in live} <= cached
        assert all(node.ring.public_jwk(k) for k, _ in live)
        if kid not in signed_with:
            signed_with.append(kid)
    assert len(signed_with) == 4
    assert states(node.store)["ES256", "gone"] == 3
    assert all(not key.sealed for key in node.store.rows.values() if key.state == "gone")


async def test_a_retiring_key_stays_until_its_last_token_ended(node: Node):
    await node.tick(NOW)
    old = node.ring.signer_for("ES256").kid
    await node.tick(NOW + 30 * DAY)
    assert node.ring.signer_for("ES256").kid != old
    last = NOW + 30 * DAY + RHYTHM.longest_token + REFRESH_SLACK
    await node.tick(last - 1)
    assert node.ring.public_jwk(old)
    changes = await node.tick(last)
    assert [(c.kid, c.state, c.reason) for c in changes] == [(old, "gone", "outlived")]
    assert node.ring.public_jwk(old) is None
    assert old not in node.ring.key_set.body.decode()


async def test_a_requested_rotation_waits_until_the_next_key_was_published(node: Node):
    await node.tick(NOW)
    old = node.ring.signer_for("ES256").kid
    with pytest.raises(MintwardenError, match="another 60m") as caught:
        await node.keeper.rotate("ES256", NOW + 23 * HOUR)
    assert caught.value.kind is ErrorKind.CONFLICT
    changes = await node.keeper.rotate("ES256", NOW + DAY)
    assert [(c.state, c.reason) for c in changes] == [
        ("retiring", "requested"),
        ("active", "requested"),
        ("next", "needed"),
    ]
    await node.ring.follow(node.store.epoch)
    assert node.ring.signer_for("ES256").kid != old
    assert node.ring.public_jwk(old)


async def test_an_urgent_rotation_need_not_wait(node: Node):
    await node.tick(NOW)
    assert await node.keeper.rotate("ES256", NOW + 1, at_once=True)
    assert states(node.store)["ES256", "retiring"] == 1


async def test_an_algorithm_that_nobody_uses_is_not_rotated(node: Node):
    with pytest.raises(MintwardenError, match="no audience uses `RS256`"):
        await node.keeper.rotate("RS256", NOW)
    assert not node.store.rows


async def test_a_revoked_key_is_gone_at_once_and_another_signs(node: Node):
    await node.tick(NOW)
    old = node.ring.signer_for("ES256").kid
    changes = await node.keeper.revoke(old, NOW + 5)
    assert [(c.state, c.reason) for c in changes] == [("gone", "revoked"), ("active", "needed"), ("next", "needed")]
    await node.ring.follow(node.store.epoch)
    assert node.ring.public_jwk(old) is None
    assert node.ring.signer_for("ES256").kid != old
    for kid, kind in ((old, ErrorKind.CONFLICT), ("unknown", ErrorKind.NOT_FOUND)):
        with pytest.raises(MintwardenError) as caught:
            await node.keeper.revoke(kid, NOW + 6)
        assert caught.value.kind is kind


async def test_the_ledgers_key_rotates_when_asked_and_is_never_revoked(node: Node):
    await node.tick(NOW)
    first = node.ring.checkpoint_key()
    assert len(first.public) == 32
    with pytest.raises(MintwardenError, match="cannot be revoked"):
        await node.keeper.revoke(first.signer.kid, NOW)
    await node.tick(NOW + 400 * DAY)
    assert node.ring.checkpoint_key().signer.kid == first.signer.kid
    await node.keeper.rotate("Ed25519", NOW)
    await node.ring.follow(node.store.epoch)
    assert node.ring.checkpoint_key().signer.kid != first.signer.kid
    await node.tick(NOW + 800 * DAY)
    assert (first.signer.kid, first.public) in node.ring.checkpoint_keys()
    assert first.signer.kid not in node.ring.key_set.body.decode()


async def test_an_access_token_is_never_signed_with_the_ledgers_key(node: Node):
    await node.tick(NOW)
    with pytest.raises(MintwardenError, match="no signing key"):
        node.ring.signer_for("Ed25519")


async def test_of_many_nodes_at_once_one_rotates():
    store, lease = MemoryKeyStore(), MemoryLease()
    nodes = [Node(store, lease, name=f"n{i}") for i in range(5)]
    for now in (NOW, NOW + 30 * DAY):
        changes = await asyncio.gather(*(node.tick(now) for node in nodes))
        assert sum(map(bool, changes)) == 1
    assert states(store) == {
        ("Ed25519", "active"): 1,
        ("ES256", "active"): 1,
        ("ES256", "next"): 1,
        ("ES256", "retiring"): 1,
    }


async def test_without_a_lease_the_swaps_alone_keep_one_of_each():
    store = MemoryKeyStore()
    nodes = [Node(store, name=f"n{i}") for i in range(5)]
    for now in (NOW, NOW + 30 * DAY, NOW + 60 * DAY):
        await asyncio.gather(*(node.tick(now) for node in nodes))
        found = states(store)
        assert (found["ES256", "active"], found["ES256", "next"], found["Ed25519", "active"]) == (1, 1, 1)


class RacedStore(MemoryKeyStore):
    """Another node makes every change to `victim` just before we do."""

    def __init__(self, rows: dict) -> None:
        super().__init__()
        self.rows = rows
        self.victim = ""

    async def move(self, kid, old, new, at):
        if kid == self.victim:
            await super().move(kid, old, new, at)
        return await super().move(kid, old, new, at)


async def test_whoever_is_raced_reports_nothing_and_breaks_nothing(node: Node):
    await node.tick(NOW)
    kids = {(key.algorithm, key.state): key.kid for key in node.store.rows.values()}
    raced = Node(RacedStore(node.store.rows))
    raced.store.victim = kids["ES256", "active"]
    with pytest.raises(MintwardenError, match="another node"):
        await raced.keeper.rotate("ES256", NOW, at_once=True)
    with pytest.raises(MintwardenError, match="gone already, or has just changed"):
        await raced.keeper.revoke(raced.store.victim, NOW)
    raced.store.victim = kids["Ed25519", "active"]
    with pytest.raises(MintwardenError, match="another node"):
        await raced.keeper.rotate("Ed25519", NOW)
    await raced.tick(NOW + 30 * DAY)
    found = states(raced.store)
    assert (found["ES256", "active"], found["ES256", "next"], found["Ed25519", "active"]) == (1, 1, 1)


async def test_a_rotation_in_two_halves_by_two_nodes(node: Node):
    await node.tick(NOW)
    raced = Node(RacedStore(node.store.rows))
    raced.store.victim = next(key.kid for key in node.store.rows.values() if key.state == "next")
    changes = await raced.keeper.rotate("ES256", NOW, at_once=True)
    assert [(c.state, c.reason) for c in changes] == [("retiring", "requested"), ("next", "needed")]
    assert states(raced.store)["ES256", "active"] == 1


async def test_a_node_that_died_between_retiring_and_activating_leaves_a_working_ring(node: Node):
    await node.tick(NOW)
    old = node.ring.signer_for("ES256").kid
    await node.store.move(old, "active", "retiring", NOW + 30 * DAY)
    await node.ring.follow(node.store.epoch)
    assert node.ring.signer_for("ES256").kid == old
    await node.tick(NOW + 30 * DAY + 1)
    assert node.ring.signer_for("ES256").kid != old
    assert states(node.store)["ES256", "active"] == 1


async def test_an_algorithm_that_nobody_uses_any_more_is_retired(node: Node):
    await node.tick(NOW)
    successor = Node(node.store, algorithms=("EdDSA",))
    await successor.tick(NOW + HOUR)
    assert states(node.store) == {
        ("Ed25519", "active"): 1,
        ("ES256", "retiring"): 1,
        ("ES256", "gone"): 1,
        ("EdDSA", "active"): 1,
        ("EdDSA", "next"): 1,
    }


async def test_a_clock_that_steps_back_changes_nothing(node: Node):
    await node.tick(NOW)
    assert await node.tick(NOW - 90 * DAY) == []


async def test_following_costs_nothing_while_the_epoch_stands(node: Node):
    await node.tick(NOW)
    reads = node.store.reads
    signer = node.ring.signer_for("ES256")
    for _ in range(3):
        await node.ring.follow(node.store.epoch)
        await node.ring.follow(node.store.epoch - 1)
    assert node.store.reads == reads
    await node.ring.refresh()
    assert node.ring.signer_for("ES256") is signer  # opened once


async def test_a_damaged_key_is_a_clear_error_and_recovers_when_mended(node: Node):
    await node.tick(NOW)
    kid = node.ring.signer_for("ES256").kid
    whole = node.store.rows[kid]
    node.store.rows[kid] = msgspec.structs.replace(whole, sealed=whole.sealed[:-1] + b"\0\0")
    fresh = Node(node.store)
    with pytest.raises(
        MintwardenError, match=f"signing key `{kid}` .* cannot be used: a sealed value does not open"
    ) as caught:
        await fresh.ring.follow(node.store.epoch)
    assert caught.value.kind is ErrorKind.KEYS
    with pytest.raises(MintwardenError, match="no signing key"):
        fresh.ring.signer_for("ES256")
    node.store.rows[kid] = whole
    await fresh.ring.follow(node.store.epoch)
    assert fresh.ring.signer_for("ES256").kid == kid


def test_a_key_under_anothers_name_is_refused():
    one, two = (
        generate(purpose="access_token", algorithm="ES256", state="active", now=NOW, master=MASTER) for _ in range(2)
    )
    moved = MASTER.seal(MASTER.open(two.sealed, b"signing-key/" + two.kid.encode()), b"signing-key/" + one.kid.encode())
    for sealed, why in ((two.sealed, "does not open"), (moved, "thumbprint"), (b"", "does not open")):
        with pytest.raises(MintwardenError, match=why):
            open_signer(msgspec.structs.replace(one, sealed=sealed), MASTER)
    nonsense = MASTER.seal(b"[]", b"signing-key/" + one.kid.encode())
    with pytest.raises(MintwardenError, match="not a key"):
        open_signer(msgspec.structs.replace(one, sealed=nonsense), MASTER)


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(MintwardenError, match="cannot be signed with `none`"):
        generate(purpose="access_token", algorithm="none", state="active", now=NOW, master=MASTER)
