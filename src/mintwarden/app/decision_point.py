"""The AuthZEN decision point under whatever governs when a request begins."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Literal, TypeVar

from msgspec import Struct

from mintwarden.app.following import Following
from mintwarden.app.foundation import Foundation
from mintwarden.app.governing import Governing, Government
from mintwarden.app.recorded import revocation_check
from mintwarden.authn.ports import Claims
from mintwarden.authn.revoked import RevocationCheck
from mintwarden.govern.calls import CallRecorder
from mintwarden.issue.epoch import in_one_epoch
from mintwarden.issue.evaluate import Present, Verdict, evaluate
from mintwarden.issue.foreign import Issued, issue_elsewhere
from mintwarden.issue.line import Line
from mintwarden.issue.question import Evaluation, candidates_of
from mintwarden.issue.search import Page, find_actions, find_resources, find_subjects
from mintwarden.model.caller import Evidence, OnceKey
from mintwarden.model.catalogue import Catalogue
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import entity_key
from mintwarden.review.reach.subjects import principals_of, subjects
from mintwarden.web.admin.access import Access
from mintwarden.web.admin.cursor import CursorSeal
from mintwarden.web.admin.limit import Buckets
from mintwarden.web.authzen.endpoint import Endpoint
from mintwarden.web.authzen.evaluations import Evaluations
from mintwarden.web.authzen.metadata import PATHS
from mintwarden.web.authzen.search import Kind, Searches
from mintwarden.web.doorway import Frame
from mintwarden.web.reply import Handler

SEARCHES = 4
"""Searches of one process that are worked on at once."""

T = TypeVar("T")


class Doorway(Struct, frozen=True):
    """Who may come in; see `web.doorway.Doorway`."""

    access: Access
    revoked: RevocationCheck
    claims: Claims

    async def is_revoked(self, who: Evidence) -> bool:
        """Whether the caller's token was revoked."""
        return await self.revoked.is_revoked(who)

    async def claim(self, once: Sequence[OnceKey]) -> bool:
        """Whether the proofs that came with the token are the first of their kind."""
        return await self.claims.claim(once)


class DecisionPoint:
    """Answers questions about tokens that nobody has asked for yet, and decides for those that others sign."""

    def __init__(self, base: Foundation, *, line: Line, governing: Governing, following: Following) -> None:
        self._base = base
        self._line = line
        self._governing = governing
        self._following = following
        self._revoked = revocation_check(base)
        self._searching = asyncio.Semaphore(SEARCHES)
        self._cursors = CursorSeal(base.master.derive(b"authzen-pages"), random_bytes=secrets.token_bytes)
        self._tried: tuple[Catalogue | None, Mapping[str, tuple[str, ...]]] = (None, {})
        server = base.config.server
        self._buckets = Buckets(rate=server.admin_rate, burst=server.admin_burst, monotonic=time.monotonic)

    async def follow(self) -> None:
        """Be as new as the store is now."""
        await self._following.now()

    async def doorway(self) -> Doorway:
        """Who may come in, under what the store says now (invariant 7)."""
        await self._following.now()
        return Doorway(self._governing.current.point, self._revoked, self._base.store.revocations)

    async def evaluate(
        self, evaluations: Sequence[Evaluation], ends: Callable[[Verdict], bool] | None
    ) -> Sequence[Verdict]:
        """The answers, in order; with `ends`, those up to the first for which it holds."""

        async def work(present: Present) -> Sequence[Verdict]:
            if ends is None:
                return await asyncio.gather(*(evaluate(one, present) for one in evaluations))
            found: list[Verdict] = []
            for one in evaluations:
                found.append(await evaluate(one, present))
                if ends(found[-1]):
                    break
            return found

        return await self._now(work)

    async def issue(self, evaluations: Sequence[Evaluation | None], signer: str) -> Issued:
        """The recorded decision for a token that `signer` signs."""
        return await self._now(lambda present: issue_elsewhere(evaluations, present, signer=signer))

    async def find(self, kind: Kind, asked: Evaluation, *, after: str, limit: int) -> Page:
        """A page of what may be, or of who may."""
        if self._searching.locked():
            raise MintwardenError(ErrorKind.OVERLOADED, "too many searches at once", hint="try again later")
        async with self._searching:
            if kind == "subject":
                return await self._now(
                    lambda present: find_subjects(asked, present, self._known, after=after, limit=limit)
                )
            find = find_resources if kind == "resource" else find_actions
            return await self._now(lambda present: find(asked, present, after=after, limit=limit))

    def handlers(self, frame: Frame[Doorway], path: str) -> Mapping[str, Handler]:
        """Every endpoint by its path below `path`, the issuer's own."""
        evaluations = Evaluations(self)
        searches = Searches(
            self.find,
            cursors=self._cursors,
            record=self._record,
            wait=lambda who: self._buckets.take(f"{who.client_id}\0{entity_key(who.principal)}"),
        )
        answers = {
            "access_evaluation_endpoint": evaluations.one,
            "access_evaluations_endpoint": evaluations.several,
            "search_subject_endpoint": searches.of("subject"),
            "search_resource_endpoint": searches.of("resource"),
            "search_action_endpoint": searches.of("action"),
        }
        return {
            path + PATHS[name]: Endpoint(frame, answer, route=f"authzen.{name.removesuffix('_endpoint')}")
            for name, answer in answers.items()
        }

    async def _now(self, work: Callable[[Present], Awaitable[T]]) -> T:
        return await in_one_epoch(lambda: work(self._present(self._governing.current)), self._following.refresh)

    def _present(self, current: Government) -> Present:
        catalogue, authenticator = current.bundle.catalogue, current.authenticator
        if self._tried[0] is not catalogue:  # worked out once for each version that comes to govern
            self._tried = (catalogue, candidates_of(catalogue))
        return Present(
            line=self._line,
            regime=current.regime,
            epoch=authenticator.epoch,
            live=authenticator.client,
            candidates=self._tried[1],
        )

    async def _known(self, kind: str, after: str) -> AsyncIterator[Sequence[str]]:
        catalogue = self._governing.current.bundle.catalogue
        also = [key for key in principals_of(catalogue.clients.values()) if key.startswith(f"{kind}:")]
        async for batch in subjects(self._base.store.directory, catalogue, kinds=(kind,), also=also, after=after):
            yield [key for key, _ in batch]

    async def _record(self, operation: str, outcome: Literal["permitted", "refused"], who: Evidence) -> None:
        recorder = CallRecorder(scribe=self._base.scribe(), keys=self._base.store.subject_keys)
        await recorder(operation=operation, outcome=outcome, who=who)
