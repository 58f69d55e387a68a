"""Counts of what a replay found: bounded, and the same whichever way the ledger was divided.

INVARIANT: `merge` is commutative and associative, so that ranges may be replayed by anyone in any order, and a run that
was interrupted ends with what an uninterrupted one ends with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from mintwarden.ledger.entry import DecisionEntry
from mintwarden.review.cause import Cause
from mintwarden.review.impact.kinds import DIMENSIONS, KINDS, Change
from mintwarden.review.replay import Replayed

MAX_NAMES = 2_000
"""Names kept per dimension; clients choose tenants and scopes, so there may be any number of them."""

MAX_CAUSES = 500
_COLUMNS = {kind: index for index, kind in enumerate(KINDS)}


class Seen(Struct, array_like=True):
    """How often, and the first and the last leaf."""

    count: int = 0
    first: int = -1
    last: int = -1

    def add(self, leaf: int) -> None:
        """One more."""
        self.merge(Seen(1, leaf, leaf))

    def merge(self, other: Seen) -> None:
        """And those."""
        if not other.count:
            return
        self.first = other.first if not self.count else min(self.first, other.first)
        self.last = max(self.last, other.last)
        self.count += other.count


class Names(Struct):
    """Counts by name and kind, of as many names as `MAX_NAMES`; the rest is counted together.

    Which names stay is decided by a hash of the name, so that it does not depend on the order in which they come; of
    a name that stays, everything is counted.
    """

    counts: dict[str, list[int]] = {}
    rest: list[int] = field(default_factory=lambda: [0] * len(_COLUMNS))

    def add(self, name: str, column: int) -> None:
        """One more of a kind."""
        counts = self.counts.get(name)
        if counts is None:
            if len(self.counts) >= 2 * MAX_NAMES:
                self.trim()
            counts = self.counts[name] = [0] * len(_COLUMNS)
        counts[column] += 1

    def merge(self, other: Names) -> None:
        """And those."""
        _add(self.rest, other.rest)
        for name, counts in other.counts.items():
            own = self.counts.get(name)
            if own is None:
                self.counts[name] = list(counts)
            else:
                _add(own, counts)
        self.trim()

    def trim(self) -> None:
        """Count together what is beyond the bound."""
        for name in _beyond(self.counts, MAX_NAMES):
            _add(self.rest, self.counts.pop(name))


class Tally(Struct):
    """What was found in some leaves.

    Attributes:
        entries: entries looked at.
        others: those that are no decisions.
        outside: decisions that the filters leave out.
        replayed, unchanged: decisions decided again, and those that came out the same.
        same, same_but_token, different: of the decisions that the candidate itself had made, how faithfully they came
            out; see `review.replay.Fidelity`.
        members: names of entry members in which they differ, with counts.
        kinds: changes by kind; a decision with several counts for each.
        names: by dimension.
        causes, more_causes: why decisions could not be replayed.
    """

    entries: int = 0
    others: int = 0
    outside: int = 0
    replayed: int = 0
    unchanged: int = 0
    same: int = 0
    same_but_token: int = 0
    different: Seen = field(default_factory=Seen)
    members: dict[str, int] = {}
    kinds: dict[str, Seen] = field(default_factory=lambda: {kind: Seen() for kind in KINDS})
    names: dict[str, Names] = field(default_factory=lambda: {name: Names() for name in DIMENSIONS})
    causes: dict[str, Seen] = {}
    more_causes: Seen = field(default_factory=Seen)

    @property
    def not_replayed(self) -> int:
        """Decisions that could not be replayed."""
        return sum(seen.count for seen in self.causes.values()) + self.more_causes.count

    @property
    def decisions(self) -> int:
        """Decisions that the question is about, replayable or not."""
        return self.replayed + self.not_replayed

    def put(self, leaf: int, replayed: Replayed, changes: Iterable[Change]) -> None:
        """One decision was decided again."""
        self.replayed += 1
        if replayed.fidelity == "same":
            self.same += 1
        elif replayed.fidelity == "same_but_token":
            self.same_but_token += 1
        elif replayed.fidelity == "different":
            self.different.add(leaf)
            for name in replayed.differs:
                self.members[name] = self.members.get(name, 0) + 1
        unchanged = True
        for change in changes:
            unchanged = False
            self._count(leaf, replayed.was, replayed.recorded.asked.tenant, change)
        self.unchanged += unchanged

    def _count(self, leaf: int, was: DecisionEntry, tenant: str, change: Change) -> None:
        self.kinds[change.kind].add(leaf)
        column, names = _COLUMNS[change.kind], self.names
        names["client"].add(was.client, column)
        names["audience"].add(was.audience, column)
        if tenant:
            names["tenant"].add(tenant, column)
        for dimension, name in change.names():
            names[dimension].add(name, column)

    def put_cause(self, leaf: int, cause: Cause) -> None:
        """One decision could not be."""
        seen = self.causes.get(text := str(cause))
        if seen is None:
            if len(self.causes) >= 2 * MAX_CAUSES:
                self._trim_causes()
            seen = self.causes[text] = Seen()
        seen.add(leaf)

    def merge(self, other: Tally) -> None:
        """And what was found elsewhere."""
        for name in ("entries", "others", "outside", "replayed", "unchanged", "same", "same_but_token"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.different.merge(other.different)
        for name, count in other.members.items():
            self.members[name] = self.members.get(name, 0) + count
        for kind, seen in other.kinds.items():
            self.kinds[kind].merge(seen)
        for dimension, names in other.names.items():
            self.names[dimension].merge(names)
        for text, seen in other.causes.items():
            self.causes.setdefault(text, Seen()).merge(seen)
        self.more_causes.merge(other.more_causes)
        self._trim_causes()

    def trim(self) -> Tally:
        """Itself within its bounds, as what `merge` makes is."""
        for names in self.names.values():
            names.trim()
        self._trim_causes()
        return self

    def by_kind(self, dimension: str, kind: str) -> list[tuple[str, int]]:
        """(name, count) of a dimension, the most frequent first; what is beyond the bound under the name ``."""
        column, names = _COLUMNS[kind], self.names[dimension]
        counted = [(name, counts[column]) for name, counts in names.counts.items() if counts[column]]
        counted.sort(key=lambda pair: (-pair[1], pair[0]))
        if names.rest[column]:
            counted.append(("", names.rest[column]))
        return counted

    def _trim_causes(self) -> None:
        for text in _beyond(self.causes, MAX_CAUSES):
            self.more_causes.merge(self.causes.pop(text))


def _add(own: list[int], other: Iterable[int]) -> None:
    for index, count in enumerate(other):
        own[index] += count


def _beyond(named: Mapping[str, object], most: int) -> list[str]:
    """The names that do not stay."""
    if len(named) <= most:
        return []
    return sorted(named, key=_place)[most:]


def _place(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8]
