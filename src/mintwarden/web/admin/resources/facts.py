"""Facts: what sources say, pushed and shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from mintwarden.context.ports import FactDocument, FactReader, FactWriter, Span
from mintwarden.context.push import Pushed, PushGate
from mintwarden.model.caller import Evidence
from mintwarden.web.admin.access import ScopeLacking
from mintwarden.web.admin.operation import Answer, Call, EntityKey, Operation, Strict
from mintwarden.web.admin.times import Time, shown

WRITE, READ = "mintwarden:facts.write", "mintwarden:facts.read"
MAX_PUSH = 4 * 1024 * 1024


class Push(Strict, frozen=True, kw_only=True):
    """Documents to be taken, all or none."""

    documents: Annotated[list[Pushed], Meta(max_length=1000)]


class Accepted(Struct, frozen=True):
    """How many documents were taken."""

    accepted: int


class AboutEntity(Strict, frozen=True, kw_only=True):
    """Whom or what to show."""

    entity: EntityKey


class SourceSays(Struct, frozen=True, kw_only=True):
    """What one source says about an entity."""

    source: str
    observed_at: Time
    facts: dict[str, Any]
    groups: list[str]
    spans: dict[str, dict[str, Span]]


class Shown(Struct, frozen=True, kw_only=True):
    """Everything that is stored about an entity; whether decisions about it can be opened and replayed."""

    entity: str
    sealing_key: bool
    documents: list[SourceSays]


def source_scopes(declared: Iterable[str]) -> Mapping[str, str]:
    """Sources that have a scope of their own, `mintwarden:facts.write:<source>`, by id."""
    own = f"{WRITE}:"
    return {scope.removeprefix(own): scope for scope in declared if scope.startswith(own)}


class Facts:
    """Pushing and showing.

    `scopes` are the sources that have a scope of their own. INVARIANT: the general scope does not reach them, so that
    whoever feeds one kind of facts cannot make anyone a member of any group.
    """

    def __init__(
        self,
        *,
        gate: PushGate,
        writer: FactWriter,
        reader: FactReader,
        scopes: Mapping[str, str],
    ) -> None:
        self._gate = gate
        self._writer = writer
        self._reader = reader
        self._scopes = scopes

    async def guard(self, who: Evidence, body: Push) -> None:
        """Raise `ScopeLacking` for a document of a source that the token does not reach."""
        for one in body.documents:
            needed = self._scopes.get(one.source, WRITE)
            if needed not in (who.scopes or ()):
                raise ScopeLacking(needed)

    async def push(self, call: Call) -> Answer:
        """Take the documents."""
        rows = self._gate.rows(call.body.documents, call.now)
        if rows:
            await self._writer.put(rows)
        return Answer(content=Accepted(len(rows)))

    async def show(self, call: Call) -> Answer:
        """Everything stored about an entity."""
        entity = call.query.entity
        batch = await self._reader.read([entity])
        documents = []
        for row in sorted(batch.rows.get(entity, ()), key=lambda row: row.source):
            document = msgspec.json.decode(row.document, type=FactDocument)
            documents.append(
                SourceSays(
                    source=row.source,
                    observed_at=shown(row.observed_at),
                    facts=document.facts,
                    groups=document.groups,
                    spans=document.spans,
                )
            )
        return Answer(content=Shown(entity=entity, sealing_key=entity in batch.subject_keys, documents=documents))


PUSH = Operation(
    id="facts.push",
    method="PUT",
    path="/facts",
    summary="Replace what sources say about entities",
    scopes=(WRITE, f"{WRITE}:*"),
    of=Facts,
    handler=Facts.push,
    guard=Facts.guard,
    body=Push,
    answer=Accepted,
    most=MAX_PUSH,
)
SHOW = Operation(
    id="facts.show",
    method="GET",
    path="/facts",
    summary="Show what is stored about an entity",
    scopes=(READ,),
    of=Facts,
    handler=Facts.show,
    query=AboutEntity,
    answer=Shown,
    person="entity",
)
