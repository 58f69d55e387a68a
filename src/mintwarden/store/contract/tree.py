"""What every store's head and tiles do."""

# ruff: noqa: S101

from __future__ import annotations

import asyncio

from mintwarden.ledger.ports import Head
from mintwarden.model.errors import ErrorKind
from mintwarden.store.contract.samples import MakeStore, refusal


class TreeContract:
    """The head is compare-and-swap and never goes back; a tile never changes."""

    async def test_the_first_head_is_empty(self, make_store: MakeStore) -> None:
        store = await make_store()
        assert await store.tree.head() == Head(0, b"", b"")

    async def test_of_two_swaps_one_wins(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        for _ in range(10):
            before = await one.tree.head()
            new = [Head(before.size + 1 + node, b"%d" % node * 32, b"note %d" % node) for node in range(2)]
            won = await asyncio.gather(
                one.tree.swap_head(before.size, new[0]), other.tree.swap_head(before.size, new[1])
            )
            assert sorted(won) == [False, True]
            assert await one.tree.head() == await other.tree.head() == new[won.index(True)]

    async def test_a_head_is_signed_again_but_never_taken_back(self, make_store: MakeStore) -> None:
        store = await make_store()
        assert await store.tree.swap_head(0, Head(5, b"r" * 32, b"one"))
        assert await store.tree.swap_head(5, Head(5, b"r" * 32, b"two"))
        assert await refusal(store.tree.swap_head(5, Head(4, b"q" * 32, b"three"))) is ErrorKind.LEDGER
        assert await refusal(store.tree.swap_head(5, Head(5, b"q" * 32, b"three"))) is ErrorKind.LEDGER
        assert not await store.tree.swap_head(4, Head(6, b"s" * 32, b"three"))
        assert await store.tree.head() == Head(5, b"r" * 32, b"two")

    async def test_tiles_by_path(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        tiles = [("tile/0/000.p/3", b"a" * 96), ("tile/entries/000.p/3", b"entries"), ("tile/0/x001/x234/067", b"b")]
        await one.tree.put_tiles(tiles)
        await other.tree.put_tiles(tiles)
        for path, data in tiles:
            assert await other.tree.tile(path) == data
        assert await other.tree.tile("tile/0/001") is None
        assert await other.tree.tile("../etc/passwd") is None

    async def test_a_tile_never_changes(self, make_store: MakeStore) -> None:
        store = await make_store()
        await store.tree.put_tiles([("tile/0/000", b"a")])
        put = store.tree.put_tiles([("tile/0/001", b"c"), ("tile/0/000", b"b")])
        assert await refusal(put) is ErrorKind.LEDGER
        assert await store.tree.tile("tile/0/000") == b"a"
        assert await store.tree.tile("tile/0/001") is None

    async def test_partial_tiles_go_when_no_head_needs_them(self, make_store: MakeStore) -> None:
        store = await make_store()
        paths = ["tile/0/000", "tile/0/000.p/7", "tile/0/001.p/3", "tile/0/001.p/4", "tile/1/000.p/1",
                 "tile/entries/001.p/3", "tile/entries/001.p/4", "tile/entries/000"]  # fmt: skip
        await store.tree.put_tiles([(path, path.encode()) for path in paths])
        await store.tree.drop_partial_tiles(256 + 4)
        left = [path for path in paths if await store.tree.tile(path) is not None]
        assert left == ["tile/0/000", "tile/0/001.p/4", "tile/1/000.p/1", "tile/entries/001.p/4", "tile/entries/000"]
        await store.tree.drop_partial_tiles(512)
        left = [path for path in paths if await store.tree.tile(path) is not None]
        assert left == ["tile/0/000", "tile/entries/000"]
