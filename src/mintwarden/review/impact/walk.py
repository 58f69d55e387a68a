"""Replays a range of leaves: reads in bulk, decides again, counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from mintwarden.ledger.entry import DecisionEntry
from mintwarden.ledger.ports import EntryReader, StoredEntry, SubjectKeys
from mintwarden.review.cause import Cause
from mintwarden.review.impact.kinds import changes_of
from mintwarden.review.impact.tally import Tally
from mintwarden.review.replay import Recorded, Replayer, read_decision

READ = 1024
"""Entries read at once."""

TOGETHER = 32
"""Decisions that go through each stage together; see `Replayer.replay`."""

SLACK = 15 * 60_000
"""By how many milliseconds entries may stand out of the order of their times: several clocks, entries that waited."""


class _Timed(Struct):
    """Of any entry, when it was."""

    at: int = -1


_TIMED = msgspec.json.Decoder(_Timed)


class Filters(Struct, frozen=True, kw_only=True):
    """Which decisions the question is about. Times in `Millis`, `until` exclusive; what is empty leaves nothing out."""

    since: int = 0
    until: int = 0
    clients: frozenset[str] = frozenset()
    audiences: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()

    def take(self, was: DecisionEntry) -> bool:
        """Whether this decision is one of them."""
        if was.at < self.since or (self.until and was.at >= self.until):
            return False
        if self.clients and was.client not in self.clients:
            return False
        if self.audiences and was.audience not in self.audiences:
            return False
        return not self.scopes or any(one.scope in self.scopes for one in (*was.scopes, *was.details))


async def walk(
    start: int, end: int, *, entries: EntryReader, keys: SubjectKeys, replayer: Replayer, filters: Filters
) -> Tally:
    """What the leaves from `start` to before `end` give."""
    tally = Tally()
    for first in range(start, end, READ):
        stored = await entries.by_index(first, min(READ, end - first))
        known = await keys.by_ids({entry.key_id for entry in stored if entry.key_id})
        for part in range(0, len(stored), TOGETHER):
            _count(tally, stored[part : part + TOGETHER], known, replayer, filters)
    return tally.trim()


def _count(
    tally: Tally,
    batch: Sequence[StoredEntry],
    known: Mapping[int, tuple[str, bytes]],
    replayer: Replayer,
    filters: Filters,
) -> None:
    tally.entries += len(batch)
    recorded: list[Recorded] = []
    for stored in batch:
        was = read_decision(stored)
        if was is None:
            tally.others += 1
        elif isinstance(was, Cause):
            tally.put_cause(leaf_of(stored), was)
        elif not filters.take(was):
            tally.outside += 1
        else:
            recorded.append(Recorded(was, stored, known.get(stored.key_id)))
    for one, replayed in zip(recorded, replayer.replay(recorded), strict=True):
        leaf = leaf_of(one.stored)
        if isinstance(replayed, Cause):
            tally.put_cause(leaf, replayed)
        elif replayed.fidelity in ("same", "same_but_token"):
            tally.put(leaf, replayed, ())
        else:
            tally.put(leaf, replayed, changes_of(one.was, replayed.claims, replayed.now))


def leaf_of(stored: StoredEntry) -> int:
    """Its leaf index; the position of an entry that has none yet."""
    return stored.position if stored.index is None else stored.index


async def first_leaf(entries: EntryReader, end: int, at: int) -> int:
    """A leaf before which no entry of `at` or later stands, among those before `end`, by halving.

    Entries may stand out of the order of their times by up to `SLACK`. One that cannot be read counts as later.
    """
    low, high = 0, end
    while low < high:
        middle = (low + high) // 2
        if await _time(entries, middle) < at - SLACK:
            low = middle + 1
        else:
            high = middle
    return low


async def _time(entries: EntryReader, leaf: int) -> int:
    """The time of an entry, or of the nearest one before it that can be read; 0 if there is none nearby."""
    for index in range(leaf, max(-1, leaf - READ), -1):
        for stored in await entries.by_index(index, 1):
            try:
                at = _TIMED.decode(stored.entry).at
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            if at >= 0:
                return at
    return 0
