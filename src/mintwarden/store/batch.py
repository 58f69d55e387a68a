"""Fact reads of the same moment share one query."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from mintwarden.context.ports import FactBatch
from mintwarden.model.errors import ErrorKind, MintwardenError

Fetch = Callable[[Sequence[str]], FactBatch | Awaitable[FactBatch]]
"""Answers at once where that cannot take long, otherwise with something to wait for."""

_Waiter = tuple[Sequence[str], asyncio.Future[FactBatch]]


class ReadBatcher:
    """Collects the calls of one turn of the event loop into one query; at most one query is in flight.

    A call that comes while a query is in flight waits for the next one, which starts as soon as that returns:
    so what a caller gets is never older than its call, and nothing waits for a timer.
    """

    def __init__(self, *, fetch: Fetch, limit: int = 256) -> None:
        self._fetch = fetch
        self._limit = limit
        self._waiting: list[_Waiter] = []
        self._scheduled = False
        self._in_flight: asyncio.Task[None] | None = None

    def read(self, entities: Sequence[str]) -> asyncio.Future[FactBatch]:
        """What the store holds about `entities`, from a query that starts after this call."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[FactBatch] = loop.create_future()
        self._waiting.append((entities, future))
        if not self._scheduled and self._in_flight is None:
            self._scheduled = True
            loop.call_soon(self._flush)
        return future

    def _flush(self) -> None:
        self._scheduled = False
        while self._waiting:
            waiters, wanted = self._take()
            try:
                answer = self._fetch(wanted)
            except Exception as error:  # noqa: BLE001 - every waiter must hear of it
                _fail(waiters, error)
                continue
            if isinstance(answer, FactBatch):
                _answer(waiters, answer)
                continue
            self._in_flight = asyncio.get_running_loop().create_task(self._finish(waiters, answer))
            return

    def _take(self) -> tuple[list[_Waiter], list[str]]:
        """The calls that go into the next query: all that wait, up to the limit of entities, at least one."""
        wanted: dict[str, None] = {}
        for taken, (entities, _) in enumerate(self._waiting):
            if taken and len(wanted) + len(entities) > self._limit:
                waiters, self._waiting = self._waiting[:taken], self._waiting[taken:]
                return waiters, list(wanted)
            wanted.update(dict.fromkeys(entities))
        waiters, self._waiting = self._waiting, []
        return waiters, list(wanted)

    async def _finish(self, waiters: list[_Waiter], answer: Awaitable[FactBatch]) -> None:
        try:
            _answer(waiters, await answer)
        except asyncio.CancelledError:
            for _, future in waiters:
                future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - every waiter must hear of it
            _fail(waiters, error)
        finally:
            self._in_flight = None
            self._flush()


def _answer(waiters: list[_Waiter], batch: FactBatch) -> None:
    if len(waiters) == 1:
        if not waiters[0][1].done():
            waiters[0][1].set_result(batch)
        return
    rows, keys = batch.rows, batch.subject_keys
    for entities, future in waiters:
        if future.done():
            continue
        own_rows = {e: rows[e] for e in entities if e in rows}
        own_keys = {e: keys[e] for e in entities if e in keys}
        future.set_result(FactBatch(own_rows, own_keys, batch.epoch))


def _fail(waiters: list[_Waiter], error: Exception) -> None:
    for _, future in waiters:
        if future.done():
            continue
        if isinstance(error, MintwardenError):
            own = MintwardenError(error.kind, error.public, hint=error.hint)
        else:
            own = MintwardenError(ErrorKind.UNAVAILABLE, "the store did not answer")
        own.__cause__ = error
        future.set_exception(own)
