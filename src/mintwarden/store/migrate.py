"""Bring a store's schema up to date, or say where it stands."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from msgspec import Struct
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from mintwarden.store.postgres.failure import unavailable as postgres_unavailable
from mintwarden.store.schema import HEAD, REVISIONS, SUPPORTED, check_revision
from mintwarden.store.sqlite.connection import connect
from mintwarden.store.sqlite.failure import gone, unavailable
from mintwarden.store.sqlite.opening import prepare_file
from mintwarden.store.urls import SQLITE_SCHEME, scheme_of, sqlite_path

MIGRATIONS = Path(__file__).parent / "migrations"
_ONE_AT_A_TIME = threading.Lock()
"""Alembic keeps what it works on in module variables. Processes are kept apart by the database's own lock."""
_LOCK = 0x4D57_444E  # of PostgreSQL's advisory locks: one migration at a time


class SchemaStatus(Struct, frozen=True, kw_only=True):
    """Where a store's schema stands.

    Attributes:
        found: its revision, or None when it has none yet.
        head: the revision that `migrate` leads to.
        pending: the revisions in between, oldest first.
        usable: this code works with it as it is.
    """

    found: str | None
    head: str
    pending: tuple[str, ...]
    usable: bool


def status(url: str) -> SchemaStatus:
    """Where the schema of the store at `url` stands."""
    with _connected(url) as connection:
        return _status(connection)


def migrate(url: str) -> tuple[SchemaStatus, SchemaStatus]:
    """Bring the schema to the latest revision, in one transaction; the status before and after.

    Makes a SQLite file that is not there. Several processes may call it at once: one does it, the others wait.
    Raises `MintwardenError(STORE)` for a schema that is newer than this code.
    """
    if scheme_of(url) == SQLITE_SCHEME:
        prepare_file(sqlite_path(url))
    with _ONE_AT_A_TIME, _connected(url) as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK:d})")
        before = _status(connection)
        if before.found is not None and before.found not in REVISIONS:
            check_revision(before.found)
        if before.pending:
            _upgrade(connection)
        return before, _status(connection)


def _upgrade(connection: Connection) -> None:

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    environment = EnvironmentContext(
        config,
        script,
        fn=lambda revision, _context: script._upgrade_revs(HEAD, revision),  # noqa: SLF001 - as its `upgrade` command does
        destination_rev=HEAD,
    )
    with environment:
        environment.configure(connection=connection, transactional_ddl=True)
        environment.run_migrations()


def _status(connection: Connection) -> SchemaStatus:

    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and found not in REVISIONS:
        return SchemaStatus(found=found, head=HEAD, pending=(), usable=False)
    done = 0 if found is None else REVISIONS.index(found) + 1
    return SchemaStatus(found=found, head=HEAD, pending=REVISIONS[done:], usable=found in SUPPORTED)


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    """A connection in one transaction, committed when the block is left."""
    engine = _sqlite_engine(sqlite_path(url)) if scheme_of(url) == SQLITE_SCHEME else _postgres_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.Error):
            raise unavailable(error.orig) from error
        raise postgres_unavailable(error.orig or error) from error
    finally:
        engine.dispose()


def _sqlite_engine(path: str) -> Engine:

    if not Path(path).is_file():
        raise gone(path)
    engine = create_engine("sqlite://", creator=lambda: connect(path), poolclass=NullPool)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # SQLite's driver would begin at the first write only: after the version has been read
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _postgres_engine(url: str) -> Engine:

    # the URL goes to the driver as it is, so that both drivers read it alike
    return create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
