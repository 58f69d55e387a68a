"""Step 4: what is true now about everyone and everything a decision may look at, from where, how old.

`Assembly` holds the rules and does no I/O; `Assembler` does the reading and holds no rules. What a fact means
is nobody's business here.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.context.approvals import HeldApprovals, document_of
from mintwarden.context.documents import DocumentReader, LyingError, Said
from mintwarden.context.exceptions import HeldExceptions
from mintwarden.context.ports import (
    ExternalSource,
    FactBatch,
    FactDocument,
    FactReader,
    FactRow,
    Observation,
    SubjectKey,
)
from mintwarden.context.spelling import read_address
from mintwarden.model.asked import Asked, RegisteredClient
from mintwarden.model.caller import Caller, OnceKey
from mintwarden.model.catalogue import Catalogue, Client, Source
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.facts import Facts, Reading
from mintwarden.model.ids import entity_key
from mintwarden.model.values import Datetime, Entity, EntityUid, Record

PRINCIPALS = ("User", "Workload", "Agent")
NAMESPACES = ("client", "session", "device", "world")
AHEAD = 60_000
"""How far in the future, in milliseconds, a source's own clock may put an observation."""

_NONE: Mapping[str, Any] = MappingProxyType({})
_NO_ANCESTORS: frozenset[EntityUid] = frozenset()


class SourceAnswer(Struct, frozen=True, kw_only=True):
    """How a source answered about one entity: a document (parsed, or as its JSON bytes), nothing, or a failure.

    A source without an answer counts as `missing`.
    """

    state: Literal["present", "missing", "failing"] = "present"
    document: FactDocument | bytes | None = None
    observed_at: int = 0
    detail: str = ""


class TokenFacts(Struct, frozen=True):
    """What a verified token says about its principal, for sources of kind `token`; see `Evidence.facts`."""

    facts: Mapping[str, object]
    observed_at: int


class Assembled(Struct, frozen=True):
    """The facts, and the sealing keys of the entities they speak of, by entity key.

    `single_use`: of the approvals among the facts, what is claimed with the token that uses one up.
    """

    facts: Facts
    subject_keys: Mapping[str, SubjectKey]
    single_use: Mapping[str, tuple[OnceKey, ...]] = {}


class _SourcePlan(Struct, frozen=True, kw_only=True):
    id: str
    key: str
    max_age: int
    reader: DocumentReader
    required: tuple[str, ...]
    token: bool


class _Gathered:
    """What has been found so far for one request."""

    __slots__ = ("ends", "now", "readings")

    def __init__(self, now: int) -> None:
        self.now = now
        self.readings: dict[str, Reading] = {}
        self.ends: dict[str, Mapping[str, int]] = {}


