"""What SQLite's error codes mean to whoever asked."""

from __future__ import annotations

import errno
import sqlite3

from mintwarden.model.errors import ErrorKind, MintwardenError

_MEANING: tuple[tuple[int, str, str], ...] = (
    (sqlite3.SQLITE_FULL, "the store's disk is full", "free some space: writing goes on by itself"),
    (sqlite3.SQLITE_READONLY, "the store is read-only", "make the file and its folder writable for this user"),
    (sqlite3.SQLITE_BUSY, "the store is busy", "another process holds the write lock for too long"),
    (sqlite3.SQLITE_LOCKED, "the store is busy", "another connection holds the lock for too long"),
    (sqlite3.SQLITE_CANTOPEN, "the store cannot be opened", "check the file, its folder and their permissions"),
    (sqlite3.SQLITE_PERM, "the store cannot be opened", "check the permissions of the file and its folder"),
    (sqlite3.SQLITE_AUTH, "the store cannot be opened", "check the permissions of the file and its folder"),
    (sqlite3.SQLITE_IOERR, "the store's disk does not answer", "look at the system's log for disk errors"),
    (sqlite3.SQLITE_NOMEM, "the store is out of memory", "give the process more memory"),
    (sqlite3.SQLITE_CORRUPT, "the store's file is damaged", "restore a backup, then `mintwarden ledger audit`"),
    (sqlite3.SQLITE_NOTADB, "the store's file is not a database", "check the path in `store.url`"),
    (sqlite3.SQLITE_INTERRUPT, "the store did not answer in time", "look at the load of the disk"),
)


def primary_code(error: sqlite3.Error) -> int:
    """The error code without its extension; -1 when there is none."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return -1 if code is None else code & 0xFF


def unavailable(error: sqlite3.Error) -> MintwardenError:
    """The error to raise for `error`; nothing of SQLite's own wording is public."""
    return _meaning(primary_code(error), otherwise=str(error).splitlines()[0])


def _meaning(code: int, *, otherwise: str = "") -> MintwardenError:
    for known, public, hint in _MEANING:
        if code == known:
            return MintwardenError(ErrorKind.UNAVAILABLE, public, hint=hint)
    return MintwardenError(ErrorKind.UNAVAILABLE, "the store does not answer", hint=otherwise)


def gone(path: str) -> MintwardenError:
    """The file is not there (any more)."""
    return MintwardenError(
        ErrorKind.UNAVAILABLE,
        "the store is gone",
        hint=f"there is no file `{path}`: put it back, or make a new one with `mintwarden store migrate`",
    )


def changing(path: str) -> MintwardenError:
    """The file was exchanged for another while it was opened."""
    return MintwardenError(
        ErrorKind.UNAVAILABLE,
        "the store is being replaced",
        hint=f"another file took the place of `{path}` while it was opened: the next request opens what is there then",
    )


def damaged() -> MintwardenError:
    """The file is not what was written to it."""
    return _meaning(sqlite3.SQLITE_CORRUPT)


def disk_full() -> MintwardenError:
    """There is no room for the next batch."""
    return _meaning(sqlite3.SQLITE_FULL)


def unusable(error: OSError) -> MintwardenError:
    """What keeps a file from being made or opened for writing."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return disk_full()
    if error.errno == errno.EROFS:
        return _meaning(sqlite3.SQLITE_READONLY)
    return _meaning(sqlite3.SQLITE_CANTOPEN)


def cut_off(path: str) -> MintwardenError:
    """A file that belongs to the open database is not there any more, or is another one."""
    return MintwardenError(
        ErrorKind.UNAVAILABLE,
        "the store's write-ahead log is gone",
        hint=f"someone removed `{path}`: end every process of the service with SIGTERM, which saves what it held",
    )


def mixed_up(path: str) -> MintwardenError:
    """Another file took the place of the database, and what belongs to the one before still lies beside it."""
    return MintwardenError(
        ErrorKind.UNAVAILABLE,
        "the store was replaced while it was open",
        hint=f"`{path}` belongs to the file before: end every process of the service with SIGTERM, then start it again",
    )
