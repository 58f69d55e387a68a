"""A request's turn: what it gives, whose time is up, and that its place is another's afterwards."""

from __future__ import annotations

import asyncio

import pytest

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.admit import Gate
from tests.unit.web.stand_ins import Monotonic


def gate(clock: Monotonic) -> Gate:
    return Gate(in_flight=1, queued=8, timeout=10.0, monotonic=clock)


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


async def test_work_has_its_turn_and_leaves_its_place_whatever_comes_of_it() -> None:
    at = gate(Monotonic())

    async def fails() -> None:
        assert at.in_flight == 1
        raise KeyError

    assert await at.in_turn(lambda: asyncio.sleep(0, "told")) == "told"
    with pytest.raises(KeyError):
        await at.in_turn(fails)
    assert at.in_flight == 0


@pytest.mark.parametrize("place", ["at work", "in the queue"])
async def test_a_request_whose_time_is_up_is_told_so(place: str) -> None:
    clock = Monotonic()
    at = gate(clock)
    tasks = [asyncio.ensure_future(at.in_turn(forever)) for _ in range(2)]
    await asyncio.sleep(0)
    late = tasks[0 if place == "at work" else 1]
    clock.seconds += 11
    at.sweep()
    with pytest.raises(MintwardenError, match="took too long") as caught:
        await late
    assert caught.value.kind is ErrorKind.UNAVAILABLE
    assert isinstance((await asyncio.gather(*tasks, return_exceptions=True))[0], MintwardenError)
    assert at.in_flight == 0


@pytest.mark.parametrize("which", [0, 1], ids=["at work", "in the queue"])
async def test_who_is_cancelled_from_outside_stays_cancelled(which: int) -> None:
    at = gate(Monotonic())
    tasks = [asyncio.ensure_future(at.in_turn(forever)) for _ in range(2)]
    await asyncio.sleep(0)
    tasks[which].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[which]
    tasks[1 - which].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert at.in_flight == 0
