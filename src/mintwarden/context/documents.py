"""One source's documents, read straight into model values by a reader compiled once from its fact types."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Struct

from mintwarden.context.ports import FactDocument, Span
from mintwarden.context.spelling import read_datetime, read_decimal, read_duration, read_entity, read_ip
from mintwarden.model.catalogue import Source
from mintwarden.model.fact_type import FactType
from mintwarden.model.values import LONG_MAX, LONG_MIN, Record

Finish = Callable[[Any], Any]

_LONG = Annotated[int, msgspec.Meta(ge=LONG_MIN, le=LONG_MAX)]
_PLAIN: Mapping[str, Any] = {"bool": bool, "long": _LONG, "string": str}
_SPELLED: Mapping[str, Finish] = {
    "decimal": read_decimal,
    "datetime": read_datetime,
    "duration": read_duration,
    "ipaddr": read_ip,
}


class LyingError(Exception):
    """A document does not have the shape that the catalogue promises. The text holds no value of it."""


class Said(Struct, frozen=True):
    """A document whose facts are model values. `ends` stands by fact name, groups under `groups`."""

    facts: dict[str, Any]
    groups: frozenset[str]
    ends: Mapping[str, Mapping[str, int]] | None = None


def compile_type(kind: FactType) -> tuple[Any, Finish | None]:
    """The JSON shape that msgspec checks, and what makes the model value of it (None when it already is one)."""
    if kind.kind in _PLAIN:
        return _PLAIN[kind.kind], None
    if kind.kind in _SPELLED:
        return str, _SPELLED[kind.kind]
    if kind.kind == "entity":
        wanted = kind.entity
        return str | dict[str, Any], lambda value: read_entity(value, wanted)
    if kind.kind == "record":
        return _compile_record(kind)
    if kind.element is None:
        raise ValueError("a set needs an element type")
    shape, finish = compile_type(kind.element)
    if finish is None:
        return types.GenericAlias(frozenset, shape), None
    return types.GenericAlias(list, shape), lambda values: frozenset(map(finish, values))


def _dictionary(shapes: dict[str, Any], *, total: bool) -> Any:
    make: Any = typing.TypedDict  # the fields are data, which no type checker can follow
    return make("Facts", shapes, total=total)


def _compile_record(kind: FactType) -> tuple[Any, Finish]:
    compiled = {name: compile_type(field) for name, field in kind.fields.items()}
    shape = _dictionary({name: shape for name, (shape, _) in compiled.items()}, total=True)
    finishes = {name: finish for name, (_, finish) in compiled.items() if finish is not None}

    def finish(value: dict[str, Any]) -> Record:
        return Record({name: finishes[name](item) if name in finishes else item for name, item in value.items()})

    return shape, finish


class DocumentReader:
    """Reads the documents of one source: facts of its types only, others are left aside, as are groups of a source that
    the catalogue does not say names any.

    Holds no state between documents. An element outside its span does not hold; the ends of those that hold are
    kept. A wrong type raises `LyingError`.
    """

    def __init__(self, source: Source) -> None:
        compiled = {name: compile_type(fact.type) for name, fact in source.facts.items()}
        shapes = {name: shape for name, (shape, _) in compiled.items()}
        facts = _dictionary(shapes, total=False)
        shape = msgspec.defstruct(
            "Document",
            [
                ("facts", facts, msgspec.field(default_factory=dict)),
                ("groups", frozenset[str], frozenset()),
                ("spans", dict[str, dict[str, Span]] | None, None),
            ],
            frozen=True,
        )
        self._shape = shape
        self._names_groups = source.groups and source.withheld is not None
        self._withheld = source.withheld or frozenset()
        self._decode = msgspec.json.Decoder(shape).decode
        self._finishes = tuple((name, finish) for name, (_, finish) in compiled.items() if finish is not None)
        self._elements = {
            name: _element_reader(fact.type.element)
            for name, fact in source.facts.items()
            if fact.type.kind == "set" and fact.type.element is not None
        }

    def decode(self, document: bytes, now: int) -> Said:
        """From stored JSON bytes."""
        try:
            read: Any = self._decode(document)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise LyingError(_shape_fault(error)) from None
        return self._said(read, now)

    def convert(self, document: FactDocument, now: int) -> Said:
        """From a document already parsed."""
        try:
            read: Any = msgspec.convert(
                {"facts": document.facts, "groups": document.groups, "spans": document.spans}, self._shape
            )
        except msgspec.ValidationError as error:
            raise LyingError(_shape_fault(error)) from None
        return self._said(read, now)

    def _said(self, read: Any, now: int) -> Said:
        facts: dict[str, Any] = read.facts
        for name, finish in self._finishes:
            if name in facts:
                try:
                    facts[name] = finish(facts[name])
                except ValueError as error:
                    raise LyingError(f"fact `{name}` is {error}") from None
        # INVARIANT: nobody is in a group because of a source that is not authoritative for it.
        groups: frozenset[str] = read.groups - self._withheld if self._names_groups else frozenset()
        if not read.spans:
            return Said(facts, groups)
        return self._within(facts, groups, read.spans, now)

    def _within(
        self, facts: dict[str, Any], groups: frozenset[str], spans: Mapping[str, Mapping[str, Span]], now: int
    ) -> Said:
        ends: dict[str, dict[str, int]] = {}
        for name, by_element in spans.items():
            if name == "groups":
                if not self._names_groups:
                    continue
                groups = _hold(groups, by_element, str, now, ends.setdefault(name, {}))
            elif name in self._elements:
                if name in facts:
                    facts[name] = _hold(facts[name], by_element, self._elements[name], now, ends.setdefault(name, {}))
            elif name in facts:
                # INVARIANT: a span that cannot be honoured never leaves its fact standing.
                raise LyingError(f"fact `{name}` has spans and is not a set")
        return Said(facts, groups, {name: found for name, found in ends.items() if found} or None)


def _element_reader(kind: FactType) -> Finish:
    """Spans are keyed by text, whatever the element's type."""
    if kind.kind == "string":
        return str
    if kind.kind == "long":
        return int
    _, finish = compile_type(kind)
    if finish is None or kind.kind == "record":
        return _no_spans
    return finish


def _no_spans(_text: str) -> Any:
    raise ValueError("of a type whose elements have no spans")


def _hold(
    elements: frozenset[Any], spans: Mapping[str, Span], read: Finish, now: int, ends: dict[str, int]
) -> frozenset[Any]:
    over = []
    for text, (start, end) in spans.items():
        try:
            element = read(text)
        except ValueError as error:
            raise LyingError(f"a span is {error}") from None
        if element not in elements:
            continue
        if (start is not None and now < start) or (end is not None and now >= end):
            over.append(element)
        elif end is not None:
            ends[text] = end
    return elements.difference(over) if over else elements


def _shape_fault(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else "malformed document"
    return text[:1].lower() + text[1:200]
