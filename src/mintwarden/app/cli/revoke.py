"""`mintwarden revoke`: make tokens good no more before their end."""

from __future__ import annotations

import asyncio
import getpass
import sys
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec

from mintwarden.app.config import Config, load_config
from mintwarden.app.foundation import foundation
from mintwarden.authn.jose import JoseError, decode_json, parse, string
from mintwarden.authn.ports import Revocation
from mintwarden.govern.revocations import About, Revoker
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import decision_bytes
from mintwarden.model.values import EntityUid

app = cyclopts.App(name="revoke", help="Make tokens good no more before their end.")

ConfigFile = Annotated[Path, cyclopts.Parameter(name=["--config", "-c"], help="The configuration file.")]
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")]
Named = Annotated[
    str,
    cyclopts.Parameter(
        allow_leading_hyphen=True, help="The token, its decision's id, or `-` to read the token from standard input."
    ),
]


@app.default
def run(
    token: Named = "",
    /,
    *,
    client: Annotated[str, cyclopts.Parameter(help="Every token that was issued to this client.")] = "",
    subject: Annotated[str, cyclopts.Parameter(help="Every token that speaks of it: `User:alice`.")] = "",
    actor: Annotated[str, cyclopts.Parameter(help="Every token in whose chain it acts: `Agent:helper`.")] = "",
    session: Annotated[str, cyclopts.Parameter(help="Every token of this session.")] = "",
    reason: Annotated[str, cyclopts.Parameter(help="Why; sealed beside the ledger entry.")] = "",
    config: ConfigFile = Path("mintwarden.toml"),
    json: AsJson = False,
) -> None:
    """Revoke one token, or all that were issued until now to a client, about a subject, with an actor or in a session.

    It is recorded first and then holds on every node: introspection says so, and the token is neither exchanged nor
    taken for administration. An API that verifies tokens by itself learns of it when it asks.
    """
    asked = {"token": _token_id(token), "client": client, "subject": subject, "actor": actor, "session": session}
    given = [(about, value) for about, value in asked.items() if value]
    if len(given) != 1:
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST,
            "say what to revoke, one thing at a time",
            hint="a token, or `--client`, `--subject`, `--actor` or `--session`",
        )
    ((about, value),) = given
    made = asyncio.run(_revoke(load_config(config), msgspec.convert(about, About), value, reason))
    if json:
        print(msgspec.json.encode(made).decode())
    else:
        print(f"revoked: {made.about} {made.value}")


async def _revoke(config: Config, about: About, value: str, reason: str) -> Revocation:
    async with foundation(config) as base:
        longest = max((audience.max_ttl for audience in base.bundle.catalogue.audiences.values()), default=0)
        revoker = Revoker(scribe=base.scribe(), writer=base.store.revocations, clock=base.clock, longest_token=longest)
        return await revoker.revoke(about, value, reason=reason, by=EntityUid("User", getpass.getuser()))


def _token_id(named: str) -> str:
    """The `jti` of a token, which is its decision's id; raises `INVALID_REQUEST` for what is neither."""
    text = sys.stdin.read().strip() if named == "-" else named
    if not text:
        return ""
    try:
        if "." in text:
            text = string(decode_json(parse(text).payload), "jti")
        decision_bytes(text)
    except (JoseError, ValueError):
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST,
            "that is neither a token nor a decision's id",
            hint="see `mintwarden revoke --help`",
        ) from None
    return text