class Assembly:
    """Builds `Facts` from answers; everything that depends only on the catalogue is worked out once, here.

    Pure: depends on its arguments alone and never raises on any answer, for clients of the catalogue and chains
    of at most `max_actors`. A source that is missing, stale or
    failing is listed as such in `Facts.readings` and leaves no fact behind.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self.clients: Mapping[str, Client] = catalogue.clients
        self.max_actors = catalogue.max_actors
        self._sources = {
            about: tuple(source for source in catalogue.sources.values() if about in source.about)
            for about in (*PRINCIPALS, *NAMESPACES)
        }
        self._readers = {source.id: DocumentReader(source) for source in catalogue.sources.values()}
        self._plans: dict[tuple[str, str], tuple[_SourcePlan, ...]] = {
            (role, about): self._plan(role, about)
            for about in PRINCIPALS
            for role in ("subject", *(f"actor:{index}" for index in range(catalogue.max_actors + 1)))
        }
        self._plans |= {(namespace, namespace): self._plan(namespace, namespace) for namespace in NAMESPACES}
        self._never_stored = frozenset(s.id for s in catalogue.sources.values() if s.kind == "approvals")
        self._roles = tuple(f"actor:{index}" for index in range(catalogue.max_actors + 1))
        self._bases = {client.id: _client_base(client) for client in catalogue.clients.values()}
        self._group = functools.lru_cache(maxsize=65_536)(functools.partial(EntityUid, "Group"))
        self._address = functools.lru_cache(maxsize=4096)(read_address)

    def _plan(self, role: str, about: str) -> tuple[_SourcePlan, ...]:
        return tuple(
            _SourcePlan(
                id=source.id,
                key=f"{role}/{source.id}",
                max_age=source.max_age,
                reader=self._readers[source.id],
                required=_required(source),
                token=source.kind == "token",
            )
            for source in self._sources[about]
        )

    def knows(self, asked: Asked) -> bool:
        """There is such a client: in the catalogue, or registered and in the question."""
        return asked.client_id in self.clients or (
            asked.registered is not None and asked.registered.id == asked.client_id
        )

    def client(self, asked: Asked) -> Client | RegisteredClient:
        """The client of a question: the catalogue's, or the registered one that stands in it."""
        known = self.clients.get(asked.client_id)
        if known is not None:
            return known
        if asked.registered is None:
            raise MintwardenError(ErrorKind.INTERNAL, "a question without a client")
        return asked.registered

    def actors(self, asked: Asked) -> tuple[EntityUid, ...]:
        """Whom the decision must permit beside the subject: the actors, or the client that would stay hidden."""
        if asked.impersonate and not asked.actors:
            return (EntityUid(self.client(asked).principal, asked.client_id),)
        return asked.actors

    def about(self, asked: Asked) -> tuple[tuple[str, str], ...]:
        """(entity key, principal type or namespace) of everything that some source may speak of, once each."""
        subject = asked.subject
        found = [(entity_key(subject), subject.type)]
        found += [(entity_key(actor), actor.type) for actor in self.actors(asked)]
        sources = self._sources
        if sources["client"]:
            found.append((f"client:{asked.client_id}", "client"))
        if asked.session and sources["session"]:
            found.append((f"session:{asked.session}", "session"))
        if asked.device and sources["device"]:
            found.append((f"device:{asked.device}", "device"))
        if sources["world"]:
            found.append(("world:", "world"))
        return tuple(found) if len(found) == 1 else tuple(dict.fromkeys(found))

    def external(self, about: str) -> tuple[str, ...]:
        """Ids of the sources outside the store that describe a principal type or namespace."""
        return tuple(source.id for source in self._sources.get(about, ()) if source.kind in ("sql", "http"))

    def stored(self, rows: Iterable[FactRow]) -> dict[str, SourceAnswer]:
        """What the store says about one entity, by source id.

        INVARIANT: nothing that was pushed stands for what people approve here, whatever kind its source was of when it
        was pushed.
        """
        without = self._never_stored
        return {
            row.source: SourceAnswer(document=row.document, observed_at=row.observed_at)
            for row in rows
            if row.source not in without
        }

    def build(
        self,
        asked: Asked,
        documents: Mapping[str, Mapping[str, SourceAnswer]],
        token_facts: Mapping[str, TokenFacts],
        now: int,
        epoch: int = 0,
    ) -> Facts:
        """The facts of one request. `documents` and `token_facts` go by entity key, answers by source id."""
        gathered = _Gathered(now)
        subject = self._entity(gathered, "subject", asked.subject, documents, token_facts)
        uids = self.actors(asked)
        actors = tuple(
            [
                self._entity(gathered, role, uid, documents, token_facts)
                for role, uid in zip(self._roles, uids, strict=False)
            ]
        )
        context = {
            "request": self._request(asked, now),
            "client": self._client(gathered, asked, documents),
            "chain": _chain(uids),
            "subject": Record({"type": asked.subject.type, "id": asked.subject.id}),
        }
        for namespace, key in (
            ("session", f"session:{asked.session}" if asked.session else ""),
            ("device", f"device:{asked.device}" if asked.device else ""),
            ("world", "world:"),
        ):
            if self._sources[namespace]:
                facts = self._gather(gathered, namespace, namespace, documents.get(key, _NONE), None)[0]
                if facts is not None:
                    context[namespace] = Record(facts)
        return Facts(
            subject=subject,
            actors=actors,
            context=Record(context),
            readings=gathered.readings,
            ends=gathered.ends,
            epoch=epoch,
        )

    def _entity(
        self,
        gathered: _Gathered,
        role: str,
        uid: EntityUid,
        documents: Mapping[str, Mapping[str, SourceAnswer]],
        token_facts: Mapping[str, TokenFacts],
    ) -> Entity:
        key = f"{uid.type}:{uid.id}"
        token = token_facts.get(key) if token_facts else None
        facts, groups = self._gather(gathered, role, uid.type, documents.get(key, _NONE), token)
        ancestors = frozenset(map(self._group, groups)) if groups else _NO_ANCESTORS
        return Entity(uid, _NONE if facts is None else facts, ancestors)

    def _gather(
        self,
        gathered: _Gathered,
        role: str,
        about: str,
        answers: Mapping[str, SourceAnswer],
        token: TokenFacts | None,
    ) -> tuple[dict[str, Any] | None, frozenset[str]]:
        """Facts of every present source together (None when none is), and the groups they name."""
        facts: dict[str, Any] | None = None
        groups: frozenset[str] = frozenset()
        spoken: list[Said] = []
        limited = False
        for plan in self._plans.get((role, about), ()):
            answer = _token_answer(token) if plan.token else answers.get(plan.id)
            gathered.readings[plan.key], said = _read(plan, answer, gathered.now)
            if said is None:
                continue
            # A fact's name is unique per `about`, so that no source can speak over another.
            if facts is None:
                facts = said.facts
            else:
                facts.update(said.facts)
            if said.groups:
                groups = groups | said.groups if groups else said.groups
            if said.ends:
                for name, ends in said.ends.items():
                    gathered.ends[f"{role}/{name}"] = ends
                limited = True
            spoken.append(said)
        if limited and len(spoken) > 1:
            _merge_group_ends(gathered.ends, f"{role}/groups", spoken)
        return facts, groups

    def _client(self, gathered: _Gathered, asked: Asked, documents: Mapping[str, Mapping[str, SourceAnswer]]) -> Record:
        base = self._bases.get(asked.client_id)
        if base is None:
            base = _client_base(self.client(asked))
        if not self._sources["client"]:
            return base
        answers = documents.get(f"client:{asked.client_id}", _NONE)
        facts = self._gather(gathered, "client", "client", answers, None)[0]
        return Record({**facts, **base}) if facts else base

    def _request(self, asked: Asked, now: int) -> Record:
        request: dict[str, Any] = {
            "time": Datetime(now),
            "grant": asked.grant,
            "environment": asked.environment,
            "method": asked.method,
            "amr": frozenset(asked.amr),
        }
        if asked.address:
            address = self._address(asked.address)
            if address is not None:
                request["address"] = address
        if asked.purpose:
            request["purpose"] = asked.purpose
        if asked.tenant:
            request["tenant"] = asked.tenant
        if asked.workspace:
            request["workspace"] = asked.workspace
        if asked.project:
            request["project"] = asked.project
        if asked.acr:
            request["acr"] = asked.acr
        if asked.authenticated_at is not None:
            request["auth_age"] = max(0, now - asked.authenticated_at) // 1000
        if asked.binding is not None:
            request["binding"] = asked.binding.kind
        return Record(request)


