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
from mintwarden.review.findings import Finding, from_emergencies, from_lint, from_owners
from mintwarden.review.owners import OwnerReport, owned, review_owners


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
    """Findings of the bundle that governs; the lint, which never changes for a bundle and a day, is done once a day."""

    def __init__(self, base: Foundation) -> None:
        self._base = base
        self._linted: tuple[str, Sequence[LintFinding]] | None = None

    async def findings(self) -> Sequence[Finding]:
        """Every finding of every review."""
        said = await self._base.store.finding_states.states()
        return [
            *from_emergencies(await self._base.store.versions.findings(closed=True), said),
            *from_lint(await self._lint(), said),
            *from_owners(await owners(self._base), said),
        ]

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
