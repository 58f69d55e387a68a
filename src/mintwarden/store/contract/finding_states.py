"""What every store keeps of what people said about findings."""

# ruff: noqa: S101

from __future__ import annotations

import asyncio

from mintwarden.review.finding_states import FindingState
from mintwarden.store.contract.samples import NOW, MakeStore


class FindingStatesContract:
    """One version follows the other; who comes second is told."""

    async def test_versions_follow_each_other(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        assert await one.finding_states.of(["f"]) == {}
        first = FindingState(id="f", state="acknowledged", ticket="T-1", version=1, changed_at=NOW)
        assert await one.finding_states.say(first)
        assert not await other.finding_states.say(first)
        second = FindingState(id="f", state="accepted", ticket="T-1", until=NOW + 5, version=2, changed_at=NOW)
        outcomes = await asyncio.gather(one.finding_states.say(second), other.finding_states.say(second))
        assert sorted(outcomes) == [False, True]
        assert await other.finding_states.of(["f"]) == {"f": second}
        assert not await other.finding_states.say(FindingState(id="g", version=3, changed_at=NOW))

    async def test_what_was_said_is_found_by_what_it_is_about(self, make_store: MakeStore) -> None:
        store = await make_store()
        said = {name: FindingState(id=name, state="acknowledged", version=1, changed_at=NOW) for name in "abcd"}
        for one in said.values():
            await store.finding_states.say(one)
        assert await store.finding_states.of(["d", "b", "x", "b"]) == {"b": said["b"], "d": said["d"]}
        assert await store.finding_states.of([]) == {}
