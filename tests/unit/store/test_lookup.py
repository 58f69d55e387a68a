"""Every name that is looked for is found once, however many there are, and what fills a statement up finds nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from mintwarden.store.sqlite.lookup import Lookup


@pytest.fixture
def table() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE held (about TEXT, value TEXT, number INTEGER)")
        rows = [("a", str(number), number) for number in range(1000)]
        connection.executemany("INSERT INTO held VALUES (?, ?, ?)", [*rows, (None, None, -1)])
        yield connection


@pytest.mark.parametrize("count", [0, 1, 2, 5, 64, 65, 256, 257, 700])
def test_by_two_columns(table: sqlite3.Connection, count: int) -> None:
    lookup = Lookup(
        "SELECT held.value, number FROM wanted CROSS JOIN held "
        "ON held.about = wanted.about AND held.value = wanted.value",
        ("about", "value"),
    )
    wanted = [("a" if number % 2 else "b", str(number)) for number in range(count)]
    assert sorted(number for _, number in lookup.find(table, wanted)) == list(range(1, count, 2))


@pytest.mark.parametrize("count", [0, 1, 3, 256, 300])
def test_by_one_column(table: sqlite3.Connection, count: int) -> None:
    lookup = Lookup("SELECT number FROM wanted CROSS JOIN held ON held.value = wanted.value", ("value",))
    assert sorted(number for (number,) in lookup.find(table, [str(number) for number in range(count)])) == list(
        range(count)
    )
