"""Facts that others push (risk, posture, session, agent state): checked against the catalogue before they are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from mintwarden.context.assemble import AHEAD
from mintwarden.context.documents import DocumentReader, LyingError
from mintwarden.context.ports import FactDocument, FactRow, Span
from mintwarden.model.catalogue import Catalogue, Source
from mintwarden.model.errors import ErrorKind, MintwardenError

MOST: Final = 1000
"""Most documents that one push may carry."""
LONGEST: Final = 64 * 1024
"""Longest document, in bytes of its JSON."""

_LONGEST_ID = 512
_encode = msgspec.json.Encoder().encode


class Pushed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One document as pushed. It replaces what the source said about the entity before.

    Attributes:
        entity: entity key, such as `User:alice`, `session:s1`, `world:`.
        source: id of a source of kind `store` that is about such entities.
        facts, groups, spans: as in `FactDocument`.
        observed_at: when it was observed, `Millis`; now when left out.
    """

    entity: str
    source: str
    facts: dict[str, Any] = {}
    groups: list[str] = []
    spans: dict[str, dict[str, Span]] = {}
    observed_at: int | None = None


class PushGate:
    """Turns what is pushed into rows for the store, or refuses all of it."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._sources: Mapping[str, Source] = catalogue.sources
        self._readers = {s.id: DocumentReader(s) for s in catalogue.sources.values() if s.kind == "store"}

    def rows(self, pushed: Sequence[Pushed], now: int) -> list[tuple[str, FactRow]]:
        """Rows for `FactWriter.put`, in order.

        Raises `MintwardenError(INVALID_REQUEST)` naming the first document that is wrong: an unknown source, entity,
        fact or type, a required fact that is absent, spans that are empty, an observation over a minute ahead.
        """
        if len(pushed) > MOST:
            raise MintwardenError(ErrorKind.TOO_LARGE, f"more than {MOST} documents in one push")
        return [(one.entity, self._row(index, one, now)) for index, one in enumerate(pushed)]

    def _row(self, index: int, pushed: Pushed, now: int) -> FactRow:
        reader = self._readers.get(pushed.source)
        if reader is None:
            raise _refused(index, f"there is no source `{pushed.source}` that takes pushed facts")
        source = self._sources[pushed.source]
        problem = _entity_problem(pushed.entity, source) or _shape_problem(pushed, source, now)
        if problem:
            raise _refused(index, problem)
        document = FactDocument(facts=pushed.facts, groups=pushed.groups, spans=pushed.spans)
        try:
            reader.convert(document, now)
        except LyingError as error:
            raise _refused(index, str(error)) from None
        encoded = _encode(document)
        if len(encoded) > LONGEST:
            raise MintwardenError(ErrorKind.TOO_LARGE, f"document {index} is longer than {LONGEST} bytes")
        return FactRow(source.id, encoded, now if pushed.observed_at is None else pushed.observed_at)


def _entity_problem(entity: str, source: Source) -> str:
    about, colon, name = entity.partition(":")
    if not colon or about not in source.about:
        return f"source `{source.id}` is not about `{entity[:100]}`"
    if (about == "world") is bool(name) or len(name) > _LONGEST_ID or not name.isprintable():
        return f"`{entity[:100]!a}` is not an entity key"
    return ""


def _shape_problem(pushed: Pushed, source: Source, now: int) -> str:
    unknown = sorted(pushed.facts.keys() - source.facts.keys())
    if unknown:
        return f"source `{source.id}` has no fact `{unknown[0][:100]}`"
    if source.missing != "absent":
        absent = [f.name for f in source.facts.values() if not f.optional and f.name not in pushed.facts]
        if absent:
            return f"fact `{absent[0]}` is required"
    if pushed.groups and not source.groups:
        return f"source `{source.id}` does not say groups"
    for name, spans in pushed.spans.items():
        if name not in pushed.facts and not (name == "groups" and source.groups):
            return f"there are spans of `{name[:100]}`, which is not in the document"
        if any(start is not None and end is not None and start >= end for start, end in spans.values()):
            return f"a span of `{name}` ends before it starts"
    if pushed.observed_at is not None and not 0 <= pushed.observed_at <= now + AHEAD:
        return "`observed_at` is in the future, or not a time"
    return ""


def _refused(index: int, problem: str) -> MintwardenError:
    return MintwardenError(ErrorKind.INVALID_REQUEST, f"document {index}: {problem}")
