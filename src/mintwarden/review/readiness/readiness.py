"""Reads the ledger of some days and reports whether an audience is ready to enforce."""

from __future__ import annotations

from collections.abc import Callable

from mintwarden.ledger.ports import EntryReader, SubjectKeys
from mintwarden.ledger.reveal import Revealed, reveal
from mintwarden.ledger.seal import Sealer
from mintwarden.model.errors import MintwardenError
from mintwarden.policy.bundle.model import Bundle
from mintwarden.review.cause import Cause
from mintwarden.review.impact.walk import READ, first_leaf
from mintwarden.review.readiness.mend import Mended, mend
from mintwarden.review.readiness.report import DAY, Report, report
from mintwarden.review.readiness.tally import Loss, Tally
from mintwarden.review.replay import read_decision

MAX_MENDED = 500
"""Losses that are looked into, those that happened most often first: each is some eighty decisions."""


class Look:
    """One look at the ledger of a deployment under the bundle in force. `told` hears how many entries were read."""

    def __init__(
        self,
        bundle: Bundle,
        *,
        entries: EntryReader,
        keys: SubjectKeys,
        sealer: Sealer,
        told: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> None:
        self._bundle = bundle
        self._entries = entries
        self._keys = keys
        self._sealer = sealer
        self._told = told

    async def readiness(
        self, audience: str, *, now: int, since: int | None = None, show_subjects: bool = False
    ) -> Report:
        """The report; raises `KeyError` for an unknown audience. Times in `Millis`.

        Without `since` it is about as many days as the audience's criteria ask for. Entries that are written while it
        reads are not in it.
        """
        found = self._bundle.catalogue.audiences[audience]
        start = now - found.readiness.days * DAY if since is None else since
        tally = await self._read(audience, start, now)
        order = sorted(tally.losses.values(), key=lambda loss: (-loss.count, loss.decision, loss.scope))
        losses = [
            (loss, await self._mended(loss, index), await self._name(loss, show=show_subjects))
            for index, loss in enumerate(order)
        ]
        return report(found, tally, losses, since=start, until=now)

    async def _read(self, audience: str, since: int, until: int) -> Tally:
        tally = Tally(audience)
        end = await self._entries.sequenced()
        first = await first_leaf(self._entries, end, since)
        for start in range(first, end, READ):
            for stored in await self._entries.by_index(start, min(READ, end - start)):
                entry = read_decision(stored)
                if isinstance(entry, Cause):
                    tally.unread += 1
                elif entry is not None and since <= entry.at < until:
                    tally.put(entry, stored)
            self._told(min(start + READ, end) - first, end - first)
        return tally

    async def _mended(self, loss: Loss, index: int) -> Mended:
        if index >= MAX_MENDED:
            return Mended(note=f"only the {MAX_MENDED} most frequent losses are looked into")
        try:
            revealed = await self._open(loss.leaf)
            later = await self._open(loss.later) if loss.later >= 0 else None
        except MintwardenError as error:
            return Mended(note=error.public)
        return mend(self._bundle, revealed, later, loss.scope)

    async def _open(self, leaf: int) -> Revealed:
        stored = await self._entries.by_index(leaf, 1)
        return await reveal(stored[0], keys=self._keys, sealer=self._sealer)

    async def _name(self, loss: Loss, *, show: bool) -> str:
        caller = loss.caller
        if caller.id:
            return f"{caller.type}:{caller.id}"
        if show:
            known = await self._keys.by_id(caller.person)
            return known[0] if known is not None else f"{caller.type} (erased)"
        return f"{caller.type}, {loss.ref} in that decision"
