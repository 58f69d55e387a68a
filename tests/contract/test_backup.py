"""A backup is one moment of a store in use, complete or not there."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.store import open_store
from mintwarden.store.backup import backup
from mintwarden.store.contract.samples import pending
from mintwarden.store.migrate import migrate
from mintwarden.store.postgres.embedded import EmbeddedPostgres, executables

pytestmark = pytest.mark.xdist_group("postgres")


async def test_a_sqlite_backup_while_it_is_written_to(tmp_path: Path):
    url, copy = f"sqlite:///{tmp_path}/a.db", tmp_path / "copy.db"
    store = await open_store(url, create=True)
    await store.entries.append([pending(n, size=900) for n in range(5000)])
    done = asyncio.create_task(asyncio.to_thread(backup, url, copy))
    number = 5000
    while not done.done():
        await store.entries.append([pending(n) for n in range(number, number + 7)])
        number += 7
    await done
    await store.close()
    assert copy.stat().st_mode & 0o077 == 0
    copied = await open_store(f"sqlite:///{copy}")
    entries = await copied.entries.by_index(0, 10**6)
    assert len(entries) >= 5000
    assert [e.leaf_hash for e in entries] == [
        pending(n, size=900 if n < 5000 else 40).leaf_hash for n in range(len(entries))
    ]
    await copied.close()


def test_nothing_is_replaced_and_nothing_is_left_behind(tmp_path: Path):
    url, target = f"sqlite:///{tmp_path}/a.db", tmp_path / "copy.db"
    target.write_text("mine")
    migrate(url)
    with pytest.raises(MintwardenError) as caught:
        backup(url, target)
    assert caught.value.kind is ErrorKind.CONFLICT
    assert target.read_text() == "mine"
    for source, where in ((f"sqlite:///{tmp_path}/none.db", tmp_path / "b.db"), (url, tmp_path / "no" / "b.db")):
        with pytest.raises(MintwardenError) as caught:
            backup(source, where)
        assert caught.value.kind is ErrorKind.UNAVAILABLE
    assert not [file.name for file in tmp_path.iterdir() if "part" in file.name]


async def test_a_postgres_backup_can_be_restored(
    new_database: Callable[..., str], postgres: EmbeddedPostgres, tmp_path: Path
):
    url = new_database()
    store = await open_store(url)
    await store.entries.append([pending(n) for n in range(20)])
    await store.close()
    assert backup(url, tmp_path / "dump") > 0
    restored = new_database(migrated=False)
    folder = executables()
    assert folder is not None
    subprocess.run([str(folder / "pg_restore"), f"--dbname={restored}", str(tmp_path / "dump")], check=True)
    again = await open_store(restored)
    assert await again.entries.count() == 20
    await again.close()
    with psycopg.connect(postgres.url()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
