from __future__ import annotations

import pytest

from mintwarden.ledger.ports import Head
from mintwarden.model.errors import FatalLedgerError
from mintwarden.store.tiles import check_swap, partial_end


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("tile/0/000", (0, None)), ("tile/0/000.p/7", (0, 7)), ("tile/2/x001/x234/067.p/255", (2, 1234067 * 256 + 255)),
        ("tile/entries/001.p/3", (0, 259)), ("tile/entries/x001/000", (0, None)),
    ],
)  # fmt: skip
def test_what_a_path_says(path, expected):
    assert partial_end(path) == expected


@pytest.mark.parametrize(
    "path", ["", "tile/0/0", "tile/0/000.p/", "../000", "tile/a/000", "tile/0/000\n", "/tile/0/000"]
)
def test_anything_else_is_no_tile(path):
    with pytest.raises(ValueError, match="not the path of a tile"):
        partial_end(path)


def test_what_may_follow_a_head():
    standing = Head(5, b"a" * 32, b"note")
    check_swap(standing, Head(5, b"a" * 32, b"cosigned"))
    check_swap(standing, Head(6, b"b" * 32, b"note"))
    for bad in (Head(4, b"a" * 32, b""), Head(5, b"b" * 32, b"")):
        with pytest.raises(FatalLedgerError):
            check_swap(standing, bad)
