"""What a directory's records say, as documents for the store; pure: no file, no store, no clock.

A record speaks of one entity. Each of its fields is a fact of one source of kind `store`, found by the fact's name,
which is unique for what the source is about. Groups are flattened: a document names every group that its entity is in.
`docs/directory.md` is the reference of the formats.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from mintwarden.context.documents import DocumentReader, LyingError
from mintwarden.context.ports import FactDocument, Span
from mintwarden.context.spelling import read_datetime
from mintwarden.model.catalogue import Catalogue, Source
from mintwarden.model.fact_type import FactType

KINDS: Final[Mapping[str, str]] = {"person": "User", "workload": "Workload", "agent": "Agent", "client": "client"}
"""Kinds of records that describe an entity, and what the entity is; the others are `group` and `entitlement`."""
PLURALS: Final[Mapping[str, str]] = {
    "people": "person",
    "workloads": "workload",
    "agents": "agent",
    "clients": "client",
    "groups": "group",
    "entitlements": "entitlement",
}
"""Names of lists in a JSON file and of CSV files, and the kind of their records."""
GROUPS: Final = "groups"

_LONGEST_ID = 512
_LONGEST_DOCUMENT = 64 * 1024
_encode = msgspec.json.Encoder(order="sorted").encode


class RecordError(Exception):
    """A record that cannot be taken: what is wrong, and what to do about it."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


class Part(Struct, frozen=True):
    """What one record says for one source: facts, and direct groups with their spans (None when it says none)."""

    entity: str
    source: str
    facts: dict[str, Any]
    groups: dict[str, Span] | None


class Grant(Struct, frozen=True):
    """One element of a set-valued fact (or a group), with the time in which it holds."""

    entity: str
    source: str
    fact: str
    element: str
    span: Span


class Change(Struct, frozen=True):
    """How a document differs from the stored one; `facts` names what changed, `groups` and `spans` included."""

    entity: str
    kind: Literal["added", "changed", "confirmed", "removed"]
    document: bytes | None
    facts: tuple[str, ...] = ()


