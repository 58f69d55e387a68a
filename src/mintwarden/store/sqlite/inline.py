"""Small reads on the event loop itself: they take less time than handing them to a thread and back."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from mintwarden.store.sqlite.connection import Connection
from mintwarden.store.sqlite.failure import primary_code
from mintwarden.store.sqlite.thread import DedicatedThread

SLOW_SECONDS = 0.010
COOL_SECONDS = 1.0
T = TypeVar("T")


class InlineReads:
    """Reads that are bounded by their arguments (`docs/adr/0005-stores.md` has the figures).

    What they may block is bounded too: there is no waiting for locks, and one that was slow sends the following ones to
    the reader's thread for a while.
    """

    def __init__(self, inline: Connection, *, reader: Connection, thread: DedicatedThread) -> None:
        self._inline = inline
        self._reader = reader
        self._thread = thread
        self._cool_until = 0.0

    def read(self, query: Callable[[sqlite3.Connection], T]) -> T | asyncio.Future[T]:
        """What `query` finds: at once, or from the thread."""
        started = time.monotonic()
        if started < self._cool_until:
            return self.threaded(query)
        try:
            return query(self._inline.use())
        except sqlite3.Error as error:
            if primary_code(error) == sqlite3.SQLITE_BUSY:
                return self.threaded(query)
            raise self._inline.failed(error) from error
        finally:
            ended = time.monotonic()
            if ended - started > SLOW_SECONDS:
                self._cool_until = ended + COOL_SECONDS

    def threaded(self, query: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """What `query` finds, on the reader's thread."""

        def run() -> T:
            with self._reader.reading() as connection:
                return query(connection)

        return self._thread.run(run)
