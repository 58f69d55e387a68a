"""A review that reads much is done once for all who wait for it, and never in place of a later one."""

from __future__ import annotations

import asyncio

import pytest

from mintwarden.review.shared import LATELY, SharedReview


class Directory:
    """Something to review that takes as long as it is held up; time stands still unless it is moved."""

    def __init__(self) -> None:
        self.says, self.time = "a", 0.0
        self.begun: list[str] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.fails = False
        self.shared = SharedReview(self.review, monotonic=self.monotonic)

    def monotonic(self) -> float:
        self.time += 0.001
        return self.time

    async def review(self) -> str:
        self.begun.append(self.says)
        found, fails = self.says, self.fails
        await self.go_on.wait()
        if fails:
            raise RuntimeError(found)
        return found


async def turn() -> None:
    """Let everybody come as far as they can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_whoever_waits_has_the_same_one_and_none_that_began_before_they_asked() -> None:
    here = Directory()
    here.go_on.clear()
    first = asyncio.ensure_future(here.shared.now())
    await turn()
    here.says = "b"
    waiting = [asyncio.ensure_future(here.shared.now()) for _ in range(20)]
    await turn()
    assert here.begun == ["a"], "one at a time"
    here.go_on.set()
    assert await first == "a"
    assert set(await asyncio.gather(*waiting)) == {"b"}, "what changed before they asked is in it"
    assert here.begun == ["a", "b"]
    here.says = "c"
    assert await here.shared.now() == "c"


async def test_a_list_goes_on_with_what_it_began_with_for_a_while() -> None:
    here = Directory()
    assert await here.shared.lately() == "a", "there was none"
    here.says = "b"
    assert await here.shared.lately() == "a"
    here.time += LATELY
    assert await here.shared.lately() == "b"
    assert here.begun == ["a", "b"]


@pytest.mark.parametrize("gone", ["fails", "cancelled"])
async def test_one_that_comes_to_nothing_is_nobodys(gone: str) -> None:
    here = Directory()
    here.go_on.clear()
    here.fails = gone == "fails"
    first = asyncio.ensure_future(here.shared.now())
    await turn()
    second = asyncio.ensure_future(here.shared.now())
    await turn()
    if gone == "cancelled":
        first.cancel()
        await turn()
    here.fails = False
    here.go_on.set()
    with pytest.raises((RuntimeError, asyncio.CancelledError)):
        await first
    assert await second == "a"
    assert here.begun == ["a", "a"]
