"""`mintwarden policy what-can PRINCIPAL`: every scope that somebody gets, and what they may act with."""

from __future__ import annotations

import asyncio
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
    overlay_from,
)
from mintwarden.app.config import load_config
from mintwarden.app.reach import Ended, ground
from mintwarden.app.reviews.reach import found_for, moment, principal
from mintwarden.review.reach.question import Question

app = Command(name="what-can")


@app.default
def run(
    who: Annotated[str, cyclopts.Parameter(help="A principal, such as `User:alice` or `Agent:helper`.")],
    /,
    *,
    audience: Annotated[
        tuple[str, ...], cyclopts.Parameter(negative="", help="Only of this audience; repeatable.")
    ] = (),
    subject: Annotated[
        tuple[str, ...],
        cyclopts.Parameter(
            name="--for", negative="", help="For whom it is tried to act, such as `User:alice`; repeatable."
        ),
    ] = (),
    client: ThroughClient = "",
    environment: InEnvironment = "",
    purpose: ForPurpose = "",
    acr: SignedIn = "",
    tenant: InTenant = "",
    session: InSession = "",
    device: OnDevice = "",
    address: FromAddress = "",
    at: At = "",
    under: Under = None,
    bundle: OtherBundle = None,
    brief: Brief = False,
    json: AsJson = False,
    csv: AsCsv = False,
    config: ConfigFile = DEFAULT,
) -> None:
    """Tell every scope that a principal gets, each in the best way, and for programs and agents what they may act with.

    The principal need not be in the directory: then it is decided with what is known, which is nothing. Nothing is
    issued or recorded.
    """
    uid, moment_ = principal(who), moment(at)

    def question(scope: str) -> Question:
        return Question(
            scope=scope, at=moment_, client=client, environment=environment, purpose=purpose, acr=acr, tenant=tenant,
            session=session, device=device, address=address,
        )  # fmt: skip

    async def tell() -> None:
        async with ground(load_config(config), at=moment_, bundle=bundle, overlay=overlay_from(under)) as base:
            out = Printer(base.bundle, json=json, csv=csv, facts=not brief)
            named = [principal(one) for one in subject]
            async for one in found_for(base, uid, question, audience, named):
                if isinstance(one, Ended):
                    out.ended(one, again="")
                    continue
                if not json and not csv:
                    print(f"{one.scope}{' (acting)' if one.role == 'actor' else ''}")
                out.line(one)

    asyncio.run(tell())
