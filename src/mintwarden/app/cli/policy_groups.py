"""`mintwarden policy groups`: which groups of the directory carry which scopes, and which carry none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import cyclopts
import msgspec

from mintwarden.app.cli.command import Command
from mintwarden.app.cli.reaching import DEFAULT, At, ConfigFile, OtherBundle, Under, counting, overlay_from
from mintwarden.app.config import load_config
from mintwarden.app.reach import census, ground
from mintwarden.app.reviews.reach import groups_json, moment, only_unused
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.review.reach.groups import TRIED, Carried, GroupReport

app = Command(name="groups")

_HOW = {
    "decided": "{changed} of {tried} tried lose it, or get it on worse terms, without the group",
    "opened": "{changed} of {tried} tried get it, or on better terms, without the group",
    "read": "a rule reads the group; none of {tried} tried is answered otherwise without it",
}


@app.default
def run(
    *,
    tried: Annotated[
        int, cyclopts.Parameter(help="How many members of each group are decided with and without it.")
    ] = TRIED,
    unused: Annotated[bool, cyclopts.Parameter(negative="", help="Only the groups that carry nothing.")] = False,
    at: At = "",
    under: Under = None,
    bundle: OtherBundle = None,
    json: Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")] = False,
    config: ConfigFile = DEFAULT,
) -> None:
    """Tell which groups carry which scopes, shown by deciding with and without them, and which carry none.

    A group that carries none itself may still be nested in one that does, which the store does not say: where all of
    its members are in such a group, that is told.
    """
    if not 0 <= tried <= 10_000:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "`--tried` is out of range", hint="0 to 10000")

    async def tell() -> tuple[list[GroupReport], tuple[str, ...]]:
        async with ground(load_config(config), at=moment(at), bundle=bundle, overlay=overlay_from(under)) as base:
            with counting(quiet=json) as progress:
                return await census(base, tried=tried, progress=progress)

    reports, open_rules = asyncio.run(tell())
    shown = only_unused(reports) if unused else reports
    if json:
        print(msgspec.json.format(msgspec.json.encode(groups_json(shown, open_rules))).decode())
    else:
        _print(shown, open_rules)


def _print(reports: Sequence[GroupReport], open_rules: Sequence[str]) -> None:
    for report in reports:
        print(f"{report.group}: {report.members} member{'' if report.members == 1 else 's'}{_verdict(report)}")
        for one in report.carries:
            print(f"  {one.scope} by {', '.join(one.by)}: {_shown(one, report)}")
    for rule in open_rules:
        print(f"note: rule {rule} may read any group: none of them is known to carry nothing")
    counts = [sum(1 for r in reports if r.carries), sum(1 for r in reports if r.could_go and not open_rules)]
    print(f"{len(reports)} groups, {counts[0]} read by a rule or mapping, {counts[1]} could go")


def _verdict(report: GroupReport) -> str:
    if report.carries:
        return ""
    if report.within:
        return f", carries nothing itself; all of them are in {', '.join(report.within)}, where it may be nested"
    return ", carries nothing: it could go"


def _shown(one: Carried, report: GroupReport) -> str:
    if not report.members:
        return "the directory names nobody in it"
    told = _HOW[one.how].format(changed=one.changed, tried=one.tried)
    return f"{told}{f', such as {one.example}' if one.example else ''}"
