"""Somebody lays hands on the files of a store that is open: no commit is believed that nobody could ever read."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.store.contract.samples import pending, positions
from mintwarden.store.migrate import migrate
from mintwarden.store.sqlite import SqliteStore, open_sqlite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "mintwarden.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = await open_sqlite(str(path), busy_ms=0)
    positions(await store.entries.append([pending(n) for n in range(10)]))
    yield store
    await store.close()


async def refused(store: SqliteStore, number: int) -> str:
    with pytest.raises(MintwardenError) as caught:
        await store.entries.append([pending(number)])
    assert caught.value.kind is ErrorKind.UNAVAILABLE
    return caught.value.public


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
async def test_a_removed_log_takes_no_commit_and_loses_none(store: SqliteStore, path: Path, suffix: str) -> None:
    beside(path, suffix).unlink()
    for number in (100, 101):
        assert await refused(store, number) == "the store's write-ahead log is gone"
    health = await store.health()
    assert (health.reads, health.writes, health.detail) == (True, False, "the store's write-ahead log is gone")
    await store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM entries").fetchone() == (10,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_log_that_is_put_back_goes_on(store: SqliteStore, path: Path) -> None:
    away = path.with_name("away")
    beside(path, "-wal").rename(away)
    assert await refused(store, 100) == "the store's write-ahead log is gone"
    away.rename(beside(path, "-wal"))
    assert positions(await store.entries.append([pending(100)])) == [10]


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def empty(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(0)


def overwrite(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.write(b"\xff" * size)


@pytest.mark.parametrize("damage", [cut, empty, overwrite])
async def test_a_file_that_was_cut_or_overwritten_takes_no_commit(
    store: SqliteStore, path: Path, damage: Callable[[Path], None]
) -> None:
    whole = path.read_bytes()
    damage(path)
    assert await refused(store, 100) == "the store's file is damaged"
    with pytest.raises(MintwardenError, match="the store's file is damaged"):
        await store.facts.read(["User:a"])
    with pytest.raises(MintwardenError, match="the store's file is damaged"):
        await store.entries.count()
    with path.open("r+b") as file:
        file.write(whole)
    assert positions(await store.entries.append([pending(100)])) == [10]
    assert await store.entries.count() == 11


async def test_vacuuming_is_no_damage(store: SqliteStore, path: Path) -> None:
    positions(await store.entries.append([pending(n, size=3000) for n in range(100, 500)]))
    store._writer.checkpoint()
    size = path.stat().st_size
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("DELETE FROM entries WHERE leaf > 20")
        other.execute("VACUUM")
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size < size
    assert positions(await store.entries.append([pending(1000)])) == [21]
    assert await store.entries.count() == 22


async def test_another_file_is_not_mixed_with_the_log_of_the_one_before(store: SqliteStore, path: Path) -> None:
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    positions(await store.entries.append([pending(100)]))
    original = path.with_name("original.db")
    path.rename(original)
    copy.rename(path)
    assert await refused(store, 101) == "the store was replaced while it was open"
    with pytest.raises(MintwardenError, match="the store was replaced while it was open"):
        await store.facts.read(["User:a"])
    path.unlink()
    original.rename(path)
    assert positions(await store.entries.append([pending(102)])) == [11]
