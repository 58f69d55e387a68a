"""SCIM in, put together: which source it feeds under what governs, and who may. Loaded only where it feeds one."""

from __future__ import annotations

import asyncio
import functools
import time
import uuid
from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mintwarden.app.administration import access_to
from mintwarden.app.foundation import Foundation
from mintwarden.app.recorded import revocation_check
from mintwarden.app.signals_out import signals_of
from mintwarden.authn.own import OwnTokens
from mintwarden.authn.replay import ReplayGuard
from mintwarden.context.directory import GroupTree, Layout, RecordError
from mintwarden.feeds.scim.accounts import accounts_changed
from mintwarden.feeds.scim.answer import answer
from mintwarden.feeds.scim.changes import Drafts, Drawn
from mintwarden.feeds.scim.description import described
from mintwarden.feeds.scim.dialects import Service
from mintwarden.feeds.scim.messages import Asked, Told
from mintwarden.feeds.scim.ports import Bounds, Kept, Said, ScimChange, UnfitError
from mintwarden.feeds.scim.shelf import Shelf
from mintwarden.govern.calls import CallRecorder, Outcome
from mintwarden.model.caller import Evidence, OnceKey
from mintwarden.model.catalogue import Source
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import entity_key
from mintwarden.model.scim import ScimFeed
from mintwarden.web.admin.access import AUDIENCE, Access
from mintwarden.web.admin.limit import Buckets
from mintwarden.web.discovery import base_of

STORE_SECONDS = 20.0
"""Seconds that one look into the store may take."""
PATH = "/scim/v2"


class ScimRoom:
    """What outlives the version that governs: the one thread that SCIM works on, and how often clients called.

    Reading and comparing a group of ten thousand takes a while, in which the event loop has tokens to issue; and of
    changes to one feed there is one at a time anyway.
    """

    def __init__(self, base: Foundation) -> None:
        server = base.config.server
        self.buckets = Buckets(rate=server.admin_rate, burst=server.admin_burst, monotonic=time.monotonic)
        self.pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scim")
        self.service = Service(described())

    def close(self) -> None:
        """End the thread, when what it does is done."""
        self.pool.shutdown(wait=True, cancel_futures=True)


