"""The exceptions in force, held in memory: few, and read again when the store's epoch moves.

INVARIANT: whatever a clock or a database does, an exception that has ended on this node stays ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from msgspec import Struct

from mintwarden.model.exception import ExceptionGrant
from mintwarden.model.values import EntityUid


class GrantsInForce(Struct, frozen=True):
    """The exceptions in force, and the epoch of the store that they belong to."""

    epoch: int
    grants: tuple[ExceptionGrant, ...]


class ExceptionSource(Protocol):
    """Where exceptions come from."""

    async def in_force(self) -> GrantsInForce:
        """Those that count, of one committed state no older than the call."""
        ...


class Ratchet:
    """The time by which exceptions end: it never goes back, and goes on when the clock does not.

    It is the latest time that any clock has shown, plus the seconds that have passed since by a clock that nobody can
    set (`monotonic`, in seconds). A clock that runs ahead ends exceptions early; no clock makes them last longer.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._latest = 0
        self._seen = monotonic()

    def at(self, now: int) -> int:
        """The time, `Millis`, when the clock shows `now`."""
        seen = self._monotonic()
        passed = self._latest + int((seen - self._seen) * 1000)
        if now >= passed:
            self._latest, self._seen = now, seen
            return now
        return passed


class Ended:
    """What this process knows to be over, whatever it reads later: shared by all that hold exceptions in it.

    Attributes:
        ids: exceptions that were in force and then were not.
        epoch: the highest that was seen.
        fell: the store showed a lower epoch than it had shown before: it lost something, perhaps the end of an
            exception. No exception counts in this process any more.
    """

    def __init__(self, ratchet: Ratchet) -> None:
        self.ratchet = ratchet
        self.ids: set[str] = set()
        self.epoch = 0
        self.fell = False

    def see(self, epoch: int, before: int) -> None:
        """Take note of an epoch that the store has shown to a read that began when `before` was the highest known."""
        if epoch < before:
            self.fell = True
        self.epoch = max(self.epoch, epoch)


class HeldExceptions:
    """The exceptions in force, as of an epoch."""

    def __init__(self, source: ExceptionSource, ended: Ended) -> None:
        self._source = source
        self._ended = ended
        self._grants: tuple[ExceptionGrant, ...] = ()
        self._by_principal: dict[EntityUid, list[ExceptionGrant]] = {}
        self._reading = asyncio.Lock()
        self.epoch = -1

    @property
    def grants(self) -> tuple[ExceptionGrant, ...]:
        """All of them, those included whose time is over."""
        return self._grants

    async def follow(self, epoch: int) -> None:
        """Be at least as new as `epoch`; reads only when it is not."""
        async with self._reading:
            if self.epoch >= epoch:
                return
            before = self._ended.epoch
            found = await self._source.in_force()
            self._ended.see(found.epoch, before)
            ids = {grant.id for grant in found.grants}
            self._ended.ids.update(grant.id for grant in self._grants if grant.id not in ids)
            self._grants = tuple(grant for grant in found.grants if grant.id not in self._ended.ids)
            self._by_principal = {}
            for grant in self._grants:
                self._by_principal.setdefault(grant.principal, []).append(grant)
            self.epoch = found.epoch

    def concerning(
        self, principals: Iterable[EntityUid], scopes: Iterable[str], now: int
    ) -> tuple[ExceptionGrant, ...]:
        """Those for one of `principals` and one of `scopes` whose time is not over, in order of their ids."""
        of_each = [self._by_principal[uid] for uid in principals if uid in self._by_principal]
        if not of_each or self._ended.fell:
            return ()
        time, wanted = self._ended.ratchet.at(now), frozenset(scopes)
        found = {
            grant.id: grant for own in of_each for grant in own if grant.scope in wanted and grant.expires_at > time
        }
        return tuple(grant for _, grant in sorted(found.items()))
