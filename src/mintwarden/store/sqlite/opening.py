"""A SQLite store, opened: which connections there are and which thread each belongs to."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

from mintwarden.model.errors import MintwardenError
from mintwarden.store.sqlite.answers import SqliteAnswers
from mintwarden.store.sqlite.connection import PAGE_SIZE, Connection, connect
from mintwarden.store.sqlite.credentials import SqliteCredentials
from mintwarden.store.sqlite.decision_index import SqliteDecisionIndex
from mintwarden.store.sqlite.directory import SqliteDirectory
from mintwarden.store.sqlite.entries import SqliteEntries
from mintwarden.store.sqlite.exceptions import SqliteExceptions
from mintwarden.store.sqlite.facts import SqliteFacts
from mintwarden.store.sqlite.failure import disk_full, unavailable, unusable
from mintwarden.store.sqlite.finding_states import SqliteFindingStates
from mintwarden.store.sqlite.inline import InlineReads
from mintwarden.store.sqlite.keys import SqliteKeys
from mintwarden.store.sqlite.leases import SqliteLeases
from mintwarden.store.sqlite.part import Access
from mintwarden.store.sqlite.revocations import SqliteRevocations
from mintwarden.store.sqlite.scim import SqliteScim
from mintwarden.store.sqlite.states import SqliteStates
from mintwarden.store.sqlite.subject_keys import BUMP, SqliteSubjectKeys
from mintwarden.store.sqlite.thread import DedicatedThread
from mintwarden.store.sqlite.tree import SqliteTree
from mintwarden.store.sqlite.versions import SqliteVersions
from mintwarden.store.store import Health

APPLICATION_ID = 0x4D57444E  # "MWDN": `file` and ourselves can tell what the file is
PURGE_LIMIT = 5000
LEAST_ROOM = 1024 * 1024
"""Bytes that must be left on the disk for the store to count as ready: several full batches."""
_PROBE = """
    INSERT INTO leases (name, holder, expires_at) VALUES ('readiness', '', julianday('now'))
    ON CONFLICT (name) DO UPDATE SET expires_at = excluded.expires_at
