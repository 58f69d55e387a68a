"""`mintwarden policy rollback [DIGEST]`: go back to a version that governed before."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import cyclopts

from mintwarden.app.cli.account import account
from mintwarden.app.cli.command import Command
from mintwarden.app.cli.policy_activate import DryRun
from mintwarden.app.cli.policy_sign import AsJson, ConfigFile, Key, Name

app = Command(name="rollback")

Digest = Annotated[str, cyclopts.Parameter(help="The version to go back to; the one before the present by default.")]
Reason = Annotated[str, cyclopts.Parameter(help="Why; sealed in the ledger, and shown by `history`.")]


@app.default
def run(
    digest: Digest = "",
    /,
    *,
    reason: Reason,
    key: Key = None,
    name: Name = "",
    dry_run: DryRun = False,
    config: ConfigFile = Path("mintwarden.toml"),
    json: AsJson = False,
) -> int:
    """Go back to a version that governed before, on every node at once.

    With `--key` the approver who types this gives their own word for it first; others give theirs by `policy approve
    --rollback`. Exit codes are those of `policy activate`.
    """
    return asyncio.run(_roll_back(digest, reason, key, name, dry_run=dry_run, config=config, as_json=json))


async def _roll_back(
    digest: str, reason: str, key: Path | None, name: str, *, dry_run: bool, config: Path, as_json: bool
) -> int:
    from mintwarden.app.acting import versions_of
    from mintwarden.app.cli.policy_standing import activation_json, print_json, print_standing, standing_json
    from mintwarden.app.config import load_config
    from mintwarden.app.policy_store import at_store, full_digest, opened
    from mintwarden.app.word import Moment, name_by, sign, statement_of
    from mintwarden.govern.standing import NotApproved

    async with at_store(load_config(config)) as base:
        versions = versions_of(base)
        target = (
            await full_digest(base, digest) if digest else await versions.before(await versions.state(base.clock.now()))
        )
    done = None
    async with opened(config, target) as desk:
        if desk.foundation is None:
            return 2
        versions, now = versions_of(desk.foundation), desk.now
        if key is not None:
            by = desk.authority or desk.candidate.bundle
            who = name_by(key, name, by=by)
            words = statement_of(desk.candidate, "rollback", who, Moment(desk.base, desk.after), now // 1000)
            await versions.submit(desk.candidate.texts, [sign(words, key, by=by)], now=now)
        standing = await versions.standing(target, "rollback", now=now)
        if not dry_run:
            try:
                done = await versions.rollback(target, by=account(), reason=reason, now=now)
            except NotApproved as error:
                standing = error.standing
    if as_json:
        print_json(
            {
                "activation": activation_json(done) if done is not None else None,
                "standing": standing_json(standing),
                "failing": [],
            }
        )
    else:
        print_standing(standing)
        if done is not None:
            print(f"it governs from now on (activation {done.number})")
    if dry_run:
        return 1 if standing.lacking else 0
    return 0 if done is not None else 1
