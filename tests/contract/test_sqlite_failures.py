"""SQLite when something goes wrong: nothing half-written, a clear line, and on it goes once the cause is gone."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mintwarden.context.ports import FactRow
from mintwarden.ledger.ports import Head
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.store import open_store
from mintwarden.store.contract.samples import once, pending, positions, salt
from mintwarden.store.migrate import migrate
from mintwarden.store.sqlite import SqliteStore, open_sqlite
from tests.contract.killing import write_until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "home" / "mintwarden.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = await open_sqlite(str(path), busy_ms=0)
    yield store
    await store.close()


async def unavailable(call: object) -> str:
    with pytest.raises(MintwardenError) as caught:
        await call  # type: ignore[misc]
    assert caught.value.kind is ErrorKind.UNAVAILABLE
    return caught.value.public


async def test_kill_9_leaves_every_answered_batch(path: Path) -> None:
    url = f"sqlite:///{path}"
    expected: set[int] = set()
    for turn in range(6):
        first = turn * 100_000
        expected |= set(write_until(url, first, 3 + turn * 7, subprocess.Popen.kill))
        store = await open_store(url)
        entries = await store.entries.by_index(0, 1_000_000)
        assert [entry.index for entry in entries] == list(range(len(entries)))
        stored = {entry.decision_id for entry in entries}
        assert len(stored) == len(entries) == await store.entries.count()
        for number in expected:
            present = [pending(n).decision_id in stored for n in range(number, number + 10)]
            assert all(present), f"batch {number} was answered and is lost"
            assert await store.subject_keys.get(f"User:{number}") is not None
        assert len(entries) % 10 == 0, "half a batch"
        await store.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


async def test_a_full_disk_refuses_and_recovers(store: SqliteStore) -> None:
    positions(await store.entries.append([pending(1)]))
    writer = store._writer.use()
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages + 1}")
    batch = [pending(2, once=(once(1),)), *(pending(n, size=3000) for n in range(3, 20))]
    assert await unavailable(store.entries.append(batch)) == "the store's disk is full"
    assert await unavailable(store.facts.put([("User:a", FactRow("risk", b"x" * 50_000, 1))])) == (
        "the store's disk is full"
    )
    assert await store.entries.count() == 1
    assert (await store.facts.read(["User:a"])).rows == {}
    writer.execute("PRAGMA max_page_count = 1000000")
    positions(await store.entries.append(batch))
    assert await store.entries.count() == 19


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="explained: needs Linux")
async def test_a_disk_that_fails_while_writing_loses_nothing(path: Path) -> None:
    # a limit on the size of files makes the system refuse to write, in the middle of whatever is written
    script = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (800_000, 800_000)); "
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    writer = str(Path(__file__).with_name("writer.py"))
    done = subprocess.run(
        [sys.executable, "-c", script, writer, f"sqlite:///{path}", "0"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "mintwarden.model.errors.MintwardenError: the store's disk" in done.stderr
    answered = [int(line) for line in done.stdout.split()]
    assert len(answered) > 10
    store = await open_sqlite(str(path))
    assert await store.entries.count() >= len(answered) * 10
    for number in answered:
        assert await store.entries.by_decision(pending(number).decision_id) is not None
    await store.close()


async def test_a_store_opened_to_read_takes_no_writes(path: Path) -> None:
    store = await open_store(f"sqlite:///{path}", read_only=True)
    assert await unavailable(store.entries.append([pending(1)])) == "the store is read-only"
    assert await unavailable(store.tree.swap_head(0, Head(1, b"r" * 32, b"note"))) == "the store is read-only"
    assert await store.entries.count() == 0
    health = await store.health()
    assert (health.reads, health.writes, health.detail) == (True, False, "the store is read-only")
    await store.close()


async def test_a_store_that_is_gone_is_not_written_to(store: SqliteStore, path: Path) -> None:
    positions(await store.entries.append([pending(1)]))
    home, away = path.parent, path.parent.with_name("away")
    home.rename(away)
    assert await unavailable(store.entries.append([pending(2)])) == "the store is gone"
    assert await unavailable(store.facts.read(["User:a"])) == "the store is gone"
    assert await unavailable(store.entries.count()) == "the store is gone"
    health = await store.health()
    assert (health.reads, health.writes, health.detail) == (False, False, "the store is gone")
    away.rename(home)
    positions(await store.entries.append([pending(3)]))
    assert await store.entries.count() == 2
    assert (await store.facts.read(["User:a"])).epoch == await store.epoch()


async def test_a_store_that_was_replaced_is_opened_anew(store: SqliteStore, path: Path) -> None:
    backup = path.with_name("backup.db")
    positions(await store.entries.append([pending(1)]))
    store._writer.checkpoint()
    shutil.copy(path, backup)
    positions(await store.entries.append([pending(2), pending(3)]))
    backup.replace(path)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    assert await store.entries.count() == 1
    assert positions(await store.entries.append([pending(4)])) == [1]


async def test_another_process_that_comes_and_goes_takes_nothing_along(store: SqliteStore, path: Path) -> None:
    """It did, once the running one had looked at its own file: closing that handle had given up SQLite's locks."""
    for number in range(4):
        positions(await store.entries.append([pending(number)]))
        store._writer.checkpoint()
        await store.epoch()  # the file was written, so each connection looks at its beginning
        await store.facts.read(())
        positions(await store.entries.append([pending(100 + number)]))
        visit = f"import sqlite3; c = sqlite3.connect({str(path)!r}); c.execute('SELECT epoch FROM meta').fetchone(); c.close()"
        subprocess.run([sys.executable, "-c", visit], check=True)
        positions(await store.entries.append([pending(200 + number)]))
    assert await store.entries.count() == 12
    await store.close()
    again = await open_sqlite(str(path))
    assert await again.entries.count() == 12
    await again.close()


