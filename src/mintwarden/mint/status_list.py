"""Token status lists (draft-ietf-oauth-status-list-21): a bit for each token, and which bit is whose.

Pure. Bits are packed from the least significant one on, compressed with zlib (section 4.1).
"""

from __future__ import annotations

import hashlib
import zlib
from array import array
from collections.abc import Iterable

from mintwarden.mint.sign import b64
from mintwarden.model.errors import ErrorKind, MintwardenError

SIZE_BITS = 20
SIZE = 1 << SIZE_BITS
"""Tokens of one list."""

VALID, INVALID = 0, 1
LEVEL = 9
_HALF = SIZE_BITS // 2
_MASK = (1 << _HALF) - 1
_ROUNDS = 10


def pack(statuses: Iterable[int], bits: int = 1) -> bytes:
    """The byte array of `statuses`, `bits` (1, 2, 4 or 8) for each (section 4)."""
    if bits not in (1, 2, 4, 8):
        raise MintwardenError(ErrorKind.INTERNAL, f"a status has 1, 2, 4 or 8 bits, not {bits}")
    packed = bytearray()
    each = 8 // bits
    for index, status in enumerate(statuses):
        if not 0 <= status < 1 << bits:
            raise MintwardenError(ErrorKind.INTERNAL, f"status {status} does not fit into {bits} bits")
        if index % each == 0:
            packed.append(0)
        packed[-1] |= status << (index % each) * bits
    return bytes(packed)


def compressed(packed: bytes) -> bytes:
    """The byte array as it is kept and sent: zlib (RFC 1950), neither raw deflate nor gzip."""
    return zlib.compress(packed, LEVEL)


def empty() -> bytes:
    """A compressed list of which every token is good."""
    return compressed(bytes(SIZE // 8))


def encoded(kept: bytes) -> str:
    """A compressed list as `lst` has it: base64url without padding."""
    return b64(kept).decode("ascii")


def with_invalid(kept: bytes, indices: Iterable[int]) -> bytes:
    """A compressed list in which these tokens are invalid, too. INVARIANT: no token becomes good again."""
    packed = bytearray(_unpacked(kept))
    for index in indices:
        packed[index >> 3] |= INVALID << (index & 7)
    return compressed(bytes(packed))


def status_of(kept: bytes, index: int) -> int:
    """The status of one token of a compressed list; raises `INTERNAL` for an index that the list does not have."""
    packed = _unpacked(kept)
    if not 0 <= index < len(packed) * 8:
        raise MintwardenError(ErrorKind.INTERNAL, "the list has no such index")
    return packed[index >> 3] >> (index & 7) & 1


def _unpacked(kept: bytes) -> bytes:
    reader = zlib.decompressobj()
    packed = reader.decompress(kept, SIZE // 8 + 1)
    if len(packed) != SIZE // 8 or not reader.eof:
        raise MintwardenError(ErrorKind.STORE, "a status list in the store is damaged", hint="restore the store")
    return packed


class Permutation:
    """Which index the nth token of a list gets: each index once, and nobody without the key foresees the next.

    A Feistel network over two halves of ten bits, whose round functions are tables drawn from the key and the list's
    number: ten look-ups an index.
    """

    def __init__(self, key: bytes, number: int) -> None:
        drawn = hashlib.shake_256(key + number.to_bytes(8, "big")).digest(2 * _ROUNDS * (_MASK + 1))
        values = array("H")
        values.frombytes(drawn)
        self._tables = tuple(
            tuple(value & _MASK for value in values[start : start + _MASK + 1])
            for start in range(0, len(values), _MASK + 1)
        )

    def index(self, position: int) -> int:
        """The index of the token at `position`."""
        left, right = position >> _HALF, position & _MASK
        for table in self._tables:
            left, right = right, left ^ table[right]
        return left << _HALF | right
