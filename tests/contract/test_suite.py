"""No store passes a part of the suite alone: a class that nobody takes over is a contract that nobody keeps."""

from __future__ import annotations

from types import ModuleType

import pytest

from mintwarden.store import contract
from tests.contract import test_postgres, test_sqlite


def test_the_suite_is_all_of_it():
    found = {name for name in contract.__all__ if name.endswith("Contract")}
    assert sorted(part.__name__ for part in contract.SUITE) == sorted(found)


@pytest.mark.parametrize("store", [test_sqlite, test_postgres], ids=lambda module: module.__name__.rpartition("_")[2])
@pytest.mark.parametrize("part", contract.SUITE, ids=lambda part: part.__name__)
def test_every_store_passes_every_part(store: ModuleType, part: type):
    taken = [kind for name, kind in vars(store).items() if name.startswith("Test") and part in kind.__mro__]
    assert len(taken) == 1, f"{store.__name__} does not run {part.__name__}"
