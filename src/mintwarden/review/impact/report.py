"""A replay's findings as data for JSON, from which `render` makes text; its names are in `docs/policy-impact.md`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from mintwarden.ledger.ports import EntryReader, StoredEntry
from mintwarden.model.ids import decision_text
from mintwarden.review.cause import CAUSES
from mintwarden.review.impact.examples import Example
from mintwarden.review.impact.kinds import DIMENSIONS, KINDS
from mintwarden.review.impact.state import State
from mintwarden.review.impact.tally import Seen, Tally

MOST = 100
"""Names of a dimension that are listed one by one."""

UNREPLAYABLE = "unreplayable"
"""Beside the kinds of change, what a run may be told to fail on."""

Report = dict[str, Any]


class Candidate(Struct, frozen=True):
    """What was replayed under: its digest, its name, and what was supposed beside.

    `unread_groups` are those of `without_groups` that nothing in it looks at: to suppose them away says nothing.
    """

    digest: str
    name: str
    without_groups: tuple[str, ...] = ()
    unread_groups: tuple[str, ...] = ()
    sources_down: tuple[str, ...] = ()


def leaves_of(tally: Tally) -> list[int]:
    """The leaves of which the report tells as examples."""
    seen = [*tally.kinds.values(), tally.different]
    return sorted({leaf for one in seen if one.count for leaf in (one.first, one.last)})


def fails(tally: Tally, on: Iterable[str]) -> list[str]:
    """What makes the run fail: of the kinds in `on` those that occurred, and decisions that came out differently."""
    found = [kind for kind in on if (tally.not_replayed if kind == UNREPLAYABLE else tally.kinds[kind].count)]
    return [*found, "different"] if tally.different.count else found


def report(
    state: State, candidate: Candidate, told: Mapping[int, Example], names: Mapping[int, str], fail_on: Iterable[str]
) -> Report:
    """All of it. `told` are the examples by leaf, `names` the decisions behind the causes."""
    tally = state.tally
    failing = fails(tally, fail_on)
    return {
        "ok": not failing,
        "failing": failing,
        "candidate": msgspec.to_builtins(candidate),
        "span": {"since": state.since, "until": state.until, "first": state.first, "end": state.end},
        "entries": tally.entries,
        "decisions": tally.decisions,
        "outside": tally.outside,
        "replayed": tally.replayed,
        "unchanged": tally.unchanged,
        "changed": tally.replayed - tally.unchanged,
        "not_replayed": tally.not_replayed,
        "reproduced": {
            "same": tally.same,
            "same_but_token": tally.same_but_token,
            "different": tally.different.count,
            "members": tally.members,
            **_ends(tally.different, told),
        },
        "kinds": {kind: _kind(tally, kind, told) for kind in KINDS},
        "causes": [_cause(text, seen, names) for text, seen in _frequent(tally)],
    }


def _kind(tally: Tally, kind: str, told: Mapping[int, Example]) -> Report:
    seen = tally.kinds[kind]
    found: Report = {"count": seen.count}
    if seen.count:
        found["by"] = {name: by for name in DIMENSIONS if (by := _by(tally, name, kind))}
        found |= _ends(seen, told)
    return found


def _by(tally: Tally, dimension: str, kind: str) -> list[Report]:
    counted = tally.by_kind(dimension, kind)
    listed = [{"name": name, "count": count} for name, count in counted[:MOST] if name]
    rest = sum(count for name, count in counted[:MOST] if not name) + sum(count for _, count in counted[MOST:])
    return [*listed, {"others": rest}] if rest else listed


def _ends(seen: Seen, told: Mapping[int, Example]) -> Report:
    ends = {"first": told.get(seen.first), "last": told.get(seen.last)} if seen.count else {}
    return {name: msgspec.to_builtins(example) for name, example in ends.items() if example is not None}


def _frequent(tally: Tally) -> list[tuple[str, Seen]]:
    found = sorted(tally.causes.items(), key=lambda pair: (-pair[1].count, pair[0]))
    return [*found, ("others", tally.more_causes)] if tally.more_causes.count else found


def _cause(text: str, seen: Seen, names: Mapping[int, str]) -> Report:
    kind, _, detail = text.partition(": ")
    return {
        "cause": kind,
        "detail": detail,
        "means": CAUSES.get(kind, "further causes, each of them rarer"),
        "count": seen.count,
        "first": names.get(seen.first, ""),
        "last": names.get(seen.last, ""),
    }


async def names_of(tally: Tally, entries: EntryReader) -> Mapping[int, str]:
    """The decision ids at the first and last leaf of each cause."""
    found: dict[int, str] = {}
    for seen in (*tally.causes.values(), tally.more_causes):
        for leaf in (seen.first, seen.last) if seen.count else ():
            if leaf not in found:
                stored: list[StoredEntry] = list(await entries.by_index(leaf, 1))
                found[leaf] = decision_text(stored[0].decision_id) if stored else ""
    return found
