"""Reads of the same moment share one query."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

from mintwarden.context.ports import FactBatch
from mintwarden.model.errors import ErrorKind, MintwardenError

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
Answer = TypeVar("Answer")


class ReadBatcher(Generic[K, Answer]):
    """Collects the calls of one turn of the event loop into one query; at most one query is in flight.

    A call that comes while a query is in flight waits for the next one, which starts as soon as that returns:
    so what a caller gets is never older than its call, and nothing waits for a timer.

    `fetch` answers for up to `limit` names, or as many as one call has: at once where that cannot take long, otherwise
    with something to wait for. `share` gives each call its own part of an answer.
    """

    def __init__(
        self,
        *,
        fetch: Callable[[Sequence[K]], Answer | Awaitable[Answer]],
        share: Callable[[Answer, Sequence[K]], Answer],
        limit: int = 256,
    ) -> None:
        self._fetch = fetch
        self._share = share
        self._limit = limit
        self._waiting: list[tuple[Sequence[K], asyncio.Future[Answer]]] = []
        self._scheduled = False
        self._in_flight: asyncio.Task[None] | None = None

    def read(self, names: Sequence[K]) -> asyncio.Future[Answer]:
        """What the store holds of `names`, from a query that starts after this call."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((names, future))
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
            if isinstance(answer, Awaitable):
                self._in_flight = asyncio.get_running_loop().create_task(self._finish(waiters, answer))
                return
            self._answer(waiters, answer)

    def _take(self) -> tuple[list[tuple[Sequence[K], asyncio.Future[Answer]]], list[K]]:
        """The calls that go into the next query: all that wait, up to the limit of names, at least one."""
        wanted: list[K] = []
        for taken, (names, _) in enumerate(self._waiting):
            if taken and len(wanted) + len(names) > self._limit:
                wanted = list(dict.fromkeys(wanted))
                if len(wanted) + len(names) > self._limit:
                    waiters, self._waiting = self._waiting[:taken], self._waiting[taken:]
                    return waiters, wanted
            wanted += names
        waiters, self._waiting = self._waiting, []
        return waiters, list(dict.fromkeys(wanted))

    async def _finish(
        self, waiters: list[tuple[Sequence[K], asyncio.Future[Answer]]], answer: Awaitable[Answer]
    ) -> None:
        try:
            self._answer(waiters, await answer)
        except asyncio.CancelledError:
            for _, future in waiters:
                future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - every waiter must hear of it
            _fail(waiters, error)
        finally:
            self._in_flight = None
            self._flush()

    def _answer(self, waiters: list[tuple[Sequence[K], asyncio.Future[Answer]]], answer: Answer) -> None:
        if len(waiters) == 1:
            if not waiters[0][1].done():
                waiters[0][1].set_result(answer)
            return
        share = self._share
        for names, future in waiters:
            if not future.done():
                future.set_result(share(answer, names))


def share_facts(batch: FactBatch, entities: Sequence[str]) -> FactBatch:
    """What a batch says of some of its entities."""
    rows, keys = batch.rows, batch.subject_keys
    own_rows = {e: rows[e] for e in entities if e in rows}
    own_keys = {e: keys[e] for e in entities if e in keys}
    return FactBatch(own_rows, own_keys, batch.epoch)


def share_named(found: Mapping[K, V], names: Sequence[K]) -> Mapping[K, V]:
    """What was found of some of the names."""
    return {name: found[name] for name in names if name in found} if found else found


def _fail(waiters: Sequence[tuple[object, asyncio.Future[Answer]]], error: Exception) -> None:
    for _, future in waiters:
        if future.done():
            continue
        if isinstance(error, MintwardenError):
            own = MintwardenError(error.kind, error.public, hint=error.hint)
        else:
            own = MintwardenError(ErrorKind.UNAVAILABLE, "the store did not answer")
        own.__cause__ = error
        future.set_exception(own)