def build_facts(
    catalogue: Catalogue,
    asked: Asked,
    documents: Mapping[str, Mapping[str, SourceAnswer]],
    token_facts: Mapping[str, TokenFacts] = _NONE,
    *,
    now: int,
    epoch: int = 0,
) -> Facts:
    """`Assembly(catalogue).build(...)` for a single use; keep an `Assembly` to ask more than once."""
    return Assembly(catalogue).build(asked, documents, token_facts, now, epoch)


class Assembler:
    """Reads what a decision needs: one batched read of the store, beside it one batch per external source.

    Raises `MintwardenError(UNAVAILABLE)` when the store does not answer. An external source that does not
    answer is a `failing` reading, never an error.
    """

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        facts: FactReader,
        external: Mapping[str, ExternalSource],
        exceptions: HeldExceptions | None = None,
        approvals: HeldApprovals | None = None,
    ) -> None:
        self._exceptions = exceptions
        self._approvals = approvals
        self._assembly = Assembly(catalogue)
        self._facts = facts
        self._external = dict(external)
        self._any_external = any(source.kind in ("sql", "http") for source in catalogue.sources.values())

    async def assemble(self, asked: Asked, caller: Caller | None, now: int) -> Assembled:
        """Everything that is true about `asked` at `now`; without a caller, no token says anything."""
        if not self._assembly.knows(asked) or len(asked.actors) > self._assembly.max_actors:
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "the request has no such client or too many actors")
        about = self._assembly.about(asked)
        keys = [key for key, _ in about]
        if self._any_external:
            batch, outside = await self._read_all(keys, about, now)
        else:
            batch, outside = await self._facts.read(keys), _NONE
        documents = {key: self._assembly.stored(rows) for key, rows in batch.rows.items()}
        for key, answers in outside.items():
            documents.setdefault(key, {}).update(answers)
        single_use = {} if self._approvals is None else await self._approved(self._approvals, asked, documents, now)
        facts = self._assembly.build(asked, documents, _token_facts(caller), now, batch.epoch)
        held = self._exceptions
        if held is not None:
            # INVARIANT: exceptions are never older than the facts: what was revoked before that counts no more.
            if held.epoch < batch.epoch:
                await held.follow(batch.epoch)
            if held.grants:
                facts = self._excepted(held, asked, facts, now)
        return Assembled(facts, batch.subject_keys, single_use)

    async def _approved(
        self, held: HeldApprovals, asked: Asked, documents: dict[str, dict[str, SourceAnswer]], now: int
    ) -> Mapping[str, tuple[OnceKey, ...]]:
        """Adds what was approved in these circumstances to `documents`, for every principal of them."""
        given = await held.concerning(asked, now)
        if not given:
            return {}
        answer = SourceAnswer(document=document_of(given), observed_at=now)
        for principal in (asked.subject, *self._assembly.actors(asked)):
            if principal.type in held.source.about:
                documents.setdefault(entity_key(principal), {})[held.source.id] = answer
        single_use: dict[str, tuple[OnceKey, ...]] = {}
        for one in given:
            if one.once and not one.used_by:
                single_use[one.element] = (*single_use.get(one.element, ()), one.claim)
        return single_use

    def _excepted(self, held: HeldExceptions, asked: Asked, facts: Facts, now: int) -> Facts:
        principals = (asked.subject, *self._assembly.actors(asked))
        found = held.concerning(principals, asked.scopes, now)
        return replace(facts, exceptions=found) if found else facts

    async def _read_all(
        self, keys: Sequence[str], about: Sequence[tuple[str, str]], now: int
    ) -> tuple[FactBatch, Mapping[str, Mapping[str, SourceAnswer]]]:
        wanted: dict[str, list[str]] = {}
        for key, kind in about:
            for source in self._assembly.external(kind):
                wanted.setdefault(source, []).append(key)
        if not wanted:
            return await self._facts.read(keys), _NONE
        batch, answers = await asyncio.gather(
            self._facts.read(keys),
            asyncio.gather(*(self._ask(source, entities, now) for source, entities in wanted.items())),
        )
        outside: dict[str, dict[str, SourceAnswer]] = {}
        for source, answer in zip(wanted, answers, strict=True):
            for key, told in answer.items():
                outside.setdefault(key, {})[source] = told
        return batch, outside

    async def _ask(self, source: str, entities: Sequence[str], now: int) -> Mapping[str, SourceAnswer]:
        detail = "no connection is configured"
        if source in self._external:
            try:
                told = await self._external[source].read(entities, now)
                return {key: _observed(told.get(key), now) for key in entities}
            except MintwardenError as error:
                detail = error.public
            except Exception:  # noqa: BLE001
                # INVARIANT: whatever a source does, its facts are failing and the request goes on.
                detail = "the source failed unexpectedly"
        return dict.fromkeys(entities, SourceAnswer(state="failing", detail=detail))


