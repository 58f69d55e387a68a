"""Work behind the requests: each task runs again and again, and a failed run is told, waited for and retried."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

STOP_TIMEOUT = 10.0
LONGEST_PAUSE = 5.0


class Task(Struct, frozen=True):
    """Something to do every `interval` seconds. It must bear being run by several workers at once."""

    name: str
    interval: float
    run: Callable[[], Awaitable[object]]


class Background:
    """Runs every task on its own, so that one that hangs or fails holds up no other.

    After a failure the pause doubles, up to five seconds, until a run succeeds: the service recovers by itself
    once the cause is gone.
    """

    def __init__(self, tasks: Sequence[Task], *, stumbled: Callable[[str, BaseException], None]) -> None:
        self._tasks = tuple(tasks)
        self._stumbled = stumbled
        self._running: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()

    def start(self) -> None:
        """Begin; needs a running event loop."""
        self._running = [asyncio.create_task(self._repeat(task), name=task.name) for task in self._tasks]

    async def stop(self) -> None:
        """Let runs under way finish, for some seconds, and end."""
        self._stopping.set()
        if not self._running:
            return
        _, late = await asyncio.wait(self._running, timeout=STOP_TIMEOUT)
        for task in late:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _repeat(self, task: Task) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                await task.run()
                failures = 0
            except Exception as error:  # noqa: BLE001 - whatever it was: told, waited for, tried again
                failures += 1
                self._stumbled(task.name, error)
            await self._pause(min(task.interval * 2**failures, max(LONGEST_PAUSE, task.interval)))

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
