"""Inclusion and consistency proofs (RFC 9162 section 2.1.3 and 2.1.4): which hashes they take, and verification.

A proof is made in two steps, so that no I/O happens here: `inclusion_ranges` or `consistency_ranges` say over
which leaves each hash of the proof goes, `subtrees` say of which complete subtrees that hash is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mintwarden.ledger.tree import HASH_SIZE, node_hash
from mintwarden.model.errors import ErrorKind, MintwardenError

Range = tuple[int, int]
"""Leaves from (inclusive) and to (exclusive)."""

Subtree = tuple[int, int]
"""A complete subtree: its height and its index among those of the same height, from the left."""


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """The ranges whose roots prove that leaf `index` is in the tree of `size` leaves, in proof order."""
    if not 0 <= index < size:
        raise MintwardenError(ErrorKind.NOT_FOUND, f"there is no leaf {index} in a tree of {size}")
    start, end, ranges = 0, size, list[Range]()
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def consistency_ranges(old: int, new: int) -> list[Range]:
    """The ranges whose roots prove that the tree of `new` leaves continues the tree of `old`, in proof order."""
    if not 0 < old <= new:
        raise MintwardenError(ErrorKind.NOT_FOUND, f"there is no consistency proof from {old} to {new}")
    start, end, ranges, whole = 0, new, list[Range](), True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start, whole = middle, False
    if not whole:
        ranges.append((start, end))
    return ranges[::-1]


def subtrees(span: Range) -> list[Subtree]:
    """The complete subtrees that a range of a proof is made of, from the left."""
    start, end = span
    found: list[Subtree] = []
    while start < end:
        height = (end - start).bit_length() - 1
        if start:
            height = min(height, (start & -start).bit_length() - 1)
        found.append((height, start >> height))
        start += 1 << height
    return found


def range_root(span: Range, hash_of: Callable[[int, int], bytes]) -> bytes:
    """The root over a range of a proof, from the hashes of complete subtrees (height, index)."""
    hashes = [hash_of(height, index) for height, index in subtrees(span)]
    root = hashes.pop()
    while hashes:
        root = node_hash(hashes.pop(), root)
    return root


def verify_inclusion(*, leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` shows that `leaf` is leaf `index` of the tree of `size` with `root` (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size or any(len(part) != HASH_SIZE for part in (leaf, root, *proof)):
        return False
    place, last, found = index, size - 1, leaf
    for part in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node_hash(part, found)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            found = node_hash(found, part)
        place >>= 1
        last >>= 1
    return last == 0 and found == root


def verify_consistency(*, old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows that the tree of `new` leaves continues the tree of `old` (RFC 9162 2.1.4.2).

    A tree of size 0 proves nothing: False, as the public vectors have it.
    """
    if not 0 < old <= new or any(len(part) != HASH_SIZE for part in (old_root, new_root, *proof)):
        return False
    if old == new:
        return not proof and old_root == new_root
    path = list(proof)
    if not old & (old - 1):
        path.insert(0, old_root)
    if not path:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place >>= 1
        last >>= 1
    first = second = path[0]
    for part in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            first, second = node_hash(part, first), node_hash(part, second)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            second = node_hash(second, part)
        place >>= 1
        last >>= 1
    return last == 0 and first == old_root and second == new_root


def _split(count: int) -> int:
    return 1 << ((count - 1).bit_length() - 1)
