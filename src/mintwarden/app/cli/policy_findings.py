"""`mintwarden policy findings`: what stays open until a named person has looked at it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec

from mintwarden.app.cli.account import account
from mintwarden.app.cli.command import Command
from mintwarden.app.cli.plain import tell
from mintwarden.app.cli.policy_sign import AsJson, ConfigFile

app = Command(name="findings")

Close = Annotated[str, cyclopts.Parameter(help="The finding that you have reviewed.")]
Note = Annotated[str, cyclopts.Parameter(help="What the review came to; sealed in the ledger.")]
All = Annotated[bool, cyclopts.Parameter(name="--all", negative="", help="Show the closed ones, too.")]


@app.default
def run(
    *,
    close: Close = "",
    note: Note = "",
    every: All = False,
    config: ConfigFile = Path("mintwarden.toml"),
    json: AsJson = False,
) -> int:
    """Show the findings that break-glass left open, or close one that you have reviewed: its entry names you.

    Exit code 1 while one is open.
    """
    return asyncio.run(_tell(close, note, config, every=every, as_json=json))


async def _tell(close: str, note: str, config: Path, *, every: bool, as_json: bool) -> int:
    from mintwarden.app.acting import versions_of
    from mintwarden.app.cli.policy_standing import print_json
    from mintwarden.app.config import load_config
    from mintwarden.app.foundation import foundation
    from mintwarden.app.spelling import moment_if_any

    async with foundation(load_config(config), read_only=not close) as base:
        if close:
            await versions_of(base).close(close, by=account(), note=note, now=base.clock.now())
        found = list(await base.store.versions.findings(closed=every))
    if as_json:
        print_json([msgspec.structs.asdict(one) for one in found])
    else:
        for one in found:
            state = (
                "open"
                if one.closed_at is None
                else f"closed {moment_if_any(one.closed_at)} by {one.closed_by}: {one.note}"
            )
            tell(f"{one.id}  {one.kind} of activation {one.about}, {moment_if_any(one.opened_at)}  {state}")
        if not found:
            print("nothing is open")
    return 1 if any(one.closed_at is None for one in found) else 0