class Layout:
    """Which source and fact a field belongs to, for the sources of one catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._sources = {s.id: s for s in catalogue.sources.values() if s.kind == "store"}
        self._others = {s.id for s in catalogue.sources.values() if s.kind != "store"}
        self._readers = {id_: DocumentReader(source) for id_, source in self._sources.items()}

    def parts(self, kind: str, fields: Mapping[str, Any]) -> list[Part]:
        """What a record of `kind` says, source by source. Raises `RecordError`."""
        about = KINDS[kind]
        entity = f"{about}:{_name(fields.get('id'), 'id')}"
        facts: dict[str, dict[str, Any]] = {}
        groups: dict[str, dict[str, Span]] = {}
        for field, value in fields.items():
            if field == "id" or value is None:
                continue
            source, name = self.place(about, field)
            own = facts.setdefault(source.id, {})
            if name == GROUPS:
                groups[source.id] = _direct_groups(value)
            else:
                own[name] = _value(name, value, source.facts[name].type)
        if not facts:
            raise RecordError(f"`{entity}` has no fact", "leave the record out")
        return [Part(entity, source, own, groups.get(source)) for source, own in facts.items()]

    def grant(self, fields: Mapping[str, Any]) -> Grant:
        """What a record of kind `entitlement` says. Raises `RecordError`."""
        _only(fields, ("entity", "fact", "element", "start", "end"))
        about, colon, name = _name(fields.get("entity"), "entity").partition(":")
        if not colon or not name or about not in KINDS.values():
            raise RecordError(f"`{fields['entity']}` is not an entity key", "write it as `User:alice`")
        source, fact = self.place(about, _name(fields.get("fact"), "fact"))
        if fact != GROUPS and source.facts[fact].type.kind != "set":
            raise RecordError(f"fact `{fact}` is not a set", "only elements of sets have a start and an end")
        element = fields.get("element")
        if isinstance(element, bool) or not isinstance(element, int | str) or element == "":
            raise RecordError("`element` is missing", "name what is granted")
        return Grant(f"{about}:{name}", source.id, fact, str(element), _span(fields))

    def place(self, about: str, field: str) -> tuple[Source, str]:
        """The source and fact that `field` (`fact`, `groups` or `source.fact`) names for an entity of type `about`."""
        wanted, dot, name = field.partition(".")
        if not dot:
            wanted, name = "", field
        elif wanted not in self._sources:
            what = "is not imported" if wanted in self._others else "is not in the bundle"
            raise RecordError(f"source `{wanted}` {what}", _among(self._sources))
        about_it = [s for s in self._sources.values() if about in s.about and wanted in ("", s.id)]
        found = [s for s in about_it if (s.groups if name == GROUPS else name in s.facts)]
        if len(found) == 1:
            return found[0], name
        if found:
            raise RecordError(
                f"several sources say `{name}` of {about}", "write " + " or ".join(f"`{s.id}.{name}`" for s in found)
            )
        known = {fact for source in about_it for fact in source.facts}
        raise RecordError(f"no source says `{field}` of {about}", _among(known) if known else "see `sources.toml`")

    def document(self, part: Part, grants: Sequence[Grant], tree: GroupTree, now: int) -> bytes:
        """The document of one entity and source, checked against the catalogue. Raises `RecordError`."""
        source = self._sources[part.source]
        facts, spans = dict(part.facts), dict[str, dict[str, Span]]()
        direct = dict(part.groups or {})
        for grant in grants:
            if grant.fact == GROUPS:
                direct[grant.element] = grant.span
                continue
            kind = source.facts[grant.fact].type
            elements = facts.setdefault(grant.fact, [])
            element = _element(grant.fact, grant.element, kind)
            if element not in elements:
                elements = facts[grant.fact] = _ordered([*elements, element])
            if grant.span != (None, None):
                spans.setdefault(grant.fact, {})[grant.element] = grant.span
        groups, limited = tree.above(direct)
        if limited:
            spans[GROUPS] = limited
        self._check_required(source, facts)
        encoded = _encode(FactDocument(facts=facts, groups=groups, spans=spans))
        if len(encoded) > _LONGEST_DOCUMENT:
            raise RecordError(f"the document of `{part.entity}` is longer than {_LONGEST_DOCUMENT} bytes")
        try:
            self._readers[part.source].decode(encoded, now)
        except LyingError as error:
            raise RecordError(f"`{part.entity}`: {error}", "see the type of the fact in `sources.toml`") from None
        return encoded

    @staticmethod
    def _check_required(source: Source, facts: Mapping[str, Any]) -> None:
        if source.missing == "absent":
            return
        absent = [fact.name for fact in source.facts.values() if not fact.optional and fact.name not in facts]
        if absent:
            raise RecordError(f"fact `{absent[0]}` of source `{source.id}` is missing", "it is not optional there")


class GroupTree:
    """Which groups are in which, and so which groups somebody is in."""

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, ...]] = {}
        self._above: dict[str, frozenset[str]] = {}

    def __len__(self) -> int:
        return len(self._parents)

    def add(self, fields: Mapping[str, Any]) -> str:
        """Take a record of kind `group`; its id. Raises `RecordError`."""
        _only(fields, ("id", "member_of"))
        name = _name(fields.get("id"), "id")
        if name in self._parents:
            raise RecordError(f"group `{name}` is there twice")
        self._parents[name] = tuple(_names(fields.get("member_of"), "member_of"))
        return name

    def close(self) -> Iterator[tuple[str, RecordError]]:
        """What is wrong with the nesting, by group: a parent that is no group, a group inside itself."""
        for name, parents in self._parents.items():
            for parent in parents:
                if parent not in self._parents:
                    yield name, RecordError(f"`{parent}` is not a group of this import", "add its record")
        yield from self._cycles()

    def above(self, direct: Mapping[str, Span]) -> tuple[list[str], dict[str, Span]]:
        """Every group that a member of `direct` is in, and the spans of those that are limited.

        A group that is reached on several ways holds while any of them does. Raises `RecordError` where the ways
        leave a gap, which a document cannot say.
        """
        ways: dict[str, list[Span]] = {}
        for name, span in direct.items():
            if self._parents and name not in self._parents:
                raise RecordError(f"`{name}` is not a group of this import", "add its record")
            for group in self._reach(name):
                ways.setdefault(group, []).append(span)
        spans = {group: _joined(group, own) for group, own in ways.items()}
        return sorted(ways), {group: span for group, span in sorted(spans.items()) if span != (None, None)}

    def _reach(self, name: str) -> frozenset[str]:
        known = self._above.get(name)
        if known is not None:
            return known
        found, waiting = {name}, [name]
        while waiting:
            for parent in self._parents.get(waiting.pop(), ()):
                if parent not in found:
                    found.add(parent)
                    waiting.append(parent)
        self._above[name] = reached = frozenset(found)
        return reached

    def _cycles(self) -> Iterator[tuple[str, RecordError]]:
        done: set[str] = set()
        for start in self._parents:
            path: list[str] = []
            on_path: set[str] = set()
            steps: list[Iterator[str]] = [iter((start,))]
            while steps:
                name = next(steps[-1], None)
                if name is None:
                    steps.pop()
                    if path:
                        on_path.discard(path[-1])
                        done.add(path.pop())
                elif name in on_path:
                    way = [*path[path.index(name) :], name]
                    yield name, RecordError(f"group `{name}` is inside itself: {' in '.join(way)}", "break the circle")
                elif name not in done:
                    path.append(name)
                    on_path.add(name)
                    steps.append(iter(self._parents.get(name, ())))


def compare(new: Iterable[tuple[str, bytes]], old: Iterable[tuple[str, bytes]]) -> Iterator[Change]:
    """How the documents `new` differ from `old`; both in code point order of their entity keys, and so the result."""
    stored = iter(old)
    standing = next(stored, None)
    for entity, document in new:
        while standing is not None and standing[0] < entity:
            yield Change(standing[0], "removed", None)
            standing = next(stored, None)
        if standing is None or standing[0] != entity:
            yield Change(entity, "added", document)
            continue
        if standing[1] == document:
            yield Change(entity, "confirmed", document)
        else:
            yield Change(entity, "changed", document, _differences(standing[1], document))
        standing = next(stored, None)
    while standing is not None:
        yield Change(standing[0], "removed", None)
        standing = next(stored, None)


def _differences(old: bytes, new: bytes) -> tuple[str, ...]:
    try:
        before = msgspec.json.decode(old, type=FactDocument)
        after = msgspec.json.decode(new, type=FactDocument)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ()
    names = {n for n in before.facts.keys() | after.facts.keys() if before.facts.get(n) != after.facts.get(n)}
    names |= {n for n in before.spans.keys() | after.spans.keys() if before.spans.get(n) != after.spans.get(n)}
    if before.groups != after.groups:
        names.add(GROUPS)
    return tuple(sorted(names))


def _name(value: object, what: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        raise RecordError(f"`{what}` is missing")
    if len(value) > _LONGEST_ID or not value.isprintable() or value != value.strip():
        raise RecordError(f"`{value[:100]!a}` cannot be a name", "use printable characters, no space at either end")
    return value


def _names(value: object, what: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise RecordError(f"`{what}` is not a list")
    return [_name(item, what) for item in value]


def _only(fields: Mapping[str, Any], known: Sequence[str]) -> None:
    for field, value in fields.items():
        if field not in known and value is not None:
            raise RecordError(f"unknown field `{field}`", _among(known))


def _among(known: Iterable[str]) -> str:
    return "known are " + ", ".join(f"`{name}`" for name in sorted(known))


def _direct_groups(value: object) -> dict[str, Span]:
    if not isinstance(value, list):
        raise RecordError(f"`{GROUPS}` is not a list")
    found: dict[str, Span] = {}
    for item in value:
        if isinstance(item, dict):
            _only(item, ("id", "start", "end"))
            found[_name(item.get("id"), "id")] = _span(item)
        else:
            found[_name(item, GROUPS)] = None, None
    return found


def _span(fields: Mapping[str, Any]) -> Span:
    start, end = (_time(fields.get(name), name) for name in ("start", "end"))
    if start is not None and end is not None and start >= end:
        raise RecordError("the span ends before it starts")
    return start, end


def _time(value: object, what: str) -> int | None:
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str):
            return read_datetime(value).millis
    except ValueError:
        pass
    raise RecordError(f"`{what}` is not a time: `{value!s:.40}`", "write it as `2026-11-24` or `2026-11-24T02:30:00Z`")


def _joined(group: str, spans: Sequence[Span]) -> Span:
    if len(spans) == 1:
        return spans[0]
    ordered = sorted(spans, key=lambda span: (span[0] is not None, span[0] or 0))
    start, end = ordered[0]
    for next_start, next_end in ordered[1:]:
        if end is None:
            break
        if next_start is not None and next_start > end:
            raise RecordError(
                f"the spans of group `{group}` leave a gap", "split the membership, or import it when it begins"
            )
        end = None if next_end is None else max(end, next_end)
    return start, end


def _value(name: str, value: Any, kind: FactType) -> Any:
    """The value as it is stored: text from a CSV file by the fact's type, sets ordered and each element once."""
    if kind.kind == "set" and kind.element is not None:
        if not isinstance(value, list):
            raise RecordError(f"fact `{name}` is not a list")
        return _ordered([_element(name, item, kind) for item in value])
    return _scalar(name, value, kind)


def _element(name: str, value: Any, kind: FactType) -> Any:
    return _scalar(name, value, kind.element) if kind.element is not None else value


def _scalar(name: str, value: Any, kind: FactType) -> Any:
    if not isinstance(value, str):
        return value
    if kind.kind == "long":
        try:
            return (
                int(value) if value.isascii() and not value.startswith("+") and "_" not in value else _not(name, kind)
            )
        except ValueError:
            _not(name, kind)
    if kind.kind == "bool":
        return {"true": True, "false": False}[value] if value in ("true", "false") else _not(name, kind)
    return value


def _not(name: str, kind: FactType) -> Any:
    raise RecordError(f"fact `{name}` is not a {kind.kind}")


def _ordered(values: list[Any]) -> list[Any]:
    unique = {_encode(value): value for value in values}
    return [unique[key] for key in sorted(unique)]
