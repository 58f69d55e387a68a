"""Telling others something behind the answer: a few times each, so many at once, then no more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from mintwarden.model.errors import ErrorKind, MintwardenError

MOST = 1_000
"""Under way in one process; what comes beyond is told as not delivered."""
AT_ONCE = 16


Lost = Callable[[], Awaitable[None]]
"""What follows where something was given up."""


class Declined(Exception):
    """It was answered so that another attempt would be none the better."""


class Notices:
    """What kinds of notices have in common. `stumbled` hears of each that was given up, under `name`.

    `pauses` are the seconds before each further attempt.
    """

    def __init__(self, name: str, *, stumbled: Callable[[str, BaseException], None], pauses: Sequence[float]) -> None:
        self._name = name
        self._stumbled = stumbled
        self._pauses = tuple(pauses)
        self._under_way: dict[asyncio.Task[None], Lost | None] = {}
        self._room = asyncio.Semaphore(AT_ONCE)

    async def close(self) -> None:
        """Give up what is under way, with what follows from that."""
        tasks = dict(self._under_way)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task, lost in tasks.items():
            if task.cancelled() and lost is not None:
                await self._given_up(lost)

    def _deliver(self, attempt: Callable[[], Awaitable[None]], *, lost: Lost | None = None) -> bool:
        """Returns at once; False where too many are under way. A `MintwardenError` of `attempt` has it repeated.

        `lost` is what follows where it was given up.
        """
        if len(self._under_way) >= MOST:
            self._stumbled(self._name, MintwardenError(ErrorKind.OVERLOADED, "too many notices at once"))
            return False
        task = asyncio.create_task(self._delivered(attempt, lost), name=self._name)
        self._under_way[task] = lost
        task.add_done_callback(lambda done: self._under_way.pop(done, None))
        return True

    async def _delivered(self, attempt: Callable[[], Awaitable[None]], lost: Lost | None) -> None:
        last: Exception | None = None
        for pause in (0.0, *self._pauses):
            await asyncio.sleep(pause)
            try:
                async with self._room:
                    await attempt()
                return
            except MintwardenError as error:
                last = error
            except Exception as error:  # noqa: BLE001 - nobody waits for this: it is told, and that is all
                last = error
                break
        if last is None:
            return
        self._stumbled(self._name, last)
        if lost is not None:
            await self._given_up(lost)

    async def _given_up(self, lost: Lost) -> None:
        try:
            await lost()
        except Exception as error:  # noqa: BLE001 - nobody waits for this either
            self._stumbled(self._name, error)
