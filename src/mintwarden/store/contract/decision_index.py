"""What every store's index of decisions does."""

# ruff: noqa: S101

from __future__ import annotations

import asyncio

from mintwarden.review.index import IndexedDecision, Seen, Sought, Term
from mintwarden.store.contract.samples import NOW, MakeStore, pending, salt

A, B, READ, WRITE = Term("client", "a"), Term("client", "b"), Term("scope", "x:read"), Term("scope", "x:write")


def decision(leaf: int, *terms: Term, key_id: int = 0, granted: bool = True) -> IndexedDecision:
    """A decision of its own for each leaf."""
    return IndexedDecision(leaf, NOW + leaf, granted, terms, key_id)


class DecisionIndexContract:
    """Lists of leaves; filled part by part; everything in it can be made again."""

    async def test_it_begins_at_nothing(self, make_store: MakeStore) -> None:
        store = await make_store()
        assert await store.decision_index.next_leaf() == 0
        assert await store.decision_index.near(5) is None
        assert (await store.decision_index.scan(Sought(), 10, 10)).found == ()

    async def test_parts_follow_each_other(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        assert await one.decision_index.add([decision(0, A), decision(2, A)], 0, 4)
        assert not await other.decision_index.add([decision(0, B)], 0, 1), "it was indexed before"
        assert not await other.decision_index.add([decision(9, B)], 9, 10), "there is a gap"
        assert await other.decision_index.add([decision(4, B)], 4, 5)
        assert await one.decision_index.next_leaf() == 5
        found = await one.decision_index.scan(Sought(), 10, 10)
        assert [seen.leaf for seen in found.found] == [4, 2, 0]
        assert await other.decision_index.near(3) == Seen(2, NOW + 2, granted=True)

    async def test_of_two_that_add_the_same_one_is_taken(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        rows = [decision(leaf, A, READ) for leaf in range(50)]
        taken = await asyncio.gather(
            one.decision_index.add(rows, 0, 50),
            other.decision_index.add(rows, 0, 50),
        )
        assert sorted(taken) == [False, True]
        assert len((await one.decision_index.scan(Sought(terms=(A,)), 100, 100)).found) == 50

    async def test_all_that_is_sought_must_hold(self, make_store: MakeStore) -> None:
        store = await make_store()
        rows = [
            decision(0, A, READ),
            decision(1, B, READ, granted=False),
            decision(2, A, READ, WRITE),
            decision(3, A, WRITE, granted=False),
        ]
        await store.decision_index.add(rows, 0, 4)

        async def leaves(**sought: object) -> list[int]:
            found = await store.decision_index.scan(Sought(**sought), 10, 10)  # type: ignore[arg-type]
            assert found.below == 0
            return [seen.leaf for seen in found.found]

        assert await leaves(terms=(A,)) == [3, 2, 0]
        assert await leaves(terms=(READ, WRITE)) == [2]
        assert await leaves(terms=(A, Term("rule", "nobody"))) == []
        assert await leaves(granted=False) == [3, 1]
        assert await leaves(terms=(READ,), granted=True, since=NOW + 1) == [2]
        assert await leaves(since=NOW + 1, until=NOW + 3) == [2, 1]
        assert await leaves(above=1, below=3) == [2, 1]

    async def test_a_scan_looks_at_so_much_and_says_how_far_it_came(self, make_store: MakeStore) -> None:
        store = await make_store()
        await store.decision_index.add([decision(leaf, A, *([B] if leaf < 5 else [])) for leaf in range(40)], 0, 40)
        found = await store.decision_index.scan(Sought(terms=(A,)), 3, 100)
        assert ([seen.leaf for seen in found.found], found.below) == ([39, 38, 37], 37)
        # the first word drives: thirty leaves of it are looked at and none has the other
        found = await store.decision_index.scan(Sought(terms=(A, B)), 3, 30)
        assert (found.found, found.below) == ((), 10)
        found = await store.decision_index.scan(Sought(terms=(A, B), below=10), 30, 30)
        assert ([seen.leaf for seen in found.found], found.below) == ([4, 3, 2, 1, 0], 0)

    async def test_a_subject_is_found_by_key_until_it_is_erased(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        await one.entries.append([pending(1, entity="User:a", new_salt=salt(1))])
        await one.entries.append([pending(2, entity="User:b", new_salt=salt(2))])
        keys = [await one.subject_keys.get(name) for name in ("User:a", "User:b")]
        mine, other_key = (key[0] for key in keys if key is not None)
        await one.decision_index.add([decision(0, A, key_id=mine), decision(1, A, key_id=other_key)], 0, 2)
        assert [s.leaf for s in (await other.decision_index.scan(Sought(key_id=mine), 5, 5)).found] == [0]
        assert await other.subject_keys.erase("User:a")
        assert (await one.decision_index.scan(Sought(key_id=mine), 5, 5)).found == ()
        assert len((await one.decision_index.scan(Sought(key_id=other_key), 5, 5)).found) == 1
        # made anew, it does not come back
        await one.decision_index.clear()
        assert await other.decision_index.next_leaf() == 0
        await other.decision_index.add([decision(0, A, key_id=mine), decision(1, A, key_id=other_key)], 0, 2)
        assert (await one.decision_index.scan(Sought(key_id=mine), 5, 5)).found == ()
        assert len((await one.decision_index.scan(Sought(terms=(A,)), 5, 5)).found) == 2
