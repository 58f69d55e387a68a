"""Telling clients something for as long as it takes: kept in the store until each was told, or its time is over.

At least once: whichever node finds a notice due takes it for itself for a while, and takes it away once the client has
it. A node that dies over it leaves it to the others, and to itself after its restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.app.foundation import Foundation
from mintwarden.authn.shelf import Held, Shelf
from mintwarden.model.errors import MintwardenError

WAITING: Final = "waiting"
"""By what all of them are found: no entity's key, so that nobody's erasure finds them. They end by time."""

TAKEN: Final = 10_000
"""Milliseconds for which a node has a notice to itself: longer than any attempt takes."""
AT_ONCE: Final = 16
ROUNDS: Final = 64
"""Attempts at once, and so often in a row: what is left over has its turn in the next run."""
SHARE: Final = 4
"""Attempts at once to one client: one that lets us wait leaves room for others."""


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
        self._soon: asyncio.Task[None] | None = None
        self._again = False
        self._after = b""
        self._seen = 0

    async def _send(self, _taken: N) -> bool:
        """Tell the client; False where there is nothing to be told yet, or somebody else tells it by now.

        A `MintwardenError` has it tried again; `Declined`, and everything that nobody foresaw, has it given up.
        """
        raise NotImplementedError

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

    async def close(self) -> None:
        """Stop; what was not sent stays in the store."""
        if self._soon is not None:
            self._soon.cancel()
            await asyncio.gather(self._soon, return_exceptions=True)

    async def run(self) -> None:
        """Send what is due. Of several nodes, and of several runs at once, each notice is one's at a time."""
        for _ in range(ROUNDS):
            now = self._now()
            turn = turn_of(await self._page(now), now, self._due)
            if not turn and not self._after:
                return
            done = await asyncio.gather(*(self._deliver(held) for held in turn), return_exceptions=True)
            for failed in done:
                if isinstance(failed, BaseException):
                    raise failed

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


def turn_of(waiting: Sequence[Held[N]], now: int, due: Callable[[N], int]) -> list[Held[N]]:
    """Whose turn it is: those due for longest, and of one client only so many."""
    shares: dict[str, int] = {}
    turn: list[Held[N]] = []
    for held in sorted(waiting, key=lambda one: due(one.value)):
        notice = held.value
        taken = shares.get(notice.client_id, 0)
        if due(notice) > now or len(turn) == AT_ONCE or taken == SHARE:
            continue
        shares[notice.client_id] = taken + 1
        turn.append(held)
    return turn
