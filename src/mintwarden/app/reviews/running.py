"""Reviews of this process: each waits for its turn, runs in a process of its own, and leaves what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from mintwarden.app.foundation import Foundation
from mintwarden.app.reviews.apart import Came, NotDone, Order, Progress, run_apart
from mintwarden.model.caller import Evidence
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import decision_text, entity_key
from mintwarden.review.jobs import Found, Job, Jobs
from mintwarden.web.admin.resources.reviews import AT_ONCE, Asked

HOUR = 3_600_000
KEPT = 24 * HOUR
"""Milliseconds after which everything about a review is forgotten."""
KEPT_OF_PEOPLE = HOUR
"""The same where it tells of people."""

Run = Callable[[Order, Progress], Awaitable[Came]]


class Rhythm(Struct, frozen=True, kw_only=True):
    """Seconds: between two words of whoever does a review, and that its lease lasts without one."""

    word: float = 2.0
    lease: float = 15.0


class Reviewing:
    """The reviews that this process was asked for, and a look at all others.

    `stumbled` hears of what went wrong here and is nobody's business elsewhere; `run` does a review apart.
    """

    def __init__(
        self,
        base: Foundation,
        *,
        stumbled: Callable[[str, BaseException], None],
        run: Run | None = None,
        rhythm: Rhythm = Rhythm(),  # noqa: B008 - frozen
    ) -> None:
        config = base.config.reviews
        self._base = base
        self._config = config
        self._stumbled = stumbled
        self._run: Run = run or functools.partial(run_apart, seconds=config.timeout)
        self._rhythm = rhythm
        store = base.store
        self.jobs = Jobs(states=store.states, seal=base.master, leases=store.leases, holder=base.holder)
        self._places = asyncio.Semaphore(config.at_once)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._far: dict[str, tuple[int, int]] = {}
        self._coming = 0

    async def ask(
        self, asked: Asked, versions: Sequence[str], needs: Sequence[str], who: Evidence, now: int
    ) -> Job | None:
        """See `Bench.ask`."""
        if len(self._tasks) + self._coming >= self._config.waiting + self._config.at_once:
            raise MintwardenError(ErrorKind.OVERLOADED, "too many reviews wait", hint="try again later")
        self._coming += 1
        try:
            return await self._begin(asked, versions, needs, who, now)
        finally:
            self._coming -= 1

    async def _begin(
        self, asked: Asked, versions: Sequence[str], needs: Sequence[str], who: Evidence, now: int
    ) -> Job | None:
        kept = KEPT_OF_PEOPLE if asked.personal else KEPT
        job = Job(
            id=decision_text(self._base.new_id()),
            kind=asked.kind,
            needs=tuple(needs),
            by=entity_key(who.principal),
            client=who.client_id,
            versions=tuple(versions),
            personal=asked.personal,
            asked_at=now,
            heard_at=now,
            ends=now + kept + round(self._config.timeout * 1000),
        )
        order = Order(
            config=self._base.config,
            kind=asked.kind,
            asked=msgspec.Raw(msgspec.json.encode(asked)),
            memory=self._config.memory,
        )
        if not await self.jobs.add(job, self._rhythm.lease, most=AT_ONCE):
            return None
        task = asyncio.create_task(self._live(job, order), name=f"review {job.id}")
        self._tasks[job.id] = task
        task.add_done_callback(lambda _done: self._tasks.pop(job.id, None))
        return job

    async def find(self, name: str, now: int) -> Job | None:
        """See `Bench.find`."""
        return await self.jobs.find(name, now)

    async def of(self, by: str, now: int) -> Sequence[Job]:
        """See `Bench.of`."""
        return await self.jobs.of(by, now)

    async def found(self, job: Job, now: int) -> Found | None:
        """See `Bench.found`."""
        return await self.jobs.result(job.id, now)

    async def end(self, job: Job, now: int) -> Job:
        """See `Bench.end`; the process that does it, wherever it is, ends with its next word."""
        ended = await self.jobs.change(job.id, now, state="cancelled", ended_at=now)
        if ended is not None:
            task = self._tasks.get(job.id)
            if task is not None:
                task.cancel()
            return ended
        await self.jobs.forget(job.id, now)
        return job

    async def close(self) -> None:
        """End what is under way, and say so."""
        tasks = dict(self._tasks)
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        for name in tasks:
            with contextlib.suppress(MintwardenError):
                await self._failed(name, "the service was stopped", "ask again")

    async def _live(self, job: Job, order: Order) -> None:
        try:
            await self._first(self._beat(job.id), self._work(job, order))
        except NotDone as error:
            await self._failed(job.id, error.public, error.hint)
        except Exception as error:  # noqa: BLE001 - whatever it was: whoever asked hears that, and we what
            self._stumbled("review", error)
            with contextlib.suppress(MintwardenError):
                await self._failed(job.id, "something went wrong here", "report it with its id")
        finally:
            self._far.pop(job.id, None)
            with contextlib.suppress(MintwardenError):
                await asyncio.shield(self.jobs.release(job.id))

    async def _first(self, *both: Coroutine[Any, Any, None]) -> None:
        """Do both until one of them ends; the other is cancelled, and has ended when this returns."""
        tasks = [asyncio.create_task(one) for one in both]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for one in ended:
            if isinstance(one, BaseException) and not isinstance(one, asyncio.CancelledError):
                raise one

    async def _beat(self, name: str) -> None:
        """Say again and again that it is being done, until somebody has ended it elsewhere."""
        while True:
            await asyncio.sleep(self._rhythm.word)
            try:
                if not await self._said(name):
                    return
            except MintwardenError as error:
                # While the store does not answer nobody else can say that nobody does it.
                if error.kind is not ErrorKind.UNAVAILABLE:
                    raise

    async def _said(self, name: str) -> bool:
        now = self._base.clock.now()
        done, of = self._far.get(name, (0, 0))
        if not await self.jobs.hold(name, self._rhythm.lease):
            return False
        return await self.jobs.change(name, now, heard_at=now, done=done, of=of) is not None

    async def _work(self, job: Job, order: Order) -> None:
        async with self._places, self._turn(job.id):  # in the order in which they were asked for
            now, epoch = self._base.clock.now(), await self._base.store.epoch()
            if await self.jobs.change(job.id, now, state="running", began_at=now, heard_at=now) is None:
                return
            came = await self._run(order, functools.partial(self._tell, job.id))
        found = msgspec.json.decode(came.found, type=Found)
        await self.jobs.keep(job, found)
        now = self._base.clock.now()
        # INVARIANT: what tells of people was not kept past the erasure of one of them, which raises the epoch first.
        if job.personal and await self._base.store.epoch() != epoch:
            await self.jobs.forget_result(job.id, now)
            raise NotDone("something that it rests on has changed meanwhile", hint="ask again")
        done, of = self._far.get(job.id, (0, 0))
        ended = await self.jobs.change(
            job.id, now, state="done", ended_at=now, heard_at=now, ok=came.ok, done=done, of=of
        )
        if ended is None:
            await self.jobs.forget_result(job.id, now)

    def _tell(self, name: str, done: int, of: int) -> None:
        self._far[name] = done, of

    @contextlib.asynccontextmanager
    async def _turn(self, name: str) -> Any:
        """One of the places of this machine; its processes take them in turns, as the store's leases say."""
        leases, holder = self._base.store.leases, f"{self._base.holder}:{name}"
        places = [f"reviews:{socket.gethostname()}:{number}" for number in range(self._config.at_once)]
        place = ""
        while not place:
            for one in places:
                if await leases.acquire(one, holder, self._rhythm.lease):
                    place = one
                    break
            else:
                await asyncio.sleep(self._rhythm.word / 4)
        keeping = asyncio.create_task(self._keep(place, holder))
        try:
            yield
        finally:
            keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError, MintwardenError):
                await keeping
            with contextlib.suppress(MintwardenError):
                await asyncio.shield(leases.release(place, holder))

    async def _keep(self, place: str, holder: str) -> None:
        while True:
            await asyncio.sleep(self._rhythm.word)
            with contextlib.suppress(MintwardenError):  # if it is lost for a while, two run for a while
                await self._base.store.leases.acquire(place, holder, self._rhythm.lease)

    async def _failed(self, name: str, failure: str, hint: str) -> None:
        now = self._base.clock.now()
        await self.jobs.change(
            name, now, state="failed", ended_at=now, heard_at=now, ok=None, failure=failure, hint=hint
        )
