"""Requests of one moment go in step, and none is left behind."""

from __future__ import annotations

import asyncio

import pytest

from mintwarden.issue.in_step import IN_STEP


async def test_each_step_is_taken_by_all_before_any_takes_the_next() -> None:
    taken: list[str] = []

    async def walk(name: str) -> None:
        for step in "123":
            await IN_STEP
            taken.append(step + name)

    await asyncio.gather(*(walk(name) for name in "abc"))
    assert taken == ["1a", "1b", "1c", "2a", "2b", "2c", "3a", "3b", "3c"]


async def test_one_alone_waits_for_nobody() -> None:
    async with asyncio.timeout(10):
        for _ in range(1_000):
            await IN_STEP


async def test_whoever_is_cancelled_there_goes_no_further() -> None:
    went_on = False

    async def walk() -> None:
        nonlocal went_on
        await IN_STEP
        went_on = True

    task = asyncio.create_task(walk())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not went_on
