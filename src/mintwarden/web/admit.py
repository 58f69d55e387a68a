"""Admission: how many requests are worked on, how many may wait, and how long any may take."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mintwarden.model.errors import ErrorKind, MintwardenError

T = TypeVar("T")


class Gate:
    """Lets `in_flight` requests through at once and `queued` more wait; whoever comes beyond that is refused.

    A request in excess costs next to nothing, so that overload keeps the rate of those admitted. Each request
    has a deadline; `sweep`, called a few times a second, cancels whoever is past it.
    """

    def __init__(self, *, in_flight: int, queued: int, timeout: float, monotonic: Callable[[], float]) -> None:
        self._free = in_flight
        self._size = in_flight
        self._queued = queued
        self._timeout = timeout
        self._monotonic = monotonic
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._deadlines: dict[asyncio.Task[object], float] = {}
        self._expired: set[asyncio.Task[object]] = set()

    @property
    def in_flight(self) -> int:
        """Requests being worked on."""
        return self._size - self._free

    @property
    def begun(self) -> int:
        """Requests that run against their time: arriving, waiting or being worked on."""
        return len(self._deadlines)

    @property
    def arriving(self) -> int:
        """Requests that have not arrived whole."""
        return max(0, self.begun - self.in_flight - self.waiting)

    @property
    def waiting(self) -> int:
        """Requests waiting for their turn."""
        return len(self._waiting)

    def come(self) -> asyncio.Task[object]:
        """The current task's request begins to arrive, which takes no place, and no longer than any may take."""
        task = _task()
        self._deadlines[task] = self._monotonic() + self._timeout
        return task

    def came(self, task: asyncio.Task[object]) -> None:
        """It is here, or never will be."""
        self._deadlines.pop(task, None)
        self._expired.discard(task)

    def enter_at_once(self) -> asyncio.Task[object] | None:
        """Admit the current task if there is room for it."""
        if not self._free:
            return None
        task = _task()
        self._free -= 1
        self._deadlines[task] = self._monotonic() + self._timeout
        return task

    async def enter(self) -> asyncio.Task[object]:
        """Admit the current task, at once or in turn; raises `OVERLOADED` when the queue is full."""
        admitted = self.enter_at_once()
        if admitted is not None:
            return admitted
        task = _task()
        if len(self._waiting) >= self._queued:
            raise MintwardenError(ErrorKind.OVERLOADED, "too many requests at once", hint="try again later")
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._deadlines[task] = self._monotonic() + self._timeout
        try:
            await turn
        except asyncio.CancelledError:
            self._deadlines.pop(task, None)
            if turn.done() and not turn.cancelled():
                self._pass_on()
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise
        return task

    def leave(self, task: asyncio.Task[object]) -> None:
        """The admitted task is done: the next one's turn."""
        self._deadlines.pop(task, None)
        self._expired.discard(task)
        self._pass_on()

    async def in_turn(self, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` gives, once it is the current task's turn.

        Raises as `enter` and as `work`, and `UNAVAILABLE` where the task's time is up, also while it waits.
        """
        try:
            task = await self.enter()
        except asyncio.CancelledError:
            if not self.expired(asyncio.current_task()):
                raise
            raise _too_long() from None
        try:
            return await work()
        except asyncio.CancelledError:
            if not self.expired(task):
                raise
            raise _too_long() from None
        finally:
            self.leave(task)

    def expired(self, task: asyncio.Task[object] | None) -> bool:
        """Was the task cancelled because its time was up? Asked by the handler of the cancellation, before `leave`."""
        if task is None or task not in self._expired:
            return False
        self._expired.discard(task)
        task.uncancel()
        return True

    def sweep(self) -> None:
        """Cancel every request whose time is up."""
        now = self._monotonic()
        for task, deadline in list(self._deadlines.items()):
            if deadline > now:
                return  # they stand in order of arrival, and all have the same time
            del self._deadlines[task]
            self._expired.add(task)
            task.cancel()

    def _pass_on(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


def _too_long() -> MintwardenError:
    return MintwardenError(ErrorKind.UNAVAILABLE, "the request took too long")


def _task() -> asyncio.Task[object]:
    task = asyncio.current_task()
    if task is None:
        raise MintwardenError(ErrorKind.INTERNAL, "admission outside a task")
    return task