class Feeding:
    """See `web.scim.Feeding`."""

    def __init__(
        self, base: Foundation, room: ScimRoom, source: Source, feed: ScimFeed, *, own: OwnTokens, replay: ReplayGuard
    ) -> None:
        self._base = base
        self._room = room
        self._source = source
        self._feed = feed
        self._revoked = revocation_check(base)
        self._bounds = bounds_of(source)
        self._layout = Layout(base.bundle.catalogue)
        self._recorder = CallRecorder(scribe=base.scribe(), keys=base.store.subject_keys)
        self.access: Access = access_to(base, AUDIENCE, own, replay=replay)

    async def is_revoked(self, who: Evidence) -> bool:
        """Whether the caller's token was revoked."""
        return await self._revoked.is_revoked(who)

    async def claim(self, once: Sequence[OnceKey]) -> bool:
        """Whether the proofs that came with the token are the first of their kind."""
        return await self._base.store.revocations.claim(once)

    def wait(self, who: Evidence) -> int:
        """Seconds until the caller may call; 0 where it may."""
        return self._room.buckets.take(f"{who.client_id}\0{entity_key(who.principal)}")

    async def person(self, user: str) -> str:
        """The entity key of whom the user with this id is, or empty."""
        kept = (await self._base.store.scim.get(self._source.id, [user])).get(user)
        return "" if kept is None else kept.entity

    async def record(self, *, operation: str, outcome: Outcome, who: Evidence, target: str, person: str) -> str:
        """See `CallRecorder`."""
        return await self._recorder(operation=operation, outcome=outcome, who=who, target=target, person=person)

    async def answer(self, asked: Asked, who: Evidence, entry: str) -> Told:
        """What comes of a request, worked on in the thread."""
        loop = asyncio.get_running_loop()
        work = functools.partial(self._answer, asked, who, entry, functools.partial(_waited, loop))
        return await loop.run_in_executor(self._room.pool, work)

    def _answer(self, asked: Asked, who: Evidence, entry: str, wait: Any) -> Told:
        store, clock = self._base.store.scim, self._base.clock
        drafts = Drafts(
            source=self._source.id, feed=self._feed, bounds=self._bounds, store=store, writer=self._said, wait=wait
        )
        shelf = Shelf(
            source=self._source.id,
            provider=self._room.service.provider,
            store=store,
            drafts=drafts,
            commit=lambda drawn: bool(wait(self._commit(drawn, who, entry))),
            wait=wait,
            new_id=lambda: str(uuid.uuid4()),
            now=clock.now,
        )
        return answer(asked, service=self._room.service, shelf=shelf, base_url=base_of(self._base.issuer) + PATH)

    async def _commit(self, drawn: Drawn, who: Evidence, entry: str) -> bool:
        """INVARIANT: what changes somebody's facts is written down before it does."""
        signals, said = signals_of(self._base), drawn.change.said
        before = await self._users(drawn.change) if signals.on else {}
        if said:
            await self._base.scribe().write(
                "configuration",
                who.principal,
                {
                    "change": "directory changed",
                    "source": self._source.id,
                    "call": entry,
                    "replaced": sum(one.document is not None for one in said),
                    "forgotten": sum(one.document is None for one in said),
                },
            )
        if not await self._base.store.scim.commit(self._source.id, drawn.change):
            return False
        for person, became, cause in accounts_changed(before, drawn.change):
            await signals.account_became(person, became, cause=f"scim {self._source.id} {cause}")
        return True

    async def _users(self, change: ScimChange) -> Mapping[str, Kept]:
        """Those that it changes or ends, as they are before."""
        ids = [*(kept.id for kept in change.put if kept.kind == "User"), *change.gone]
        return await self._base.store.scim.get(self._source.id, ids) if ids else {}

    def _said(self, name: str, facts: Any, groups: Sequence[str]) -> Said:
        """As `mintwarden directory import` writes it."""
        own = {"id": name, **{f"{self._source.id}.{fact}": value for fact, value in (facts or {}).items()}}
        if self._source.groups:
            own[f"{self._source.id}.groups"] = list(groups)
        try:
            parts = self._layout.parts("person", own) if len(own) > 1 else []
            entity = f"User:{name}"
            if facts is None or not parts:
                return Said(entity, None)
            return Said(entity, self._layout.document(parts[0], (), GroupTree(), self._base.clock.now()))
        except RecordError as error:
            raise UnfitError(error.problem) from None


def feeding(base: Foundation, room: ScimRoom, *, own: OwnTokens, replay: ReplayGuard) -> Feeding | None:
    """SCIM under the bundle of `base`; None where it feeds no source."""
    for source in base.bundle.catalogue.sources.values():
        if source.scim is not None:
            return Feeding(base, room, source, source.scim, own=own, replay=replay)
    return None


def bounds_of(source: Source) -> Bounds:
    """What SCIM may not say of a source that it feeds: nobody is put where nobody would be because of it."""
    return Bounds(groups=source.withheld or frozenset(), every_group=source.withheld is None)


def _waited(loop: asyncio.AbstractEventLoop, work: Awaitable[Any]) -> Any:
    """What an awaitable of the event loop comes to, awaited in the thread."""
    future = asyncio.run_coroutine_threadsafe(_coroutine(work), loop)
    try:
        return future.result(STORE_SECONDS)
    except TimeoutError:
        future.cancel()
        raise MintwardenError(ErrorKind.UNAVAILABLE, "the store did not answer in time") from None


def _coroutine(work: Awaitable[Any]) -> Coroutine[Any, Any, Any]:
    async def waiting() -> Any:
        return await work

    return waiting()
