"""Proofs in files: made from the log, verified without it, in both forms."""

from __future__ import annotations

import base64
import json

import pytest

from mintwarden.ledger.proof_file import EntryProof, read_proof, verify_proof, write_json, write_tlog_proof
from mintwarden.ledger.prove import find_entry, prove
from mintwarden.ledger.published import PublishedLog
from mintwarden.ledger.tree import leaf_hash
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import decision_text
from tests.unit.ledger import samples
from tests.unit.ledger.memory import MemoryStore
from tests.unit.ledger.test_sequencer import sequencer

KEY = samples.note_signer().key
WRITERS = [write_json, write_tlog_proof]


async def proven(count: int = 300, number: int = 17) -> tuple[MemoryStore, EntryProof]:
    store = MemoryStore()
    ids = await samples.fill(store, count)
    await sequencer(store).run_once()
    return store, await prove(decision_text(ids[number]), log=PublishedLog(tree=store, entries=store), entries=store)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(("count", "number"), [(1, 0), (2, 1), (300, 17), (300, 299)])
async def test_a_proof_verifies_offline(write, count, number):
    store, proof = await proven(count, number)
    again = read_proof(write(proof))
    assert again == proof
    found = verify_proof(again, keys=[KEY], origin=samples.ORIGIN)
    assert found.index == number
    assert found.entry["id"] == decision_text(store.rows[number].decision_id)
    assert found.leaf == store.rows[number].leaf_hash == leaf_hash(proof.entry)
    assert found.checkpoint.checkpoint.size == count


async def test_an_index_names_an_entry_too():
    store, proof = await proven()
    assert await prove("17", log=PublishedLog(tree=store, entries=store), entries=store) == proof


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("300", ErrorKind.NOT_FOUND),
        ("01020304-0506-7008-890a-0b0c0d0e0f10", ErrorKind.NOT_FOUND),
        ("nonsense", ErrorKind.INVALID_REQUEST),
        ("", ErrorKind.INVALID_REQUEST),
        ("9" * 30, ErrorKind.INVALID_REQUEST),
    ],
)
async def test_what_is_not_there_cannot_be_proven(name, kind):
    store, _ = await proven()
    with pytest.raises(MintwardenError) as caught:
        await find_entry(name, entries=store)
    assert caught.value.kind is kind


async def test_an_entry_that_waits_cannot_be_proven_yet():
    store, _ = await proven()
    ids = await samples.fill(store, 1, start=300)
    with pytest.raises(MintwardenError, match="waits for its checkpoint"):
        await prove(decision_text(ids[0]), log=PublishedLog(tree=store, entries=store), entries=store)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: EntryProof(p.entry.replace(b"payments-batch", b"payments-other"), p.index, p.path, p.checkpoint),
        lambda p: EntryProof(p.entry, p.index + 1, p.path, p.checkpoint),
        lambda p: EntryProof(p.entry, p.index, p.path[1:], p.checkpoint),
        lambda p: EntryProof(p.entry, p.index, (*p.path, p.path[0]), p.checkpoint),
        lambda p: EntryProof(p.entry, p.index, p.path, p.checkpoint.replace(b"\n300\n", b"\n299\n")),
        lambda p: EntryProof(p.entry, 300, p.path, p.checkpoint),
    ],
    ids=["entry", "index", "shorter", "longer", "checkpoint", "outside"],
)
async def test_a_changed_proof_does_not_verify(change):
    _, proof = await proven()
    for write in WRITERS:
        with pytest.raises(MintwardenError):
            verify_proof(read_proof(write(change(proof))), keys=[KEY])


async def test_the_wrong_key_log_or_too_few_witnesses():
    _, proof = await proven()
    with pytest.raises(MintwardenError, match="trusted key"):
        verify_proof(proof, keys=[samples.note_signer(2).key])
    with pytest.raises(MintwardenError, match="of the log"):
        verify_proof(proof, keys=[KEY], origin="other.example")
    with pytest.raises(MintwardenError, match="0 of 1"):
        verify_proof(proof, keys=[KEY], quorum=1)


def member(**changes) -> bytes:
    return json.dumps(
        {
            "entry_bytes": "e30",
            "index": 0,
            "inclusion_proof": [],
            "checkpoint_note": "e30",
            "envelope": None,
            "body_or_ct": None,
            **changes,
        }
    ).encode()


HASH = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"{}",
        b"[" * 100_000,
        member(extra=1),
        member(index=-1),
        member(index=True),
        member(index=1.0),
        member(index=float("inf")),
        member(inclusion_proof="x"),
        member(inclusion_proof=[1]),
        member(inclusion_proof=["AAAA"]),
        member(inclusion_proof=[HASH] * 64),
        member(entry_bytes=1),
        member(entry_bytes="e30="),
        member(entry_bytes="e31"),
        member(entry_bytes="é"),
        member(entry_bytes="!"),
        member(entry_bytes="A" * 100_000),
        member(envelope={}),
        member().replace(b'"index": 0', b'"index": 0, "index": 1'),
        b"c2sp.org/tlog-proof@v1\n",
        b"c2sp.org/tlog-proof@v1\n\n",
        b"c2sp.org/tlog-proof@v1\nindex 0\n\nx",
        b"c2sp.org/tlog-proof@v1\nextra e30=\nindex 00\n\nx",
        b"c2sp.org/tlog-proof@v1\nextra e30=\nindex 0\nAAAA\n\nx",
        b"c2sp.org/tlog-proof@v1\nextra e3\nindex 0\n\nx",
        b"c2sp.org/tlog-proof@v1\nextra \xff\nindex 0\n\nx",
        b"c2sp.org/tlog-proof@v2\nextra e30=\nindex 0\n\nx",
        b"x" * ((1 << 20) + 1),
    ],
)
def test_malformed_proofs(data):
    with pytest.raises(MintwardenError):
        read_proof(data)
