"""`mintwarden review owners`: who answers for what, and who of them has left."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec

from mintwarden.app.cli.command import Command
from mintwarden.app.cli.plain import tell
from mintwarden.app.config import Config, load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.reviewing import owners
from mintwarden.review.owners import OwnerReport

app = Command(name="owners")

SHOWN = 8
_WORDS = {
    "left": "has left",
    "unknown": "is not known to the directory",
    "unnamed": "nobody is named",
}


@app.default
def run(
    *,
    config: Annotated[Path, cyclopts.Parameter(name=["--config", "-c"], help="The configuration file.")] = Path(
        "mintwarden.toml"
    ),
    json: Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")] = False,
) -> int:
    """Find scopes, clients, sources, rules and exceptions whose owner has left the directory.

    How an owner is looked for: docs/administration.md. Exit code 0 when everything has an owner who is there, 1 when
    something has not.
    """
    reports = _run(load_config(config), quiet=json)
    gone = [report for report in reports if report.state != "present"]
    if json:
        found = {"ok": not gone, "owners": reports}
        print(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        _print(gone, len(reports))
    return 1 if gone else 0


def _run(config: Config, *, quiet: bool) -> Sequence[OwnerReport]:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=quiet or not console.is_terminal) as bars:
        task = bars.add_task("reading the directory", total=None)

        async def look() -> Sequence[OwnerReport]:
            async with foundation(config, read_only=True) as base:
                return await owners(base, progress=lambda read: bars.update(task, completed=read))

        return asyncio.run(look())


def _print(gone: Sequence[OwnerReport], owners: int) -> None:
    for report in gone:
        tell(f"{report.owner or '(no owner)'}: {_WORDS[report.state]}")
        for thing in report.owns[:SHOWN]:
            tell(f"  {thing.kind} {thing.id}")
        if len(report.owns) > SHOWN:
            print(f"  and {len(report.owns) - SHOWN} more")
    print(f"{owners} owners, {len(gone)} of them gone")
