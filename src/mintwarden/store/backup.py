"""A copy of the store while it is in use."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.store.postgres.embedded import executables
from mintwarden.store.sqlite.connection import connect
from mintwarden.store.sqlite.failure import gone, unavailable
from mintwarden.store.urls import SQLITE_SCHEME, scheme_of, sqlite_path

Progress = Callable[[int, int], None]
"""Called with what is done and what there is in all; the unit is the store's."""

_PAGES = 2048


def backup(url: str, target: Path, *, progress: Progress = lambda _done, _total: None) -> int:
    """Copy the store at `url` to the new file `target`, as of one moment; the size of the copy in bytes.

    SQLite is copied by its backup interface, PostgreSQL by `pg_dump` (custom format). Nothing stands at `target`
    before the copy is complete and on disk. Writing goes on meanwhile. Raises `MintwardenError`.
    """
    if target.exists():
        raise MintwardenError(ErrorKind.CONFLICT, f"`{target}` exists already", hint="name a file that does not")
    part = target.with_name(f".{target.name}.part-{os.getpid()}")
    try:
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        if scheme_of(url) == SQLITE_SCHEME:
            _copy_sqlite(sqlite_path(url), part, progress)
        else:
            _dump_postgres(url, part)
        _flush(part)
        os.link(part, target)  # unlike a rename it never replaces a file that has come up meanwhile
        _flush(target.parent)
    except OSError as error:
        raise MintwardenError(
            ErrorKind.UNAVAILABLE, f"the backup cannot be written: {(error.strerror or 'unknown reason').lower()}"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return target.stat().st_size


def _copy_sqlite(path: str, part: Path, progress: Progress) -> None:
    if not Path(path).is_file():
        raise gone(path)
    source = target = None
    try:
        source = connect(path, read_only=True)
        target = sqlite3.connect(part, isolation_level=None)
        # One read transaction for the whole copy: it is one moment's state, and writers do not make it start again.
        source.execute("BEGIN")
        source.execute("SELECT epoch FROM meta").fetchone()
        source.backup(target, pages=_PAGES, progress=lambda _code, left, total: progress(total - left, total))
        source.execute("COMMIT")
    except sqlite3.Error as error:
        raise unavailable(error) from error
    finally:
        for connection in (source, target):
            if connection is not None:
                connection.close()


def _dump_postgres(url: str, part: Path) -> None:
    """The password goes by the environment: arguments can be read by every user of the machine."""
    settings = conninfo_to_dict(url)
    password = settings.pop("password", None)
    environment = {**os.environ, **({"PGPASSWORD": str(password)} if password else {})}
    programs = _dump_programs()
    if not programs:
        raise MintwardenError(
            ErrorKind.STORE,
            "`pg_dump` is not installed here",
            hint="install PostgreSQL's client programs, or use your database's own backup",
        )
    reasons = []
    for program in programs:
        done = subprocess.run(  # noqa: S603 - our own arguments
            [program, "--format=custom", f"--file={part}", f"--dbname={make_conninfo('', **settings)}"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode == 0:
            return
        reasons.append(done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"])
    raise MintwardenError(ErrorKind.UNAVAILABLE, "`pg_dump` failed", hint=reasons[0][0])


def _dump_programs() -> list[str]:
    """The system's, then that of the embedded PostgreSQL: an older one refuses a newer server."""
    found = [shutil.which("pg_dump")]
    folder = executables()
    if folder is not None:
        found.append(str(folder / "pg_dump"))
    return [program for program in found if program and Path(program).exists()]


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
