"""The index of decisions is filled in the time that requests leave over."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from mintwarden.app.indexing import BUSY_PART, BUSY_RUNS, PART, Indexing


class _Store:
    """A ledger with entries without end, and an index that notes how much of it was asked for at once."""

    def __init__(self) -> None:
        self.parts: list[int] = []
        self.entries = self.decision_index = self.leases = self

    async def sequenced(self) -> int:
        return 1_000_000

    async def next_leaf(self) -> int:
        return 0

    async def acquire(self, *_: object) -> bool:
        return len(self.parts) < 5

    async def by_index(self, _start: int, count: int) -> list[Any]:
        self.parts.append(count)
        return [SimpleNamespace(entry=b'{"kind":"sign_in","at":0}', index=0)] * count

    async def add(self, *_: object) -> bool:
        return True


async def test_requests_at_work_are_left_the_time():
    store = _Store()
    indexing = Indexing(SimpleNamespace(store=store, holder="me"), busy=lambda: True)  # type: ignore[arg-type]
    for _ in range(2 * BUSY_RUNS):
        await indexing.run()
    assert store.parts == [BUSY_PART, BUSY_PART]


async def test_the_first_run_that_finds_time_takes_it():
    store, busy = _Store(), True
    indexing = Indexing(SimpleNamespace(store=store, holder="me"), busy=lambda: busy)  # type: ignore[arg-type]
    await indexing.run()
    busy = False
    await indexing.run()
    assert store.parts == [PART] * 5
    assert indexing.behind == 1_000_000 - 5 * PART
