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
        assert await one.finding_states.states() == {}
        first = FindingState(id="f", state="acknowledged", ticket="T-1", version=1, changed_at=NOW)
        assert await one.finding_states.say(first)
        assert not await other.finding_states.say(first)
        second = FindingState(id="f", state="accepted", ticket="T-1", until=NOW + 5, version=2, changed_at=NOW)
        outcomes = await asyncio.gather(one.finding_states.say(second), other.finding_states.say(second))
        assert sorted(outcomes) == [False, True]
        assert await other.finding_states.states() == {"f": second}
        assert not await other.finding_states.say(FindingState(id="g", version=3, changed_at=NOW))