async def test_a_locked_store_is_busy_and_then_is_not(store: SqliteStore, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert await unavailable(store.entries.append([pending(1)])) == "the store is busy"
    assert (await store.facts.read(["User:a"])).rows == {}, "readers do not wait for writers"
    other.execute("COMMIT")
    other.close()
    positions(await store.entries.append([pending(1, entity="User:a", new_salt=salt(1))]))


@pytest.mark.parametrize("content", [b"", b"not a database at all, but long enough to be one" * 100])
async def test_a_file_that_is_no_store_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.db"
    path.write_bytes(content)
    with pytest.raises(MintwardenError) as caught:
        await open_store(f"sqlite:///{path}")
    assert caught.value.public in {"the store has no schema", "the store's file is not a database"}
    assert path.read_bytes() == content


async def test_damage_under_a_running_store_is_noticed(store: SqliteStore, path: Path) -> None:
    positions(await store.entries.append([pending(n) for n in range(200)]))
    store._writer.checkpoint()
    with path.open("r+b") as file:
        file.write(b"\xff" * path.stat().st_size)
    assert await unavailable(store.entries.by_index(0, 200)) in {
        "the store's file is damaged",
        "the store's file is not a database",
    }


async def test_a_private_file(path: Path) -> None:
    store = await open_sqlite(str(path))
    positions(await store.entries.append([pending(1)]))
    modes = {file.name: file.stat().st_mode & 0o077 for file in path.parent.iterdir()}
    await store.close()
    assert modes == dict.fromkeys(["mintwarden.db", "mintwarden.db-wal", "mintwarden.db-shm"], 0)


async def test_an_erased_salt_is_nowhere_in_the_file(store: SqliteStore, path: Path) -> None:
    secret = salt(123)
    positions(await store.entries.append([pending(1, entity="User:a", new_salt=secret)]))
    assert await store.subject_keys.erase("User:a")
    for file in path.parent.iterdir():
        assert secret not in file.read_bytes(), file.name
