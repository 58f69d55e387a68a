"""Sealed documents open with the subject's key, for their decision, unchanged; otherwise not at all."""

from __future__ import annotations

import pytest

from mintwarden.ledger.seal import Sealer, commitment, reference
from mintwarden.model.errors import MintwardenError
from mintwarden.model.values import EntityUid
from tests.unit.ledger import samples

SALT, ID, DOCUMENT = b"s" * 32, b"i" * 16, b'{"risk":12}'


def test_round_trip():
    sealed = samples.sealer().seal(SALT, ID, DOCUMENT)
    assert DOCUMENT not in sealed.blob
    assert samples.sealer().open(SALT, ID, sealed.blob, sealed.commitment) == DOCUMENT
    assert samples.sealer().blinding(SALT, ID) == sealed.blinding


@pytest.mark.parametrize("where", [0, 1, 5, -1])
def test_a_changed_byte_is_seen(where):
    sealed = samples.sealer().seal(SALT, ID, DOCUMENT)
    changed = bytearray(sealed.blob)
    changed[where] ^= 1
    with pytest.raises(MintwardenError, match="cannot be opened"):
        samples.sealer().open(SALT, ID, bytes(changed), sealed.commitment)


@pytest.mark.parametrize("blob", [b"", b"\x01", b"\x01short"])
def test_a_cut_document_is_seen(blob):
    with pytest.raises(MintwardenError, match="cannot be opened"):
        samples.sealer().open(SALT, ID, blob, b"")


def test_it_opens_for_no_other_decision_subject_or_master_key():
    sealed = samples.sealer().seal(SALT, ID, DOCUMENT)
    other = Sealer(secret=b"o" * 32, random_bytes=samples.counting_bytes())
    for sealer, salt, decision in (
        (samples.sealer(), SALT, b"j" * 16),
        (samples.sealer(), b"t" * 32, ID),
        (other, SALT, ID),
    ):
        with pytest.raises(MintwardenError):
            sealer.open(salt, decision, sealed.blob, sealed.commitment)


def test_another_commitment_is_seen():
    sealed = samples.sealer().seal(SALT, ID, DOCUMENT)
    with pytest.raises(MintwardenError, match="commits to"):
        samples.sealer().open(SALT, ID, sealed.blob, b"c" * 32)


def test_the_blinding_value_opens_one_decision_only():
    sealer = samples.sealer()
    first, second = sealer.seal(SALT, ID, DOCUMENT), sealer.seal(SALT, b"j" * 16, DOCUMENT)
    assert first.commitment == commitment(first.blinding, DOCUMENT)
    assert first.commitment != second.commitment
    assert first.blinding != second.blinding
    assert reference(first.blinding, samples.ALICE) != reference(second.blinding, samples.ALICE)


def test_a_reference_is_not_a_commitment_and_names_one_person():
    assert reference(SALT, samples.ALICE) != reference(SALT, EntityUid("User", "bob"))
    assert reference(SALT, samples.ALICE) != reference(SALT, EntityUid("Agent", samples.ALICE.id))
    assert commitment(SALT, b"User:" + samples.ALICE.id.encode()).hex()[:32] != reference(SALT, samples.ALICE)


def test_fresh_keys_differ_and_are_new():
    sealer = samples.sealer()
    first, second = sealer.fresh(), sealer.fresh()
    assert first.id == second.id == 0
    assert first.salt != second.salt
    assert len(first.salt) == 32


def test_a_short_secret_is_refused():
    with pytest.raises(ValueError, match="too short"):
        Sealer(secret=b"short", random_bytes=samples.counting_bytes())
