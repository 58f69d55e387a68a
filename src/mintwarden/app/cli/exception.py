"""`mintwarden exception ...`: grants outside the rules, with an end; what does more than show is a file of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import cyclopts
import msgspec

from mintwarden.app.cli.account import typed_by
from mintwarden.app.config import Config, load_config
from mintwarden.app.excepting import exceptions_of
from mintwarden.app.exceptions_told import Told, lines_of, told
from mintwarden.app.foundation import foundation
from mintwarden.govern.exception_ports import OPEN

app = cyclopts.App(name="exception", help="Grant something outside the rules for a while, and pay it back.")

ConfigFile = Annotated[Path, cyclopts.Parameter(name=["--config", "-c"], help="The configuration file.")]
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")]
Id = Annotated[str, cyclopts.Parameter(help="The exception's id, as `list` shows it.")]
DEFAULT = Path("mintwarden.toml")

# Its solver is loaded when it is used.
app.command(
    "mintwarden.app.cli.exception_request:run",
    name="request",
    help="Ask for an exception. It does nothing until enough others have approved it.",
)
app.command(
    "mintwarden.app.cli.exception_approve:state",
    name="statement",
    help="Print the statement that an approver signs, to be signed elsewhere.",
)
app.command(
    "mintwarden.app.cli.exception_approve:run",
    name="approve",
    help="Approve an exception in your name. With the last approval that it needs, it begins.",
)


@app.command(name="list")
def listing(
    *,
    every: Annotated[
        bool, cyclopts.Parameter(name="--all", negative="", help="Also those that are over, or never began.")
    ] = False,
    config: ConfigFile = DEFAULT,
    json: AsJson = False,
) -> int:
    """List the open exceptions, oldest first: those in force, and requests that wait for approval.

    Exit code 1 when there is one that is not stored as it was requested. It never counts.
    """
    rows, damaged = asyncio.run(_rows(load_config(config), every=every))
    for name in damaged:
        print(f"exception {_printable(name)} is not stored as it was requested, and does not count", file=sys.stderr)
    if json:
        print_json(rows)
        return 1 if damaged else 0
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "exception", "state", "for", "scope", "tier", "until", "approved by", "ticket", box=None, pad_edge=False
    )
    for row in rows:
        state = row["state"] if row["state"] != "active" or row["counts"] else "active, does not count"
        approved = f"{len(row.get('approved_by', ()))} of {row['needed']}"
        cells = (row["id"], state, row["principal"], row["scope"], row["tier"], row["ends"], approved, row["ticket"])
        table.add_row(*(_printable(cell) for cell in cells))
    Console(width=None if Console().is_terminal else 240, highlight=False, markup=False).print(table)
    return 1 if damaged else 0


@app.command
def show(exception: Id, /, *, config: ConfigFile = DEFAULT, json: AsJson = False) -> None:
    """Show one exception: who, what, why, until when, who approved it."""
    _tell(asyncio.run(_shown(load_config(config), exception)), json=json)


@app.command
def revoke(
    exception: Id,
    /,
    *,
    reason: Annotated[str, cyclopts.Parameter(help="Why; sealed in the ledger.")] = "",
    config: ConfigFile = DEFAULT,
    json: AsJson = False,
) -> None:
    """End an exception now, on every node; or withdraw a request. What it granted before runs out by itself."""
    _tell(asyncio.run(_revoked(load_config(config), exception, reason)), json=json)


app.command(
    "mintwarden.app.cli.exception_request:renew",
    name="renew",
    help="Ask for an exception that goes on where another ends, with the use so far in view.",
)
app.command(
    "mintwarden.app.cli.exception_report:run",
    name="report",
    help="Report exceptions as debt: open by owner, age and tier, use, burn-down.",
)


def print_json(value: object) -> None:
    """JSON for a machine."""
    print(msgspec.json.format(msgspec.json.encode(value)).decode())


def print_lines(lines: Iterable[str]) -> None:
    """Lines for people; nothing in them may move the cursor."""
    for line in lines:
        print(_printable(line))


async def _rows(config: Config, *, every: bool) -> tuple[Sequence[Told], Sequence[str]]:
    async with foundation(config, read_only=True) as base:
        acts = exceptions_of(base)
        known = await acts.all()
        return [told(one) for one in known if every or one.stored.state in OPEN], await acts.damaged()


async def _shown(config: Config, exception: str) -> Told:
    async with foundation(config, read_only=True) as base:
        return told(await exceptions_of(base).known(exception))


async def _revoked(config: Config, exception: str, reason: str) -> Told:
    async with foundation(config) as base:
        return told(await exceptions_of(base).revoke(exception, typed_by(), reason))


def _tell(members: Told, *, json: bool) -> None:
    if json:
        print_json(members)
    else:
        print_lines(lines_of(members))


def _printable(value: Any) -> str:
    return "".join(c for c in str(value) if c.isprintable())
