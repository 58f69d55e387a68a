"""`mintwarden keys list | rotate | revoke`: signing keys, and the ledger's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import cyclopts
import msgspec

from mintwarden.app.cli.account import typed_by
from mintwarden.app.config import Config, load_config
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.app.spelling import moment_if_any
from mintwarden.mint.rotate import KeyChange

app = cyclopts.App(name="keys", help="List, rotate and revoke signing keys.")

ConfigFile = Annotated[Path, cyclopts.Parameter(name=["--config", "-c"], help="The configuration file.")]
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")]
AtOnce = Annotated[
    bool,
    cyclopts.Parameter(name="--at-once", negative="", help="Even if the next key was not published for long enough."),
]


@app.command(name="list")
def show(*, config: ConfigFile = Path("mintwarden.toml"), json: AsJson = False) -> None:
    """List every key: its name, algorithm, purpose, state, and when it changed."""
    rows = asyncio.run(_rows(load_config(config)))
    if json:
        print(msgspec.json.format(msgspec.json.encode(rows)).decode())
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("key", "algorithm", "purpose", "state", "created", "activated", "retired", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(str(value or "") for value in row.values()))
    Console(width=None if Console().is_terminal else 200, highlight=False, markup=False).print(table)


@app.command
def rotate(
    algorithm: Annotated[str, cyclopts.Parameter(help="`ES256`, `PS256`, `EdDSA`, `RS256`; `Ed25519` for the ledger.")],
    /,
    *,
    at_once: AtOnce = False,
    config: ConfigFile = Path("mintwarden.toml"),
    json: AsJson = False,
) -> None:
    """Let the next key take over now. Every token that is out stays good."""
    loaded = load_config(config)
    _tell(
        asyncio.run(_change(loaded, lambda base: base.keeper.rotate(algorithm, base.clock.now(), at_once=at_once))),
        json=json,
    )


@app.command
def revoke(
    # a thumbprint is base64url: one key in 64 has a name that begins with a hyphen
    kid: Annotated[str, cyclopts.Parameter(allow_leading_hyphen=True, help="The key's name, as `list` shows it.")],
    /,
    *,
    config: ConfigFile = Path("mintwarden.toml"),
    json: AsJson = False,
) -> None:
    """Make a key gone at once. Every token that it signed is refused from now on; another key takes over."""
    loaded = load_config(config)
    _tell(asyncio.run(_change(loaded, lambda base: base.keeper.revoke(kid, base.clock.now()))), json=json)


async def _rows(config: Config) -> list[dict[str, Any]]:
    async with foundation(config, read_only=True) as base:
        return [
            {
                "kid": key.kid,
                "algorithm": key.algorithm,
                "purpose": key.purpose,
                "state": key.state,
                "created_at": moment_if_any(key.created_at),
                "activated_at": moment_if_any(key.activated_at),
                "retired_at": moment_if_any(key.retired_at),
            }
            for key in base.ring.keys
        ]


async def _change(config: Config, do: Callable[[Foundation], Awaitable[Sequence[KeyChange]]]) -> Sequence[KeyChange]:
    """What was done, written into the ledger in the name of whoever typed it."""
    async with foundation(config) as base:
        changes = list(await do(base))
        await base.record_key_changes(changes, by=typed_by())
        return changes


def _tell(changes: Sequence[KeyChange], *, json: bool) -> None:
    if json:
        print(msgspec.json.format(msgspec.json.encode(changes)).decode())
        return
    for change in changes:
        print(f"{change.kid}  {change.algorithm}  {change.state} ({change.reason})")
