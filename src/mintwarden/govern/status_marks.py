"""Carries revocations into status lists: which tokens one is about is found in the ledger, behind everything else.

One node at a time does it. What it has done it remembers in memory alone: another that takes over does all of it again,
which changes nothing, since no token becomes good again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from mintwarden.authn.ports import Revocation, RevocationLog
from mintwarden.authn.revoked import OriginsOf, is_ended, linked, names_of, origin_names
from mintwarden.ledger.ports import EntryReader, StoredEntry, SubjectKeys
from mintwarden.ledger.reveal import Revealed
from mintwarden.model.asked import Asked
from mintwarden.model.caller import Evidence
from mintwarden.model.catalogue import Catalogue
from mintwarden.model.ids import decision_bytes
from mintwarden.model.values import EntityUid
from mintwarden.review.index import DecisionIndex, Sought, Term

SKEW = 60_000
"""Milliseconds by which the clocks of nodes may differ."""

EXCHANGE = "token_exchange"
"""The grant by which tokens come of tokens."""

LOOK = 5_000
"""Candidates of one look at the index."""


class Lists(Protocol):
    """The lists that say it."""

    async def invalidate(self, number: int, indices: set[int]) -> None: ...


class Parts(Struct, frozen=True, kw_only=True):
    """What marking needs. `reveal` opens what is sealed beside an entry; None when it is gone or damaged.

    `origins` is what `RevocationCheck` asks, too.
    """

    revocations: RevocationLog
    lists: Lists
    index: DecisionIndex
    entries: EntryReader
    keys: SubjectKeys
    reveal: Callable[[StoredEntry], Awaitable[Revealed | None]]
    origins: OriginsOf


class _Span(Struct, frozen=True):
    """What is looked at: decisions since a time, from a leaf on."""

    since: int
    above: int


class _Progress:
    """How far a revocation was looked into.

    Attributes:
        looked: the leaf up to which the index was looked at.
        waits: the leaf up to which there may be something that it is about; None while that is not known.
    """

    __slots__ = ("done", "looked", "waits")

    def __init__(self) -> None:
        self.looked, self.done = 0, False
        self.waits: int | None = None


class StatusMarks:
    """Marks revoked tokens, as soon as the index has their decisions.

    `grace` is how long, in milliseconds, a decision of before a revocation may take until it is in the log: only after
    that, and once the index has it all, is a revocation done with.
    """

    def __init__(self, parts: Parts, *, grace: int) -> None:
        self._parts = parts
        self._grace = grace
        self._seen: dict[tuple[str, str, int], _Progress] = {}

    async def tend(self, catalogue: Catalogue, now: int) -> int:
        """Mark what was revoked since the last time; how many tokens that were."""
        listed = [audience.id for audience in catalogue.audiences.values() if audience.status_list]
        if not listed:
            return 0
        longest = max(audience.max_ttl for audience in catalogue.audiences.values()) * 1000
        since = now - longest - SKEW
        rows = [row for row in await self._parts.revocations.since(since) if row.value != "*"]
        self._seen = {key: self._seen.get(key) or _Progress() for key in map(_key, rows)}
        waiting = [(row, self._seen[_key(row)]) for row in rows if not self._seen[_key(row)].done]
        if not waiting:
            return 0
        indexed = await self._parts.index.next_leaf()
        found: dict[int, set[int]] = {}
        for row, progress in waiting:
            if now >= row.before + self._grace and progress.waits is None:
                progress.waits = await self._parts.entries.count()
            if indexed > progress.looked or not progress.looked:
                await self._find(row, _Span(since, progress.looked), listed, catalogue, found)
        for number, indices in found.items():
            await self._parts.lists.invalidate(number, indices)
        for _row, progress in waiting:  # only now: whatever failed before is looked for again
            progress.looked = indexed
            progress.done = progress.waits is not None and indexed >= progress.waits
        return sum(len(indices) for indices in found.values())

    async def _find(
        self, row: Revocation, span: _Span, listed: Sequence[str], catalogue: Catalogue, found: dict[int, set[int]]
    ) -> None:
        """Add the places of the tokens that a revocation is about, by list."""
        async for stored in self._candidates(row, span, listed):
            revealed = await self._parts.reveal(stored)
            if revealed is None or revealed.decision is None:
                continue
            asked: Asked = revealed.decision.asked
            if asked.status is None:
                continue
            if is_about(row, asked, revealed.entry, catalogue) or await self._came_of(row, asked, revealed.entry):
                number, index = asked.status
                found.setdefault(number, set()).add(index)

    async def _came_of(self, row: Revocation, asked: Asked, entry: Mapping[str, object]) -> bool:
        """Is it about a token that this one came of, or is that not known; see `RevocationCheck`."""
        if not asked.lineage or row.about not in ("client", "key", "bundle"):
            return False
        origins = await self._parts.origins(str(entry.get("id", "")), asked.lineage)
        if origins is None:
            return True
        name = (row.about, row.value)
        return any(name == known and is_ended(name, row.before, since) for known, since in origin_names(origins))

    async def _candidates(self, row: Revocation, span: _Span, listed: Sequence[str]) -> AsyncIterator[StoredEntry]:
        """Entries that it may be about."""
        entries, key_id = self._parts.entries, 0
        if row.about == "token":
            own = await entries.by_decision(decision_bytes(row.value))
            if own is None:
                return
            yield own
            key_id = own.key_id
        elif row.about in ("subject", "link"):
            key = await self._parts.keys.get(row.value if row.about == "subject" else linked(row.value)[0])
            key_id = key[0] if key is not None else 0
        if row.about in ("token", "subject", "link"):
            searches = [Sought(key_id=key_id)] if key_id else []
        elif row.about in ("client", "bundle"):
            # Those that it is about by themselves, and those that may have come of one: exchanged, by whomever.
            searches = [Sought(terms=(Term("client" if row.about == "client" else "bundle", row.value),))]
            searches += [Sought(terms=(Term("audience", name), Term("grant", EXCHANGE))) for name in listed]
        else:
            searches = [Sought(terms=(Term("audience", name),)) for name in listed]
        for sought in searches:
            async for leaf in self._leaves(sought, span):
                for stored in await entries.by_index(leaf, 1):
                    yield stored

    async def _leaves(self, sought: Sought, span: _Span) -> AsyncIterator[int]:
        below = sought.below
        while below:
            part = Sought(
                terms=sought.terms,
                key_id=sought.key_id,
                since=span.since,
                granted=True,
                above=span.above,
                below=below,
            )
            scanned = await self._parts.index.scan(part, LOOK, LOOK)
            for seen in scanned.found:
                yield seen.leaf
            below = scanned.below
            if below and not scanned.found:
                last = await self._parts.index.near(below)
                if last is None or last.at < span.since - SKEW:
                    return


def is_about(row: Revocation, asked: Asked, entry: Mapping[str, object], catalogue: Catalogue) -> bool:
    """Is a revocation about the token of a recorded decision; see `RevocationCheck`."""
    at = entry.get("at")
    issued_at = at // 1000 * 1000 if isinstance(at, int) else 0
    # Whatever a revoked key signed is over: it is gone before it is said so, and a node may learn of that late.
    if not is_ended((row.about, row.value), row.before, 0 if row.about == "key" else issued_at):
        return False
    if row.about == "bundle":
        return entry.get("bundle") == row.value
    token = Evidence(
        principal=asked.subject,
        issuer="",
        own=True,
        token_id=str(entry.get("id", "")),
        client_id=asked.client_id,
        actors=tuple(_actors(asked, entry, catalogue)),
        issued_at=issued_at,
        session=asked.session,
        grant_id=asked.grant_id,
        lineage=asked.lineage,
        key=asked.signing_key,
    )
    return (row.about, row.value) in names_of(token)


def _actors(asked: Asked, entry: Mapping[str, object], catalogue: Catalogue) -> Iterable[EntityUid]:
    """Who acts by the token: also the client that asked to stay hidden, where the rules did not let it."""
    if asked.actors or not entry.get("actors"):
        return asked.actors
    client = catalogue.clients.get(asked.client_id) or asked.registered
    return () if client is None else (EntityUid(client.principal, asked.client_id),)


def _key(row: Revocation) -> tuple[str, str, int]:
    return row.about, row.value, row.before
