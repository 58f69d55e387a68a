"""The beginning of a database file, read without ever giving away the locks on it.

INVARIANT: no handle of a database file is closed while the process has a connection to it. On POSIX systems closing any
handle of a file gives up every lock that the process has on it, SQLite's among them. The next process that closes what
it takes for the last connection would then remove the write-ahead log under those that go on working
(https://sqlite.org/howtocorrupt.html, section 2.2).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from mintwarden.store.sqlite.failure import gone

Identity = tuple[int, int]
"""Device and inode of a file."""

_LOCK = threading.Lock()
_HELD: dict[Identity, list[int]] = {}
"""Handle, and how many connections there are, by file."""


def hold(path: str, identity: Identity) -> None:
    """Take a handle before a connection to `path` is opened. Raises `UNAVAILABLE` when another file is there by now."""
    with _LOCK:
        known = _HELD.get(identity)
        if known is not None:
            known[1] += 1
            return
        try:
            handle = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except OSError as error:
            raise gone(path) from error
        stat = os.fstat(handle)
        if (stat.st_dev, stat.st_ino) == identity:
            _HELD[identity] = [handle, 1]
            return
        if (stat.st_dev, stat.st_ino) not in _HELD:  # else it stays open: a handle is cheaper than the locks
            os.close(handle)
    raise gone(path)


def let_go(identity: Identity) -> None:
    """A connection was closed. The handle goes with the last one."""
    with _LOCK:
        known = _HELD[identity]
        known[1] -= 1
        if not known[1]:
            del _HELD[identity]
            os.close(known[0])


_read_at: Callable[[int, int, int], bytes] | None = getattr(os, "pread", None)


def beginning(identity: Identity, size: int) -> bytes:
    """The first bytes of a file that is held. Raises `OSError`."""
    with _LOCK:
        handle = _HELD[identity][0]
        if _read_at is not None:
            return _read_at(handle, size, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        return os.read(handle, size)
