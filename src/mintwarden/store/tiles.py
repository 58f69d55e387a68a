"""What both stores hold of tiles and heads: what a tile's path says (C2SP tlog-tiles), what a head may follow."""

from __future__ import annotations

import re

from mintwarden.ledger.ports import Head
from mintwarden.model.errors import FatalLedgerError

_PATH = re.compile(r"tile/(entries|\d{1,2})/((?:x\d{3}/)*\d{3})(?:\.p/(\d{1,3}))?")
_WIDTH = 256


def partial_end(path: str) -> tuple[int, int | None]:
    """Level and, for a partial tile, the number of hashes of that level up to its end; None for a full tile.

    A partial tile serves a tree of `size` leaves only while its end is not below `size >> (8 * level)`.
    Raises `ValueError` for anything that is not a tile's path.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        raise ValueError(f"not the path of a tile: `{path}`")
    level = 0 if match[1] == "entries" else int(match[1])
    if match[3] is None:
        return level, None
    index = int(match[2].replace("x", "").replace("/", ""))
    return level, index * _WIDTH + int(match[3])


def check_swap(standing: Head, new: Head) -> None:
    """INVARIANT: a published head is never taken back: the next one is larger, or the same tree signed again."""
    if new.size < standing.size:
        raise FatalLedgerError(f"a head of size {new.size} would replace one of size {standing.size}")
    if new.size == standing.size and standing.size and new.root != standing.root:
        raise FatalLedgerError(f"two different roots for size {new.size}")
