"""What every part of a SQLite store stands on."""

from __future__ import annotations

from typing import NamedTuple

from mintwarden.store.sqlite.connection import Connection
from mintwarden.store.sqlite.thread import DedicatedThread


class Access(NamedTuple):
    """The connection that reads and the one that writes, each with the thread that alone uses it."""

    reader: Connection
    reader_thread: DedicatedThread
    writer: Connection
    writer_thread: DedicatedThread


class Part:
    """One port of the store: it reads on one thread and writes on the other."""

    def __init__(self, access: Access) -> None:
        self._reader, self._reader_thread, self._writer, self._writer_thread = access
