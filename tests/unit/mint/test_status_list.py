"""Status lists: packed and compressed as the draft's examples, indices that nobody foresees and nobody gets twice."""

from __future__ import annotations

import itertools
import json
import zlib
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

import pytest

from mintwarden.mint.status_list import (
    INVALID,
    SIZE,
    VALID,
    Permutation,
    compressed,
    empty,
    encoded,
    pack,
    status_of,
    with_invalid,
)
from mintwarden.model.errors import MintwardenError

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors/status_list/status_list.json").read_text(encoding="utf-8")
)
KEY = b"k" * 32


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_the_draft_s_examples(vector: dict[str, Any]):
    packed = pack(vector["status"], vector["bits"])
    assert packed.hex() == vector["bytes_hex"]
    assert zlib.decompress(urlsafe_b64decode(vector["lst"] + "==")) == packed
    assert encoded(compressed(packed)) == vector["lst"]


@pytest.mark.parametrize(("statuses", "bits"), [([0], 3), ([2], 1), ([-1], 1), ([4], 2), ([256], 8)])
def test_what_does_not_fit_is_not_packed(statuses: list[int], bits: int):
    with pytest.raises(MintwardenError):
        pack(statuses, bits)


def test_more_bits_for_each():
    assert pack([15, 1, 2], 4) == b"\x1f\x02"
    assert pack([255, 1], 8) == b"\xff\x01"


def test_it_is_zlib_and_neither_deflate_nor_gzip_and_without_padding():
    lst = encoded(empty())
    raw = urlsafe_b64decode(lst + "=" * (-len(lst) % 4))
    assert raw[:2] == b"\x78\xda"
    assert len(zlib.decompress(raw)) == SIZE // 8
    assert "=" not in lst
    assert len(lst) < 300, "a million good tokens cost next to nothing"


def test_a_token_that_is_marked_stays_so_and_its_neighbours_are_as_before():
    kept = with_invalid(empty(), [0, 9, SIZE - 1])
    kept = with_invalid(kept, [10])
    marked = [index for index in (0, 1, 8, 9, 10, 11, SIZE - 2, SIZE - 1) if status_of(kept, index) == INVALID]
    assert marked == [0, 9, 10, SIZE - 1]
    assert with_invalid(kept, [9]) == kept
    assert status_of(kept, 1) == VALID


@pytest.mark.parametrize("index", [SIZE, -1, 1 << 40])
def test_an_index_out_of_range_is_no_good_token(index: int):
    with pytest.raises(MintwardenError, match="no such index"):
        status_of(empty(), index)


@pytest.mark.parametrize(
    "kept", [zlib.compress(b"\0"), zlib.compress(bytes(SIZE)), zlib.compress(bytes(SIZE // 8))[:-1]]
)
def test_a_damaged_list_is_refused_however_large_it_becomes(kept: bytes):
    with pytest.raises(MintwardenError, match="damaged"):
        with_invalid(kept, [1])


def test_every_index_is_given_out_once():
    permutation = Permutation(KEY, 0)
    found = {permutation.index(position) for position in range(0, SIZE, 16)}
    assert len(found) == SIZE // 16
    assert found <= set(range(SIZE))


def test_nobody_foresees_the_next_index():
    one, other, later = (Permutation(*of) for of in ((KEY, 0), (b"x" * 32, 0), (KEY, 8)))
    first = [one.index(position) for position in range(1024)]
    assert first != [other.index(position) for position in range(1024)]
    assert first != [later.index(position) for position in range(1024)]
    steps = [abs(a - b) for a, b in itertools.pairwise(first)]
    assert SIZE / 5 < sum(steps) / len(steps) < SIZE / 2, "neighbours are a third of the list apart, as at random"
    halves = sum(index >= SIZE // 2 for index in first)
    assert 400 < halves < 624
