"""Checkpoints and cosignatures."""

from __future__ import annotations

import pytest

from mintwarden.ledger.checkpoint import (
    Checkpoint,
    cosignature_message,
    cosignatures,
    parse_checkpoint,
    sign_checkpoint,
    verify_checkpoint,
    with_signatures,
)
from mintwarden.ledger.note import COSIGNATURE, Signature, parse_note, verifier_key
from mintwarden.ledger.tree import EMPTY_ROOT
from mintwarden.model.errors import MintwardenError
from tests.unit.ledger import samples

ROOT = bytes(range(32))
HEAD = Checkpoint(samples.ORIGIN, 7, ROOT)
KEY = samples.note_signer().key


def witness_key(seed: int, name: str = "witness.example"):
    return verifier_key(name, samples.signing_key(seed).public_key().public_bytes_raw(), COSIGNATURE)


def cosign(text: str, seed: int, at: int = 1_795_000_000, name: str = "witness.example") -> Signature:
    blob = at.to_bytes(8, "big") + samples.signing_key(seed).sign(cosignature_message(text, at))
    return Signature(name, witness_key(seed, name).id, blob)


async def test_round_trip():
    data = await sign_checkpoint(HEAD, samples.note_signer())
    found = verify_checkpoint(data, keys=[KEY], origin=samples.ORIGIN)
    assert found.checkpoint == HEAD
    assert found.keys == (KEY,)
    assert parse_checkpoint(parse_note(data).text) == HEAD


async def test_extension_lines_are_kept_and_signed():
    head = Checkpoint(samples.ORIGIN, 7, ROOT, ("an extension",))
    assert verify_checkpoint(await sign_checkpoint(head, samples.note_signer()), keys=[KEY]).checkpoint == head


@pytest.mark.parametrize(
    ("keys", "origin", "says"),
    [
        ([samples.note_signer(2).key], "", "no signature of a trusted key"),
        ([], "", "no signature of a trusted key"),
        ([KEY], "other.example", "is of the log"),
    ],
)
async def test_the_wrong_key_or_log_is_refused(keys, origin, says):
    data = await sign_checkpoint(HEAD, samples.note_signer())
    with pytest.raises(MintwardenError, match=says):
        verify_checkpoint(data, keys=keys, origin=origin)


async def test_a_rewritten_checkpoint_is_refused():
    data = await sign_checkpoint(HEAD, samples.note_signer())
    with pytest.raises(MintwardenError, match="does not verify"):
        verify_checkpoint(data.replace(b"\n7\n", b"\n8\n"), keys=[KEY])


async def test_cosignatures_are_attached_once_and_counted():
    data = await sign_checkpoint(HEAD, samples.note_signer())
    line = cosign(HEAD.text(), 8)
    cosigned = with_signatures(with_signatures(data, [line]), [line])
    assert cosigned.count(b"witness.example") == 1
    found = verify_checkpoint(cosigned, keys=[KEY], witnesses=[witness_key(8)], quorum=1)
    assert [(c.witness, c.at) for c in found.cosigned] == [(witness_key(8), 1_795_000_000)]
    with pytest.raises(MintwardenError, match="1 of 2"):
        verify_checkpoint(cosigned, keys=[KEY], witnesses=[witness_key(8), witness_key(9)], quorum=2)


async def test_one_key_under_two_names_counts_once():
    data = await sign_checkpoint(HEAD, samples.note_signer())
    lines = [cosign(HEAD.text(), 8), cosign(HEAD.text(), 8, name="alias.example")]
    keys = [witness_key(8), witness_key(8, "alias.example")]
    assert len(cosignatures(parse_note(with_signatures(data, lines)), keys)) == 1


@pytest.mark.parametrize("change", ["time", "text", "length"])
async def test_a_bad_cosignature_of_a_known_witness_is_refused(change):
    data = await sign_checkpoint(HEAD, samples.note_signer())
    line = cosign("other\n1\nx\n" if change == "text" else HEAD.text(), 8)
    blob = line.blob
    if change == "time":
        blob = (1).to_bytes(8, "big") + blob[8:]
    if change == "length":
        blob = blob[:-1]
    note = with_signatures(data, [Signature(line.name, line.key_id, blob)])
    with pytest.raises(MintwardenError, match="does not verify"):
        verify_checkpoint(note, keys=[KEY], witnesses=[witness_key(8)])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n",
        "origin\n7\n",
        "origin\n07\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "origin\n-7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "origin\n٧\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "origin\n9223372036854775808\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "origin\n99999999999999999999\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "origin\n0\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "origin\n7\nAAEC\n",
        "or igin\n7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "origin\n7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\n",
        "origin\n7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    ],
)
def test_malformed_checkpoints(text):
    with pytest.raises(MintwardenError):
        parse_checkpoint(text)


def test_an_empty_tree_has_the_empty_root():
    assert parse_checkpoint(Checkpoint("origin", 0, EMPTY_ROOT).text()).size == 0
