"""`mintwarden store migrate | status | backup | reindex`: the schema of the store, how it is, what is made of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import cyclopts
import msgspec

from mintwarden.app.config import load_config
from mintwarden.model.errors import MintwardenError
from mintwarden.store.migrate import SchemaStatus
from mintwarden.store.urls import shown

app = cyclopts.App(name="store", help="Migrate, inspect and back up the store.")

ConfigFile = Annotated[Path, cyclopts.Parameter(name=["--config", "-c"], help="The configuration file.")]
StoreUrl = Annotated[
    str, cyclopts.Parameter(name="--store", help="A store's URL, instead of the one in the configuration.")
]
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")]
DEFAULT = Path("mintwarden.toml")
REINDEX_PART = 2000
"""Entries of one transaction: commits of the ledger wait for it."""


@app.command
def migrate(*, config: ConfigFile = DEFAULT, store: StoreUrl = "", json: AsJson = False) -> None:
    """Make the store's schema, or bring an older one up to date. Back it up first.

    Safe to run again, and from several nodes at once: one does it, the others wait.
    """
    from mintwarden.store.migrate import migrate as run

    url = _url(config, store)
    before, after = run(url)
    if json:
        _print_json({"store": shown(url), "before": before.found, "after": after.found, "applied": before.pending})
    elif before.pending:
        print(f"{shown(url)}: schema {before.found or 'made'} -> {after.found}")
    else:
        print(f"{shown(url)}: schema {after.found} is up to date")


@app.command
def status(*, config: ConfigFile = DEFAULT, store: StoreUrl = "", json: AsJson = False) -> int:
    """Show where the schema stands and whether the store answers.

    Exit code 0 when this version can use the store as it is, 1 when it cannot.
    """
    from mintwarden.store.migrate import status as schema_status

    url = _url(config, store)
    schema = schema_status(url)
    found: dict[str, Any] = {
        "store": shown(url),
        "schema": schema.found,
        "latest": schema.head,
        "pending": schema.pending,
        **(asyncio.run(_health(url)) if schema.usable else {"reads": False, "writes": False}),
    }
    good = schema.usable and found["reads"] and found["writes"]
    found["detail"] = found.get("detail") or _advice(schema)
    if json:
        _print_json({"ok": good, **found})
    else:
        for name, value in found.items():
            text = ", ".join(value) or "none" if isinstance(value, tuple) else _plain(value)
            if text:
                print(f"{name:<8} {text}")
    return 0 if good else 1


@app.command
def backup(
    file: Annotated[Path, cyclopts.Parameter(help="Where the copy goes; there must be no such file yet.")],
    /,
    *,
    config: ConfigFile = DEFAULT,
    store: StoreUrl = "",
    json: AsJson = False,
) -> None:
    """Copy the store to a file, as of one moment, while it is in use.

    A SQLite store becomes a SQLite file that can be opened in its place. A PostgreSQL store is dumped with `pg_dump` in
    its custom format, for `pg_restore`.
    """
    from rich.console import Console
    from rich.progress import Progress

    from mintwarden.store.backup import backup as copy

    url = _url(config, store)
    with Progress(console=Console(stderr=True), disable=json or not Console(stderr=True).is_terminal) as progress:
        task = progress.add_task("copying", total=None)
        size = copy(url, file, progress=lambda done, total: progress.update(task, completed=done, total=total))
    if json:
        _print_json({"store": shown(url), "file": str(file), "bytes": size})
    else:
        print(f"{file}: {size} bytes")


@app.command
def reindex(*, config: ConfigFile = DEFAULT, store: StoreUrl = "", json: AsJson = False) -> None:
    """Make the index of decisions anew from the ledger, while the store is in use.

    The index is what `GET /admin/v1/decisions` searches. Nothing else depends on it.
    """
    from rich.console import Console
    from rich.progress import Progress

    url = _url(config, store)
    console = Console(stderr=True)
    with Progress(console=console, disable=json or not console.is_terminal) as bars:
        task = bars.add_task("indexing", total=None)
        entries = asyncio.run(_reindex(url, lambda done, total: bars.update(task, completed=done, total=total)))
    if json:
        _print_json({"store": shown(url), "entries": entries})
    else:
        print(f"{shown(url)}: {entries} entries indexed")


async def _reindex(url: str, progress: Callable[[int, int], None]) -> int:
    from mintwarden.review.index import index_part
    from mintwarden.store import open_store

    opened = await open_store(url)
    try:
        await opened.decision_index.clear()
        done = 0
        while part := await index_part(opened.decision_index, opened.entries, REINDEX_PART):
            done += part
            progress(done, await opened.entries.sequenced())
        return done
    finally:
        await opened.close()


def _url(config: Path, store: str) -> str:
    return store or load_config(config).store.url


async def _health(url: str) -> dict[str, Any]:
    from mintwarden.store import open_store

    try:
        opened = await open_store(url)
    except MintwardenError as error:
        return {"reads": False, "writes": False, "detail": error.public}
    try:
        health = await opened.health()
        head = await opened.tree.head() if health.reads else None
        return {
            "reads": health.reads,
            "writes": health.writes,
            "entries": health.entries,
            "head": 0 if head is None else head.size,
            "detail": health.detail,
        }
    finally:
        await opened.close()


def _advice(schema: SchemaStatus) -> str:
    if schema.usable:
        return "`mintwarden store migrate` is due" if schema.pending else ""
    if schema.found is None or schema.pending:
        return "run `mintwarden store migrate`"
    return "this store belongs to a later version"


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _print_json(value: object) -> None:
    print(msgspec.json.format(msgspec.json.encode(value)).decode())
