"""The layout in which the log is served (C2SP tlog-tiles): paths, entry bundles, and hashes found in tiles."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from mintwarden.ledger.proof import Range, subtrees
from mintwarden.ledger.tree import HASH_SIZE, TILE_WIDTH, root_hash
from mintwarden.model.errors import ErrorKind, FatalLedgerError, MintwardenError

MAX_LEVEL = 7
"""Eight levels hold every size below 2^63."""

Position = tuple[int, int]
"""A tile by its level and its index from the left."""

_PATH = re.compile(r"tile/(entries|[0-9])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII)


class TilePath(Struct, frozen=True):
    """What a path asks for. `level` is None for an entry bundle; `width` is 256 for a full tile."""

    level: int | None
    index: int
    width: int


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """Path of a hash tile, below the log's prefix."""
    return f"tile/{level}/{_spell(index)}{_suffix(width)}"


def bundle_path(index: int, width: int = TILE_WIDTH) -> str:
    """Path of an entry bundle, below the log's prefix."""
    return f"tile/entries/{_spell(index)}{_suffix(width)}"


def parse_path(path: str) -> TilePath | None:
    """What `path` asks for; None when it is not exactly how such a path is spelled."""
    match = _PATH.fullmatch(path) if len(path) <= 64 else None
    if match is None:
        return None
    index = int(match[2].replace("x", "").replace("/", ""))
    width = int(match[3]) if match[3] else TILE_WIDTH
    level = None if match[1] == "entries" else int(match[1])
    if _spell(index) != match[2] or (match[3] and width >= TILE_WIDTH) or (level or 0) > MAX_LEVEL:
        return None
    return TilePath(level, index, width)


def width_at(level: int, index: int, size: int) -> int:
    """How many hashes that tile has in the tree of `size` leaves: 0 to 256."""
    return max(0, min(TILE_WIDTH, (size >> (8 * level)) - index * TILE_WIDTH))


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """The entry bundle that holds `entries`."""
    return b"".join([len(entry).to_bytes(2, "big") + entry for entry in entries])


def decode_bundle(data: bytes) -> list[bytes]:
    """The entries of a bundle; raises `MintwardenError(LEDGER)` when it is cut."""
    entries, at = [], 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or end > len(data):
            raise MintwardenError(ErrorKind.LEDGER, "an entry bundle is cut")
        entries.append(data[at + 2 : end])
        at = end
    return entries


def split_hashes(data: bytes) -> list[bytes]:
    """The hashes of a tile."""
    return [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]


def tile_of(height: int, index: int) -> Position:
    """The tile from which the hash of a complete subtree can be had."""
    return height // 8, (index << (height % 8)) // TILE_WIDTH


def tiles_of(ranges: Iterable[Range]) -> list[Position]:
    """Every tile that the roots over `ranges` take."""
    return sorted({tile_of(*subtree) for span in ranges for subtree in subtrees(span)})


def hashes_from(tiles: Mapping[Position, bytes]) -> Callable[[int, int], bytes]:
    """Hashes of complete subtrees (height, index) from the tiles that `tiles_of` named."""

    def hash_of(height: int, index: int) -> bytes:
        level, number = tile_of(height, index)
        first = (index << (height % 8)) - number * TILE_WIDTH
        count = 1 << (height % 8)
        found = split_hashes(tiles[level, number][first * HASH_SIZE : (first + count) * HASH_SIZE])
        if len(found) != count or len(found[-1]) != HASH_SIZE:
            raise FatalLedgerError(f"tile `{tile_path(level, number)}` is cut", hint="run `mintwarden ledger audit`")
        return root_hash(found)

    return hash_of


def _spell(index: int) -> str:
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.append(f"x{index % 1000:03d}")
    return "/".join(reversed(groups))


def _suffix(width: int) -> str:
    return "" if width == TILE_WIDTH else f".p/{width}"
