"""`mintwarden policy show TARGET`: a version, its signatures, and what it would take to let it govern."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import cyclopts

from mintwarden.app.cli.command import Command
from mintwarden.app.cli.plain import tell
from mintwarden.app.cli.policy_sign import AsJson, ConfigFile
from mintwarden.app.spelling import moment_if_any
from mintwarden.policy.approve.statement import Act

app = Command(name="show")

Shown = Annotated[str, cyclopts.Parameter(help="`active`, a digest or its beginning, or the bundle's folder.")]
Quorum = Annotated[Act, cyclopts.Parameter(name="--for", help="What it is to stand for.")]


@app.default
def run(
    target: Shown = "active",
    /,
    *,
    for_: Quorum = "approve",
    config: ConfigFile = Path("mintwarden.toml"),
    json: AsJson = False,
) -> None:
    """Show a version: what it needs to govern and why, who has signed, who is missing. Nothing is changed."""
    asyncio.run(_tell(target, for_, config, as_json=json))


async def _tell(target: str, act: Act, config: Path, *, as_json: bool) -> None:
    from mintwarden.app.acting import versions_of
    from mintwarden.app.cli.policy_standing import activation_json, print_json, print_standing, standing_json
    from mintwarden.app.policy_store import opened
    from mintwarden.govern.standing import stand

    async with opened(config, target) as desk:
        if desk.foundation is None:
            return
        versions = versions_of(desk.foundation)
        state = await versions.state(desk.now)
        bundle = desk.candidate.bundle
        kept = await versions.signatures(bundle.digest)
        known = {one.id for one in kept}
        kept += [one for one in desk.candidate.signatures if one.id not in known]
        within = (desk.now - state.active.at) // 1000 if state.active is not None else 0
        standing = stand(state, bundle, kept, act, desk.now // 1000, within=within)
        times = [one for one in await desk.foundation.store.versions.activations(1_000) if one.digest == bundle.digest]
    if as_json:
        print_json(
            {
                "governs": bundle.digest == state.base,
                "standing": standing_json(standing),
                "activations": [activation_json(one) for one in times],
                "signatures": [
                    {"id": one.id, "act": one.statement.act, "name": one.statement.name, "after": one.statement.after}
                    for one in kept
                ],
            }
        )
        return
    if bundle.digest == state.base:
        catalogue = bundle.catalogue
        tell(f"governs   {bundle.digest}@{state.after} of `{catalogue.name}`, owned by {catalogue.owner}")
        if state.active is not None and state.active.kind == "break_glass":
            end = moment_if_any(state.active.until)
            tell(f"          as an emergency version until {end}; then {state.active.returns_to} returns by itself")
    else:
        print_standing(standing)
    for one in kept:
        tell(f"signed    {one.statement.act:11}  {one.statement.name}, after activation {one.statement.after}")
