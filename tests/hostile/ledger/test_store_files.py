"""The store's files on a machine with other users: nobody else reads them, whatever the process lets others do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mintwarden.store import open_store
from mintwarden.store.backup import backup
from mintwarden.store.migrate import migrate


@pytest.fixture
def generous() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def open_to(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


@pytest.mark.usefixtures("generous")
async def test_no_other_user_reads_the_store(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    migrate(url)
    store = await open_store(url)
    try:
        await store.bump_epoch()
        files = open_to(tmp_path)
        assert {"store.db", "store.db-wal", "store.db-shm"} <= files.keys()
        assert set(files.values()) == {0o600}
    finally:
        await store.close()
    copies = tmp_path / "copies"
    copies.mkdir()
    backup(url, copies / "copy.db")
    assert open_to(copies) == {"copy.db": 0o600}
