"""Exceptions as debt: what is open, whose it is, how old, what it was used for, and how it goes down over time.

What happened is counted from the ledger: which exceptions began and ended, and which tokens were minted under each.
"""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from mintwarden.model.exception import ROUTE
from mintwarden.review.index import DecisionIndex, Sought, Term

DAY = 86_400_000
BATCH = 1_000
LOOK = 5_000
"""Candidates of one look at the index."""
MOST_POINTS = 400
"""Points of a burn-down: days, or so many days at a time that there are no more of them."""
AGES: tuple[tuple[str, int], ...] = (("up to a day", 1), ("up to a week", 7), ("up to 30 days", 30))
OLDER = "older than 30 days"
_MARK = b'"exception'
"""Stands in every entry that speaks of exceptions: as a kind, as a member, or in front of a route."""


class Stored(Protocol):
    """A ledger entry as read back."""

    @property
    def entry(self) -> bytes: ...


class Entries(Protocol):
    """Reads ledger entries in their order."""

    async def by_index(self, start: int, count: int) -> Sequence[Stored]: ...


class Owed(Struct, frozen=True, kw_only=True):
    """One exception that is or was in force.

    Attributes:
        owner: of the audience.
        state: as it is kept; `active` while it is open.
        starts_at, ends_at: `Millis`; the end is the real one for what is over.
        renews: the exception that it continues, or empty.
        ticket: for people.
        principal: an entity key.
    """

    id: str
    owner: str
    tier: str
    audience: str
    scope: str
    principal: str
    state: str
    starts_at: int
    ends_at: int
    renews: str = ""
    ticket: str = ""


class Use(Struct, frozen=True):
    """Tokens minted under an exception, and when the last was, `Millis`; 0 for never."""

    tokens: int = 0
    last_at: int = 0


class Tally(Struct, frozen=True):
    """What the ledger says. `began` and `ended` by exception, `Millis`; an exception that began and never ended in the
    ledger, although its time is over, ended when its time was over.
    """

    used: Mapping[str, Use]
    began: Mapping[str, int]
    ended: Mapping[str, int]
    due: Mapping[str, int]
    entries: int


class OpenDebt(Struct, frozen=True, kw_only=True):
    """An open exception. `age` and `left` in seconds; the age is that of the first that it continues."""

    id: str
    owner: str
    tier: str
    audience: str
    scope: str
    principal: str
    ticket: str
    age: int
    left: int
    tokens: int
    last_used_at: int
    renewals: int


class Point(Struct, frozen=True):
    """The end of a day (or of several): how many were open, and how many began and ended since the point before."""

    at: int
    open: int
    began: int
    ended: int


class Debt(Struct, frozen=True, kw_only=True):
    """The report.

    Attributes:
        open: oldest first.
        by_owner, by_tier, by_age: how many are open.
        used: tokens minted under each exception there ever was.
        never_used: open ones under which no token was ever minted.
        ended_unused: how many are over and were never used.
    """

    at: int
    open: tuple[OpenDebt, ...]
    by_owner: Mapping[str, int]
    by_tier: Mapping[str, int]
    by_age: Mapping[str, int]
    used: Mapping[str, int]
    never_used: tuple[str, ...]
    ended_unused: int
    burn_down: tuple[Point, ...]


async def tally(entries: Entries, progress: Callable[[int], None] = lambda _count: None) -> Tally:
    """Count over the whole ledger, some entries at a time; `progress` hears how many were read."""
    used: dict[str, Use] = {}
    began: dict[str, int] = {}
    ended: dict[str, int] = {}
    due: dict[str, int] = {}
    start = 0
    while batch := await entries.by_index(start, BATCH):
        for stored in batch:
            if _MARK in stored.entry:
                _count(msgspec.json.decode(stored.entry), used, began, ended, due)
        start += len(batch)
        progress(start)
    return Tally(used, began, ended, due, start)


async def tokens_under(exceptions: Sequence[str], index: DecisionIndex, entries: Entries) -> int:
    """Tokens minted under these exceptions, counted for each that one stands on.

    Reads the decisions that the index finds under them, and what is not indexed yet: not the ledger.
    """
    indexed = await index.next_leaf()
    counted = 0
    for name in exceptions:
        async for leaf in _under(Term("rule", ROUTE + name), indexed, index):
            counted += sum(name in _routes(msgspec.json.decode(one.entry)) for one in await entries.by_index(leaf, 1))
    used: dict[str, Use] = {}
    start = indexed
    while batch := await entries.by_index(start, BATCH):
        for stored in batch:
            if _MARK in stored.entry:
                _count(msgspec.json.decode(stored.entry), used, {}, {}, {})
        start += len(batch)
    return counted + sum(used.get(name, Use()).tokens for name in exceptions)


