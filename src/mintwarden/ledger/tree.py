"""The Merkle tree of RFC 6962 section 2.1 (RFC 9162 section 2.1.1): hashing, roots, the growing right edge."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

HASH_SIZE = 32
EMPTY_ROOT = sha256().digest()
TILE_WIDTH = 256


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf that holds `entry`."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def root_hash(hashes: Sequence[bytes]) -> bytes:
    """The Merkle tree hash over leaf hashes, or over roots of equally high complete subtrees.

    The last one may also be the root of a lower, incomplete subtree: RFC 6962 splits at the same places.
    """
    if not hashes:
        return EMPTY_ROOT
    row = list(hashes)
    sha = sha256
    while len(row) > 1:
        odd = row[-1] if len(row) & 1 else None
        row = [sha(b"\x01" + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=False)]
        if odd is not None:
            row.append(odd)
    return row[0]


class Edge:
    """The right edge of a growing tree: at each tile level the hashes of the tile that is not yet full.

    Pure and small: at most 255 hashes for each of the levels in use. `grow` appends leaves and says which tiles
    they filled.
    """

    __slots__ = ("_levels", "size")

    def __init__(self, size: int = 0, levels: Sequence[Sequence[bytes]] = ()) -> None:
        self.size = size
        self._levels: list[list[bytes]] = [list(level) for level in levels]
        widths = [len(level) for level in self._levels]
        if sum(width << (8 * level) for level, width in enumerate(widths)) != size or any(w > 255 for w in widths):
            raise ValueError("the edge does not add up to its size")

    def copy(self) -> Edge:
        """An edge that grows on its own."""
        return Edge(self.size, self._levels)

    def grow(self, leaves: Sequence[bytes]) -> list[tuple[int, int, list[bytes]]]:
        """Append leaf hashes; the tiles that became full, as (tile level, tile index, its 256 hashes)."""
        filled: list[tuple[int, int, list[bytes]]] = []
        done = 0
        while done < len(leaves):
            if not self._levels:
                self._levels.append([])
            row = self._levels[0]
            part = leaves[done : done + TILE_WIDTH - len(row)]
            row.extend(part)
            done += len(part)
            self.size += len(part)
            if len(row) == TILE_WIDTH:
                self._carry(filled)
        return filled

    def _carry(self, filled: list[tuple[int, int, list[bytes]]]) -> None:
        level = 0
        while len(self._levels[level]) == TILE_WIDTH:
            row = self._levels[level]
            filled.append((level, (self.size >> (8 * (level + 1))) - 1, row))
            self._levels[level] = []
            level += 1
            if level == len(self._levels):
                self._levels.append([])
            self._levels[level].append(root_hash(row))

    def partial(self) -> list[tuple[int, int, list[bytes]]]:
        """The tiles that are not full, as (tile level, tile index, hashes); empty ones left out."""
        return [(level, self.size >> (8 * (level + 1)), list(row)) for level, row in enumerate(self._levels) if row]

    def root(self) -> bytes:
        """The root of the whole tree."""
        carry: list[bytes] = []
        for row in self._levels:
            if row or carry:
                carry = [root_hash([*row, *carry])]
        return carry[0] if carry else EMPTY_ROOT
