"""Paths, entry bundles, and the tiles that a growing tree leaves behind."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintwarden.ledger.tiles import (
    TilePath,
    bundle_path,
    decode_bundle,
    encode_bundle,
    hashes_from,
    parse_path,
    tile_path,
    width_at,
)
from mintwarden.ledger.tree import Edge, leaf_hash
from mintwarden.model.errors import FatalLedgerError, MintwardenError


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (tile_path(0, 0), "tile/0/000"),
        (tile_path(0, 999), "tile/0/999"),
        (tile_path(0, 1000), "tile/0/x001/000"),
        (tile_path(2, 1234067), "tile/2/x001/x234/067"),
        (tile_path(1, 3, 17), "tile/1/003.p/17"),
        (bundle_path(1234067, 255), "tile/entries/x001/x234/067.p/255"),
    ],
)
def test_paths_of_the_specification(path, expected):
    assert path == expected


@given(st.integers(0, 7) | st.none(), st.integers(0, 2**40), st.integers(1, 256))
def test_paths_are_read_as_they_are_written(level, index, width):
    path = bundle_path(index, width) if level is None else tile_path(level, index, width)
    assert parse_path(path) == TilePath(level, index, width)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "checkpoint",
        "tile/0/0",
        "tile/0/0000",
        "tile/00/000",
        "tile/8/000",
        "tile/-1/000",
        "tile/0/x000/000",
        "tile/0/001/x000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000/",
        "/tile/0/000",
        "tile/0/../0/000",
        "tile/0/٠٠٠",
        "tile/entries/000\n",
        "tile/data/000",
        "tile/0/" + "x001/" * 100 + "000",
    ],
)
def test_other_spellings_are_no_paths(path):
    assert parse_path(path) is None


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_bundles_round_trip(entries):
    assert decode_bundle(encode_bundle(entries)) == entries


@pytest.mark.parametrize("data", [b"\x00", b"\x00\x05abcd", b"\x00\x01a\x00"])
def test_a_cut_bundle_is_seen(data):
    with pytest.raises(MintwardenError, match="cut"):
        decode_bundle(data)


def test_the_tiles_of_seventy_thousand_leaves():
    size = 70_000
    assert [width_at(0, index, size) for index in (0, 272, 273, 274)] == [256, 256, 112, 0]
    assert [width_at(1, index, size) for index in (0, 1, 2)] == [256, 17, 0]
    assert width_at(2, 0, size) == 1


def test_an_edge_fills_the_tiles_of_the_specification():
    edge, full = Edge(), []
    for start in range(0, 70_000, 777):
        leaves = [leaf_hash(n.to_bytes(4, "big")) for n in range(start, min(start + 777, 70_000))]
        full += [(level, index) for level, index, row in edge.grow(leaves) if len(row) == 256]
    assert sorted(full) == [(0, index) for index in range(273)] + [(1, 0)]
    assert [(level, index, len(row)) for level, index, row in edge.partial()] == [(0, 273, 112), (1, 1, 17), (2, 0, 1)]


def test_size_256_is_a_full_tile_and_one_hash_above():
    edge = Edge()
    full = edge.grow([leaf_hash(bytes([n])) for n in range(256)])
    assert [(level, index) for level, index, _ in full] == [(0, 0)]
    assert [(level, index, len(row)) for level, index, row in edge.partial()] == [(1, 0, 1)]
    assert edge.partial()[0][2] == [edge.root()]


def test_an_edge_that_does_not_add_up_is_refused():
    with pytest.raises(ValueError, match="add up"):
        Edge(3, [[b"x" * 32]])


def test_a_cut_tile_stops():
    with pytest.raises(FatalLedgerError, match="cut"):
        hashes_from({(0, 0): b"x" * 33})(0, 1)
