"""`mintwarden policy activate TARGET`: let an approved version govern, on every node at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

from mintwarden.app.cli.account import account
from mintwarden.app.cli.command import Command
from mintwarden.app.cli.policy_sign import AsJson, ConfigFile, Target
from mintwarden.model.errors import ErrorKind, MintwardenError

app = Command(name="activate")

if TYPE_CHECKING:
    from mintwarden.govern.checks import Failing
    from mintwarden.govern.ports import Activation
    from mintwarden.govern.versions import Versions

DryRun = Annotated[
    bool, cyclopts.Parameter(name="--dry-run", negative="", help="Tell what is lacking, and activate nothing.")
]
HandOver = Annotated[
    bool, cyclopts.Parameter(name="--hand-over", negative="", help="The change gives the policy to another owner.")
]
Emergency = Annotated[
    bool,
    cyclopts.Parameter(name="--break-glass", negative="", help="In an emergency, by fewer approvals."),
]
Reason = Annotated[str, cyclopts.Parameter(help="Why; sealed in the ledger, and shown by `history`.")]
For = Annotated[str, cyclopts.Parameter(name="--for", help="How long the emergency may last, such as `2h`.")]


@app.default
def run(
    target: Target,
    /,
    *,
    dry_run: DryRun = False,
    hand_over: HandOver = False,
    break_glass: Emergency = False,
    reason: Reason = "",
    for_: For = "",
    config: ConfigFile = Path("mintwarden.toml"),
    json: AsJson = False,
) -> int:
    """Let an approved version govern, on every node at once.

    A folder is put into the store first, with the signatures in its `signatures/`. Exit code 0 when it governs
    (with `--dry-run`: could), 1 when approvals are lacking or a check fails, 2 when it cannot be.
    """
    from mintwarden.policy.bundle.kinds import seconds_of

    seconds = seconds_of(for_) if for_ else None
    if break_glass is (seconds is None) or (break_glass and not reason.strip()):
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST,
            "an emergency has a reason and an end, anything else has no end",
            hint="`--break-glass --reason '...' --for 2h`, or none of them",
        )

    async def act(versions: Versions, digest: str, now: int) -> Activation:
        by = account()
        if seconds is not None:
            return await versions.break_glass(digest, by=by, reason=reason, seconds=seconds, now=now)
        return await versions.activate(digest, by=by, now=now, hand_over=hand_over)

    return asyncio.run(activated(target, config, act, emergency=break_glass, dry_run=dry_run, as_json=json))


async def activated(
    target: str,
    config: Path,
    act: Callable[[Versions, str, int], Awaitable[Activation]],
    *,
    emergency: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Put the target into the store, tell where it stands, and let it govern."""
    from mintwarden.app.acting import versions_of
    from mintwarden.app.cli.policy_standing import (
        activation_json,
        failing_json,
        print_json,
        print_standing,
        standing_json,
    )
    from mintwarden.app.policy_store import opened
    from mintwarden.govern.standing import NotApproved
    from mintwarden.govern.versions import Refused

    async with opened(config, target) as desk:
        if desk.foundation is None:
            return 2
        versions, now = versions_of(desk.foundation), desk.now
        digest = desk.candidate.bundle.digest
        if desk.candidate.folder is not None:
            await versions.submit(desk.candidate.texts, desk.candidate.signatures, now=now)
        standing = await versions.standing(digest, "break_glass" if emergency else "approve", now=now)
        failing: tuple[Failing, ...] = ()
        done: Activation | None = None
        if dry_run:
            failing = await versions.checks(digest, now)
        else:
            try:
                done = await act(versions, digest, now)
            except Refused as error:
                failing = error.failing
            except NotApproved as error:
                standing = error.standing
    if as_json:
        print_json(
            {
                "activation": activation_json(done) if done is not None else None,
                "standing": standing_json(standing),
                "failing": failing_json(failing),
            }
        )
    else:
        print_standing(standing, failing)
        if done is not None:
            print(f"it governs from now on (activation {done.number})")
    if dry_run:
        return 1 if failing or standing.lacking else 0
    return 0 if done is not None else 1
