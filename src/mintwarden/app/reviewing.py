"""The reviews of owners and of the bundle, over an opened deployment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from mintwarden.app.foundation import Foundation
from mintwarden.govern.content import texts_of
from mintwarden.model.catalogue import Client
from mintwarden.model.ids import entity_key
from mintwarden.policy.bundle.problem import Problems
from mintwarden.policy.bundle.read import read_bundle
from mintwarden.policy.exception_request import read_request
from mintwarden.policy.lint.finding import Finding as LintFinding
from mintwarden.policy.lint.lint import lint
from mintwarden.review.findings import (
    BEGINS,
    Finding,
    FindingKind,
    as_said,
    from_emergencies,
    from_lint,
    from_owners,
    kind_of,
)
from mintwarden.review.owners import OwnerReport, owned, review_owners
from mintwarden.review.shared import SharedReview


async def owners(base: Foundation, *, progress: Callable[[int], None] | None = None) -> Sequence[OwnerReport]:
    """Every owner of the bundle that governs, of registered clients and of exceptions that are open."""
    bundle, records = base.bundle, (await base.store.credentials.credentials()).clients
    registered = [
        msgspec.json.decode(record.record, type=Client)
        for record in records.values()
        if record.record is not None and record.retired_at is None
    ]
    exceptions = [
        (stored.id, entity_key(read_request(stored.document).requester))
        for stored in await base.store.exceptions.find(("requested", "active"))
    ]
    things = owned(bundle.catalogue, bundle.rules.rules.values(), registered=registered, exceptions=exceptions)
    return await review_owners(bundle.catalogue, things, base.store.directory.page, progress=progress)


class Reviews:
    """Findings of the bundle that governs.

    The lint, which never changes for a bundle and a day, is done once a day. The review of owners reads the whole
    directory: it is done where its findings are asked for, once for all who wait for it, and once for the pages of a
    list.
    """

    def __init__(self, base: Foundation, *, owners: SharedReview[Sequence[OwnerReport]]) -> None:
        self._base = base
        self._owners = owners
        self._linted: tuple[str, Sequence[LintFinding]] | None = None

    async def page(
        self, limit: int, after: str = "", *, kind: FindingKind | None = None
    ) -> tuple[Sequence[Finding], str]:
        """Up to `limit` findings of every review, or of one kind, by id: the first behind `after`.

        The second is behind which id there are more, empty at the end. Of what the store holds of emergencies and of
        what was said, it reads what it answers; what the lint and the review of owners turn up, the bundle and those
        who are registered bound.
        """
        found: list[Finding] = []
        for each in BEGINS if kind is None else (kind,):
            if len(found) <= limit and after < f"{BEGINS[each]}~":
                ahead = [one for one in await self._of(each, limit + 1, after) if one.id > after]
                found += sorted(ahead, key=lambda one: one.id)
        listed = found[:limit]
        return await self._said(listed), listed[-1].id if len(found) > limit else ""

    async def one(self, name: str) -> Finding | None:
        """The finding of that id, as it is now."""
        kind = kind_of(name)
        if kind == "break_glass":
            stored = await self._base.store.versions.finding(name)
            found = from_emergencies([] if stored is None else [stored])
        else:
            found = [] if kind is None else [one for one in await self._of(kind, 0, "") if one.id == name]
        return next(iter(await self._said(found)), None)

    async def _of(self, kind: FindingKind, limit: int, after: str) -> Sequence[Finding]:
        """What the review of that kind turns up behind `after`, and, where it is at hand, what is before."""
        if kind == "break_glass":
            return from_emergencies(await self._base.store.versions.findings_page(limit, after))
        if kind == "lint":
            return from_lint(await self._lint())
        return from_owners(await (self._owners.lately() if after else self._owners.now()))

    async def _said(self, findings: Sequence[Finding]) -> Sequence[Finding]:
        return as_said(findings, await self._base.store.finding_states.of([one.id for one in findings]))

    async def _lint(self) -> Sequence[LintFinding]:
        today = datetime.fromtimestamp(self._base.clock.now() / 1000, UTC).date()
        if self._linted is None or self._linted[0] != today.isoformat():
            texts = await self._texts()
            found = await asyncio.to_thread(lint, self._base.bundle, texts, today)
            self._linted = today.isoformat(), found
        return self._linted[1]

    async def _texts(self) -> Mapping[str, str]:
        stored = await self._base.store.versions.version(self._base.bundle.digest)
        if stored is not None:
            return texts_of(stored.content)
        # a folder that a development server stands on
        return await asyncio.to_thread(lambda: read_bundle(Path(self._base.config.bundle.path), Problems()))