"""


class SqliteStore:
    """See `Store`.

    Three connections: one that writes, on a thread of its own; one that reads, on another; and one for the small
    reads of the hot path, used on the event loop only.
    """

    def __init__(self, path: str, *, read_only: bool = False, busy_ms: int = 5000) -> None:
        self._path = path
        self._read_only = read_only
        self._writer_thread = DedicatedThread(name="store-writer")
        self._reader_thread = DedicatedThread(name="store-reader")
        self._inline = Connection(path, read_only=True, busy_ms=0)
        self._reader = Connection(path, read_only=True, busy_ms=busy_ms)
        self._writer = Connection(path, read_only=read_only, busy_ms=busy_ms)
        access = Access(self._reader, self._reader_thread, self._writer, self._writer_thread)
        inline = InlineReads(self._inline, reader=self._reader, thread=self._reader_thread)
        self.facts = SqliteFacts(access, inline=inline)
        self.entries = SqliteEntries(access)
        self.tree = SqliteTree(access)
        self.leases = SqliteLeases(access)
        self.subject_keys = SqliteSubjectKeys(access)
        self.credentials = SqliteCredentials(access)
        self.keys = SqliteKeys(access)
        self.directory = SqliteDirectory(access)
        self.exceptions = SqliteExceptions(access)
        self.versions = SqliteVersions(access)
        self.decision_index = SqliteDecisionIndex(access)
        self.revocations = SqliteRevocations(access, inline=inline)
        self.states = SqliteStates(access, inline=inline)
        self.answers = SqliteAnswers(access)
        self.scim = SqliteScim(access)
        self.finding_states = SqliteFindingStates(access)

    async def connect(self) -> None:
        """Open every connection, so that all of them are to one and the same file."""
        await self.epoch()
        await self._writer_thread.run(self._writer.use)
        with self._inline.reading():
            pass

    async def epoch(self) -> int:
        """See `Store.epoch`."""
        return await self._reader_thread.run(self._epoch)

    async def bump_epoch(self) -> int:
        """See `Store.bump_epoch`."""
        return await self._writer_thread.run(self._bump_epoch)

    async def purge(self, now: int) -> int:
        """See `Store.purge`."""
        return await self._writer_thread.run(lambda: self._purge(now))

    async def health(self) -> Health:
        """See `Store.health`."""
        try:
            entries = await self.entries.count()
        except MintwardenError as error:
            return Health(reads=False, writes=False, detail=error.public)
        try:
            await self._writer_thread.run(self._probe)
            self._check_room()
        except MintwardenError as error:
            return Health(reads=True, writes=False, detail=error.public, entries=entries)
        return Health(reads=True, writes=True, entries=entries)

    async def close(self) -> None:
        """See `Store.close`."""
        await self._reader_thread.stop()
        await self._writer_thread.stop()
        # The writer last: closing the last connection moves the write-ahead log into the file.
        self._inline.drop()
        self._reader.drop()
        self._writer.drop()

    def _epoch(self) -> int:
        with self._reader.reading() as connection:
            return int(connection.execute("SELECT epoch FROM meta").fetchone()[0])

    def _bump_epoch(self) -> int:
        with self._writer.writing() as connection:
            connection.execute(BUMP)
            return int(connection.execute("SELECT epoch FROM meta").fetchone()[0])

    def _purge(self, now: int) -> int:
        with self._writer.writing() as connection:
            connection.execute("DELETE FROM answers WHERE expires_at < ?", (now,))
            connection.execute("DELETE FROM states WHERE expires_at < ?", (now,))
            connection.execute("DELETE FROM revocations WHERE until < ?", (now,))
            return connection.execute(
                "DELETE FROM replay WHERE (expires_at, digest) IN "
                "(SELECT expires_at, digest FROM replay WHERE expires_at < ? ORDER BY expires_at LIMIT ?)",
                (now, PURGE_LIMIT),
            ).rowcount

    def _check_room(self) -> None:
        """A probe that fits into what the log has left over says nothing about the next batch."""
        try:
            disk = os.statvfs(self._path)
        except (OSError, AttributeError):  # not every system tells
            return
        if disk.f_bavail * disk.f_frsize < LEAST_ROOM:
            raise disk_full()

    def _probe(self) -> None:
        """A commit that reaches the disk: one that changes no byte would not be written at all."""
        with self._writer.writing() as connection:
            connection.execute(_PROBE)


async def open_sqlite(path: str, *, read_only: bool = False, busy_ms: int = 5000) -> SqliteStore:
    """Open the file at `path`; raises `UNAVAILABLE`, or `STORE` when the schema does not fit this code.

    `busy_ms` is how long a call waits for another process's transaction before it is refused.
    """
    store = SqliteStore(path, read_only=read_only, busy_ms=busy_ms)
    try:
        await store.connect()
    except BaseException:
        await store.close()
        raise
    return store


def prepare_file(path: str) -> None:
    """Make an empty database with our settings, readable by nobody else, where there is no file yet.

    It is made under another name and then linked: of several processes one is first, and none meets a file in the
    making. Changing a file to write-ahead logging in place would answer the others "busy" at once, without waiting.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            # INVARIANT: what is at the path is never replaced: another process may have begun to use it
            if not target.stat().st_size:
                _make_empty(path)
            return
        part = target.with_name(f".{target.name}.new-{os.getpid()}-{threading.get_ident()}")
        try:
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            _make_empty(str(part))
            os.link(part, target)
        except FileExistsError:
            return  # another process was first
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise unusable(error) from error
    except sqlite3.Error as error:
        raise unavailable(error) from error


def _make_empty(path: str) -> None:
    connection = connect(path)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_SIZE:d}")  # counts for a new file alone
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise sqlite3.OperationalError("no write-ahead logging here")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID:d}")
    finally:
        connection.close()
