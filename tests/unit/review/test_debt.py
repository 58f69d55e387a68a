"""Debt is counted from the ledger's own words, and drawn without believing any of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from mintwarden.review.debt import BATCH, DAY, Debt, Owed, Tally, Use, report, tally, tokens_under
from mintwarden.review.debt_chart import chart
from mintwarden.review.index import Scanned, Seen, Sought

NOW = 1_795_000_000_000


class Line(Struct, frozen=True):
    entry: bytes


class Ledger:
    """Entries in a list."""

    def __init__(self, *entries: dict[str, Any]) -> None:
        self._entries = [Line(json.dumps(entry, separators=(",", ":")).encode()) for entry in entries]

    async def by_index(self, start: int, count: int) -> Sequence[Line]:
        return self._entries[start : start + count]


def decision(at: int, *scopes: dict[str, Any], granted: bool = True) -> dict[str, Any]:
    return {"kind": "decision", "at": at, "granted": granted, "scopes": list(scopes)}


def scope(route: str, *acting: str, granted: bool = True) -> dict[str, Any]:
    return {"scope": "s", "granted": granted, "route": route, "acting": list(acting)}


def began(name: str, at: int, expires_at: int) -> dict[str, Any]:
    detail = {"change": "began", "exception": name, "expires_at": expires_at}
    return {"kind": "exception", "at": at, "detail": detail}


def ended(name: str, at: int) -> dict[str, Any]:
    return {"kind": "exception_end", "at": at, "detail": {"change": "revoked", "exception": name}}


def owed(name: str, **changes: Any) -> Owed:
    settings: dict[str, Any] = {
        "id": name,
        "owner": "Payments",
        "tier": "low",
        "audience": "payments",
        "scope": "pay:read",
        "principal": "User:alice",
        "state": "active",
        "starts_at": NOW - DAY,
        "ends_at": NOW + DAY,
        **changes,
    }
    return Owed(**settings)


async def test_one_token_counts_once_for_each_exception_that_it_stands_on():
    found = await tally(
        Ledger(
            decision(1, scope("exception:a"), scope("exception:a"), scope("rule")),
            decision(2, scope("rule", "exception:b"), scope("exception:a", "rule")),
            decision(3, scope("exception:a"), granted=False),
            decision(4, scope("exception:a", granted=False), scope("rule")),
            decision(5, scope("exceptional-rule")),
            {"kind": "administration", "at": 6, "detail": {"operation": "exception"}},
        )
    )
    assert found.used == {"a": Use(2, 2), "b": Use(1, 2)}
    assert (found.began, found.ended, found.entries) == ({}, {}, 6)


async def test_beginnings_and_ends_are_taken_from_where_they_are_said_first():
    found = await tally(Ledger(began("a", 5, 50), began("a", 9, 50), ended("a", 20), ended("a", 30)))
    assert (found.began, found.ended, found.due) == ({"a": 5}, {"a": 20}, {"a": 50})


async def test_a_request_that_never_began_is_no_debt():
    entry = {"kind": "exception", "at": 1, "detail": {"change": "requested", "exception": "a", "expires_at": 9}}
    assert (await tally(Ledger(entry))).began == {}


async def test_a_long_ledger_is_read_in_parts():
    heard: list[int] = []
    entries = [decision(n, scope("exception:a")) for n in range(2 * BATCH + 3)]
    found = await tally(Ledger(*entries), heard.append)
    assert (found.used["a"].tokens, heard) == (2 * BATCH + 3, [BATCH, 2 * BATCH, 2 * BATCH + 3])


def debt(*items: Owed, **counted: Any) -> Debt:
    members = {"used": {}, "began": {}, "ended": {}, "due": {}, "entries": 0, **counted}
    return report(items, Tally(**members), NOW)


def test_it_is_open_by_owner_tier_and_age_the_oldest_first():
    found = debt(
        owed("new", starts_at=NOW - 5_000),
        owed("old", starts_at=NOW - 40 * DAY, owner="Ledger", tier="high"),
        owed("week", starts_at=NOW - 5 * DAY),
        owed("month", starts_at=NOW - 20 * DAY),
        owed("over", ends_at=NOW),
        owed("revoked", state="revoked"),
        owed("waiting", state="requested"),
        used={"old": Use(3, NOW - 1)},
    )
    assert [one.id for one in found.open] == ["old", "month", "week", "new"]
    assert found.by_owner == {"Payments": 3, "Ledger": 1}
    assert found.by_tier == {"low": 3, "high": 1}
    assert found.by_age == {"up to a day": 1, "up to a week": 1, "up to 30 days": 1, "older than 30 days": 1}
    assert found.never_used == ("month", "week", "new")
    assert (found.open[0].tokens, found.open[0].last_used_at, found.open[0].left) == (3, NOW - 1, 86_400)


def test_what_is_renewed_keeps_its_age():
    chain = (
        owed("first", starts_at=NOW - 40 * DAY, ends_at=NOW - 20 * DAY, state="ended"),
        owed("second", starts_at=NOW - 20 * DAY, ends_at=NOW - DAY, state="ended", renews="first"),
        owed("third", renews="second"),
    )
    (one,) = debt(*chain).open
    assert (one.age, one.renewals) == (40 * 86_400, 2)


def test_what_ended_without_having_been_used_once():
    found = debt(
        owed("used", state="ended"),
        owed("unused", state="ended"),
        owed("never began", state="lapsed"),
        used={"used": Use(1, 1)},
        began={"used": 1, "unused": 1},
        due={"used": 2, "unused": 2},
    )
    assert (found.ended_unused, found.used) == (1, {"used": 1, "unused": 0})


def test_the_burn_down_day_by_day():
    first = NOW - NOW % DAY - 2 * DAY
    found = debt(
        began={"a": first + 5, "b": first + DAY + 5, "c": first + DAY + 6},
        ended={"b": first + 2 * DAY + 1},
        due={"a": first + DAY + 7, "b": first + 9 * DAY, "c": first + 9 * DAY},
    )
    assert [(p.open, p.began, p.ended) for p in found.burn_down] == [(1, 1, 0), (2, 2, 1), (1, 0, 1)]
    assert found.burn_down[-1].at == NOW


@given(
    began=st.dictionaries(st.text(max_size=3), st.integers(NOW - 900 * DAY, NOW), min_size=1, max_size=8),
    life=st.integers(1, 400 * DAY),
    cut=st.sets(st.integers(0, 7)),
)
def test_what_began_is_open_or_ended_however_long_ago(began: dict[str, int], life: int, cut: set[int]):
    due = {name: at + life for name, at in began.items()}
    ended = {name: at + life // 2 for index, (name, at) in enumerate(began.items()) if index in cut}
    found = debt(began=began, due=due, ended=ended)
    assert len(found.burn_down) <= 401
    assert sum(point.began for point in found.burn_down) == sum(at < NOW for at in began.values())
    open_ = 0
    for point in found.burn_down:
        open_ += point.began - point.ended
        assert point.open == open_


@given(st.text(max_size=60))
def test_no_name_gets_out_of_the_picture(name: str):
    found = debt(
        owed("a", owner=name or "o", tier=f"<script>{name}"),
        began={"a": NOW - DAY},
        due={"a": NOW + DAY},
    )
    drawn = chart(found)
    root = ElementTree.fromstring(drawn)
    assert not [one for one in root.iter() if one.tag.endswith("script")]


def test_a_picture_of_nothing():
    assert "no exception has ever been in force" in chart(debt())


class Read(Ledger):
    """How many entries were read."""

    def __init__(self, *entries: dict[str, Any]) -> None:
        super().__init__(*entries)
        self.read = 0

    async def by_index(self, start: int, count: int) -> Sequence[Line]:
        found = await super().by_index(start, count)
        self.read += len(found)
        return found


class Index:
    """Finds the decisions of `entries` before `end` under a rule, granted, up to `most` at a time."""

    def __init__(self, entries: Sequence[dict[str, Any]], end: int, most: int) -> None:
        self.entries, self.end, self.most = entries, end, most

    async def next_leaf(self) -> int:
        return self.end

    async def scan(self, sought: Sought, most: int, _look: int) -> Scanned:
        (term,) = sought.terms
        assert (term.kind, sought.granted) == ("rule", True)
        there = [
            leaf
            for leaf in reversed(range(min(sought.below, self.end)))
            if term.value in json.dumps(self.entries[leaf].get("scopes", [])) and self.entries[leaf].get("granted")
        ]
        found = there[: min(most, self.most)]
        seen = tuple(Seen(leaf, self.entries[leaf]["at"], granted=True) for leaf in found)
        return Scanned(seen, found[-1] if len(there) > len(found) else 0)


@given(end=st.integers(0, 14), most=st.integers(1, 5))
async def test_tokens_under_some_exceptions_are_those_that_the_whole_ledger_tells(end: int, most: int):
    entries = [
        decision(1, scope("exception:a")),
        decision(2, scope("rule")),
        decision(3, scope("exception:b"), scope("exception:a")),
        began("a", 4, 50),
        decision(5, scope("exception:a", granted=False), scope("rule")),
        decision(6, scope("exception:a"), granted=False),
        *(decision(at, scope("rule", "exception:b")) for at in range(7, 11)),
        *(decision(at, scope("exception:c")) for at in range(11, 15)),
    ]
    index: Any = Index(entries, end, most)
    told = (await tally(Ledger(*entries))).used
    for names in ([], ["a"], ["b"], ["a", "b"], ["b", "none"]):
        ledger = Read(*entries)
        assert await tokens_under(names, index, ledger) == sum(told[name].tokens for name in names if name in told)
        assert ledger.read <= len(entries) - end + 8, "what is not indexed, and what was found"
