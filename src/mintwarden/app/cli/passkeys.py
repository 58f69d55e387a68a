"""`mintwarden passkeys invite | list | remove`: who may sign in with a passkey of their own."""

from __future__ import annotations

import asyncio
import ipaddress
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

import cyclopts
import msgspec

from mintwarden.app.cli.account import typed_by
from mintwarden.app.config import Config, load_config
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.app.sign_in import passkeys_of
from mintwarden.app.signals_out import signals_of
from mintwarden.app.spelling import moment
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import entity_key
from mintwarden.model.values import EntityUid
from mintwarden.policy.bundle.kinds import seconds_of
from mintwarden.web.discovery import base_of

app = cyclopts.App(name="passkeys", help="Invite people to make a passkey, list and remove them.")

LONGEST = 7 * 86_400
"""Seconds that an invitation may stay open."""

ConfigFile = Annotated[Path, cyclopts.Parameter(name=["--config", "-c"], help="The configuration file.")]
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")]
Person = Annotated[str, cyclopts.Parameter(help="The person: `User:alice`.")]


@app.command
def invite(
    person: Person,
    /,
    *,
    lasts: Annotated[str, cyclopts.Parameter(name="--for", help="How long the link works, at most `7d`.")] = "24h",
    config: ConfigFile = Path("mintwarden.toml"),
    json: AsJson = False,
) -> None:
    """Make a link by which the person makes one passkey. It works once; whoever has it can use it."""
    seconds = seconds_of(lasts)
    if seconds is None or not 0 < seconds <= LONGEST:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, f"`{lasts}` is not a duration up to `7d`", hint="write `24h`")
    link, ends = asyncio.run(_invite(load_config(config), _person(person), seconds))
    if json:
        print(msgspec.json.encode({"link": link, "ends": moment(ends)}).decode())
    else:
        print(f"{link}\nIt works once, until {moment(ends)}. Give it to nobody else.")


@app.command(name="list")
def show(person: Person, /, *, config: ConfigFile = Path("mintwarden.toml"), json: AsJson = False) -> None:
    """List a person's passkeys: name, when it was made and last used, and its id."""
    rows = asyncio.run(_rows(load_config(config), _person(person)))
    if json:
        print(msgspec.json.format(msgspec.json.encode(rows)).decode())
        return
    for row in rows:
        print(f"{row['id']}  {row['label'] or '(no name)'}  made {row['made']}  used {row['used'] or 'never'}")


@app.command
def remove(
    person: Person,
    passkey: Annotated[str, cyclopts.Parameter(allow_leading_hyphen=True, help="Its id, as `list` shows it.")],
    /,
    *,
    config: ConfigFile = Path("mintwarden.toml"),
) -> None:
    """Remove one of a person's passkeys. Sessions that began with it go on: end them with `mintwarden revoke`."""
    asyncio.run(_remove(load_config(config), _person(person), passkey))
    print("removed")


async def _invite(config: Config, subject: EntityUid, seconds: int) -> tuple[str, int]:
    async with foundation(config) as base:
        if not base.bundle.catalogue.passkeys.enabled:
            raise MintwardenError(
                ErrorKind.BUNDLE,
                "the bundle lets nobody sign in with a passkey",
                hint="set `enabled = true` in `[passkeys]` of `bundle.toml`",
            )
        _check_host(urlsplit(base.issuer).hostname or "")
        now = base.clock.now()
        ends = now + seconds * 1000
        await _record(base, "passkey_invitation", subject)
        handle = await passkeys_of(base).invite(subject, ends=ends, now=now)
        return f"{base_of(base.issuer)}/signin/passkey/new?{urlencode({'invitation': handle})}", ends


async def _rows(config: Config, subject: EntityUid) -> list[dict[str, Any]]:
    async with foundation(config, read_only=True) as base:
        return [
            {
                "id": held.value.id,
                "label": held.value.label,
                "synced": held.value.synced,
                "made": moment(held.value.made_at),
                "used": moment(held.value.used_at) if held.value.used_at else None,
            }
            for held in await passkeys_of(base).of(subject, base.clock.now())
        ]


async def _remove(config: Config, subject: EntityUid, passkey: str) -> None:
    async with foundation(config) as base:
        passkeys = passkeys_of(base)
        found = [held for held in await passkeys.of(subject, base.clock.now()) if held.value.id == passkey]
        if not found:
            raise MintwardenError(ErrorKind.NOT_FOUND, "the person has no such passkey", hint="see `passkeys list`")
        await _record(base, "passkey_removed", subject)
        if await passkeys.remove(found[0]):
            gone = found[0].value
            await signals_of(base).passkey_changed(subject, gone.id, gone.attachment, "delete", typed_by())


def _check_host(host: str) -> None:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return
    raise MintwardenError(
        ErrorKind.CONFIG,
        f"browsers make no passkeys for an address: the issuer's host is `{host}`",
        hint="give the issuer a name; on this machine `http://localhost:PORT`",
    )


async def _record(base: Foundation, what: str, subject: EntityUid) -> None:
    by = typed_by()
    await base.scribe().write("administration", by, {"what": what}, {"subject": entity_key(subject)})


def _person(text: str) -> EntityUid:
    kind, _, name = text.partition(":")
    if kind != "User" or not name or not name.isprintable() or len(name) > 500:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, f"`{text}` is no person", hint="write `User:alice`")
    return EntityUid("User", name)
