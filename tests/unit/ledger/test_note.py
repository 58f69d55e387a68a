"""Signed notes and verifier keys."""

from __future__ import annotations

import pytest

from mintwarden.ledger.note import (
    COSIGNATURE,
    Note,
    parse_note,
    parse_verifier_key,
    sign_note,
    verified_by,
    verifier_key,
)
from mintwarden.model.errors import MintwardenError
from tests.unit.ledger import samples

# The example of C2SP signed-note (Go's sum.golang.org uses the same form).
TEXT = "a text\nof two lines\n"


async def note(seed: int = 1, name: str = samples.ORIGIN) -> Note:
    return await sign_note(TEXT, samples.note_signer(seed, name))


async def test_round_trip():
    signed = await note()
    assert parse_note(signed.to_bytes()) == signed
    assert verified_by(signed, [samples.note_signer().key]) == (samples.note_signer().key,)


async def test_a_text_with_empty_lines_ends_at_the_last_one():
    signed = await sign_note("one\n\ntwo\n", samples.note_signer())
    assert parse_note(signed.to_bytes()).text == "one\n\ntwo\n"


async def test_unknown_signatures_count_for_nothing():
    assert verified_by(await note(), [samples.note_signer(2).key]) == ()
    both = Note(TEXT, (await note(3, "other")).signatures + (await note()).signatures)
    assert len(verified_by(both, [samples.note_signer().key])) == 1


async def test_a_bad_signature_of_a_known_key_voids_the_note():
    signed = await note()
    changed = Note("another text\n", signed.signatures)
    with pytest.raises(MintwardenError, match="does not verify"):
        verified_by(changed, [samples.note_signer().key])


async def test_two_signatures_of_one_key_void_the_note():
    signed = await note()
    with pytest.raises(MintwardenError, match="two signatures"):
        verified_by(Note(TEXT, signed.signatures * 2), [samples.note_signer().key])


async def test_a_cosignature_key_does_not_sign_notes():
    signed = await note()
    key = verifier_key(samples.ORIGIN, samples.note_signer().key.public, COSIGNATURE)
    assert verified_by(signed, [key]) == ()


def test_verifier_keys_are_written_and_read():
    key = samples.note_signer().key
    assert parse_verifier_key(str(key)) == key
    assert parse_verifier_key(f"{key}\n") == key
    known = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
    assert str(parse_verifier_key(known)) == known


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+12345678",
        "name+00000000+AZt5pBc4ZXXZ4dDs3IN0n0TiIT5+TRKWAmnrdoD3BtKZ",
        "na me+bbbbbbbb+AZt5pBc4ZXXZ4dDs3IN0n0TiIT5+TRKWAmnrdoD3BtKZ",
        "name+bbbbbbbb+not base64",
        "name+bbbbbbbb+CQ==",
        "name+bbbbbbbb+AQ==",
    ],
)
def test_bad_verifier_keys(text):
    with pytest.raises(MintwardenError):
        parse_verifier_key(text)


@pytest.mark.parametrize(
    "public",
    [bytes(32), b"\x01" + bytes(31), b"\x01" + bytes(30) + b"\x80", b"\xec" + b"\xff" * 30 + b"\x7f", b"\xff" * 32],
)
def test_weak_keys_are_refused(public):
    with pytest.raises(MintwardenError, match="weak"):
        verifier_key("name", public)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"text\n\n\n",
        b"\n\n\xe2\x80\x94 name AAAAAAAA\n",
        b"text\n\n- name AAAAAAAA\n",
        b"text\n\n\xe2\x80\x94 name\n",
        b"text\n\n\xe2\x80\x94 name AAAA\n",
        b"text\n\n\xe2\x80\x94 name AAAAAAB=\n",
        b"text\n\n\xe2\x80\x94 name AAAAAAAA",
        b"text\n\n\xe2\x80\x94 na+me AAAAAAAA\n",
        b"te\x00xt\n\n\xe2\x80\x94 name AAAAAAAA\n",
        b"te\xffxt\n\n\xe2\x80\x94 name AAAAAAAA\n",
        b"text\r\n\n\xe2\x80\x94 name AAAAAAAA\n",
        b"text\n\n" + b"\xe2\x80\x94 name AAAAAAAA\n" * 101,
        b"x" * (1 << 20) + b"\n\n\xe2\x80\x94 name AAAAAAAA\n",
    ],
)
def test_malformed_notes(data):
    with pytest.raises(MintwardenError):
        parse_note(data)
