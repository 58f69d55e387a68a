"""Everyone whom the store knows, page by page in order of their entity keys, with what each source says about them."""

from __future__ import annotations

import bisect
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Protocol

from mintwarden.context.assemble import PRINCIPALS, SourceAnswer
from mintwarden.context.ports import FactRow
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.values import EntityUid

PAGE = 2_000
"""Documents of a source that are held at a time."""

Member = tuple[str, dict[str, SourceAnswer]]
"""An entity key, and what each source says about it."""


class DocumentPages(Protocol):
    """Reads stored documents in order."""

    async def page(self, source: str, after: str, limit: int) -> Sequence[tuple[str, FactRow]]:
        """Up to `limit` documents of `source` in code point order of their entity keys, behind `after`.

        Each page is as of its own moment. Raises `MintwardenError(UNAVAILABLE)` when the store does not answer.
        """
        ...


async def subjects(
    pages: DocumentPages,
    catalogue: Catalogue,
    *,
    kinds: Iterable[str] = PRINCIPALS,
    also: Iterable[str] = (),
    after: str = "",
    page: int = PAGE,
) -> AsyncIterator[list[Member]]:
    """Batches of members behind `after`, in code point order of their keys over all batches.

    `also` are entity keys that are listed though nothing may be stored about them. Holds one page of each source.
    """
    extra = sorted(set(also))
    for kind in sorted(set(kinds)):
        first = f"{kind}:"
        if after >= f"{kind};":  # behind every key of that kind
            continue
        sources = [s.id for s in catalogue.sources.values() if s.kind == "store" and kind in s.about]
        start = max(after, first)
        streams = [_Stream(pages, source, kind, start, page) for source in sources]
        own = [key for key in extra if key.startswith(first) and key > start]
        async for batch in _merged(streams, own):
            yield batch


def uid_of_key(key: str) -> EntityUid:
    """`User:alice` as the name of an entity."""
    kind, _, name = key.partition(":")
    return EntityUid(kind, name)


class _Stream:
    """One source's documents of one kind of principal."""

    def __init__(self, pages: DocumentPages, source: str, kind: str, after: str, page: int) -> None:
        self._pages, self.source, self._prefix, self._page = pages, source, f"{kind}:", page
        self._after = after
        self.rows: Sequence[tuple[str, FactRow]] = ()
        self.ended = False

    async def fill(self) -> None:
        if self.rows or self.ended:
            return
        rows = await self._pages.page(self.source, self._after, self._page)
        self.ended = len(rows) < self._page
        own = [row for row in rows if row[0].startswith(self._prefix)]
        if len(own) < len(rows):
            self.ended = True
        self.rows = own
        if own:
            self._after = own[-1][0]

    def take(self, horizon: str | None) -> Sequence[tuple[str, FactRow]]:
        """Rows up to `horizon`, or all of them."""
        if horizon is None:
            taken, self.rows = self.rows, ()
            return taken
        end = bisect.bisect_right([key for key, _ in self.rows], horizon)
        taken, self.rows = self.rows[:end], self.rows[end:]
        return taken


async def _merged(streams: Sequence[_Stream], extra: Sequence[str]) -> AsyncIterator[list[Member]]:
    left = list(extra)
    while True:
        for stream in streams:
            await stream.fill()
        open_ends = [stream.rows[-1][0] for stream in streams if not stream.ended]
        horizon = min(open_ends) if open_ends else None
        found: dict[str, dict[str, SourceAnswer]] = {}
        for stream in streams:
            for key, row in stream.take(horizon):
                answer = SourceAnswer(document=row.document, observed_at=row.observed_at)
                known = found.get(key)
                if known is None:
                    found[key] = {stream.source: answer}
                else:
                    known[stream.source] = answer
        end = len(left) if horizon is None else bisect.bisect_right(left, horizon)
        for key in left[:end]:
            found.setdefault(key, {})
        left = left[end:]
        if found:
            yield sorted(found.items())
        if horizon is None:
            return


def principals_of(clients: Iterable[Client]) -> tuple[str, ...]:
    """The entity key of each client's own principal."""
    return tuple(f"{client.principal}:{client.id}" for client in clients)
