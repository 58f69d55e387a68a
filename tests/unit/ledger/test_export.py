"""Exports: complete, self-contained, and the same bytes whether they were interrupted or not."""

from __future__ import annotations

import base64
import json

import pytest

from mintwarden.ledger.export import ExportState, export_lines, resume_export, start_export, verify_export
from mintwarden.ledger.note import parse_note
from mintwarden.ledger.proof import verify_inclusion
from mintwarden.ledger.published import PublishedLog
from mintwarden.ledger.tree import leaf_hash
from mintwarden.model.errors import FatalLedgerError, MintwardenError
from tests.unit.ledger import samples
from tests.unit.ledger.memory import MemoryStore
from tests.unit.ledger.test_sequencer import sequencer


async def ledger(count: int = 600, start: int = 0) -> tuple[MemoryStore, PublishedLog]:
    store = MemoryStore()
    await samples.fill(store, count, start=start)
    await sequencer(store).run_once()
    return store, PublishedLog(tree=store, entries=store)


async def rest(state: ExportState, store: MemoryStore, log: PublishedLog) -> bytes:
    return b"".join([part async for part in export_lines(state, log=log, entries=store)])


async def whole(store: MemoryStore, log: PublishedLog, *, proofs: bool) -> bytes:
    state, first = await start_export(log, proofs=proofs)
    return first + await rest(state, store, log)


async def test_every_line_carries_its_entry_and_proof():
    store, log = await ledger()
    first, *lines = (await whole(store, log, proofs=True)).splitlines()
    header = json.loads(first)
    assert header["size"] == len(lines) == 600
    assert parse_note(header["checkpoint"].encode()).text.startswith(f"{samples.ORIGIN}\n600\n")
    for index, line in enumerate(lines):
        members = json.loads(line)
        entry = line[line.index(b'"entry":') + 8 : -1]
        assert members["index"] == index
        assert base64.b64decode(members["leaf"]) == leaf_hash(entry)
        assert verify_inclusion(
            leaf=leaf_hash(entry),
            index=index,
            size=600,
            proof=[base64.b64decode(part) for part in members["proof"]],
            root=store.current.root,
        )


@pytest.mark.parametrize("proofs", [True, False])
@pytest.mark.parametrize("cut", [0.0, 0.2, 0.5, 0.9, 1.0])
async def test_a_cut_export_goes_on_to_the_same_bytes(proofs, cut):
    store, log = await ledger()
    expected = await whole(store, log, proofs=proofs)
    head = expected.index(b"\n") + 1
    partial = expected[: head + int((len(expected) - head) * cut)]
    await samples.fill(store, 50, start=600)
    await sequencer(store).run_once()
    state = resume_export(partial.splitlines(keepends=True))
    assert partial[: state.kept] + await rest(state, store, log) == expected


async def test_an_empty_log():
    store, log = await ledger(0)
    assert (await whole(store, log, proofs=True)).count(b"\n") == 1


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"no newline"],
        [b"nonsense\n"],
        [b"{}\n"],
        [b'{"format":"other","proofs":true,"checkpoint":"x"}\n'],
        [b'{"format":"mintwarden-ledger/1","proofs":true,"checkpoint":"x"}\n'],
    ],
)
async def test_another_file_is_not_taken_for_an_export(lines):
    with pytest.raises(MintwardenError):
        resume_export(lines)


async def test_a_line_out_of_order_is_seen():
    store, log = await ledger(5)
    lines = (await whole(store, log, proofs=False)).splitlines(keepends=True)
    with pytest.raises(MintwardenError, match="line 3"):
        resume_export([lines[0], lines[1], lines[3]])


async def test_an_export_of_another_tree_does_not_go_on():
    _, log = await ledger(5)
    state, _ = await start_export(log, proofs=False)
    other, other_log = await ledger(7, start=1)
    with pytest.raises(MintwardenError, match="another tree"):
        await rest(state, other, other_log)


async def test_missing_entries_are_fatal():
    store, log = await ledger(5)
    del store.rows[2]
    with pytest.raises(FatalLedgerError, match="missing"):
        await whole(store, log, proofs=False)


KEYS = [samples.note_signer().key]


@pytest.mark.parametrize("proofs", [True, False])
@pytest.mark.parametrize("count", [0, 1, 300])
async def test_a_whole_export_verifies_offline(proofs, count):
    store, log = await ledger(count)
    found = verify_export((await whole(store, log, proofs=proofs)).splitlines(keepends=True), keys=KEYS)
    assert found.checkpoint.size == count


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: lines[:-1], "299 of 300"),
        (lambda lines: [*lines, lines[-1]], "not entry 300"),
        (lambda lines: [*lines[:7], *lines[8:]], "line 8"),
        (lambda lines: [*lines[:-1], lines[-1][:-5]], "not entry 299"),
        (lambda lines: [line.replace(b"payments-batch", b"payments-other") for line in lines], "leaf hash"),
        (lambda lines: [lines[0].replace(b"\\n300\\n", b"\\n299\\n"), *lines[1:]], "does not verify"),
        (lambda lines: [], "not an export"),
    ],
    ids=["cut", "longer", "dropped", "cut line", "edited", "rewritten", "empty"],
)
async def test_a_changed_export_does_not_verify(change, says):
    store, log = await ledger(300)
    lines = (await whole(store, log, proofs=False)).splitlines(keepends=True)
    with pytest.raises(MintwardenError, match=says):
        verify_export(change(lines), keys=KEYS)


async def test_an_edited_entry_with_its_leaf_hash_does_not_make_the_root():
    store, log = await ledger(3)
    lines = (await whole(store, log, proofs=False)).splitlines(keepends=True)
    entry = lines[1][lines[1].index(b'"entry":') + 8 : -2]
    other = entry.replace(b"payments-batch", b"payments-other")
    lines[1] = (
        lines[1].replace(entry, other).replace(base64.b64encode(leaf_hash(entry)), base64.b64encode(leaf_hash(other)))
    )
    with pytest.raises(MintwardenError, match="do not make the root"):
        verify_export(lines, keys=KEYS)
