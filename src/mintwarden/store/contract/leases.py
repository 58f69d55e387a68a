"""What every store's leases do."""

# ruff: noqa: S101

from __future__ import annotations

import asyncio

from mintwarden.store.contract.samples import MakeStore


class LeasesContract:
    """One holder at a time, until its time is over by the store's clock."""

    async def test_one_holder_at_a_time(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        assert await one.leases.acquire("sequencer", "a", 60)
        assert not await other.leases.acquire("sequencer", "b", 60)
        assert await one.leases.acquire("sequencer", "a", 60)
        assert await other.leases.acquire("rotation", "b", 60)

    async def test_of_many_one_is_elected(self, make_store: MakeStore) -> None:
        nodes = [await make_store(), await make_store()]
        calls = [nodes[number % 2].leases.acquire("sequencer", f"n{number}", 60) for number in range(10)]
        assert sum(await asyncio.gather(*calls)) == 1

    async def test_a_lease_that_ran_out_is_anyones(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        assert await one.leases.acquire("sequencer", "a", 0)
        assert await other.leases.acquire("sequencer", "b", 60)
        assert not await one.leases.acquire("sequencer", "a", 60)

    async def test_a_released_lease_is_anyones(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        assert await one.leases.acquire("sequencer", "a", 60)
        await other.leases.release("sequencer", "b")
        assert not await other.leases.acquire("sequencer", "b", 60), "only the holder can let go"
        await one.leases.release("sequencer", "a")
        assert await other.leases.acquire("sequencer", "b", 60)

    async def test_a_lease_of_a_clock_that_stepped_back_is_anyones(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        assert await one.leases.acquire("sequencer", "gone", 3600)
        assert await other.leases.acquire("sequencer", "b", 5)
        assert not await one.leases.acquire("sequencer", "c", 5)
