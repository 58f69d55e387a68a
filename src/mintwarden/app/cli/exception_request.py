"""`mintwarden exception request | renew`: ask for something outside the rules, with a reason and an end."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import cyclopts

from mintwarden.app.cli.account import typed_by
from mintwarden.app.cli.exception import AsJson, ConfigFile, Id, print_json, print_lines
from mintwarden.app.config import Config, load_config
from mintwarden.app.excepting import exceptions_of, renewal_of
from mintwarden.app.exceptions_told import Told, told
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.context.spelling import read_datetime
from mintwarden.govern.exceptions import Wanted
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid
from mintwarden.policy.bundle.kinds import seconds_of
from mintwarden.policy.exception_proof import endangered

Lasting = Annotated[str, cyclopts.Parameter(name="--for", help="How long it lasts, such as `7d`.")]
Until = Annotated[str, cyclopts.Parameter(help="When it ends, instead: `2026-12-01T09:00:00Z`.")]
Start = Annotated[str, cyclopts.Parameter(name="--from", help="When it begins; now if left out.")]
Reason = Annotated[str, cyclopts.Parameter(help="Why the rules do not fit; for the approvers.")]
Ticket = Annotated[str, cyclopts.Parameter(help="Where it is worked on that it is needed no more.")]
Control = Annotated[str, cyclopts.Parameter(help="What contains the risk meanwhile.")]


def run(
    principal: Annotated[str, cyclopts.Parameter(help="Whom it is for: `User:alice`, `Workload:batch`.")],
    scope: Annotated[str, cyclopts.Parameter(help="The one scope.")],
    /,
    *,
    reason: Reason,
    ticket: Ticket,
    control: Control,
    lasting: Lasting = "",
    until: Until = "",
    start: Start = "",
    action: Annotated[
        Literal["issue", "act"], cyclopts.Parameter(help="`issue`: have it as a subject; `act`: use it for others.")
    ] = "issue",
    client: Annotated[str, cyclopts.Parameter(help="Only through this client.")] = "",
    environment: Annotated[str, cyclopts.Parameter(help="Only there.")] = "",
    waive: Annotated[
        tuple[str, ...],
        cyclopts.Parameter(negative="", help="Do without what every rule demands, by name: `require_acr`."),
    ] = (),
    config: ConfigFile = Path("mintwarden.toml"),
    json: AsJson = False,
) -> None:
    """Ask for an exception. It does nothing until enough others have approved it."""

    def wanted(now: int) -> Wanted:
        begins = _moment(start) if start else None
        return Wanted(
            principal=_principal(principal),
            scope=scope,
            starts_at=begins,
            expires_at=_end(lasting, until, now if begins is None else begins),
            reason=reason,
            ticket=ticket,
            control=control,
            action=action,
            client=client,
            environment=environment,
            waives=waive,
        )

    async def ask(loaded: Config) -> Told:
        async with foundation(loaded) as base:
            return await _request(base, wanted(base.clock.now()))

    _tell(asyncio.run(ask(load_config(config))), json=json)


def renew(
    exception: Id,
    /,
    *,
    reason: Reason,
    lasting: Lasting = "",
    until: Until = "",
    ticket: Annotated[str, cyclopts.Parameter(help="Another ticket than before.")] = "",
    control: Annotated[str, cyclopts.Parameter(help="Another control than before.")] = "",
    config: ConfigFile = Path("mintwarden.toml"),
    json: AsJson = False,
) -> None:
    """Ask for an exception that goes on where another ends: a new decision, with the use so far in view.

    The one that is renewed stays as it is.
    """

    async def ask(loaded: Config) -> Told:
        async with foundation(loaded) as base:
            wanted = await renewal_of(
                base,
                exceptions_of(base),
                exception,
                lambda begins: _end(lasting, until, begins),
                reason=reason,
                ticket=ticket,
                control=control,
            )
            return await _request(base, wanted)

    _tell(asyncio.run(ask(load_config(config))), json=json)


async def _request(base: Foundation, wanted: Wanted) -> Told:
    with _waiting(f"proving the assertions about `{wanted.scope}`"):
        made = await exceptions_of(base).request(wanted, typed_by(), endangered=endangered)
    return told(made) | {"approvers": _able(base, wanted)}


@contextlib.contextmanager
def _waiting(what: str) -> Iterator[None]:
    """Proofs take seconds: say so, on a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield


def _able(base: Foundation, wanted: Wanted) -> list[str]:
    """Who could approve it."""
    neither = (typed_by(), wanted.principal)
    return [a.name for a in base.bundle.approvals.approvers if a.user and EntityUid("User", a.user) not in neither]


def _tell(members: Told, *, json: bool) -> None:
    if json:
        print_json(members)
        return
    lines = [
        f"requested    {members['id']}",
        f"for          {members['principal']} to {members['action']} {members['scope']}",
        f"until        {members['until']}",
        f"needs        {members['needed']} of {', '.join(members['approvers'])}",
    ]
    if "used_before" in members:
        lines.append(f"used so far  {members['used_before']} tokens")
    if "against" in members:
        lines.append(f"against      {', '.join(members['against'])}: these assertions might not hold with it")
    lines += ["", "each approver signs:", f"  mintwarden exception approve {members['id']} --key ~/.ssh/id_ed25519"]
    print_lines(lines)


def _principal(text: str) -> EntityUid:
    kind, colon, name = text.partition(":")
    if not colon or not name:
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST, f"`{text}` is no principal", hint="such as `User:alice` or `Workload:batch`"
        )
    return EntityUid(kind, name)


def _end(lasting: str, until: str, begins: int) -> int:
    if bool(lasting) == bool(until):
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "it needs an end", hint="write `--for 7d`, or `--until ...`")
    if until:
        return _moment(until)
    seconds = seconds_of(lasting)
    if seconds is None:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, f"`{lasting}` is no duration", hint="such as `7d` or `12h`")
    return begins + seconds * 1000


def _moment(text: str) -> int:
    try:
        return read_datetime(text).millis
    except ValueError:
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST, f"`{text}` is no time", hint="such as `2026-12-01T09:00:00Z`"
        ) from None
