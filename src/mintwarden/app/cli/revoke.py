"""`mintwarden revoke`: make tokens good no more before their end."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec

from mintwarden.app.cli.account import typed_by
from mintwarden.app.cli.command import Command
from mintwarden.app.config import Config, load_config
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.app.revoking import revoker_of
from mintwarden.authn.jose import JoseError, decode_json, parse, string
from mintwarden.authn.ports import About, Revocation
from mintwarden.govern.revocations import named
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import decision_bytes

app = Command(name="revoke")

ConfigFile = Annotated[Path, cyclopts.Parameter(name=["--config", "-c"], help="The configuration file.")]
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")]
Named = Annotated[
    str,
    cyclopts.Parameter(
        allow_leading_hyphen=True, help="The token, its decision's id, or `-` to read the token from standard input."
    ),
]


def _random(text: str) -> cyclopts.Parameter:
    """Names that nobody chose are base64url: one in sixty-four begins with a hyphen, and is no option."""
    return cyclopts.Parameter(allow_leading_hyphen=True, help=text)


@app.default
def run(
    token: Named = "",
    /,
    *,
    client: Annotated[str, cyclopts.Parameter(help="Every token that was issued to this client.")] = "",
    subject: Annotated[str, cyclopts.Parameter(help="Every token that speaks of it: `User:alice`.")] = "",
    actor: Annotated[
        str,
        cyclopts.Parameter(help="Every token in whose chain it acts: `Agent:helper`; with --subject, for that one."),
    ] = "",
    session: Annotated[str, _random("Every token of this session.")] = "",
    grant: Annotated[str, _random("Every token that came of what a person allowed (`grant_id`).")] = "",
    key: Annotated[str, _random("Every token that this signing key signed (`kid`); the key is gone with them.")] = "",
    bundle: Annotated[str, cyclopts.Parameter(help="Every token that was issued under this version, by digest.")] = "",
    reason: Annotated[str, cyclopts.Parameter(help="Why, always to be said; sealed beside the ledger entry.")] = "",
    config: ConfigFile = Path("mintwarden.toml"),
    json: AsJson = False,
) -> None:
    """Revoke one token and what came of it, or all that were issued until now and have something in common.

    It is recorded first and then holds on every node: introspection says so, and the token is neither exchanged nor
    taken for administration. An API that verifies tokens by itself learns of it when it asks.
    """
    about, value = named(
        {
            "token": _token_id(token), "client": client, "subject": subject, "actor": actor, "session": session,
            "grant": grant, "key": key, "bundle": bundle,
        }
    )  # fmt: skip
    made, known = asyncio.run(_revoke(load_config(config), about, value, reason))
    if not known:
        print(f"nobody here knows the {about} `{value}`: look whether it is spelled so", file=sys.stderr)
    if json:
        print(msgspec.json.encode(made).decode())
    else:
        print(f"revoked: {made.about} {made.value}")


async def _revoke(config: Config, about: About, value: str, reason: str) -> tuple[Revocation, bool]:
    """What was revoked, and whether it is somebody or something that is known here; it is revoked either way."""
    async with foundation(config) as base:
        made = await revoker_of(base).revoke(about, value, reason=reason, by=typed_by())
        return made, await _known(base, about, value)


async def _known(base: Foundation, about: About, value: str) -> bool:
    """Whether a client or a principal is in the bundle or the store; anything else, and a client's own document, is."""
    clients = base.bundle.catalogue.clients
    if about == "client":
        return value in clients or "://" in value or value in (await base.store.credentials.credentials()).clients
    if about in ("subject", "actor"):
        principals = {f"{client.principal}:{client.id}" for client in clients.values()}
        return value in principals or bool((await base.store.facts.read([value])).rows.get(value))
    return True


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
