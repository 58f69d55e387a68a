"""`mintwarden config check | show`: the configuration in force, and where each value comes from."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec
from rich.console import Console
from rich.table import Table

from mintwarden.app.config import Config, load_config
from mintwarden.app.connected import look
from mintwarden.app.dangers import refuse_dangers
from mintwarden.app.effective import effective_values

app = cyclopts.App(name="config", help="Check and show the configuration.")

ConfigFile = Annotated[Path, cyclopts.Parameter(name=["--config", "-c"], help="The configuration file.")]
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")]


@app.command
def check(
    *,
    config: ConfigFile = Path("mintwarden.toml"),
    connect: Annotated[
        bool, cyclopts.Parameter(negative="", help="Also open what it names: master key, store, governing bundle.")
    ] = False,
    json: AsJson = False,
) -> int:
    """Check the configuration, as `serve` does before it starts; with `--connect` what it names as well.

    Exit code 1 when something that it names cannot be used.
    """
    loaded = _load(config)
    found = asyncio.run(look(loaded)) if connect else ()
    good = all(one.ok for one in found)
    if json:
        checks = {"checks": [one._asdict() for one in found]} if connect else {}
        print(msgspec.json.encode({"ok": good, "file": loaded.file, **checks}).decode())
        return 0 if good else 1
    print(f"{loaded.file}: good")
    for one in found:
        print(f"{one.name}: {one.detail}" if one.ok else f"{one.name}: NOT GOOD: {one.detail}")
    return 0 if good else 1


@app.command
def show(*, config: ConfigFile = Path("mintwarden.toml"), json: AsJson = False) -> None:
    """Show every value in force with its origin; secrets are masked."""
    rows = effective_values(load_config(config))
    if json:
        print(msgspec.json.format(msgspec.json.encode([row._asdict() for row in rows])).decode())
        return
    table = Table("key", "value", "origin", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row.key, row.shown, row.origin)
    Console(width=None if Console().is_terminal else 200, highlight=False, markup=False).print(table)


def _load(path: Path) -> Config:
    config = load_config(path)
    refuse_dangers(config)
    return config
