"""`audit` finds each planted tampering, by name, and finds nothing where nothing was touched."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mintwarden.ledger.audit import Auditor, AuditReport
from mintwarden.ledger.checkpoint import Checkpoint, sign_checkpoint
from mintwarden.ledger.ports import Head
from mintwarden.ledger.tiles import tile_path
from mintwarden.ledger.tree import Edge, leaf_hash
from mintwarden.model.errors import MintwardenError
from tests.unit.ledger import samples
from tests.unit.ledger.memory import MemoryStore
from tests.unit.ledger.test_sequencer import sequencer

SIZE = 600


async def ledger(count: int = SIZE) -> MemoryStore:
    store = MemoryStore()
    await samples.fill(store, count)
    await sequencer(store).run_once()
    return store


async def audit(store: MemoryStore, against: tuple[bytes, ...] = (), **changes: Any) -> AuditReport:
    auditor = Auditor(
        **{
            "tree": store,
            "entries": store,
            "keys": [samples.note_signer().key],
            "origin": samples.ORIGIN,
            "sealer": samples.sealer(),
            "subject_keys": store,
            **changes,
        }
    )
    return await auditor.audit(against=against)


def kinds(report: AuditReport) -> list[str]:
    return sorted({finding.kind for finding in report.findings})


def change(store: MemoryStore, number: int, **members: Any) -> None:
    store.rows[number] = msgspec.structs.replace(store.rows[number], **members)


async def rebuild(store: MemoryStore, seed: int = 1) -> None:
    """What somebody with the signing key can do: publish a tree of whatever now stands there."""
    store.tiles.clear()
    edge = Edge()
    tiles = edge.grow([row.leaf_hash for row in store.rows]) + edge.partial()
    store.tiles.update({tile_path(level, index, len(row)): b"".join(row) for level, index, row in tiles})
    head = Checkpoint(samples.ORIGIN, edge.size, edge.root())
    store.current = Head(edge.size, edge.root(), await sign_checkpoint(head, samples.note_signer(seed)))


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, SIZE])
async def test_an_untouched_ledger_is_clean(size):
    store = await ledger(size)
    await samples.fill(store, 3, start=size)
    seen: list[tuple[int, int]] = []
    auditor = Auditor(
        tree=store, entries=store, keys=[samples.note_signer().key], origin=samples.ORIGIN,
        sealer=samples.sealer(), subject_keys=store,
    )  # fmt: skip
    report = await auditor.audit(against=[store.current.checkpoint], progress=lambda at, of: seen.append((at, of)))
    assert report.findings == ()
    assert report.ok
    assert (report.size, report.waiting, report.opened, report.erased) == (size, 3, size, 0)
    assert report.root == store.current.root.hex()
    assert seen[-1:] == ([(size, size)] if size else [])


async def test_an_edited_entry_is_found():
    store = await ledger()
    change(store, 300, entry=store.rows[300].entry.replace(b'"granted":true', b'"granted":null', 1))
    report = await audit(store)
    assert [(f.kind, f.index) for f in report.findings] == [("edited_entry", 300)]


async def test_an_entry_edited_with_its_leaf_hash_is_found():
    store = await ledger()
    entry = store.rows[300].entry.replace(b"payments-batch", b"payments-other")
    change(store, 300, entry=entry, leaf_hash=leaf_hash(entry))
    report = await audit(store)
    assert [(f.kind, f.index) for f in report.findings] == [("edited_entry", 300)]


async def test_an_entry_edited_with_its_leaf_hash_and_tile_is_found():
    store = await ledger()
    entry = store.rows[300].entry.replace(b"payments-batch", b"payments-other")
    old = store.rows[300].leaf_hash
    change(store, 300, entry=entry, leaf_hash=leaf_hash(entry))
    store.tiles["tile/0/001"] = store.tiles["tile/0/001"].replace(old, leaf_hash(entry))
    assert kinds(await audit(store)) == ["forked_tree", "wrong_tile"]


async def test_a_dropped_entry_is_found():
    store = await ledger()
    del store.rows[300]
    report = await audit(store)
    assert ("dropped_entry", 300) in [(f.kind, f.index) for f in report.findings]


async def test_a_dropped_entry_with_the_rest_moved_up_is_found():
    store = await ledger()
    del store.rows[580]
    for index in range(580, len(store.rows)):
        change(store, index, index=index)
    report = await audit(store)
    assert kinds(report) == ["dropped_entry", "reordered_entry", "wrong_count"]
    assert ("reordered_entry", 580) in [(f.kind, f.index) for f in report.findings]
    assert ("dropped_entry", 599) in [(f.kind, f.index) for f in report.findings]


async def test_reordered_entries_are_found():
    store = await ledger()
    first, second = store.rows[10], store.rows[20]
    store.rows[10] = msgspec.structs.replace(second, index=10)
    store.rows[20] = msgspec.structs.replace(first, index=20)
    report = await audit(store)
    assert [(f.kind, f.index) for f in report.findings] == [("reordered_entry", 10), ("reordered_entry", 20)]


async def test_a_forked_tree_is_found_against_a_kept_checkpoint_of_the_same_size():
    store = await ledger()
    kept = store.current.checkpoint
    entry = store.rows[300].entry.replace(b"payments-batch", b"payments-other")
    change(store, 300, entry=entry, leaf_hash=leaf_hash(entry))
    await rebuild(store)
    assert (await audit(store)).ok
    report = await audit(store, (kept,))
    assert kinds(report) == ["forked_tree"]
    assert report.compared == 1


async def test_a_forked_tree_is_found_against_an_older_checkpoint():
    store = await ledger(300)
    kept = store.current.checkpoint
    await samples.fill(store, 300, start=300)
    await sequencer(store).run_once()
    assert (await audit(store, (kept,))).ok
    entry = store.rows[7].entry.replace(b"payments-batch", b"payments-other")
    change(store, 7, entry=entry, leaf_hash=leaf_hash(entry))
    await rebuild(store)
    assert kinds(await audit(store, (kept,))) == ["forked_tree"]


async def test_a_root_that_the_entries_do_not_make_is_found():
    store = await ledger()
    head = Checkpoint(samples.ORIGIN, SIZE, b"r" * 32)
    store.current = Head(SIZE, head.root, await sign_checkpoint(head, samples.note_signer()))
    assert kinds(await audit(store)) == ["forked_tree"]


async def test_a_truncated_database_is_found():
    store = await ledger()
    del store.rows[590:]
    report = await audit(store)
    assert kinds(report) == ["dropped_entry", "wrong_count"]
    assert {f.index for f in report.findings if f.kind == "dropped_entry"} == set(range(590, 600))


async def test_a_database_set_back_to_an_earlier_state_is_found_against_a_kept_checkpoint():
    store = await ledger()
    kept = store.current.checkpoint
    del store.rows[300:]
    await rebuild(store)
    assert (await audit(store)).ok
    assert kinds(await audit(store, (kept,))) == ["truncated"]


async def test_a_swapped_key_is_found():
    store = await ledger()
    await rebuild(store, seed=9)
    assert kinds(await audit(store)) == ["swapped_key"]


async def test_a_rewritten_checkpoint_is_found():
    store = await ledger()
    note = store.current.checkpoint.replace(b"\n600\n", b"\n601\n")
    store.current = Head(SIZE, store.current.root, note)
    assert kinds(await audit(store)) == ["rewritten_checkpoint"]


async def test_a_checkpoint_of_another_tree_or_log_is_found():
    store = await ledger()
    for head in (Checkpoint(samples.ORIGIN, 599, store.current.root), Checkpoint("other", SIZE, store.current.root)):
        signed = await sign_checkpoint(head, samples.note_signer())
        store.current = Head(SIZE, store.current.root, signed)
        assert kinds(await audit(store)) == ["rewritten_checkpoint"]


async def test_a_missing_checkpoint_is_found():
    store = await ledger()
    store.current = Head(SIZE, store.current.root, b"")
    assert kinds(await audit(store)) == ["rewritten_checkpoint"]


@pytest.mark.parametrize("path", ["tile/0/000", "tile/0/002.p/88", "tile/1/000.p/2"])
async def test_a_changed_or_lost_tile_is_found(path):
    store = await ledger()
    good = store.tiles[path]
    for bad in (good[:-1] + bytes([good[-1] ^ 1]), good[:-32], None):
        if bad is None:
            del store.tiles[path]
        else:
            store.tiles[path] = bad
        found = kinds(await audit(store))
        assert "wrong_tile" in found or "edited_entry" in found


async def test_changed_sealed_facts_are_found():
    store = await ledger(5)
    change(store, 2, sealed=store.rows[3].sealed)
    change(store, 4, sealed=None)
    report = await audit(store)
    assert [(f.kind, f.index) for f in report.findings] == [("wrong_seal", 2), ("wrong_seal", 4)]


async def test_an_erased_subject_is_no_finding():
    store = await ledger(14)
    await store.erase("User:person-3")
    report = await audit(store)
    assert report.ok
    assert (report.opened, report.erased) == (12, 2)


async def test_an_entry_under_another_id_or_twice_is_found():
    store = await ledger(5)
    change(store, 1, decision_id=store.rows[0].decision_id)
    assert kinds(await audit(store)) == ["duplicate_id", "wrong_id", "wrong_seal"]


@pytest.mark.parametrize("entry", [b"nonsense", b'{"v":1, "kind":"decision"}', b'{"kind":"lunch","v":1}', b"[]", b"1"])
async def test_an_entry_in_another_form_is_found_even_when_it_was_published(entry):
    store = await ledger(5)
    change(store, 1, entry=entry, leaf_hash=leaf_hash(entry))
    await rebuild(store)
    assert "not_canonical" in kinds(await audit(store))


async def test_edited_entries_that_wait_are_found():
    store = await ledger(5)
    await samples.fill(store, 2, start=5)
    await store.sequence(2)
    change(store, 6, entry=store.rows[6].entry.replace(b"payments-batch", b"payments-other"))
    report = await audit(store)
    assert [(f.kind, f.index) for f in report.findings] == [("edited_entry", 6)]


async def test_findings_are_bounded():
    store = await ledger()
    for index in range(SIZE):
        change(store, index, entry=b"nonsense")
    report = await audit(store, max_findings=10)
    assert len(report.findings) == 10
    assert not report.complete


async def test_an_untrusted_checkpoint_to_compare_with_is_refused():
    store = await ledger(5)
    foreign = await sign_checkpoint(Checkpoint(samples.ORIGIN, 5, store.current.root), samples.note_signer(9))
    with pytest.raises(MintwardenError, match="trusted"):
        await audit(store, (foreign,))
