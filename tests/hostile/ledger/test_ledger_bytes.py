"""Bytes from outside (proofs, notes, keys, paths, exports, sealed parts): refused as what they are, never a crash,
never believed after a change."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintwarden.ledger.checkpoint import parse_checkpoint, verify_checkpoint
from mintwarden.ledger.document import read_act, read_document
from mintwarden.ledger.export import resume_export
from mintwarden.ledger.note import parse_note, parse_signatures, parse_verifier_key
from mintwarden.ledger.proof_file import EntryProof, read_proof, verify_proof, write_json, write_tlog_proof
from mintwarden.ledger.prove import prove
from mintwarden.ledger.published import PublishedLog
from mintwarden.ledger.reveal import read_entry
from mintwarden.ledger.tiles import decode_bundle, parse_path
from mintwarden.model.errors import MintwardenError
from tests.unit.ledger import samples
from tests.unit.ledger.memory import MemoryStore
from tests.unit.ledger.test_sequencer import sequencer

KEYS = [samples.note_signer().key]


@functools.cache
def good() -> EntryProof:
    async def make() -> EntryProof:
        store = MemoryStore()
        await samples.fill(store, 70)
        await sequencer(store).run_once()
        return await prove("33", log=PublishedLog(tree=store, entries=store), entries=store)

    return asyncio.run(make())


def refusal(read: Callable[[Any], object], given_: object) -> str:
    try:
        read(given_)
    except MintwardenError as error:
        return error.public
    return ""


def changed(data: bytes, at: int, byte: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([byte]) + data[at + 1 :]


@given(st.sampled_from([write_json, write_tlog_proof]), st.integers(0, 2**20), st.integers(0, 255))
def test_a_proof_with_one_byte_changed_proves_the_same_or_nothing(write, at, byte):
    data = changed(write(good()), at, byte)
    try:
        found = verify_proof(read_proof(data), keys=KEYS)
    except MintwardenError:
        return
    assert (found.index, found.leaf) == (33, verify_proof(good(), keys=KEYS).leaf)


@given(st.integers(0, 2**20), st.integers(0, 255))
def test_a_checkpoint_with_one_byte_changed_says_the_same_or_nothing(at, byte):
    data = changed(good().checkpoint, at, byte)
    try:
        found = verify_checkpoint(data, keys=KEYS)
    except MintwardenError:
        return
    assert found.checkpoint == verify_checkpoint(good().checkpoint, keys=KEYS).checkpoint


@given(st.integers(0, 2**20), st.integers(0, 255))
def test_an_entry_with_one_byte_changed_is_in_no_tree(at, byte):
    entry = changed(good().entry, at, byte)
    if entry == good().entry:
        return
    with pytest.raises(MintwardenError):
        verify_proof(EntryProof(entry, good().index, good().path, good().checkpoint), keys=KEYS)


@given(
    st.sampled_from([read_proof, parse_note, read_entry, read_document, read_act, decode_bundle]),
    st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
)
def test_any_bytes_are_read_or_refused(read, data):
    assert "\n" not in refusal(read, data)


@given(st.sampled_from([parse_checkpoint, parse_verifier_key, parse_signatures]), st.text(max_size=200))
def test_any_text_is_read_or_refused(read, text):
    assert "\n" not in refusal(read, text)


@given(st.lists(st.binary(max_size=60).map(lambda line: line + b"\n"), max_size=4))
def test_any_lines_are_an_export_or_refused(lines):
    with pytest.raises(MintwardenError):
        resume_export(lines)


@given(st.text(alphabet="tile/entrisx0123456789.p\n\\%", max_size=40))
def test_any_path_is_spelled_exactly_or_no_path(path):
    found = parse_path(path)
    assert found is None or ".." not in path


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"v":1,"kind":"decision","id":' + b"[" * 40 + b"]" * 40 + b"}",
        b"9" * 60_000,
        b'{"v":1e400,"kind":"decision"}',
        b'{"kind":"decision","kind":"erasure","v":1}',
        b'\xef\xbb\xbf{"kind":"decision","v":1}',
        b'{"kind":"deci\\u0073ion","v":1}',
        b'{"kind":"decision","v":1}\n',
        b'{"kind":"\\ud800","v":1}',
    ],
    ids=[
        "deep list",
        "deep object",
        "too deep",
        "long number",
        "huge number",
        "twice",
        "mark",
        "escape",
        "tail",
        "half",
    ],
)
def test_hostile_entries_are_refused(data):
    with pytest.raises(MintwardenError):
        read_entry(data)


@pytest.mark.parametrize(
    "data", [b"[" * 100_000, b"[]", b"{}", b'{"actor":1}', b"1", b'{"v":1}', b'{"v":2,"asked":{}}']
)
def test_hostile_sealed_parts_are_refused(data):
    for read in (read_act, read_document):
        with pytest.raises(MintwardenError):
            read(data)
