"""`mintwarden policy who-can SCOPE`: who gets a scope, over the directory as it is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Annotated

import cyclopts

from mintwarden.app.cli.command import Command
from mintwarden.app.cli.reaching import (
    DEFAULT,
    AsCsv,
    AsJson,
    At,
    Brief,
    ConfigFile,
    ForPurpose,
    FromAddress,
    InEnvironment,
    InSession,
    InTenant,
    OnDevice,
    OtherBundle,
    Printer,
    SignedIn,
    ThroughClient,
    Under,
    counting,
    overlay_from,
)
from mintwarden.app.config import load_config
from mintwarden.app.reach import Ended, Search, ground
from mintwarden.app.reviews.reach import checked, found, moment, principal
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.review.reach.question import Line, Question

app = Command(name="who-can")

Name = Annotated[str, cyclopts.Parameter(help="Only with this one.")]


@app.default
def run(
    scope: Annotated[str, cyclopts.Parameter(help="A scope of the bundle.")],
    /,
    *,
    act: Annotated[
        bool, cyclopts.Parameter(name="--act", negative="", help="Tell instead who may act with it for somebody.")
    ] = False,
    subject: Annotated[
        tuple[str, ...],
        cyclopts.Parameter(name="--for", negative="", help="With `--act`: for whom, such as `User:alice`; repeatable."),
    ] = (),
    actor: Annotated[str, cyclopts.Parameter(help="Tell who gets it when this one acts, such as `Agent:helper`.")] = "",
    client: ThroughClient = "",
    environment: InEnvironment = "",
    purpose: ForPurpose = "",
    acr: SignedIn = "",
    amr: Annotated[tuple[str, ...], cyclopts.Parameter(negative="", help="Methods that they used; repeatable.")] = (),
    tenant: InTenant = "",
    workspace: Annotated[str, cyclopts.Parameter(help="Only for this workspace.")] = "",
    project: Annotated[str, cyclopts.Parameter(help="Only for this project.")] = "",
    address: FromAddress = "",
    session: InSession = "",
    device: OnDevice = "",
    at: At = "",
    hops: Annotated[
        int, cyclopts.Parameter(help="How many earlier tokens of ours a token may come of, at most 4.")
    ] = 1,
    each_client: Annotated[
        bool, cyclopts.Parameter(negative="", help="A line for each client, not only for the best one.")
    ] = False,
    under: Under = None,
    bundle: OtherBundle = None,
    limit: Annotated[int, cyclopts.Parameter(help="How many lines at most; 0 for all.")] = 0,
    after: Annotated[str, cyclopts.Parameter(help="Go on behind this principal.")] = "",
    processes: Annotated[
        int, cyclopts.Parameter(help="How many processes answer; as many as there are cores, or 2.")
    ] = 0,
    brief: Brief = False,
    json: AsJson = False,
    csv: AsCsv = False,
    config: ConfigFile = DEFAULT,
) -> None:
    """Tell who gets a scope over the directory as it is: each in the best way, why, and what they would have to add.

    Every line is what a request made so would be decided, with the facts that are stored now. What is not named is
    tried in every way that the rules can tell apart. Nothing is issued or recorded.
    """
    if limit < 0 or not 0 <= hops <= 4 or not 0 <= processes <= 64:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "`--limit`, `--hops` or `--processes` is out of range")
    if act and actor:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "`--act` and `--actor` exclude each other")
    question = Question(
        scope=scope, at=moment(at), client=client, environment=environment, purpose=purpose, acr=acr, amr=amr,
        tenant=tenant, workspace=workspace, project=project, address=address, session=session, device=device, hops=hops,
    )  # fmt: skip
    search = Search(
        after=after,
        limit=limit,
        processes=processes or min(2, os.cpu_count() or 1),
        each_client=each_client,
        actor=principal(actor) if actor else None,
    )
    named = [principal(one) for one in subject] if act else None

    async def tell() -> None:
        async with ground(load_config(config), at=question.at, bundle=bundle, overlay=overlay_from(under)) as base:
            asked = checked(question, base)
            out = Printer(base.bundle, json=json, csv=csv, facts=not brief)
            with counting(quiet=json or csv) as progress:
                await _print(found(base, asked, search, named, progress), out, scope)

    asyncio.run(tell())


async def _print(told: AsyncIterator[Line | Ended], out: Printer, scope: str) -> None:
    acting = False
    async for one in told:
        if isinstance(one, Ended):
            out.ended(one, again=f"mintwarden policy who-can {scope}{' --act' if acting else ''}")
        else:
            acting = one.role == "actor"
            out.line(one)
