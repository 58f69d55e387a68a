"""What PostgreSQL's errors mean to whoever asked."""

from __future__ import annotations

import asyncpg

from mintwarden.model.errors import ErrorKind, MintwardenError

Failures = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
"""Everything that a statement or a connection may fail with."""

_MEANING: tuple[tuple[str, str, str], ...] = (
    ("53100", "the store's disk is full", "free some space on the database server: writing goes on by itself"),
    ("53300", "the store takes no more connections", "raise `max_connections` or run fewer nodes"),
    ("53", "the store is out of resources", "look at the database server's log"),
    ("25006", "the store is read-only", "connect to the primary, or end its recovery"),
    ("28", "the store refuses the login", "check user and password in `store.url`"),
    ("3D000", "the store is gone", "there is no such database: make it, then run `mintwarden store migrate`"),
    ("42501", "the store refuses access", "grant this user what `docs/operations.md` lists"),
    ("XX001", "the store's data are damaged", "restore a backup, then `mintwarden ledger audit`"),
    ("XX002", "the store's data are damaged", "rebuild the index, then `mintwarden ledger audit`"),
    ("55P03", "the store is busy", "another session holds a lock for too long"),
    ("40", "the store is busy", "try again"),
)


def unavailable(error: BaseException) -> MintwardenError:
    """The error to raise for `error`; nothing of PostgreSQL's own wording is public."""
    state = getattr(error, "sqlstate", None) or ""
    for known, public, hint in _MEANING:
        if state.startswith(known):
            return MintwardenError(ErrorKind.UNAVAILABLE, public, hint=hint)
    lines = str(error).strip().splitlines()
    return MintwardenError(ErrorKind.UNAVAILABLE, "the store does not answer", hint=lines[0] if lines else "")


def broke_connection(error: BaseException) -> bool:
    """The connection may be of no more use, or is better not trusted with anything else."""
    state = getattr(error, "sqlstate", None) or ""
    return not isinstance(error, asyncpg.PostgresError) or state[:2] in {"08", "57", "58", "XX"} or state == "25006"
