"""The directory: what there are sources for, whom they speak of, changes in bulk, and the end of it for one person."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from mintwarden.context.ports import FactRow, Span
from mintwarden.context.push import Pushed, PushGate
from mintwarden.model.catalogue import Source
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid
from mintwarden.web.admin.operation import Answer, Call, EntityKey, Name, Operation, Paged, Strict
from mintwarden.web.admin.paged import page_of
from mintwarden.web.admin.times import Time, shown

READ, WRITE, ERASE = "mintwarden:directory.read", "mintwarden:directory.write", "mintwarden:subjects.erase"
MAX_CHANGES = 4 * 1024 * 1024

Page = Callable[[str, str, int], Any]
"""Awaits the documents of a source, behind an entity key, so many."""

Change = Callable[[EntityUid, Sequence[tuple[str, str, FactRow | None]], int], Any]
"""Awaits changes, by whom: entity, source, and the document or None to forget it; observed at so many `Millis`."""

Erase = Callable[[EntityUid, EntityUid, str], Any]
"""Awaits the end of a subject: whom, by whom, on which ticket."""


class SourceTold(Struct, frozen=True, kw_only=True):
    """A source of facts."""

    id: str
    kind: str
    about: tuple[str, ...]
    owner: str
    description: str
    max_age: Annotated[int, Meta(description="Seconds; 0 for no limit.")]
    facts: tuple[str, ...]
    groups: bool


class SourcePage(Struct, frozen=True, kw_only=True):
    """Some sources of the bundle that governs, by id; `cursor` is where to go on, empty at the end."""

    sources: tuple[SourceTold, ...]
    cursor: str


class EntityTold(Struct, frozen=True, kw_only=True):
    """An entity that the source speaks of, and when it last did."""

    entity: str
    observed_at: Time


class Entities(Struct, frozen=True, kw_only=True):
    """Some of them; `cursor` is where to go on, empty at the end."""

    entities: tuple[EntityTold, ...]
    cursor: str


class EntityChange(Strict, frozen=True, kw_only=True):
    """What the source says from now on; with `forget`, nothing any more."""

    entity: EntityKey
    forget: bool = False
    facts: Mapping[str, Any] = {}
    groups: tuple[str, ...] = ()
    spans: Mapping[str, dict[str, Span]] = {}


class Changes(Strict, frozen=True, kw_only=True):
    """Changes to what a source says, all or none. `observed_at` is when the directory was read."""

    changes: Annotated[list[EntityChange], Meta(min_length=1, max_length=1000)]
    observed_at: Time | None = None


class Changed(Struct, frozen=True):
    """How many were replaced, and how many forgotten."""

    replaced: int
    forgotten: int


class Erasure(Strict, frozen=True, kw_only=True):
    """Whom to forget, and on whose order."""

    subject: EntityKey
    ticket: Annotated[str, Meta(min_length=1, max_length=200)]


class Erased(Struct, frozen=True):
    """The erasure's own entry in the ledger."""

    entry: str


class Directory:
    """Reading and changing in bulk; `sources` are those of the bundle that governs."""

    def __init__(
        self,
        *,
        sources: Mapping[str, Source],
        gate: PushGate,
        page: Page,
        change: Change,
        erase: Erase,
    ) -> None:
        self._sources = sources
        self._gate = gate
        self._page = page
        self._change = change
        self._erase = erase

    async def list_sources(self, call: Call) -> Answer:
        """Sources, by id."""
        listed, cursor = page_of(call, self._sources.values(), lambda source: source.id)
        return Answer(
            content=SourcePage(
                sources=tuple(
                    SourceTold(
                        id=source.id,
                        kind=source.kind,
                        about=source.about,
                        owner=source.owner,
                        description=source.description,
                        max_age=source.max_age // 1000,
                        facts=tuple(source.facts),
                        groups=source.groups,
                    )
                    for source in listed
                ),
                cursor=cursor,
            )
        )

    async def list_entities(self, call: Call) -> Answer:
        """Whom a source speaks of, in code point order."""
        source = self._known(call.path["source"]).id
        query = call.query
        after = call.cursors.position(query.cursor) if query.cursor else ""
        rows = await self._page(source, after, query.limit + 1)
        listed = rows[: query.limit]
        return Answer(
            content=Entities(
                entities=tuple(EntityTold(entity=key, observed_at=shown(row.observed_at)) for key, row in listed),
                cursor=call.cursors.make(listed[-1][0]) if len(rows) > len(listed) else "",
            )
        )

    async def change(self, call: Call) -> Answer:
        """Take changes to a source of kind `store`."""
        source = self._known(call.path["source"]).id
        observed_at = call.now if call.body.observed_at is None else round(call.body.observed_at.timestamp() * 1000)
        kept = [one for one in call.body.changes if not one.forget]
        gone = [one for one in call.body.changes if one.forget]
        if len({one.entity for one in call.body.changes}) != len(call.body.changes):
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "an entity is named twice")
        rows = self._gate.rows(
            [
                Pushed(
                    entity=one.entity,
                    source=source,
                    facts=dict(one.facts),
                    groups=list(one.groups),
                    spans=dict(one.spans),
                    observed_at=observed_at,
                )
                for one in kept
            ],
            call.now,
        )
        changes = [(entity, source, row) for entity, row in rows]
        await self._change(call.who.principal, [*changes, *((one.entity, source, None) for one in gone)], observed_at)
        return Answer(content=Changed(len(kept), len(gone)))

    async def erase(self, call: Call) -> Answer:
        """Forget a subject for good."""
        kind, _, name = call.body.subject.partition(":")
        if kind not in ("User", "Workload", "Agent"):
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "a subject is a `User`, a `Workload` or an `Agent`")
        entry = await self._erase(EntityUid(kind, name), call.who.principal, call.body.ticket)
        return Answer(content=Erased(entry))

    def _known(self, name: str) -> Source:
        source = self._sources.get(name)
        if source is None:
            raise MintwardenError(ErrorKind.NOT_FOUND, "there is no such source")
        if source.kind != "store":
            raise MintwardenError(
                ErrorKind.CONFLICT, "the source is not kept here", hint=f"it is of kind `{source.kind}`"
            )
        return source


SOURCES = Operation(
    id="directory.sources",
    method="GET",
    path="/sources",
    summary="List the sources of facts",
    scopes=(READ,),
    of=Directory,
    handler=Directory.list_sources,
    query=Paged,
    answer=SourcePage,
)
ENTITIES = Operation(
    id="directory.entities",
    method="GET",
    path="/sources/{source}/entities",
    summary="List whom a source speaks of",
    scopes=(READ,),
    of=Directory,
    handler=Directory.list_entities,
    parameters={"source": Name},
    query=Paged,
    answer=Entities,
    target="source",
    problems=("conflict",),
)
CHANGE = Operation(
    id="directory.change",
    method="POST",
    path="/sources/{source}/changes",
    summary="Change what a source says, in bulk",
    scopes=(WRITE,),
    of=Directory,
    handler=Directory.change,
    parameters={"source": Name},
    body=Changes,
    answer=Changed,
    target="source",
    most=MAX_CHANGES,
    problems=("conflict",),
)
ERASURE = Operation(
    id="directory.erase",
    method="POST",
    path="/erasures",
    summary="Forget a subject for good",
    scopes=(ERASE,),
    of=Directory,
    handler=Directory.erase,
    body=Erasure,
    answer=Erased,
    problems=("not_found",),
)
