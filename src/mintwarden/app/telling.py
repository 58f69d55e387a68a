"""Telling clients something for as long as it takes: kept in the store until each was told, or its time is over.

At least once: whichever node finds a notice due takes it for itself for a while, and takes it away once the client has
it. A node that dies over it leaves it to the others, and to itself after its restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.app.foundation import Foundation
from mintwarden.app.lanes import Lane, Lanes
from mintwarden.authn.ports import Posted
from mintwarden.authn.shelf import Held, Shelf
from mintwarden.model.catalogue import Client
from mintwarden.model.errors import MintwardenError

WAITING: Final = "waiting"
"""By what all of them are found: no entity's key, so that nobody's erasure finds them. They end by time."""

TAKEN: Final = 10_000
"""Milliseconds for which a node has a notice to itself: longer than any attempt takes."""
ROUNDS: Final = 256
"""Looks at what waits, in a row: what is left over has its turn in the next run."""
STAYS: Final = 64
"""Notices that are waited for before what waits is looked at again."""
LEARNED: Final = 5_000
"""Clients that describe themselves of which it is remembered where they are told."""


class Notice(Struct, frozen=True, kw_only=True):
    """What one client is to be told.

    Attributes:
        ends: `Millis` when it is given up.
        due: `Millis` of the next attempt.
        attempts: how many there were.
    """

    client_id: str
    ends: int
    due: int
    attempts: int = 0

    @property
    def handle(self) -> str:
        """By which it is found: the same thing is told once."""
        raise NotImplementedError


N = TypeVar("N", bound=Notice)


class Told(Protocol):
    """Hears what becomes of notices, by what they are about."""

    def notice_became(self, about: str, outcome: str) -> None:
        """One was `delivered`, an attempt `failed`, or one was `given_up`."""
        ...

    def notice_failed(self, about: str, client_id: str, error: MintwardenError) -> None:
        """The first attempt for a client came to nothing; others follow."""
        ...

    def notices_waiting(self, about: str, waiting: int) -> None:
        """So many are kept."""
        ...

    def stumbled(self, task: str, error: BaseException) -> None:
        """Something went wrong for good."""
        ...


class Declined(Exception):
    """It was answered so that another attempt would be none the better."""


class Telling(Generic[N]):
    """Keeps notices and sends them; any number of nodes on one store. `now` is the time in `Millis`.

    Each kind says how it is sent, when again, and what follows where it is given up.
    """

    def __init__(
        self, about: str, kind: str, shape: type[N], base: Foundation, *, told: Told, now: Callable[[], int]
    ) -> None:
        self._about = about
        self._told = told
        self._now = now
        self._shelf = Shelf(kind, shape, states=base.store.states, seal=base.master)
        self._lanes = Lanes()
        self._hosts: dict[str, str] = {}
        self._soon: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._again = False
        self._after = b""
        self._seen = 0

    async def _send(self, _taken: N) -> bool:
        """Tell the client; False where there is nothing to be told yet, or somebody else tells it by now.

        A `MintwardenError` has it tried again; `Declined`, and everything that nobody foresaw, has it given up.
        """
        raise NotImplementedError

    def _listed(self, _client_id: str) -> tuple[Client, bool] | None:
        """A client that is written down, and whether it is none of the bundle's; None for one that describes itself."""
        raise NotImplementedError

    def _endpoint(self, _client: Client) -> str:
        """Where a client is told."""
        raise NotImplementedError

    async def _called(self, client: Client, call: Awaitable[Posted]) -> Posted:
        """What a client's host answered, and a note of how. Raises as the call does."""
        host, began = _host(self._endpoint(client)), self._now()
        if _host(client.id):
            if len(self._hosts) >= LEARNED:
                self._hosts.clear()
            self._hosts[client.id] = host
        try:
            answer = await call
        except MintwardenError:
            self._lanes.unheard(host)
            raise
        self._lanes.heard(host, self._now() - began)
        return answer

    def _pause(self, _attempts: int) -> int | None:
        """Seconds until the next attempt, after so many; None for no further one."""
        raise NotImplementedError

    def _late(self, _notice: N) -> MintwardenError:
        """What is told of one that nobody could deliver in time."""
        raise NotImplementedError

    async def _lost(self, _notice: N) -> None:
        """What follows where one is given up, before it is forgotten. May run again."""

    def _due(self, notice: N) -> int:
        """When it is this node's turn, `Millis`."""
        return notice.due

    def tell(self) -> None:
        """Send what is due without waiting for the next run; returns at once."""
        if self._soon is None or self._soon.done():
            self._soon = asyncio.create_task(self._until_quiet(), name=self._about)
        else:
            self._again = True
            self._woken.set()

    async def close(self) -> None:
        """Stop; what was not sent stays in the store."""
        if self._soon is not None:
            self._soon.cancel()
            await asyncio.gather(self._soon, return_exceptions=True)

    async def run(self) -> None:
        """Send what is due. Of several nodes, and of several runs at once, each notice is one's at a time.

        INVARIANT: whoever lets us wait is waited for beside the others, never before them.
        """
        under_way: set[asyncio.Task[None]] = set()
        try:
            for _ in range(ROUNDS):
                self._woken.clear()
                await self._begin(await self._page(self._now()), under_way)
                if self._after:
                    continue  # there is more, and what is under way need not be over for it
                if not under_way:
                    return
                await self._one_over(under_way)
            for task in tuple(under_way):
                await task
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _begin(self, waiting: Sequence[Held[N]], under_way: set[asyncio.Task[None]]) -> None:
        """Send what is due and has a place; what has none stays due.

        Hosts that answer at once are waited for, so that what waits is not read anew for each notice; but not for long.
        """
        now = self._now()
        due = sorted((held for held in waiting if self._due(held.value) <= now), key=lambda one: self._due(one.value))
        left = self._lanes.in_turn([(self._lane(held.value), held) for held in due])
        for _ in range(STAYS):
            queue, left = left, []
            for lane, held in queue:
                if not self._lanes.free(lane):
                    left.append((lane, held))
                    continue
                task = asyncio.create_task(self._deliver(held), name=self._about)
                task.add_done_callback(self._lanes.enter(lane))
                under_way.add(task)
            if not under_way or not any(self._lanes.quick(lane) for lane, _ in left):
                return
            if await self._one_over(under_way):
                return

    async def _one_over(self, under_way: set[asyncio.Task[None]]) -> bool:
        """Wait until something is over, or there is something new to be told: whether there is.

        Raises what went wrong for good.
        """
        woken = asyncio.create_task(self._woken.wait())
        try:
            done, _ = await asyncio.wait({*under_way, woken}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
        over = under_way & done
        under_way -= over
        for task in over:
            await task
        return self._woken.is_set()

    def _lane(self, notice: N) -> Lane:
        """Where it is told, as far as that is known before its client is looked up."""
        listed = self._listed(notice.client_id)
        if listed is not None:
            client, registered = listed
            return Lane(_host(self._endpoint(client)) or client.id, client.id, ours=not registered)
        host = self._hosts.get(notice.client_id) or _host(notice.client_id)
        return Lane(host or notice.client_id, notice.client_id, ours=False)

    async def _page(self, now: int) -> Sequence[Held[N]]:
        """The next of those that wait. INVARIANT: however many wait for one client, each has its turn."""
        waiting, self._after = await self._shelf.page(WAITING, now, self._after)
        self._seen += len(waiting)
        if not self._after:
            self._told.notices_waiting(self._about, self._seen)
            self._seen = 0
        return waiting

    async def _until_quiet(self) -> None:
        self._again = True
        while self._again:
            self._again = False
            try:
                await self.run()
            except Exception as error:  # noqa: BLE001 - nobody waits for this; the next run finds what is left
                self._told.stumbled(self._about, error)

    async def _deliver(self, held: Held[N]) -> None:
        notice, now = held.value, self._now()
        taken = replace(notice, attempts=notice.attempts + 1, due=now + TAKEN)
        if not await self._shelf.replace(held, taken):
            return  # another node has it
        if notice.ends <= now:
            await self._give_up(held, taken, self._late(notice))
            return
        try:
            done = await self._send(taken)
        except MintwardenError as error:
            await self._failed(taken, error)
        except Exception as error:  # noqa: BLE001 - nobody foresaw it: another attempt would be none the better
            await self._give_up(held, taken, error)
        else:
            if done:
                self._told.notice_became(self._about, "delivered")
                await self._shelf.remove(held)

    async def _failed(self, taken: N, error: MintwardenError) -> None:
        self._told.notice_became(self._about, "failed")
        if taken.attempts == 1:
            self._told.notice_failed(self._about, taken.client_id, error)
        held = await self._shelf.get(taken.handle, 0)
        if held is None or held.value.attempts != taken.attempts:
            return  # it took too long, and another node has it by now
        pause = self._pause(taken.attempts)
        if pause is None:
            await self._give_up(held, held.value, error)
            return
        await self._shelf.replace(held, replace(held.value, due=min(self._now() + pause * 1000, taken.ends)))

    async def _give_up(self, held: Held[N], taken: N, error: Exception) -> None:
        await self._lost(taken)
        if await self._shelf.remove(held):
            self._told.notice_became(self._about, "given_up")
            self._told.stumbled(self._about, error)

    async def _noted(self, taken: N, **changes: Any) -> N | None:
        """What is kept from now on; None where another node has it by now."""
        held = await self._shelf.get(taken.handle, 0)
        if held is None or held.value != taken:
            return None
        changed = replace(taken, **changes)
        return changed if await self._shelf.replace(held, changed) else None


def _host(url: str) -> str:
    """The host in an address; empty for what is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
