"""`mintwarden policy what-can PRINCIPAL`: every scope that somebody gets, and what they may act with."""

from __future__ import annotations

import asyncio
from typing import Annotated

import cyclopts

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
    checked,
    moment,
    overlay_from,
    principal,
)
from mintwarden.app.config import load_config
from mintwarden.app.reach import Ended, ground, what_can
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.problem import did_you_mean
from mintwarden.review.reach.question import Question


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
            audiences = base.bundle.catalogue.audiences
            for name in audience:
                if name not in audiences:
                    hint = did_you_mean(name, audiences, "see the bundle")
                    raise MintwardenError(ErrorKind.INVALID_REQUEST, f"there is no audience `{name}`", hint=hint)
            scopes = [s for name in (audience or audiences) for s in audiences[name].scopes]
            checked(question(""), base)
            out = Printer(base.bundle, json=json, csv=csv, facts=not brief)
            found = 0
            async for line in what_can(base, uid, question, scopes, named=[principal(one) for one in subject]):
                found += 1
                if not json and not csv:
                    print(f"{line.scope}{' (acting)' if line.role == 'actor' else ''}")
                out.line(line)
            out.ended(Ended(looked_at=len(scopes), found=found), again="")

    asyncio.run(tell())
