"""A review that reads much, for many who ask: one at a time, and whoever waits for it has the same one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

LATELY: Final = 60.0
"""Seconds since its beginning for which the pages of a list go on with the review that the first of them began with."""


class SharedReview(Generic[T]):
    """See the module. `review` reads; `monotonic` is in seconds. For one event loop."""

    def __init__(self, review: Callable[[], Awaitable[T]], *, monotonic: Callable[[], float]) -> None:
        self._review = review
        self._monotonic = monotonic
        self._turn = asyncio.Lock()
        self._last: tuple[float, T] | None = None

    async def now(self) -> T:
        """What a review turns up that begins after the call. Raises as the review does, for whoever's turn it is."""
        asked = self._monotonic()
        async with self._turn:
            if self._last is None or self._last[0] <= asked:
                began = self._monotonic()
                self._last = began, await self._review()
            return self._last[1]

    async def lately(self) -> T:
        """What the last one turned up, if it began less than `LATELY` ago; otherwise as `now`."""
        last = self._last
        if last is not None and self._monotonic() - last[0] < LATELY:
            return last[1]
        return await self.now()
