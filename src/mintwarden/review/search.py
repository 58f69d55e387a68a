"""Finding decisions again: by client, audience, scope, rule, reason, subject and time, newest first.

The index says which entries; what is told of them is read from the ledger itself. INVARIANT: a page costs a bounded
amount of work, however many decisions there are: a search that has to look far comes back with what it has found, and
says where to go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from mintwarden.ledger.ports import EntryReader, StoredEntry, SubjectKeys
from mintwarden.ledger.reveal import read_entry
from mintwarden.model.ids import decision_text
from mintwarden.review.index import DecisionIndex, Scanned, Seen, Sought, Term

LOOK = 20_000
"""Candidates of one scan; a scan holds up the other reads of the store for some milliseconds."""

SCANS = 10
"""Scans of one page."""

SKEW = 600_000
"""Milliseconds by which the time of an entry may run against the order of the log: several nodes write, with clocks of
their own."""

_END = 1 << 62


class Query(Struct, frozen=True, kw_only=True):
    """What is sought. All that is given must hold.

    Attributes:
        subject: entity key of whom the token would speak of.
        terms: what else; see `TermKind`.
        since, until: `Millis`, the end exclusive.
    """

    terms: tuple[Term, ...] = ()
    subject: str = ""
    granted: bool | None = None
    since: int = 0
    until: int = _END


class FoundDecision(Struct, frozen=True, kw_only=True):
    """What a list of decisions tells of each; the rest is the explanation's.

    Attributes:
        id: the decision's.
        leaf: its index in the log.
        at: `Millis`.
        outcome: `granted` when any scope was.
        scopes: scope to the rule that granted it, or the reason for which it was refused.
    """

    id: str
    leaf: int
    at: int
    outcome: str
    client: str
    audience: str
    grant: str
    mode: str
    bundle: str
    scopes: Mapping[str, str]


class Page(Struct, frozen=True):
    """Decisions, newest first; where to go on (a leaf, 0 at the end); the first leaf that is not indexed yet."""

    decisions: tuple[FoundDecision, ...]
    below: int
    indexed: int


async def search(
    query: Query,
    *,
    index: DecisionIndex,
    entries: EntryReader,
    keys: SubjectKeys,
    below: int = 0,
    limit: int = 50,
    look: int = LOOK,
) -> Page:
    """A page of what is sought, beginning below the leaf `below`, or at the newest; `look` bounds a scan."""
    indexed = await index.next_leaf()
    sought = await _sought(query, index, keys, min(below or indexed, indexed))
    if sought is None:
        return Page((), 0, indexed)
    found: list[Seen] = []
    for _ in range(SCANS):
        scanned: Scanned = await index.scan(sought, limit - len(found), look)
        found += scanned.found
        sought = Sought(
            terms=sought.terms,
            key_id=sought.key_id,
            since=sought.since,
            until=sought.until,
            granted=sought.granted,
            above=sought.above,
            below=scanned.below,
        )
        if not scanned.below or len(found) == limit:
            break
    return Page(tuple(await _told(found, entries)), sought.below, indexed)


async def _sought(query: Query, index: DecisionIndex, keys: SubjectKeys, below: int) -> Sought | None:
    """What to look for in the index; None when there can be nothing."""
    key_id = 0
    if query.subject:
        key = await keys.get(query.subject)
        if key is None:
            return None
        key_id = key[0]
    above = await _first_after(index, query.since - SKEW, below) if query.since else 0
    end = await _first_after(index, query.until + SKEW, below) if query.until < _END else below
    return Sought(
        terms=_rarest_first(query.terms),
        key_id=key_id,
        since=query.since,
        until=query.until,
        granted=query.granted,
        above=above,
        below=min(below, end),
    )


_RARITY = {
    kind: rank
    for rank, kind in enumerate(
        ("rule", "reason", "client", "granted_scope", "scope", "audience", "bundle", "grant", "mode")
    )
}


def _rarest_first(terms: Sequence[Term]) -> tuple[Term, ...]:
    """The first one's decisions are gone through: let it be what is usually the rarest."""
    return tuple(sorted(dict.fromkeys(terms), key=lambda term: _RARITY[term.kind]))


async def _first_after(index: DecisionIndex, at: int, end: int) -> int:
    """A leaf below which everything is older than `at`, found in some twenty steps; times nearly follow the log."""
    low, high = 0, end
    while low < high:
        middle = (low + high) // 2
        seen = await index.near(middle)
        if seen is None or seen.at < at:
            low = middle + 1
        else:
            high = middle
    return low


async def _told(found: Sequence[Seen], entries: EntryReader) -> list[FoundDecision]:
    told: list[FoundDecision] = []
    for first, count in _runs([seen.leaf for seen in found]):
        part = await entries.by_index(first, count)
        told += [_decision(stored) for stored in reversed(part)]
    return told


def _runs(leaves: Sequence[int]) -> list[tuple[int, int]]:
    """Descending leaves as runs of neighbours: first leaf and number."""
    runs: list[tuple[int, int]] = []
    for leaf in leaves:
        if runs and leaf == runs[-1][0] - 1:
            runs[-1] = (leaf, runs[-1][1] + 1)
        else:
            runs.append((leaf, 1))
    return runs


def _decision(stored: StoredEntry) -> FoundDecision:
    said = read_entry(stored.entry)
    return FoundDecision(
        id=decision_text(stored.decision_id),
        leaf=stored.index or 0,
        at=said["at"],
        outcome="granted" if said.get("granted") else "refused",
        client=said.get("client", ""),
        audience=said.get("audience", ""),
        grant=said.get("grant", ""),
        mode=said.get("mode", ""),
        bundle=said.get("bundle", ""),
        scopes={scope["scope"]: _why(scope) for scope in (*said.get("scopes", ()), *said.get("details", ()))},
    )


def _why(scope: Mapping[str, Any]) -> str:
    return str(scope.get("route", "") if scope.get("granted") else scope.get("reason", ""))
