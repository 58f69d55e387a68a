"""What every store's exceptions do."""

# ruff: noqa: S101

from __future__ import annotations

import asyncio

from mintwarden.govern.exception_ports import StoredApproval, StoredException
from mintwarden.store.contract.samples import NOW, MakeStore


def request(number: int) -> StoredException:
    """A request of its own for each number."""
    return StoredException(
        id=f"0199-{number:04}", document=b'{"n":%d}' % number, state="requested", changed_at=NOW + number
    )


def approval(name: str, at: int = NOW) -> StoredApproval:
    """An approval by `name`."""
    return StoredApproval(approver=name, signature=f"signed by {name}".encode(), at=at)


class ExceptionsContract:
    """States are swapped, never set; what is in force is seen by every node at once."""

    async def test_there_are_none_at_first(self, make_store: MakeStore) -> None:
        store = await make_store()
        found = await store.exceptions.in_force()
        assert (found.epoch, found.exceptions) == (await store.epoch(), ())
        assert list(await store.exceptions.find()) == []
        assert await store.exceptions.get("0199-0001") is None

    async def test_a_request_is_kept_as_it_came_first(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        assert await one.exceptions.add(request(1))
        changed = StoredException(id=request(1).id, document=b"other", state="active", changed_at=NOW)
        assert not await other.exceptions.add(changed)
        assert await other.exceptions.get(request(1).id) == request(1)

    async def test_they_are_found_by_state_in_order_of_id(self, make_store: MakeStore) -> None:
        store = await make_store()
        for number in (3, 1, 2):
            await store.exceptions.add(request(number))
        await store.exceptions.move(request(2).id, "requested", "withdrawn", NOW)
        found = [one.id for one in await store.exceptions.find()]
        assert found == [request(number).id for number in (1, 2, 3)]
        assert [one.id for one in await store.exceptions.find(("requested",))] == [found[0], found[2]]
        assert [one.id for one in await store.exceptions.find(("withdrawn", "active"))] == [found[1]]

    async def test_they_come_page_by_page_in_order_of_id(self, make_store: MakeStore) -> None:
        store = await make_store()
        for number in (4, 1, 5, 3, 2):
            await store.exceptions.add(request(number))
        for name in ("ben", "ann"):
            await store.exceptions.approve(request(2).id, approval(name))
        await store.exceptions.move(request(1).id, "requested", "active", NOW)
        await store.exceptions.move(request(3).id, "requested", "withdrawn", NOW)

        async def numbers(limit: int, after: int | None = None, *, still_open: bool = False) -> list[int]:
            behind = "" if after is None else request(after).id
            found = await store.exceptions.page(limit, behind, still_open=still_open)
            return [int(one.id[-4:]) for one in found]

        assert await numbers(9) == [1, 2, 3, 4, 5]
        assert await numbers(2) == [1, 2]
        assert await numbers(2, 2) == [3, 4]
        assert await numbers(2, 4) == [5]
        assert await numbers(2, 5) == []
        assert await numbers(2, still_open=True) == [1, 2]
        assert await numbers(2, 2, still_open=True) == [4, 5]
        assert await numbers(2, 5, still_open=True) == []
        (second,) = await store.exceptions.page(1, request(1).id)
        assert second.approvals == (approval("ann"), approval("ben")), "a page is of exceptions, not of approvals"

    async def test_what_comes_and_goes_between_pages_moves_nothing_else(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        for number in range(2, 8, 2):
            await one.exceptions.add(request(number))
        first = await one.exceptions.page(2, still_open=True)
        await other.exceptions.add(request(1))
        await other.exceptions.add(request(5))
        await other.exceptions.move(request(4).id, "requested", "lapsed", NOW)
        second = await one.exceptions.page(2, first[-1].id, still_open=True)
        assert [found.id for found in (*first, *second)] == [request(number).id for number in (2, 4, 5, 6)]

    async def test_one_approver_approves_once_and_only_what_is_requested(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        await one.exceptions.add(request(1))
        assert await one.exceptions.approve(request(1).id, approval("ben", NOW + 2))
        assert await other.exceptions.approve(request(1).id, approval("ann", NOW + 1))
        assert not await other.exceptions.approve(request(1).id, approval("ben", NOW + 3))
        found = await one.exceptions.get(request(1).id)
        assert found is not None
        assert found.approvals == (approval("ann", NOW + 1), approval("ben", NOW + 2))
        await one.exceptions.move(request(1).id, "requested", "active", NOW)
        assert not await one.exceptions.approve(request(1).id, approval("cem"))
        assert not await one.exceptions.approve("0199-none", approval("ann"))

    async def test_beginning_and_ending_move_the_epoch_on_every_node(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        before = await other.epoch()
        await one.exceptions.add(request(1))
        await one.exceptions.approve(request(1).id, approval("ann"))
        assert (await other.facts.read(())).epoch == before, "a request changes no decision"
        assert await one.exceptions.move(request(1).id, "requested", "active", NOW + 5)
        found = await other.exceptions.in_force()
        assert found.epoch == before + 1 == (await other.facts.read(())).epoch
        assert [(e.id, e.state, e.changed_at, e.approvals) for e in found.exceptions] == [
            (request(1).id, "active", NOW + 5, (approval("ann"),))
        ]
        assert await other.exceptions.move(request(1).id, "active", "revoked", NOW + 6)
        last = await one.exceptions.in_force()
        assert (last.epoch, last.exceptions) == (before + 2, ())
        assert (await one.facts.read(())).epoch == before + 2

    async def test_a_state_is_left_once(self, make_store: MakeStore) -> None:
        stores = [await make_store() for _ in range(3)]
        await stores[0].exceptions.add(request(1))
        await stores[0].exceptions.move(request(1).id, "requested", "active", NOW)
        before = await stores[0].epoch()
        moved = await asyncio.gather(
            *(store.exceptions.move(request(1).id, "active", "revoked", NOW + n) for n, store in enumerate(stores))
        )
        assert sorted(moved) == [False, False, True]
        assert await stores[0].epoch() == before + 1
        assert not await stores[0].exceptions.move(request(1).id, "active", "ended", NOW)
        assert not await stores[0].exceptions.move("0199-none", "active", "ended", NOW)
        assert await stores[0].epoch() == before + 1

    async def test_the_first_plan_stands(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        await one.exceptions.add(request(1))
        assert await one.exceptions.plan(request(1).id, "start", b"s" * 16) == b"s" * 16
        assert await other.exceptions.plan(request(1).id, "start", b"t" * 16) == b"s" * 16
        assert await other.exceptions.plan(request(1).id, "end", b"e" * 16) == b"e" * 16
        assert await one.exceptions.plan("0199-none", "end", b"e" * 16) is None
        found = await one.exceptions.get(request(1).id)
        assert found is not None
        assert (found.state, found.start_entry, found.end_entry) == ("requested", b"s" * 16, b"e" * 16)
