"""`mintwarden signals expect`: is a stream of security events what it seems to be."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec

from mintwarden.app.config import Config, load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.signals_in import EXPECTED, expect_state
from mintwarden.app.spelling import moment
from mintwarden.model.errors import ErrorKind, MintwardenError

app = cyclopts.App(name="signals", help="Security events of transmitters.")

ConfigFile = Annotated[Path, cyclopts.Parameter(name=["--config", "-c"], help="The configuration file.")]
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")]


@app.command
def expect(
    transmitter: Annotated[str, cyclopts.Parameter(help="Its id in the bundle.")],
    /,
    *,
    config: ConfigFile = Path("mintwarden.toml"),
    json: AsJson = False,
) -> None:
    """Make the `state` of one verification, to be asked for at the transmitter within an hour.

    The event with it is taken once, counted in `mintwarden_signals_total` and logged as `asked for`; one with another
    `state` is refused.
    """
    state, ends = asyncio.run(_expect(load_config(config), transmitter))
    if json:
        print(msgspec.json.encode({"state": state, "ends": moment(ends)}).decode())
    else:
        print(f"{state}\nAsk the transmitter for a verification with this `state`, until {moment(ends)}.")


async def _expect(config: Config, transmitter: str) -> tuple[str, int]:
    async with foundation(config) as base:
        if transmitter not in base.bundle.catalogue.transmitters:
            raise MintwardenError(
                ErrorKind.NOT_FOUND,
                f"the bundle has no transmitter `{transmitter}`",
                hint="`transmitters/*.toml` says who is listened to",
            )
        state, ends = secrets.token_urlsafe(18), base.clock.now() + EXPECTED
        await expect_state(base, transmitter, state, ends)
        return state, ends
