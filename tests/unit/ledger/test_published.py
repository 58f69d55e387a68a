"""What is served: only what the checkpoint covers, and proofs that verify."""

from __future__ import annotations

import pytest

from mintwarden.ledger.proof import verify_consistency, verify_inclusion
from mintwarden.ledger.published import PublishedLog
from mintwarden.ledger.tiles import decode_bundle
from mintwarden.ledger.tree import root_hash
from mintwarden.model.errors import ErrorKind, FatalLedgerError, MintwardenError
from tests.unit.ledger import samples
from tests.unit.ledger.memory import MemoryStore
from tests.unit.ledger.test_sequencer import sequencer


async def published(count: int) -> tuple[MemoryStore, PublishedLog]:
    store = MemoryStore()
    await samples.fill(store, count)
    await sequencer(store).run_once()
    return store, PublishedLog(tree=store, entries=store)


async def test_checkpoint_and_bundles():
    store, log = await published(300)
    assert (await log.head()).checkpoint == await log.checkpoint() == store.current.checkpoint
    entries = [row.entry for row in store.rows]
    assert decode_bundle(await log.tile("tile/entries/000") or b"") == entries[:256]
    assert decode_bundle(await log.tile("tile/entries/001.p/44") or b"") == entries[256:]
    assert decode_bundle(await log.tile("tile/entries/001.p/3") or b"") == entries[256:259]
    assert await log.tile("tile/0/000") == b"".join(row.leaf_hash for row in store.rows[:256])
    assert await log.tile("tile/1/000.p/1") == root_hash([row.leaf_hash for row in store.rows[:256]])


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/001",
        "tile/0/001.p/45",
        "tile/0/002.p/1",
        "tile/1/000",
        "tile/1/000.p/2",
        "tile/2/000.p/1",
        "tile/entries/001",
        "tile/entries/001.p/45",
        "checkpoint",
        "tile/0/1",
    ],
)
async def test_what_the_checkpoint_does_not_cover_is_not_there(path):
    _, log = await published(300)
    assert await log.tile(path) is None


async def test_entries_that_wait_are_not_served():
    store, log = await published(2)
    await samples.fill(store, 2, start=2)
    await store.sequence(10)
    assert await log.tile("tile/entries/000.p/3") is None
    with pytest.raises(MintwardenError) as caught:
        await log.inclusion_proof(2, 4)
    assert caught.value.kind is ErrorKind.NOT_FOUND


async def test_no_checkpoint_yet():
    store = MemoryStore()
    log = PublishedLog(tree=store, entries=store)
    with pytest.raises(MintwardenError, match="no checkpoint yet"):
        await log.checkpoint()


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 700])
async def test_proofs_from_tiles(size):
    store, log = await published(size)
    leaves = [row.leaf_hash for row in store.rows]
    for index in {0, size // 3, size - 1}:
        for tree in {index + 1, size}:
            proof = await log.inclusion_proof(index, tree)
            root = root_hash(leaves[:tree])
            assert verify_inclusion(leaf=leaves[index], index=index, size=tree, proof=proof, root=root)
    for old in {1, max(1, size // 2), size}:
        proof = await log.consistency_proof(old, size)
        old_root = root_hash(leaves[:old])
        assert verify_consistency(old=old, new=size, old_root=old_root, new_root=store.current.root, proof=proof)
    assert await log.root(0) == root_hash([])


async def test_lost_tiles_and_entries_are_fatal():
    store, log = await published(300)
    store.tiles.clear()
    with pytest.raises(FatalLedgerError, match="missing"):
        await log.inclusion_proof(0, 300)
    del store.rows[5]
    with pytest.raises(FatalLedgerError, match="missing"):
        await log.tile("tile/entries/000")
