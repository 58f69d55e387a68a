"""Places in status lists: leased a block at a time, each given out once, lists that follow each other and end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from mintwarden.issue import status
from mintwarden.issue.status import ALGORITHMS, BLOCK, HELD, SPREAD, StatusLists, StatusPlaces, algorithm_of
from mintwarden.mint.status_list import SIZE, status_of
from mintwarden.model.asked import Asked
from mintwarden.model.clock import Millis
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid
from mintwarden.store import Store, open_store
from tests.unit.issue.catalogue import PAYMENTS

LISTED = replace(PAYMENTS, status_list=True)
ASKED = Asked(
    grant="client_credentials", client_id="web", subject=EntityUid("Workload", "web"), audience="payments", scopes=()
)
SIGNER = cast("Any", SimpleNamespace(kid="k1"))


class Clock:
    def __init__(self) -> None:
        self.at = 1_795_000_000_000

    def now(self) -> Millis:
        return Millis(self.at)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await open_store(f"sqlite:///{tmp_path / 'store.db'}", create=True)
    yield opened
    await opened.close()


def node(store: Any, clock: Clock | None = None) -> StatusPlaces:
    return StatusPlaces(states=store.states, key=b"k" * 32, clock=clock or Clock(), longest=900)


async def given(places: StatusPlaces, audience: Any = LISTED) -> tuple[int, int]:
    found = await places.placed(ASKED, audience, SIGNER)
    assert found.status is not None
    assert found.signing_key == "k1"
    return found.status


class Counting:
    """The states, and how often anybody looked at them."""

    def __init__(self, states: Any) -> None:
        self.inner = states
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        self.calls += 1
        return getattr(self.inner, name)


async def test_an_audience_without_lists_costs_nothing(store: Store):
    counting = Counting(store.states)
    places = StatusPlaces(states=cast("Any", counting), key=b"k" * 32, clock=Clock(), longest=900)
    assert await places.placed(ASKED, PAYMENTS, SIGNER) is ASKED
    assert counting.calls == 0


async def test_a_block_of_tokens_costs_one_lease(store: Store):
    counting = Counting(store.states)
    places = StatusPlaces(states=cast("Any", counting), key=b"k" * 32, clock=Clock(), longest=900)
    seen = {await given(places) for _ in range(BLOCK)}
    assert len(seen) == BLOCK
    after = counting.calls
    assert after <= 3
    assert await given(places) not in seen
    assert counting.calls > after, "and the next block another"


async def test_nodes_that_ask_at_once_never_get_the_same(store: Store):
    nodes = [node(store) for _ in range(4)]
    seen = await asyncio.gather(*(given(nodes[number % 4]) for number in range(400)))
    assert len(set(seen)) == 400


async def test_what_a_node_did_not_give_out_in_time_nobody_does(store: Store):
    clock = Clock()
    places = node(store, clock)
    first = {await given(places) for _ in range(3)}
    clock.at += HELD
    later = {await given(places) for _ in range(3)}
    assert not first & later
    counter = await store.states.read([("status_counter", b"ES256")])
    assert counter["status_counter", b"ES256"].document == b"%d" % (2 * BLOCK)


async def test_a_full_list_is_followed_by_another_and_ends_once_its_tokens_have(store: Store):
    clock = Clock()
    await given(node(store, clock))
    state = (await store.states.read([("status_counter", b"ES256")]))["status_counter", b"ES256"]
    assert await store.states.replace(replace(state, document=b"%d" % SIZE))
    number, _ = await given(node(store, clock))
    assert number == SPREAD
    lists = StatusLists(store.states)
    assert sorted(await lists.numbers()) == [0, SPREAD]
    await store.purge(clock.at + HELD + 900_000)
    assert await lists.kept(0) is not None
    await store.purge(clock.at + HELD + 900_000 + 86_400_001)
    assert await lists.kept(0) is None
    assert await lists.kept(SPREAD) is not None


async def test_each_algorithm_has_lists_of_its_own(store: Store):
    places = node(store)
    for algorithm in ALGORITHMS:
        number, _ = await given(places, replace(LISTED, algorithm=algorithm))
        assert algorithm_of(number) == algorithm
    assert algorithm_of(len(ALGORITHMS)) is None


async def test_two_that_mark_at_once_lose_nothing(store: Store):
    await given(node(store))
    lists = StatusLists(store.states)
    await asyncio.gather(*(lists.invalidate(0, {index}) for index in range(8)))
    kept = await lists.kept(0)
    assert kept is not None
    assert [status_of(kept[1], index) for index in range(9)] == [1] * 8 + [0]
    await lists.invalidate(0, {3})
    assert (await lists.kept(0) or (0, b""))[0] == kept[0], "what is marked already changes nothing"
    await lists.invalidate(SPREAD, {1})


async def test_a_token_that_gets_no_place_is_not_issued():
    """Without one nobody could end it for its audience."""

    class Contended:
        async def read(self, _names: Any) -> Any:
            return {}

        async def add(self, _states: Any) -> bool:
            return False

    with pytest.raises(MintwardenError) as raised:
        await given(StatusPlaces(states=cast("Any", Contended()), key=b"k" * 32, clock=Clock(), longest=900))
    assert raised.value.kind is ErrorKind.UNAVAILABLE
    assert status.KIND == "status_list"
