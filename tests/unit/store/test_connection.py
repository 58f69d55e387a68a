from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.store.migrate import migrate
from mintwarden.store.sqlite.connection import PAGE_SIZE, Connection, connect


@pytest.mark.parametrize("read_only", [False, True])
def test_every_connection_has_the_settings_that_the_promises_rest_on(tmp_path: Path, read_only: bool):
    migrate(f"sqlite:///{tmp_path}/store.db")
    connection = connect(str(tmp_path / "store.db"), read_only=read_only)
    found = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in (
        "journal_mode", "synchronous", "mmap_size", "secure_delete", "trusted_schema", "page_size"
    )}  # fmt: skip
    connection.close()
    assert found == {
        "journal_mode": "wal", "synchronous": 2, "mmap_size": 0, "secure_delete": 1, "trusted_schema": 0,
        "page_size": PAGE_SIZE,
    }  # fmt: skip


class Disturbed(Connection):
    """Something happens to the folder right before, and right after, SQLite opens the file."""

    def __init__(self, path: str, *, before: Callable[[], object], after: Callable[[], object]) -> None:
        super().__init__(path)
        self._around = [before, after]

    def _connect(self) -> sqlite3.Connection:
        around, self._around = self._around, []
        for happen in around[:1]:
            happen()
        opened = super()._connect()
        for happen in around[1:]:
            happen()
        return opened


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_file_that_is_exchanged_while_it_is_opened_is_opened_anew_at_the_next_use(tmp_path: Path, moment: str):
    """Somebody mounts another folder there, and takes it away again, as SQLite opens what it finds."""
    home, other, away = tmp_path / "home", tmp_path / "other", tmp_path / "away"
    for folder in (home, other):
        folder.mkdir()
        migrate(f"sqlite:///{folder}/store.db")
    path = home / "store.db"
    first = Connection(str(path))
    other_file = Connection(str(other / "store.db"))
    for opened in (first, other_file):
        opened.use()  # both have a log beside them

    def exchange() -> None:
        home.rename(away)
        other.rename(home)

    def nothing() -> None:
        pass

    happens = {"before": nothing, "after": nothing, moment: exchange}
    disturbed = Disturbed(str(path), **happens)
    with pytest.raises(MintwardenError, match="the store is being replaced") as caught:
        disturbed.use()
    assert caught.value.kind is ErrorKind.UNAVAILABLE
    with disturbed.writing() as connection:
        connection.execute("UPDATE meta SET epoch = 7")
    home.rename(other)
    away.rename(home)
    with first.reading() as connection:
        assert connection.execute("SELECT epoch FROM meta").fetchone() != (7,)
    with other_file.reading() as connection:
        assert connection.execute("SELECT epoch FROM meta").fetchone() == (7,)
    for opened in (disturbed, first, other_file):
        opened.drop()