async def _under(term: Term, indexed: int, index: DecisionIndex) -> AsyncIterator[int]:
    below = indexed
    while below:
        scanned = await index.scan(Sought(terms=(term,), granted=True, below=below), BATCH, LOOK)
        for seen in scanned.found:
            yield seen.leaf
        below = scanned.below


def report(owed: Iterable[Owed], tally: Tally, now: int) -> Debt:
    """The debt at `now` (`Millis`). Pure."""
    everything = {one.id: one for one in owed}
    earlier = {one.id: one.renews for one in everything.values()}
    open_ = sorted(
        (_open(one, everything, earlier, tally, now) for one in everything.values() if _is_open(one, now)),
        key=lambda one: (-one.age, one.id),
    )
    over = [one.id for one in everything.values() if not _is_open(one, now) and one.id in tally.began]
    return Debt(
        at=now,
        open=tuple(open_),
        by_owner=_counted(one.owner for one in open_),
        by_tier=_counted(one.tier for one in open_),
        by_age={name: count for name, count in _by_age(open_).items() if count},
        used={name: tally.used.get(name, Use()).tokens for name in sorted({*tally.used, *tally.began})},
        never_used=tuple(one.id for one in open_ if not one.tokens),
        ended_unused=sum(name not in tally.used for name in over),
        burn_down=tuple(_burn_down(tally, now)),
    )


def _count(
    entry: Mapping[str, Any], used: dict[str, Use], began: dict[str, int], ended: dict[str, int], due: dict[str, int]
) -> None:
    kind, at, detail = entry["kind"], entry["at"], entry.get("detail", {})
    if kind == "decision" and entry.get("granted"):
        for name in _routes(entry):
            used[name] = Use(used.get(name, Use()).tokens + 1, max(at, used.get(name, Use()).last_at))
    elif kind == "exception" and detail.get("change") == "began":
        began.setdefault(detail["exception"], at)
        due[detail["exception"]] = detail["expires_at"]
    elif kind == "exception_end":
        ended.setdefault(detail["exception"], at)


def _routes(entry: Mapping[str, Any]) -> set[str]:
    """The exceptions that a token stands on: one token counts once for each."""
    return {
        route.removeprefix(ROUTE)
        for scope in entry.get("scopes", ())
        if scope.get("granted")
        for route in (scope.get("route", ""), *scope.get("acting", ()))
        if route.startswith(ROUTE)
    }


def _is_open(one: Owed, now: int) -> bool:
    return one.state == "active" and one.ends_at > now


def _open(one: Owed, everything: Mapping[str, Owed], earlier: Mapping[str, str], tally: Tally, now: int) -> OpenDebt:
    chain = list(_chain(one.id, earlier))
    first = min((everything[name].starts_at for name in chain if name in everything), default=one.starts_at)
    use = tally.used.get(one.id, Use())
    return OpenDebt(
        id=one.id,
        owner=one.owner,
        tier=one.tier,
        audience=one.audience,
        scope=one.scope,
        principal=one.principal,
        ticket=one.ticket,
        age=max(0, now - first) // 1000,
        left=(one.ends_at - now) // 1000,
        tokens=use.tokens,
        last_used_at=use.last_at,
        renewals=len(chain) - 1,
    )


def _chain(exception_id: str, earlier: Mapping[str, str]) -> Iterator[str]:
    """An exception and those that it continues, each once."""
    seen: set[str] = set()
    name = exception_id
    while name and name not in seen:
        seen.add(name)
        yield name
        name = earlier.get(name, "")


def _counted(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _by_age(open_: Iterable[OpenDebt]) -> dict[str, int]:
    counts = {**{name: 0 for name, _ in AGES}, OLDER: 0}
    for one in open_:
        name = next((name for name, days in AGES if one.age <= days * DAY // 1000), OLDER)
        counts[name] += 1
    return counts


def _burn_down(tally: Tally, now: int) -> Iterator[Point]:
    """From the day the first one began to now."""
    if not tally.began:
        return
    ends = {name: min(tally.ended.get(name, tally.due[name]), tally.due[name]) for name in tally.began}
    first = _midnight(min(tally.began.values()))
    step = DAY * max(1, -(-(now - first) // (DAY * MOST_POINTS)))
    before, at = 0, first
    while before < now:
        at = min(at + step, now)
        yield Point(
            at=at,
            open=sum(began < at and ends[name] >= at for name, began in tally.began.items()),
            began=sum(before <= began < at for began in tally.began.values()),
            ended=sum(before <= end < at for end in ends.values()),
        )
        before = at


def _midnight(at: int) -> int:
    return at - at % DAY


def day(at: int) -> str:
    """The day of a time, in UTC."""
    return datetime.datetime.fromtimestamp(at / 1000, datetime.UTC).strftime("%Y-%m-%d")
