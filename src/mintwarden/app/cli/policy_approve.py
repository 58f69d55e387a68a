"""`mintwarden policy approve TARGET`: say that a version may govern."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

from mintwarden.app.cli.command import Command
from mintwarden.app.cli.policy_sign import (
    AsJson,
    Base,
    ConfigFile,
    Key,
    Name,
    Only,
    Saying,
    SignatureFile,
    StatementFile,
    Target,
    say,
)
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.approve.statement import Act

app = Command(name="approve")

Emergency = Annotated[
    bool, cyclopts.Parameter(name="--break-glass", negative="", help="For an emergency of some hours only.")
]
Back = Annotated[bool, cyclopts.Parameter(name="--rollback", negative="", help="To go back to this version.")]


@app.default
def run(
    target: Target,
    /,
    *,
    key: Key = None,
    name: Name = "",
    break_glass: Emergency = False,
    rollback: Back = False,
    statement_only: Only = False,
    statement: StatementFile = None,
    signature: SignatureFile = None,
    base: Base = "",
    config: ConfigFile = Path("mintwarden.toml"),
    json: AsJson = False,
) -> int:
    """Say that a version may govern: as approvers do, once the author has signed it.

    Options, files and exit codes are those of `policy sign`. A word for an emergency counts for nothing else, nor does
    one for going back.
    """
    if break_glass and rollback:
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST, "`--break-glass` and `--rollback` are two different words", hint="give one"
        )
    act: Act = "break_glass" if break_glass else "rollback" if rollback else "approve"
    return say(
        act,
        Saying(
            target=target, key=key, name=name, config=config, json=json, statement_only=statement_only,
            statement=statement, signature=signature, base=base,
        ),
    )  # fmt: skip
