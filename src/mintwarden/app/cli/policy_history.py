"""`mintwarden policy history`: which version governed when, by whom and why."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import cyclopts

from mintwarden.app.cli.command import Command
from mintwarden.app.cli.plain import tell
from mintwarden.app.cli.policy_sign import AsJson, ConfigFile

app = Command(name="history")

Limit = Annotated[int, cyclopts.Parameter(help="How many activations at most.")]


@app.default
def run(*, limit: Limit = 50, config: ConfigFile = Path("mintwarden.toml"), json: AsJson = False) -> None:
    """Show which version governed when, by whom and why, the last one first; and what was begun without effect."""
    asyncio.run(_tell(config, max(1, min(limit, 10_000)), as_json=json))


async def _tell(config: Path, limit: int, *, as_json: bool) -> None:
    from mintwarden.app.cli.policy_standing import activation_json, print_json
    from mintwarden.app.config import load_config
    from mintwarden.app.foundation import foundation
    from mintwarden.app.spelling import moment_if_any

    async with foundation(load_config(config), read_only=True) as base:
        done = list(await base.store.versions.activations(limit))
        left = list(await base.store.versions.abandoned(limit))
    if as_json:
        abandoned: list[dict[str, Any]] = [
            {
                "number": i.number,
                "digest": i.digest,
                "kind": i.kind,
                "at": moment_if_any(i.at),
                "entry": i.entry_id.hex(),
            }
            for i in left
        ]
        print_json({"activations": [activation_json(one) for one in done], "abandoned": abandoned})
        return
    for one in done:
        end = f" until {moment_if_any(one.until)}" if one.until is not None else ""
        tell(f"{one.number:4}  {moment_if_any(one.at)}  {one.kind:11}  {one.digest}{end}  by {one.by}")
        if one.reason:
            tell(f"      {' '.join(one.reason.split())}")
    if not done:
        print("nothing was activated yet")
    for intent in left:
        tell(f"   -  {moment_if_any(intent.at)}  {intent.kind:11}  {intent.digest}  begun, without effect")
