"""A connection that follows its file: opened when first needed, dropped when broken, opened again."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from mintwarden.model.errors import MintwardenError
from mintwarden.store.schema import check_revision
from mintwarden.store.sqlite.failure import changing, cut_off, damaged, gone, mixed_up, primary_code, unavailable
from mintwarden.store.sqlite.held import Identity, beginning, hold, let_go

# Broken connections: these codes say that the connection, not only the statement, may be of no more use.
_DROP = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN,
                   sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM})  # fmt: skip
PAGE_SIZE = 8192
"""An entry with its facts takes two to three KiB: pages of 4 KiB would be left a third empty."""

WAL_PAGES = 512
CACHE_KIB = 32768
_MAGIC = b"SQLite format 3\x00"
_BESIDE = ("-wal", "-shm")


class Connection:
    """One connection, used by one thread at a time.

    INVARIANT: every use looks whether the path still names the file that is open, and whether that was cut or
    overwritten since; every transaction, whether the same is true of its write-ahead log. Where any of them was
    removed, SQLite takes commits without complaint, into a file that nobody will ever read.
    """

    def __init__(self, path: str, *, read_only: bool = False, busy_ms: int = 5000) -> None:
        self.path = path
        self._read_only = read_only
        self._busy_ms = busy_ms
        self._open: sqlite3.Connection | None = None
        self._file: Identity = (0, 0)
        self._held: Identity = (0, 0)
        self._written = 0
        self._size = 0
        self._beside: dict[str, Identity | None] = {}

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection for one statement, or for several under an explicit `BEGIN`; raises `UNAVAILABLE`."""
        try:
            yield self.use()
        except sqlite3.Error as error:
            raise self.failed(error) from error
        finally:
            if self._open is not None and self._open.in_transaction:
                self._quiet("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction that holds the write lock from its start, durable when the block is left."""
        try:
            connection = self.use()
            self._check_beside()
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self.failed(error) from error
        finally:
            if self._open is not None and self._open.in_transaction:
                self._quiet("ROLLBACK")

    def checkpoint(self) -> None:
        """Move the write-ahead log into the file and empty it, as far as readers allow."""
        self._quiet("PRAGMA wal_checkpoint(TRUNCATE)")

    def use(self) -> sqlite3.Connection:
        """The open connection to the file that is at the path now."""
        try:
            stat = os.stat(self.path)  # noqa: PTH116 - on every batch, and a path object costs more than the call
        except OSError as error:
            self.drop()
            raise gone(self.path) from error
        if self._open is not None and self._file == (stat.st_dev, stat.st_ino):
            if stat.st_mtime_ns != self._written or stat.st_size < self._size:
                self._check_file(stat)
            return self._open
        found = (stat.st_dev, stat.st_ino)
        self._check_replaced(found)
        self.drop()
        hold(self.path, found)
        try:
            self._open = self._connect()
        except BaseException:
            let_go(found)
            raise
        self._file = self._held = found
        self._written, self._size = stat.st_mtime_ns, stat.st_size
        self._beside = {self.path + suffix: _identity(self.path + suffix) for suffix in _BESIDE}
        self._check_opened(found)
        return self._open

    def failed(self, error: sqlite3.Error) -> MintwardenError:
        """What to raise for `error`; drops the connection where it may be of no more use."""
        if primary_code(error) in _DROP:
            self.drop()
        return unavailable(error)

    def drop(self) -> None:
        """Close; the next use opens again."""
        connection, self._open = self._open, None
        if connection is not None:
            # It may be of no use any more, and that is all that closing is for.
            with contextlib.suppress(sqlite3.Error):
                connection.close()
            let_go(self._held)

    def _check_opened(self, found: Identity) -> None:
        """The path names another file by now: which one was opened, and what was seen beside it, cannot be known.

        What was noted would count as true from here on, and the file that is there refused for good.
        """
        if _identity(self.path) != found:
            self._beside = {}
            self.drop()
            raise changing(self.path)

    def _check_file(self, stat: os.stat_result) -> None:
        """The file was written since the last use: by a checkpoint of ours, or over our heads?

        The connection stays open when it is damaged: closing it would move the log into what is there now.
        """
        try:
            head = beginning(self._held, 100)
        except OSError as error:
            raise damaged() from error
        if head[: len(_MAGIC)] != _MAGIC:
            raise damaged()
        pages, page_size = int.from_bytes(head[28:32]), int.from_bytes(head[16:18])
        if stat.st_size < self._size and stat.st_size < pages * (65536 if page_size == 1 else page_size):
            raise damaged()
        self._written, self._size = stat.st_mtime_ns, stat.st_size

    def _check_replaced(self, found: Identity) -> None:
        """Another file stands at the path: with the log of the one before, SQLite would make a mixture of the two."""
        if self._file == found:
            return
        for path, known in self._beside.items():
            if known is not None and _identity(path) == known:
                raise mixed_up(path)

    def _check_beside(self) -> None:
        for path, known in self._beside.items():
            if known is not None and _identity(path) != known:
                raise cut_off(path)

    def _connect(self) -> sqlite3.Connection:
        connection = connect(self.path, read_only=self._read_only, busy_ms=self._busy_ms)
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError as error:
            connection.close()
            if primary_code(error) != sqlite3.SQLITE_ERROR:
                raise
            check_revision(None)
            raise
        try:
            check_revision(row[0] if row else None)
        except MintwardenError:
            connection.close()
            raise
        return connection

    def _quiet(self, statement: str) -> None:
        try:
            if self._open is not None:
                self._open.execute(statement)
        except sqlite3.Error:
            self.drop()


def _identity(path: str) -> Identity | None:
    try:
        stat = os.stat(path)  # noqa: PTH116 - see `Connection.use`
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def connect(path: str, *, read_only: bool = False, busy_ms: int = 5000) -> sqlite3.Connection:
    """A plain connection with our settings, without a look at the schema."""
    mode = "ro" if read_only else "rw"
    connection = sqlite3.connect(
        f"file:{quote(path)}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    try:
        connection.execute(f"PRAGMA busy_timeout = {busy_ms:d}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES:d}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB:d}")
        # never mapped, whatever the library's default: slower as soon as somebody writes (docs/adr/0005-stores.md)
        connection.execute("PRAGMA mmap_size = 0")
        connection.execute("PRAGMA trusted_schema = OFF")
        # an erased salt or a retired private key must not survive in a free page of the file
        connection.execute("PRAGMA secure_delete = ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
