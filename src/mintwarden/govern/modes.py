"""What comes back from observing by itself: noticed, recorded once, told."""

from __future__ import annotations

import hashlib
from typing import Protocol

from mintwarden.ledger.ports import EntryReader, Leases
from mintwarden.ledger.record import Recorder
from mintwarden.model.ids import decision_id
from mintwarden.model.values import EntityUid
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.mode_changes import ModeChange, downgrades_at, returned_between

LEASE = "modes"
LEASE_SECONDS = 30.0
SELF = EntityUid("Workload", "mintwarden")


class Told(Protocol):
    """Hears what came back, on every node; and how many audiences enforce less than they did, for a while."""

    def returned(self, change: ModeChange) -> None:
        """`change.until` says since when."""
        ...

    def downgrades(self, count: int) -> None:
        """Any is an alert: less is enforced than was decided."""
        ...


class Modes:
    """Looks after what ends by itself. Nothing waits for it: `decide` compares each limit with its own time.

    Belongs to one event loop.
    """

    def __init__(self, *, recorder: Recorder, entries: EntryReader, leases: Leases, holder: str, told: Told) -> None:
        self._recorder = recorder
        self._entries = entries
        self._leases = leases
        self._holder = holder
        self._told = told
        self._done: set[bytes] = set()

    async def tend(self, bundle: Bundle, now: int) -> None:
        """Record as `mode_change` what has come back under `bundle` and is not in the ledger yet.

        Of several nodes one does; it may be run as often as you like. `now` in `Millis`.
        """
        self._told.downgrades(downgrades_at(bundle, now))
        for change in returned_between(bundle, 0, now):
            entry_id = return_id(change)
            if entry_id in self._done:
                continue
            if await self._entries.by_decision(entry_id) is None:
                if not await self._leases.acquire(LEASE, self._holder, LEASE_SECONDS):
                    return  # another node is at it; the next time it will have been done
                await self._record(change, entry_id, bundle, now)
            self._done.add(entry_id)
            self._told.returned(change)

    async def _record(self, change: ModeChange, entry_id: bytes, bundle: Bundle, now: int) -> None:
        if await self._entries.by_decision(entry_id) is not None:
            return
        await self._recorder.record_act(
            entry_id=entry_id,
            kind="mode_change",
            at=now,
            actor=SELF,
            detail={**change.detail, "by_itself": True, "bundle": bundle.digest},
        )


def return_id(change: ModeChange) -> bytes:
    """The id of the entry about a return: the same on every node, so that there is one."""
    name = "\0".join(("mode-return", change.what, change.id, str(change.until)))
    return decision_id(change.until, hashlib.sha256(name.encode()).digest()[:10])
