"""`mintwarden policy promote AUDIENCE`: the next step from observing to enforcing, as a change to be approved."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import cyclopts
import msgspec

from mintwarden.app.cli.command import Command
from mintwarden.app.cli.review_readiness import look
from mintwarden.app.config import load_config
from mintwarden.app.promote import as_json, one_line, prepare_step, write_step

app = Command(name="promote")


@app.default
def run(
    audience: Annotated[str, cyclopts.Parameter(help="An audience of the bundle, by its id.")],
    /,
    *,
    to: Annotated[
        Literal["canary", "enforce"] | None,
        cyclopts.Parameter(help="How far: the canary, if the audience has one, comes before enforcing."),
    ] = None,
    despite: Annotated[
        str, cyclopts.Parameter(help="Do it although it is not ready; the reason stands in the file, for approvers.")
    ] = "",
    bundle: Annotated[
        Path | None, cyclopts.Parameter(help="The bundle's folder, if it is not the configuration's.")
    ] = None,
    json: Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")] = False,
    config: Annotated[Path, cyclopts.Parameter(name=["--config", "-c"], help="The configuration file.")] = Path(
        "mintwarden.toml"
    ),
) -> int:
    """Take the next step from observing towards enforcing in the bundle's folder: `mode` of one audience's file.

    Refused, with exit code 1, when `review readiness` says that it is not ready, unless a reason is given. Nothing is
    in force by that: the change is signed, approved and activated like any other.
    """
    loaded = load_config(config)
    reason = one_line(despite)
    step = prepare_step(bundle or Path(loaded.bundle.path), audience, to or "", despite=reason)
    report = asyncio.run(look(loaded, audience))
    told = as_json(step, report, reason)
    written = told["written"]
    if written:
        write_step(step)
    if json:
        print(msgspec.json.format(msgspec.json.encode(told)).decode())
        return 0 if written else 1
    for line in told["unmet"]:
        print(f"not met: {line}")
    if not written:
        print(f"{audience} stays in {step.before}: it is not ready")
        print(f"see `mintwarden review readiness {audience}`, or give a reason with `--despite`")
        return 1
    print(f"{step.file}: mode {step.before} -> {step.after}")
    for table in step.dropped:
        print(f"{step.file}: {table} removed, which this ends")
    print("next: sign the change, have it approved, and activate it (`mintwarden policy --help`)")
    return 0