def _required(source: Source) -> tuple[str, ...]:
    # With `missing = "absent"` all facts of the source are optional in the schema; then none of them is missed.
    return () if source.missing == "absent" else tuple(f.name for f in source.facts.values() if not f.optional)


def _read(plan: _SourcePlan, answer: SourceAnswer | None, now: int) -> tuple[Reading, Said | None]:
    if answer is None or answer.state == "missing" or answer.document is None:
        if answer is not None and answer.state == "failing":
            return Reading("failing", 0, plan.max_age, answer.detail), None
        return Reading("missing", 0, plan.max_age), None
    at = answer.observed_at
    if plan.max_age and now - at > plan.max_age:
        return Reading("stale", at, plan.max_age), None
    if at > now + AHEAD:
        return Reading("failing", at, plan.max_age, "observed in the future"), None
    document = answer.document
    try:
        said = (
            plan.reader.decode(document, now) if type(document) is bytes else plan.reader.convert(document, now)  # type: ignore[arg-type]
        )
    except LyingError as error:
        return Reading("failing", at, plan.max_age, str(error)), None
    facts = said.facts
    for name in plan.required:
        if name not in facts:
            return Reading("missing", at, plan.max_age, f"fact `{name}` is absent"), None
    return Reading("present", at, plan.max_age), said


def _merge_group_ends(ends: dict[str, Mapping[str, int]], where: str, spoken: Iterable[Said]) -> None:
    """A group that several sources name lasts as long as the last of them says, or without end."""
    merged: dict[str, int | None] = {}
    for said in spoken:
        own = said.ends.get("groups", _NONE) if said.ends else _NONE
        for group in said.groups:
            end, before = own.get(group), merged.get(group, 0)
            merged[group] = None if end is None or before is None else max(end, before)
    limited = {group: end for group, end in merged.items() if end is not None}
    if limited:
        ends[where] = limited
    else:
        ends.pop(where, None)


def _observed(told: Observation | None, now: int) -> SourceAnswer:
    if told is None:
        return SourceAnswer(state="missing")
    return SourceAnswer(document=told.document, observed_at=now if told.observed_at is None else told.observed_at)


def _token_facts(caller: Caller | None) -> Mapping[str, TokenFacts]:
    if caller is None or (caller.subject is None and caller.actor is None):
        return _NONE
    return {
        entity_key(token.principal): TokenFacts(token.facts, token.issued_at)
        for token in (caller.actor, caller.subject)
        if token is not None and token.facts
    }


def _token_answer(token: TokenFacts | None) -> SourceAnswer | None:
    if token is None:
        return None
    return SourceAnswer(document=FactDocument(facts=dict(token.facts)), observed_at=token.observed_at)


def _chain(actors: tuple[EntityUid, ...]) -> Record:
    return Record({"depth": len(actors), "actors": frozenset([f"{uid.type}:{uid.id}" for uid in actors])})


def _client_base(client: Client | RegisteredClient) -> Record:
    return Record({"id": client.id, "kind": client.kind, "owner": client.owner, "principal": client.principal})
