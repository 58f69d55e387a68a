"""A search finds what going through every entry finds, page by page, however the pages are cut."""

from __future__ import annotations

import asyncio
import hashlib
import random
from typing import Any

import msgspec
import pytest

from mintwarden.ledger.ports import PendingEntry
from mintwarden.model.ids import decision_id
from mintwarden.review.index import Term, index_part, indexed
from mintwarden.review.search import LOOK, Query, search
from mintwarden.store import open_store

START = 1_795_000_000_000
RULES, REASONS = [f"rule-{n}" for n in range(6)], ["no_route", "forbidden"]
PEOPLE = [f"User:p{n}" for n in range(5)]


def entry(number: int, rng: random.Random) -> tuple[dict, str]:
    scopes = []
    for name in rng.sample(["a:read", "a:write", "b:read"], rng.randint(1, 3)):
        if rng.random() < 0.7:
            scopes.append({"granted": True, "route": rng.choice(RULES), "scope": name})
        else:
            scopes.append(
                {"determining": [rng.choice(RULES)], "granted": False, "reason": rng.choice(REASONS), "scope": name}
            )
    said = {
        "at": START + number * 1000 + rng.randint(-3000, 3000),  # clocks of several nodes
        "audience": rng.choice("ab"),
        "bundle": "sha256:x",
        "client": rng.choice(["web", "batch"]),
        "facts": "00",
        "grant": "token_exchange",
        "granted": any(scope["granted"] for scope in scopes),
        "id": str(number),
        "kind": "decision",
        "mode": "enforce",
        "scopes": scopes,
        "v": 1,
    }
    return said, rng.choice(PEOPLE)


@pytest.fixture
async def full(tmp_path):
    rng = random.Random(7)
    store = await open_store(f"sqlite:///{tmp_path}/s.db", create=True)
    said, batch = [], []
    for number in range(400):
        if number % 10 == 3:
            content, person = {"at": START, "actor": {}, "detail": {}, "kind": "configuration", "v": 1}, ""
        else:
            content, person = entry(number, rng)
        data = msgspec.json.encode(content)
        batch.append(
            PendingEntry(
                decision_id=decision_id(START + number, rng.randbytes(10)),
                leaf_hash=hashlib.sha256(data).digest(),
                entry=data,
                entity=person,
                sealed=b"" if person else None,
                new_salt=b"s" * 32 if person else b"",
            )
        )
        said.append((number, content, person))
    await store.entries.append(batch)
    while await index_part(store.decision_index, store.entries, 37):
        pass
    yield store, [one for one in said if one[1]["kind"] == "decision"]
    await store.close()


def holds(query: Query, content: dict, person: str) -> bool:
    scopes = content["scopes"]
    values = {
        "client": {content["client"]},
        "audience": {content["audience"]},
        "scope": {s["scope"] for s in scopes},
        "granted_scope": {s["scope"] for s in scopes if s["granted"]},
        "rule": {s.get("route", "") for s in scopes} | {r for s in scopes for r in s.get("determining", ())},
        "reason": {s.get("reason", "") for s in scopes},
    }
    return (
        all(term.value in values[term.kind] for term in query.terms)
        and query.subject in ("", person)
        and query.granted in (None, content["granted"])
        and query.since <= content["at"] < query.until
    )


def queries() -> list[Query]:
    rng = random.Random(11)
    kinds: dict[Any, Any] = {
        "client": ["web", "batch", "nobody"],
        "audience": ["a", "b"],
        "scope": ["a:read", "a:write", "b:read"],
        "granted_scope": ["a:read", "a:write"],
        "rule": RULES,
        "reason": REASONS,
    }
    found = []
    for _ in range(60):
        chosen = rng.sample(sorted(kinds), rng.randint(0, 3))
        since = START + rng.choice([-1_000_000, 0, 90_000, 210_000])
        found.append(
            Query(
                terms=tuple(Term(kind, rng.choice(kinds[kind])) for kind in chosen),
                subject=rng.choice(["", "", *PEOPLE, "User:nobody"]),
                granted=rng.choice([None, None, True, False]),
                **({} if rng.random() < 0.4 else {"since": since, "until": since + rng.choice([0, 5000, 120_000])}),
            )
        )
    return found


async def everything(store, query: Query, limit: int, look: int = LOOK) -> list[int]:
    leaves, below = [], 0
    for _ in range(2000):
        page = await search(
            query,
            index=store.decision_index,
            entries=store.entries,
            keys=store.subject_keys,
            below=below,
            limit=limit,
            look=look,
        )
        assert len(page.decisions) <= limit
        leaves += [found.leaf for found in page.decisions]
        below = page.below
        if not below:
            return leaves
    raise AssertionError("the pages do not end")


async def test_a_search_finds_what_going_through_everything_finds(full):
    store, said = full
    for query in queries():
        expected = [leaf for leaf, content, person in reversed(said) if holds(query, content, person)]
        for limit in (3, 50, 200):
            assert await everything(store, query, limit) == expected, query


async def test_pages_of_little_work_find_the_same(full):
    store, said = full
    for query in queries()[:20]:
        expected = [leaf for leaf, content, person in reversed(said) if holds(query, content, person)]
        assert await everything(store, query, 10, look=3) == expected, query


async def test_what_comes_while_somebody_turns_pages_does_not_shift_them(full):
    store, _ = full
    query = Query(terms=(Term("client", "web"),))
    first = await search(query, index=store.decision_index, entries=store.entries, keys=store.subject_keys, limit=10)
    await store.decision_index.add([], 400, 400)
    rest = await everything(store, query, 400)
    assert [found.leaf for found in first.decisions] == rest[:10]


async def test_made_anew_the_index_is_the_same(full):
    store, _ = full
    before = [await everything(store, query, 100) for query in queries()]
    await store.decision_index.clear()
    assert await everything(store, Query(), 100) == []

    # several that index at once do not disturb each other
    async def work():
        while await index_part(store.decision_index, store.entries, 29):
            pass

    await asyncio.gather(*(work() for _ in range(3)))
    assert [await everything(store, query, 100) for query in queries()] == before


async def test_what_is_told_of_a_decision_is_what_the_ledger_says(full):
    store, said = full
    page = await search(Query(), index=store.decision_index, entries=store.entries, keys=store.subject_keys, limit=1)
    found, (leaf, content, _) = page.decisions[0], said[-1]
    assert (found.leaf, found.at, found.client) == (leaf, content["at"], content["client"])
    assert found.scopes == {s["scope"]: s.get("route") or s["reason"] for s in content["scopes"]}
    assert page.indexed == 400


async def test_an_entry_that_is_no_decision_is_not_indexed(full):
    store, _ = full
    assert indexed((await store.entries.by_index(3, 1))[0]) is None
