"""The index of decisions: a read model of the ledger, by which they are found again.

It is filled behind the sequencer, in small parts, and can be thrown away and made anew at any time: what counts is
the ledger. INVARIANT: it holds nothing personal; people stand in it by the number of their sealing key, and go from
it when they are erased.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

import msgspec
from msgspec import Struct

from mintwarden.ledger.ports import EntryReader, StoredEntry

TermKind = Literal["client", "audience", "scope", "granted_scope", "rule", "reason", "mode", "grant", "bundle"]
TERM_KINDS: tuple[str, ...] = TermKind.__args__  # type: ignore[attr-defined]
"""What decisions are found by; besides by subject and by time."""

MOST_TERMS = 400
"""Terms of one entry that are indexed; an entry cannot hold many more."""


class Term(Struct, frozen=True):
    """Something that a decision is found by."""

    kind: TermKind
    value: str


class IndexedDecision(Struct, frozen=True):
    """What the index keeps of a decision. `key_id` is that of the subject's sealing key, 0 for none."""

    leaf: int
    at: int
    granted: bool
    terms: tuple[Term, ...]
    key_id: int = 0


class Seen(Struct, frozen=True):
    """A decision in the index: its leaf, when it was made, and whether anything was granted."""

    leaf: int
    at: int
    granted: bool


class Sought(Struct, frozen=True, kw_only=True):
    """What is sought: decisions of `[above, below)` that have all `terms`, of the key, in the time `[since, until)`."""

    terms: tuple[Term, ...] = ()
    key_id: int = 0
    since: int = 0
    until: int = 1 << 62
    granted: bool | None = None
    above: int = 0
    below: int = 1 << 62


class Scanned(Struct, frozen=True):
    """What one scan found, newest first, and the leaf below which it has not looked; 0 when there is nothing there."""

    found: tuple[Seen, ...]
    below: int


class DecisionIndex(Protocol):
    """Keeps the index. Everything in it can be made again from the ledger."""

    async def next_leaf(self) -> int:
        """The first leaf that is not indexed yet."""
        ...

    async def add(self, decisions: Sequence[IndexedDecision], start: int, end: int) -> bool:
        """Take what the leaves of `[start, end)` hold, in one transaction.

        False, and nothing is taken, when the first leaf that is not indexed is another: somebody else was faster.
        Numbers of keys that were erased are left out.
        """
        ...

    async def scan(self, sought: Sought, most: int, look: int) -> Scanned:
        """Up to `most` decisions, newest first, looking at no more than `look` candidates."""
        ...

    async def near(self, leaf: int) -> Seen | None:
        """The decision at `leaf`, or the nearest before it."""
        ...

    async def clear(self) -> None:
        """Forget everything: the index is made anew from leaf 0."""
        ...


class _Scope(Struct, frozen=True):
    scope: str
    granted: bool | None = None
    route: str = ""
    reason: str = ""
    acting: tuple[str, ...] = ()
    determining: tuple[str, ...] = ()


class _Entry(Struct, frozen=True):
    kind: str
    at: int
    client: str = ""
    audience: str = ""
    mode: str = ""
    grant: str = ""
    bundle: str = ""
    granted: bool | None = None
    scopes: tuple[_Scope, ...] = ()
    details: tuple[_Scope, ...] = ()


_DECODER = msgspec.json.Decoder(_Entry)


def indexed(entry: StoredEntry) -> IndexedDecision | None:
    """What the index keeps of an entry that has its place in the log; None for what is no decision."""
    said = _DECODER.decode(entry.entry)
    if said.kind != "decision" or entry.index is None:
        return None
    terms = tuple(dict.fromkeys(_terms(said)))[:MOST_TERMS]
    return IndexedDecision(entry.index, said.at, bool(said.granted), terms, entry.key_id)


def _terms(said: _Entry) -> Iterator[Term]:
    yield Term("client", said.client)
    yield Term("audience", said.audience)
    yield Term("grant", said.grant)
    yield Term("mode", said.mode)
    yield Term("bundle", said.bundle)
    for scope in (*said.scopes, *said.details):
        yield Term("scope", scope.scope)
        if scope.granted:
            yield Term("granted_scope", scope.scope)
        if scope.reason:
            yield Term("reason", scope.reason)
        for rule in (scope.route, *scope.acting, *scope.determining):
            if rule:
                yield Term("rule", rule)


async def index_part(index: DecisionIndex, entries: EntryReader, most: int) -> int:
    """Index the next leaves, at most `most`; how many leaves were looked at, 0 when there is nothing new."""
    start = await index.next_leaf()
    part = await entries.by_index(start, most)
    if not part:
        return 0
    decisions = [found for entry in part if (found := indexed(entry)) is not None]
    await index.add(decisions, start, start + len(part))
    return len(part)
