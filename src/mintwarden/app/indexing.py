"""Fills the index of decisions behind the sequencer, in the time that requests leave over."""

from __future__ import annotations

from collections.abc import Callable

from mintwarden.app.foundation import Foundation
from mintwarden.review.index import index_part

LEASE = "index"
LEASE_SECONDS = 5.0
PART = 256
"""Entries of one transaction: it holds up commits of the ledger for some milliseconds."""

BUSY_PART = 64
"""The same while many requests are at work."""

BUSY_RUNS = 4
"""Of so many runs meanwhile one indexes: with its two commits, two thousandths of a core, at a run a second."""

PARTS = 200
"""Parts of one run while nothing else is to do."""


class Indexing:
    """Indexes what is new; one process at a time, elected through the store.

    `busy` says whether many requests are being worked on: then one run in some indexes a small part, and the rest is
    left for later.
    The index may lag behind as long as the service is under load; a search says how far it has come.
    """

    def __init__(self, base: Foundation, *, busy: Callable[[], bool]) -> None:
        self._base = base
        self._busy = busy
        self.behind = 0
        self._left_out = 0

    async def run(self) -> None:
        """Index what is new, as far as there is time."""
        store = self._base.store
        self.behind = await store.entries.sequenced() - await store.decision_index.next_leaf()
        if self.behind <= 0 or self._waits():
            return
        for _ in range(PARTS):
            if not await store.leases.acquire(LEASE, self._base.holder, LEASE_SECONDS):
                return
            busy = self._busy()
            part = BUSY_PART if busy else PART
            done = await index_part(store.decision_index, store.entries, part)
            self.behind = max(0, self.behind - done)
            if done < part or busy:
                return

    def _waits(self) -> bool:
        """Whether this run is left to the requests that are at work."""
        self._left_out = (self._left_out + 1) % BUSY_RUNS if self._busy() else 0
        return self._left_out > 0
