"""A copy of the store in which somebody with every right on the database has changed one entry."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import tomlkit
from psycopg import sql

from mintwarden.app.demo.calls import Broken
from mintwarden.app.demo.stage import Stage
from mintwarden.model.ids import decision_bytes
from mintwarden.store import open_store
from mintwarden.store.urls import sqlite_path

_COPY = "tampered"


async def tampered_copy(stage: Stage, decision: str, *, old: bytes, new: bytes) -> Path:
    """Copy the store, replace `old` by `new` in the entry of `decision`; the configuration of the copy."""
    raw = decision_bytes(decision)
    if stage.store.startswith("sqlite:"):
        url = _copy_sqlite(stage, raw, old, new)
    else:
        url = await _copy_postgres(stage, raw, old, new)
    document = tomlkit.parse(stage.config.read_text(encoding="utf-8"))
    document["store"]["url"] = url
    config = stage.folder / f"{_COPY}.toml"
    config.write_text(tomlkit.dumps(document), encoding="utf-8")
    return config


def _copy_sqlite(stage: Stage, decision: bytes, old: bytes, new: bytes) -> str:
    path = stage.folder / f"{_COPY}.db"
    with (
        contextlib.closing(sqlite3.connect(sqlite_path(stage.store))) as source,
        contextlib.closing(sqlite3.connect(path)) as copy,
    ):
        source.backup(copy)
        row = copy.execute("SELECT entry FROM entries WHERE decision_id = ?", (decision,)).fetchone()
        changed = _changed(row[0] if row else b"", old, new)
        copy.execute("UPDATE entries SET entry = ? WHERE decision_id = ?", (changed, decision))
        copy.commit()
    return f"sqlite:///{path}"


async def _copy_postgres(stage: Stage, decision: bytes, old: bytes, new: bytes) -> str:
    url = urlsplit(stage.store)._replace(path=f"/{_COPY}").geturl()
    with psycopg.connect(stage.store, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_COPY)))
    await (await open_store(url, create=True)).close()
    with psycopg.connect(stage.store) as source, psycopg.connect(url) as copy:
        source.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        for (table,) in source.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall():
            _copy_table(source, copy, table)
        row = copy.execute("SELECT entry FROM entries WHERE decision_id = %s", (decision,)).fetchone()
        changed = _changed(row[0] if row else b"", old, new)
        copy.execute("UPDATE entries SET entry = %s WHERE decision_id = %s", (changed, decision))
    return url


def _copy_table(source: psycopg.Connection, copy: psycopg.Connection, table: str) -> None:
    name = sql.Identifier(table)
    copy.execute(sql.SQL("TRUNCATE {}").format(name))
    out, into = sql.SQL("COPY {} TO STDOUT (FORMAT BINARY)"), sql.SQL("COPY {} FROM STDIN (FORMAT BINARY)")
    with source.cursor().copy(out.format(name)) as rows, copy.cursor().copy(into.format(name)) as target:
        for part in rows:
            target.write(part)


def _changed(entry: bytes, old: bytes, new: bytes) -> bytes:
    if old not in entry:
        raise Broken("the entry to tamper with does not say what it should")
    return bytes(entry).replace(old, new, 1)
