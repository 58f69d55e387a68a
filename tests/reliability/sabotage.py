"""What an operator, a disk or a bad day does to a store, from outside the server."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any


def edit(folder: Path, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """One statement on the embedded store in `folder`, committed; its rows."""
    with contextlib.closing(sqlite3.connect(folder / "mintwarden.db", isolation_level=None)) as connection:
        return list(connection.execute(statement, parameters))
