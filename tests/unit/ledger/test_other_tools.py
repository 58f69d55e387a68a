"""Another implementation reads our log: checkpoint, tiles, entry bundles, proofs, and the file of `prove`."""

from __future__ import annotations

import asyncio
import sys

import pytest

from mintwarden.ledger.proof_file import EntryProof, write_json
from mintwarden.ledger.prove import prove
from mintwarden.ledger.published import PublishedLog
from mintwarden.ledger.tiles import bundle_path, tile_path
from tests.unit.ledger import samples
from tests.unit.ledger.memory import MemoryStore
from tests.unit.ledger.test_sequencer import sequencer

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="explained: the other tool needs Python 3.12")


async def ledger(count: int) -> tuple[MemoryStore, PublishedLog]:
    store = MemoryStore()
    worker = sequencer(store)
    for part in (count // 3, count - count // 3):
        await samples.fill(store, part, start=len(store.rows))
        await worker.run_once()
    return store, PublishedLog(tree=store, entries=store)


class Reader:
    """The other tool's synchronous reader over ours."""

    def __init__(self, log: PublishedLog, loop: asyncio.AbstractEventLoop) -> None:
        self._log = log
        self._loop = loop

    def _get(self, path: str) -> bytes | None:
        return asyncio.run_coroutine_threadsafe(self._log.tile(path), self._loop).result(10)

    def read_tile(self, level: int, index: int, width: int | None) -> bytes | None:
        return self._get(tile_path(level, index, width or 256))

    def read_entry_bundle(self, index: int, width: int | None) -> bytes | None:
        return self._get(bundle_path(index, width or 256))


@pytest.mark.parametrize("size", [1, 255, 256, 257, 900])
async def test_it_verifies_checkpoint_tiles_and_every_entry(size):
    import aics_tlog

    store, log = await ledger(size)
    found = aics_tlog.verify_checkpoint(
        aics_tlog.parse_note(store.current.checkpoint),
        aics_tlog.parse_vkey(str(samples.note_signer().key)),
        [],
        0,
        expected_origin=samples.ORIGIN,
    )
    assert found.ok, found.error
    assert (found.size, found.root) == (size, store.current.root)
    reader = Reader(log, asyncio.get_running_loop())

    def audit() -> None:
        report = aics_tlog.audit_tiles(reader, size, store.current.root)
        assert report is not None
        for index in {0, size // 2, size - 1}:
            assert aics_tlog.read_entry(reader, index, size) == store.rows[index].entry
            path = aics_tlog.inclusion_proof_from_tiles(reader, index, size)
            assert aics_tlog.verify_inclusion(store.rows[index].leaf_hash, index, size, path, store.current.root)

    await asyncio.to_thread(audit)


async def test_its_tree_and_proofs_are_ours():
    import aics_tlog

    store, log = await ledger(300)
    tree = aics_tlog.MerkleTree([row.entry for row in store.rows])
    assert tree.root() == store.current.root
    for index in (0, 1, 255, 256, 299):
        assert tree.inclusion_proof(index) == await log.inclusion_proof(index, 300)
    for old in (1, 100, 255, 256, 299, 300):
        assert tree.consistency_proof(old) == await log.consistency_proof(old, 300)


async def test_it_verifies_the_file_of_prove():
    import aics_tlog

    store, log = await ledger(300)
    proof = await prove("123", log=log, entries=store)
    key = aics_tlog.parse_vkey(str(samples.note_signer().key))
    found = aics_tlog.verify_bundle(write_json(proof), key, expected_origin=samples.ORIGIN)
    assert found.ok, found.error
    assert (found.index, found.size, found.root) == (123, 300, store.current.root)
    entry = proof.entry.replace(b"payments-batch", b"payments-other")
    forged = write_json(EntryProof(entry, proof.index, proof.path, proof.checkpoint))
    assert not aics_tlog.verify_bundle(forged, key).ok


async def test_its_proof_file_verifies_with_ours():
    import aics_tlog

    from mintwarden.ledger.proof_file import read_proof, verify_proof

    store, log = await ledger(300)
    reader = Reader(log, asyncio.get_running_loop())
    note = store.current.checkpoint.decode()
    bundle = await asyncio.to_thread(aics_tlog.bundle_from_tiles, reader, 7, note)
    found = verify_proof(read_proof(bundle.to_json().encode()), keys=[samples.note_signer().key])
    assert found.index == 7
