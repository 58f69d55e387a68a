"""How commands tell where a version stands: the quorum and why, who has signed, who is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from mintwarden.app.cli.plain import tell
from mintwarden.app.spelling import moment_if_any
from mintwarden.govern.checks import Failing
from mintwarden.govern.ports import Activation
from mintwarden.govern.standing import Standing

QUORUMS = {
    "first": "the first version: its own larger quorum",
    "ordinary": "an ordinary change",
    "higher": "a change of higher risk",
    "break_glass": "an emergency",
    "undo": "going back to the version before",
}


def standing_json(standing: Standing) -> dict[str, Any]:
    """For a machine; names are fixed and documented in `docs/versions.md`."""
    return {
        "digest": standing.digest,
        "name": standing.name,
        "owner": standing.owner,
        "act": standing.act,
        "base": standing.base or None,
        "after": standing.after,
        "quorum": standing.quorum,
        "required": standing.required,
        "risk": standing.risk.level,
        "reasons": [msgspec.structs.asdict(reason) for reason in standing.risk.reasons],
        "author": standing.count.author or None,
        "counted": list(standing.count.counted),
        "missing": list(standing.count.missing),
        "refused": [msgspec.structs.asdict(one) for one in standing.count.refused],
        "lacking": standing.lacking,
        "approved": not standing.lacking,
    }


def failing_json(failing: Sequence[Failing]) -> list[dict[str, Any]]:
    """Checks that a version does not pass, for a machine."""
    return [msgspec.structs.asdict(one) for one in failing]


def activation_json(one: Activation) -> dict[str, Any]:
    """An activation for a machine."""
    return {
        "number": one.number,
        "digest": one.digest,
        "previous": one.previous or None,
        "kind": one.kind,
        "at": moment_if_any(one.at),
        "until": moment_if_any(one.until),
        "returns_to": one.returns_to or None,
        "reason": one.reason,
        "by": one.by,
        "entry": one.entry_id.hex(),
    }


def print_json(content: Any) -> None:
    """Content for a machine, on standard output."""
    print(msgspec.json.format(msgspec.json.encode(content)).decode())


def print_standing(standing: Standing, failing: Sequence[Failing] = ()) -> None:
    """Everything that decides whether the version may govern, line by line."""
    count = standing.count
    tell(f"version   {standing.digest} of `{standing.name}`, owned by {standing.owner}")
    tell(f"on top of {standing.base or 'nothing: it is the first'} (activation {standing.after})")
    tell(f"quorum    {standing.required}: {QUORUMS[standing.quorum]}")
    for reason in standing.risk.reasons:
        tell(f"  because {reason}")
    tell(f"author    {count.author or 'nobody yet'}")
    tell(f"counted   {', '.join(count.counted) or 'nobody yet'}")
    for line in dict.fromkeys(f"  not {one.name} ({one.act}): {one.detail}" for one in count.refused):
        tell(line)
    if count.missing:
        tell(f"could     {', '.join(count.missing)}")
    for check in failing:
        tell(f"fails     {check}")
    if standing.lacking:
        tell(f"lacking   {standing.lacking}")
    elif not failing:
        tell("nothing is lacking")
