"""A look for many names at once, by statements that stay prepared."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128, 192, 256)


class Lookup:
    """`select` reads a table `wanted` of the names that are looked for, whose columns are `columns`.

    There are statements for a few numbers of names, which are filled up with NULL (that matches nothing).
    """

    def __init__(self, select: str, columns: Sequence[str]) -> None:
        self._select = select
        self._columns = tuple(columns)
        self._statements = {size: self._statement(size) for size in _SIZES}

    def find(self, connection: sqlite3.Connection, names: Sequence[Any]) -> list[Any]:
        """The rows for `names`, each a tuple with as many parts as there are columns, or its only part itself."""
        width, count = len(self._columns), len(names)
        place = bisect_left(_SIZES, count)
        size = _SIZES[place] if place < len(_SIZES) else count
        parameters = list(names) if width == 1 else [part for name in names for part in name]
        if size > count:
            parameters.extend([None] * ((size - count) * width))
        return connection.execute(self._statements.get(size) or self._statement(size), parameters).fetchall()

    def _statement(self, size: int) -> str:
        row = f"({', '.join('?' * len(self._columns))})"
        return f"WITH wanted ({', '.join(self._columns)}) AS (VALUES {', '.join([row] * size)}) {self._select}"
