"""The log as the world sees it: its checkpoint, tiles, entry bundles, and proofs made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mintwarden.ledger.ports import EntryReader, Head, TreeStore
from mintwarden.ledger.proof import Range, consistency_ranges, inclusion_ranges, range_root
from mintwarden.ledger.tiles import (
    Position,
    TilePath,
    encode_bundle,
    hashes_from,
    parse_path,
    tile_path,
    tiles_of,
    width_at,
)
from mintwarden.ledger.tree import EMPTY_ROOT, HASH_SIZE, TILE_WIDTH
from mintwarden.model.errors import ErrorKind, FatalLedgerError, MintwardenError

_ATTEMPTS = 4


class PublishedLog:
    """Reads what is covered by the present checkpoint and nothing beyond it."""

    def __init__(self, *, tree: TreeStore, entries: EntryReader) -> None:
        self._tree = tree
        self._entries = entries

    async def head(self) -> Head:
        """The present head."""
        return await self._tree.head()

    async def checkpoint(self) -> bytes:
        """The present checkpoint as a signed note; raises `NOT_FOUND` before the first."""
        head = await self._tree.head()
        if not head.checkpoint:
            raise MintwardenError(
                ErrorKind.NOT_FOUND,
                "the log has no checkpoint yet",
                hint="a server publishes one as soon as something is recorded",
            )
        return head.checkpoint

    async def tile(self, path: str) -> bytes | None:
        """The bytes of a hash tile or entry bundle by its path, or None when the checkpoint covers no such thing.

        Entry bundles are made of the entries as they are stored; a partial tile of any earlier size is the
        beginning of what stands there now, so that only the newest has to be kept.
        """
        wanted = parse_path(path)
        if wanted is None:
            return None
        head = await self._tree.head()
        if wanted.index * TILE_WIDTH + wanted.width > head.size >> (8 * (wanted.level or 0)):
            return None
        if wanted.level is None:
            return await self._bundle(wanted)
        return await self._tile((wanted.level, wanted.index), wanted.width)

    async def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """Proof that leaf `index` is in the published tree of `size` leaves; raises `NOT_FOUND`."""
        return await self._prove(inclusion_ranges(index, size), size)

    async def inclusion_proofs(self, start: int, count: int, size: int) -> list[list[bytes]]:
        """The proofs of `count` neighbouring leaves, for which each tile is read once."""
        ranges = [inclusion_ranges(index, size) for index in range(start, start + count)]
        hash_of = hashes_from(await self._tiles(tiles_of(span for proof in ranges for span in proof), size))
        return [[range_root(span, hash_of) for span in proof] for proof in ranges]

    async def consistency_proof(self, old: int, new: int) -> list[bytes]:
        """Proof that the published tree of `new` leaves continues that of `old`; raises `NOT_FOUND`."""
        return await self._prove(consistency_ranges(old, new), new)

    async def root(self, size: int) -> bytes:
        """Root of the tree of the first `size` leaves, all published; raises `NOT_FOUND`."""
        if size == 0:
            return EMPTY_ROOT
        return (await self._prove([(0, size)], size))[0]

    async def _prove(self, ranges: Sequence[Range], size: int) -> list[bytes]:
        if size > (await self._tree.head()).size:
            raise MintwardenError(ErrorKind.NOT_FOUND, f"no tree of {size} leaves is published")
        hash_of = hashes_from(await self._tiles(tiles_of(ranges), size))
        return [range_root(span, hash_of) for span in ranges]

    async def _tiles(self, positions: Iterable[Position], size: int) -> dict[Position, bytes]:
        return {position: await self._tile(position, width_at(*position, size)) for position in positions}

    async def _tile(self, position: Position, width: int) -> bytes:
        """The first `width` hashes of a tile that the head covers."""
        level, index = position
        for _ in range(_ATTEMPTS):
            # The head may move on between two reads, and an older partial tile go.
            now = width_at(level, index, (await self._tree.head()).size)
            for stored in dict.fromkeys((now, TILE_WIDTH, width)):
                data = await self._tree.tile(tile_path(level, index, stored)) if stored else None
                if data is not None and len(data) >= width * HASH_SIZE:
                    return data[: width * HASH_SIZE]
        raise FatalLedgerError(
            f"tile `{tile_path(level, index, width)}` is missing", hint="run `mintwarden ledger audit`"
        )

    async def _bundle(self, wanted: TilePath) -> bytes:
        found = await self._entries.by_index(wanted.index * TILE_WIDTH, wanted.width)
        if len(found) != wanted.width:
            raise FatalLedgerError("published entries are missing", hint="run `mintwarden ledger audit`")
        return encode_bundle([stored.entry for stored in found])
