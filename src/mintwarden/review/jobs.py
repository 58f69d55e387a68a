"""Reviews that take longer than a request: what is known of each, in the store, so that any node answers for it.

A review is done by the process that was asked for it, which holds a lease while it does. The lease is judged by the
store's clock: where nobody holds it any more, whoever looks notes that the review has failed.
INVARIANT: a review ends once; what came of it is kept before it is called done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from mintwarden.authn.ports import Seal, States
from mintwarden.authn.shelf import Held, Shelf
from mintwarden.ledger.ports import Leases
from mintwarden.model.errors import ErrorKind, MintwardenError

PEOPLE = "reviews of people"
"""Whom every result belongs to that tells of people: whoever is erased is in none of them afterwards."""

SILENT = 10_000
"""Milliseconds without a word after which somebody looks whether the lease is still held."""

_PROBE = 5.0
_ATTEMPTS = 8

JobState = Literal["waiting", "running", "done", "failed", "cancelled"]
OPEN: tuple[JobState, ...] = get_args(JobState)[:2]


class Job(Struct, frozen=True, kw_only=True):
    """One review. What was asked is not kept: it may name people.

    Attributes:
        kind: which review.
        needs: scopes that a token must have, all of them, for whoever looks at it.
        by: entity key of who asked; `client`: through which client.
        versions: digests of the bundle versions that it is about.
        personal: its result tells of people.
        asked_at, began_at, ended_at, heard_at, ends: `Millis`, 0 for not yet; `heard_at` is the last word of who does
            it, `ends` when everything about it is forgotten.
        done, of: how far it is; `of` is 0 where nobody knows how far that goes.
        ok: what the command's exit code says; None where it says nothing.
        failure, hint: why it failed.
    """

    id: str
    kind: str
    needs: tuple[str, ...]
    by: str
    client: str
    versions: tuple[str, ...] = ()
    personal: bool = False
    state: JobState = "waiting"
    asked_at: int
    ends: int
    began_at: int = 0
    ended_at: int = 0
    heard_at: int
    done: int = 0
    of: int = 0
    ok: bool | None = None
    failure: str = ""
    hint: str = ""

    @property
    def is_open(self) -> bool:
        """It waits or is being done."""
        return self.state in OPEN


class Found(Struct, frozen=True):
    """What came of a review: as its command says it with `--json`, and in other forms by their names."""

    result: msgspec.Raw
    renderings: msgspec.Raw


class Jobs:
    """Every review of this deployment. `holder` names this process in elections."""

    def __init__(self, *, states: States, seal: Seal, leases: Leases, holder: str) -> None:
        self._shelf = Shelf("review", Job, states=states, seal=seal)
        self._results = Shelf("review-result", Found, states=states, seal=seal)
        self._open = Shelf("review-open", tuple[str, ...], states=states, seal=seal)
        self._leases = leases
        self._holder = holder

    async def add(self, job: Job, seconds: float, *, most: int) -> bool:
        """Keep a new one, which this process will do and holds for so many seconds.

        False, and it is not kept, where `most` that its asker asked for are open: however many of them are asked for at
        the same moment, on whichever nodes. Raises `UNAVAILABLE` where others were first again and again.
        """
        now = job.asked_at
        for _ in range(_ATTEMPTS):
            last = await self._open.get(job.by, now)
            still = [name for name in (last.value if last is not None else ()) if await self._is_open(name, now)]
            if len(still) >= most:
                return False
            await self.hold(job.id, seconds)
            await self._shelf.add(job.id, job, ends=job.ends, owner=job.by)
            # INVARIANT: of those who counted the same, one is kept; the others count again.
            if await self._listed(last, job, (*still, job.id)):
                return True
            await self._shelf.take(job.id, now)
            await self.release(job.id)
        raise MintwardenError(ErrorKind.UNAVAILABLE, "you ask for many reviews at once", hint="try again")

    async def _is_open(self, name: str, now: int) -> bool:
        job = await self.find(name, now)
        return job is not None and job.is_open

    async def _listed(self, last: Held[tuple[str, ...]] | None, job: Job, names: tuple[str, ...]) -> bool:
        """Write down the open ones of who asked for `job`; False where somebody else did since `last` was read."""
        if last is None:
            if await self._open.add(job.by, names, ends=job.ends, owner=job.by):
                return True
            last = await self._open.get(job.by, 0)
            if last is None or last.state.expires_at > job.asked_at:
                return False
        return await self._open.replace(last, names, ends=max(job.ends, last.state.expires_at))

    async def hold(self, name: str, seconds: float) -> bool:
        """Say that this process still does it; False when somebody noted meanwhile that it does not."""
        return await self._leases.acquire(_lease(name), self._holder, seconds)

    async def release(self, name: str) -> None:
        """Say that this process does nothing about it any more."""
        await self._leases.release(_lease(name), self._holder)

    async def find(self, name: str, now: int) -> Job | None:
        """The review, as it is; None where there is none, or it has been forgotten."""
        held = await self._shelf.get(name, now)
        return None if held is None else await self._looked_at(held, now)

    async def of(self, by: str, now: int) -> Sequence[Job]:
        """Those that somebody asked for, oldest first."""
        found = [await self._looked_at(held, now) for held in await self._shelf.owned(by, now)]
        return sorted(found, key=lambda job: (job.asked_at, job.id))

    async def change(self, name: str, now: int, **changes: Any) -> Job | None:
        """Change one that is open, and give it as it is then; None, and nothing changes, where it is not open."""
        for _ in range(_ATTEMPTS):
            held = await self._shelf.get(name, now)
            if held is None or not held.value.is_open:
                return None
            changed = replace(held.value, **changes)
            if await self._shelf.replace(held, changed):
                return changed
        return None

    async def keep(self, job: Job, found: Found) -> None:
        """Keep what came of it."""
        await self._results.add(job.id, found, ends=job.ends, owner=PEOPLE if job.personal else "")

    async def result(self, name: str, now: int) -> Found | None:
        """What came of it; None where nothing did, or it was forgotten."""
        held = await self._results.get(name, now)
        return None if held is None else held.value

    async def forget_result(self, name: str, now: int) -> None:
        """Let go of what came of it."""
        await self._results.take(name, now)

    async def forget(self, name: str, now: int) -> None:
        """Let go of it and of what came of it."""
        await self.forget_result(name, now)
        await self._shelf.take(name, now)

    async def _looked_at(self, held: Held[Job], now: int) -> Job:
        job = held.value
        if not job.is_open or abs(now - job.heard_at) < SILENT:
            return job
        probe = f"{self._holder}?"
        if not await self._leases.acquire(_lease(job.id), probe, _PROBE):
            return job
        gone = await self.change(
            job.id, now, state="failed", ended_at=now, failure="the process that did it is gone", hint="ask again"
        )
        await self._leases.release(_lease(job.id), probe)
        if gone is not None:
            return gone
        after = await self._shelf.get(job.id, now)
        return job if after is None else after.value


def _lease(name: str) -> str:
    return f"review:{name}"
