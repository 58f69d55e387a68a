"""Exceptions in a running service: what outlives versions and bundles, and what is done behind the requests."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from mintwarden.app.foundation import SELF, Foundation
from mintwarden.app.governing import Governing
from mintwarden.context.exceptions import Ended, HeldExceptions, Ratchet
from mintwarden.govern.exceptions import Exceptions, Wanted
from mintwarden.policy.lint.subject import Outstanding
from mintwarden.review.debt import tokens_under

LOOKED_AT = 256
"""Entries of the ledger that are looked at for their time; ids of entries begin with it (UUIDv7)."""


def exceptions_of(base: Foundation, ratchet: Ratchet | None = None) -> Exceptions:
    """What can be done to exceptions under the bundle in force."""
    return Exceptions(
        bundle=base.bundle,
        store=base.store.exceptions,
        entries=base.store.entries,
        recorder=base.recorder,
        keys=base.store.subject_keys,
        clock=base.clock,
        new_id=base.new_id,
        ratchet=ratchet,
    )


async def outstanding_of(base: Foundation) -> tuple[Outstanding, ...]:
    """The exceptions in force where the bundle governs."""
    return tuple(
        Outstanding(one.request.id, one.request.scope, one.request.ticket, one.request.starts_at, one.ends_at)
        for one in await exceptions_of(base).all()
        if one.counts
    )


async def renewal_of(
    base: Foundation,
    acts: Exceptions,
    exception: str,
    ends: Callable[[int], int],
    *,
    reason: str,
    ticket: str = "",
    control: str = "",
) -> Wanted:
    """What goes on where an exception ends, with the use so far; `ends` gives its end for when it begins (`Millis`).

    Ticket and control are those of before where they are not given. Reads what it continues, and the decisions under
    that, by the index. Raises `NOT_FOUND`, and what `ends` raises.
    """
    earlier = (await acts.known(exception)).request
    now = base.clock.now()
    begins = max(now, earlier.expires_at)
    return Wanted(
        principal=earlier.principal,
        scope=earlier.scope,
        starts_at=begins if begins > now else None,
        expires_at=ends(begins),
        reason=reason,
        ticket=ticket or earlier.ticket,
        control=control or earlier.control,
        action=earlier.action,
        client=earlier.client,
        environment=earlier.environment,
        waives=earlier.waives,
        renews=exception,
        used=await tokens_under(await acts.chain(exception), base.store.decision_index, base.store.entries),
    )


class Excepted(Struct, frozen=True):
    """The exceptions as one government sees them: under its bundle."""

    acts: Exceptions
    held: HeldExceptions


class Excepting:
    """The exceptions of this process, whichever bundle governs."""

    def __init__(self, base: Foundation, monotonic: Callable[[], float]) -> None:
        self._base = base
        self.ended = Ended(Ratchet(monotonic))

    def under(self, base: Foundation) -> Excepted:
        """The exceptions under the bundle of `base`."""
        acts = exceptions_of(base, self.ended.ratchet)
        return Excepted(acts, HeldExceptions(acts, self.ended))

    async def look(self) -> None:
        """Learn the time from the ledger too: what was recorded later than the clock shows has happened.

        Of the last entries, not the last one: a process whose clock is late writes some as soon as it starts.
        """
        entries = self._base.store.entries
        count = await entries.sequenced()
        last = await entries.by_index(max(0, count - LOOKED_AT), LOOKED_AT)
        recorded = (int.from_bytes(entry.decision_id[:6], "big") for entry in last)
        self.ended.ratchet.at(max((self._base.clock.now(), *recorded)))

    async def tend(self, governing: Governing) -> None:
        """Notice a store that fell back, learn the time, end what is over and finish what was half done."""
        before = self.ended.epoch
        self.ended.see(await self._base.store.epoch(), before)
        excepted = governing.current.excepted
        if excepted.held.grants:
            await self.look()
        await excepted.acts.settle(SELF)
