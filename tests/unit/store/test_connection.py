from __future__ import annotations

from pathlib import Path

import pytest

from mintwarden.store.migrate import migrate
from mintwarden.store.sqlite.connection import PAGE_SIZE, connect


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
