"""No store passes a part of the suite alone: a class that nobody takes over is a contract that nobody keeps."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import ModuleType

import pytest

from mintwarden.store import Store, contract, open_store
from tests.contract import test_postgres, test_sqlite


def test_the_suite_is_all_of_it():
    found = {name for name in contract.__all__ if name.endswith("Contract")}
    assert sorted(part.__name__ for part in contract.SUITE) == sorted(found)


@pytest.mark.parametrize("store", [test_sqlite, test_postgres], ids=lambda module: module.__name__.rpartition("_")[2])
@pytest.mark.parametrize("part", contract.SUITE, ids=lambda part: part.__name__)
def test_every_store_passes_every_part(store: ModuleType, part: type):
    taken = [kind for name, kind in vars(store).items() if name.startswith("Test") and part in kind.__mro__]
    assert len(taken) == 1, f"{store.__name__} does not run {part.__name__}"


async def test_whatever_a_store_can_be_asked_is_asked_by_the_suite(tmp_path: Path):
    """A method that no contract calls would be SQLite's and PostgreSQL's each in its own way."""
    said = "".join(file.read_text(encoding="utf-8") for file in Path(contract.__file__).parent.glob("*.py"))
    store = await open_store(f"sqlite:///{tmp_path}/mintwarden.db", create=True)
    try:
        parts = [name for name, value in vars(Store).items() if isinstance(value, property)]
        assert len(parts) >= 14
        unasked = [
            f"{part}.{name}"
            for part in parts
            for name, _ in inspect.getmembers(getattr(store, part), inspect.iscoroutinefunction)
            if not name.startswith("_") and f".{name}(" not in said
        ]
    finally:
        await store.close()
    assert unasked == []
