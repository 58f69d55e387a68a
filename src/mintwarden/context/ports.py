"""What `context` needs from storage and from other systems."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

Span = tuple[int | None, int | None]
"""Start and end of one element of a set-valued fact, `Millis`; None is open. The end is exclusive."""


class FactDocument(Struct, frozen=True, omit_defaults=True):
    """What one source says about one entity, as stored (JSON).

    Attributes:
        facts: name to JSON value (sets as lists; decimal, datetime, duration and ipaddr as Cedar spells them).
        groups: ids of every group the entity is in, near and far.
        spans: set-valued fact (or `groups`) to element to `Span`: an element outside its span does not hold.
    """

    facts: dict[str, Any] = {}
    groups: list[str] = []
    spans: dict[str, dict[str, Span]] = {}


class FactRow(Struct, frozen=True):
    """A stored document: source id, the document's JSON bytes, when it was observed (`Millis`)."""

    source: str
    document: bytes
    observed_at: int


class SubjectKey(Struct, frozen=True):
    """The random half of a subject's sealing key; gone once the subject is erased.

    Attributes:
        id: names the key beside the entries sealed under it.
        salt: 32 random bytes.
    """

    id: int
    salt: bytes


class FactBatch(Struct, frozen=True):
    """One read: rows and sealing keys by entity key (`"User:alice"`, `"session:s1"`, `"world:"`), and the epoch."""

    rows: Mapping[str, Sequence[FactRow]]
    subject_keys: Mapping[str, SubjectKey]
    epoch: int


class FactReader(Protocol):
    """Reads what the store holds about entities."""

    def read(self, entities: Sequence[str]) -> Awaitable[FactBatch]:
        """Everything stored about `entities`, as of one committed state no older than the call.

        Concurrent calls share one query. Absent entities have no key in the result; order of rows is not
        promised. Raises `MintwardenError(UNAVAILABLE)` when the store does not answer.
        """
        ...


class FactWriter(Protocol):
    """Takes pushed facts."""

    async def put(self, rows: Sequence[tuple[str, FactRow]]) -> None:
        """Replace the document of each (entity key, source) at once; durable and visible when it returns.

        An older `observed_at` than the stored one does not overwrite it.
        """
        ...


class Observation(Struct, frozen=True):
    """What an external source answered about one entity; `observed_at` None means at the time of asking."""

    document: FactDocument
    observed_at: int | None = None


class ExternalSource(Protocol):
    """A source outside our store (SQL, HTTP), already bound to its connection and its time limit."""

    async def read(self, entities: Sequence[str], now: int) -> Mapping[str, Observation]:
        """Answers by entity key, in one batch; entities it does not know are left out.

        Raises `MintwardenError(SOURCE)` on failure, and always within its time limit; never retries. `now`
        moves its circuit breaker, where it has one.
        """
        ...
