from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import pytest

from mintwarden.context.ports import FactBatch, FactRow
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.store.batch import ReadBatcher, share_facts, share_named


def noting(asked: list[list[str]]) -> Callable[[Sequence[str]], FactBatch]:
    def fetch(wanted: Sequence[str]) -> FactBatch:
        asked.append(list(wanted))
        return answer(wanted)

    return fetch


def answer(entities: Sequence[str], epoch: int = 1) -> FactBatch:
    return FactBatch({e: [FactRow("s", e.encode(), 1)] for e in entities}, {}, epoch)


async def test_calls_of_one_moment_share_a_query_and_get_their_own():
    asked: list[list[str]] = []
    batcher = ReadBatcher(fetch=noting(asked), share=share_facts)
    got = await asyncio.gather(batcher.read(["a", "b"]), batcher.read(["b"]), batcher.read([]))
    assert asked == [["a", "b"]]
    assert [set(batch.rows) for batch in got] == [{"a", "b"}, {"b"}, set()]


async def test_what_is_found_by_name_is_shared_by_name():
    asked: list[Sequence[int]] = []

    def fetch(wanted: Sequence[int]) -> Mapping[int, str]:
        asked.append(wanted)
        return {number: str(number) for number in wanted if number != 3}

    batcher = ReadBatcher(fetch=fetch, share=share_named)
    found = await asyncio.gather(batcher.read([1, 3]), batcher.read([2, 1]), batcher.read([3]))
    assert list(found) == [{1: "1"}, {2: "2", 1: "1"}, {}]
    assert asked == [[1, 3, 2]]


async def test_one_query_in_flight_and_the_next_starts_when_it_returns():
    gates: list[asyncio.Future[None]] = []
    asked: list[list[str]] = []

    async def fetch(wanted: Sequence[str]) -> FactBatch:
        asked.append(list(wanted))
        gates.append(asyncio.get_running_loop().create_future())
        await gates[-1]
        return answer(wanted, len(asked))

    batcher = ReadBatcher(fetch=fetch, share=share_facts)
    first = batcher.read(["a"])
    while not gates:
        await asyncio.sleep(0)
    late = [batcher.read(["b"]), batcher.read(["c"])]
    for _ in range(5):
        await asyncio.sleep(0)
    assert asked == [["a"]], "a second query while one is in flight"
    gates[0].set_result(None)
    assert (await first).epoch == 1
    while len(gates) < 2:
        await asyncio.sleep(0)
    gates[1].set_result(None)
    # not the answer of a query that began before they called
    assert [(await future).epoch for future in late] == [2, 2]
    assert asked == [["a"], ["b", "c"]]


async def test_more_than_the_limit_is_several_queries():
    asked: list[list[str]] = []
    batcher = ReadBatcher(fetch=noting(asked), share=share_facts, limit=4)
    await asyncio.gather(
        *(batcher.read([f"{n}a", f"{n}b"]) for n in range(5)), batcher.read([str(n) for n in range(9)])
    )
    assert [len(wanted) for wanted in asked] == [4, 4, 2, 9]


async def test_names_that_many_ask_for_count_once_towards_the_limit():
    asked: list[list[str]] = []
    batcher = ReadBatcher(fetch=noting(asked), share=share_facts, limit=6)
    await asyncio.gather(*(batcher.read(["hot", f"{n % 3}"]) for n in range(9)), batcher.read(["other"]))
    assert asked == [["hot", "0", "1", "2", "other"]]


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_failure_reaches_every_waiter_and_the_next_call_tries_again(at_once: bool):
    broken = True

    def now(wanted: Sequence[str]) -> FactBatch:
        if broken:
            raise MintwardenError(ErrorKind.UNAVAILABLE, "gone", hint="look")
        return answer(wanted)

    async def later(wanted: Sequence[str]) -> FactBatch:
        return now(wanted)

    batcher = ReadBatcher(fetch=now if at_once else later, share=share_facts)
    errors = await asyncio.gather(batcher.read(["a"]), batcher.read(["b"]), return_exceptions=True)
    assert all(isinstance(e, MintwardenError) and (e.kind, e.hint) == (ErrorKind.UNAVAILABLE, "look") for e in errors)
    assert errors[0] is not errors[1]
    broken = False
    assert "a" in (await batcher.read(["a"])).rows


async def test_an_unforeseen_failure_names_nothing_to_the_public():
    def fetch(_: Sequence[str]) -> FactBatch:
        raise RuntimeError("secret detail")

    with pytest.raises(MintwardenError) as caught:
        await ReadBatcher(fetch=fetch, share=share_facts).read(["a"])
    assert caught.value.public == "the store did not answer"
