"""Proofs: the public vectors, and every proof of small trees made and checked."""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from pathlib import Path

import pytest

from mintwarden.ledger.proof import (
    consistency_ranges,
    inclusion_ranges,
    range_root,
    verify_consistency,
    verify_inclusion,
)
from mintwarden.ledger.tree import EMPTY_ROOT, Edge, leaf_hash, node_hash, root_hash
from mintwarden.model.errors import MintwardenError

VECTORS = Path(__file__).parents[2] / "vectors" / "merkle"
INCLUSION = json.loads((VECTORS / "inclusion.json").read_text())
CONSISTENCY = json.loads((VECTORS / "consistency.json").read_text())
LEAVES = [leaf_hash(bytes([number])) for number in range(70)]


def raw(text: str | None) -> bytes:
    return base64.b64decode(text or "")


@pytest.mark.parametrize("case", INCLUSION, ids=lambda case: case["name"])
def test_inclusion_vectors(case):
    holds = verify_inclusion(
        leaf=raw(case["leafHash"]),
        index=case["leafIdx"],
        size=case["treeSize"],
        proof=[raw(part) for part in case["proof"] or []],
        root=raw(case["root"]),
    )
    assert holds is not case["wantErr"]


@pytest.mark.parametrize("case", CONSISTENCY, ids=lambda case: case["name"])
def test_consistency_vectors(case):
    holds = verify_consistency(
        old=case["size1"],
        new=case["size2"],
        old_root=raw(case["root1"]),
        new_root=raw(case["root2"]),
        proof=[raw(part) for part in case["proof"] or []],
    )
    assert holds is not case["wantErr"]


def hash_of(height: int, index: int) -> bytes:
    return root_hash(LEAVES[index << height : (index + 1) << height])


def recursive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(recursive_root(leaves[:split]), recursive_root(leaves[split:]))


@pytest.mark.parametrize("size", range(len(LEAVES)))
def test_root_and_edge_are_the_rfcs(size):
    expected = recursive_root(LEAVES[:size])
    assert root_hash(LEAVES[:size]) == expected
    edge = Edge()
    edge.grow(LEAVES[:size])
    assert edge.root() == expected


@pytest.mark.parametrize("size", range(1, len(LEAVES), 3))
def test_every_inclusion_proof_of_a_tree(size):
    root = recursive_root(LEAVES[:size])
    for index in range(size):
        proof = [range_root(span, hash_of) for span in inclusion_ranges(index, size)]
        assert verify_inclusion(leaf=LEAVES[index], index=index, size=size, proof=proof, root=root)
        assert not verify_inclusion(leaf=LEAVES[index], index=index, size=size, proof=[*proof, root], root=root)
        if size > 1:
            assert not verify_inclusion(leaf=LEAVES[index], index=index ^ 1, size=size, proof=proof, root=root)
            assert not verify_inclusion(leaf=LEAVES[index], index=index, size=size, proof=proof[1:], root=root)


@pytest.mark.parametrize("new", range(1, len(LEAVES), 5))
def test_every_consistency_proof_to_a_tree(new):
    new_root = recursive_root(LEAVES[:new])
    for old in range(1, new + 1):
        old_root = recursive_root(LEAVES[:old])
        proof = [range_root(span, hash_of) for span in consistency_ranges(old, new)]
        assert verify_consistency(old=old, new=new, old_root=old_root, new_root=new_root, proof=proof)
        assert not verify_consistency(old=old, new=new, old_root=old_root, new_root=EMPTY_ROOT, proof=proof)
        if old < new:
            assert not verify_consistency(old=old, new=new, old_root=new_root, new_root=new_root, proof=proof)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 3), (3, 3)])
def test_there_is_no_inclusion_proof_outside_the_tree(index, size):
    with pytest.raises(MintwardenError):
        inclusion_ranges(index, size)


@pytest.mark.parametrize(("old", "new"), [(0, 3), (-1, 3), (4, 3)])
def test_there_is_no_consistency_proof_from_nothing_or_backwards(old, new):
    with pytest.raises(MintwardenError):
        consistency_ranges(old, new)


def test_a_huge_index_is_refused_at_once():
    assert not verify_inclusion(leaf=LEAVES[0], index=2**64 - 1, size=2, proof=[LEAVES[1]], root=LEAVES[2])
    assert not verify_inclusion(leaf=LEAVES[0], index=2, size=2**64 - 1, proof=[], root=LEAVES[2])
