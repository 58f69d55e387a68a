"""One subject's answer: whether it can be issued the scope, in which way at best, and why.

Every answer is `decide`'s. What is left out before it is asked is only what cannot change its answer: circumstances
that no rule reads, actors where the subject alone is refused already, and actors that were refused before under
circumstances which no rule can tell apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from mintwarden.context.assemble import Assembly, SourceAnswer, TokenFacts
from mintwarden.model.asked import Asked, RegisteredClient
from mintwarden.model.caller import Binding
from mintwarden.model.catalogue import Client, Tenancy
from mintwarden.model.decision import Decision, Obligation, RefusalReason, ScopeDecision
from mintwarden.model.exception import ExceptionGrant
from mintwarden.model.facts import Facts
from mintwarden.model.ids import entity_key
from mintwarden.model.values import Entity, EntityUid, Record
from mintwarden.policy.amend import Situation
from mintwarden.policy.decide import decide
from mintwarden.policy.obligations import is_met
from mintwarden.policy.registered import registered_form
from mintwarden.review.reach.carried import carried
from mintwarden.review.reach.circumstances import Circumstance, circumstances
from mintwarden.review.reach.question import Line, Question
from mintwarden.review.reach.sight import Sight, touches
from mintwarden.review.reach.ways import MOST, Vouching, Way, carriers, ways

if TYPE_CHECKING:
    from mintwarden.policy.bundle.model import Bundle

Answers = Mapping[str, SourceAnswer]
"""What each source says about one entity, by source id."""

_OF_CLIENTS = ("id", "kind", "owner", "principal")
_THUMBPRINT = "hypothetical"
_FRAMES = 20_000
_FINAL: frozenset[RefusalReason] = frozenset(
    {"actor_not_permitted", "forbidden", "forbid_failed", "no_route", "fact_missing", "fact_stale", "source_failing"}
)
"""Reasons for which an actor stays refused, whoever the subject is, where its rules do not look at the subject."""
_NOTHING: Mapping[str, Any] = {}


class World(NamedTuple):
    """What is known beside the subject: documents by entity key, facts out of tokens, exceptions in force, and the
    clients that were registered beside the bundle, as it admits them.
    """

    documents: Mapping[str, Answers] = _NOTHING
    tokens: Mapping[str, TokenFacts] = _NOTHING
    exceptions: tuple[ExceptionGrant, ...] = ()
    clients: tuple[Client, ...] = ()


NOTHING_KNOWN = World()


class Found(NamedTuple):
    """A line of the answer and the decision behind it."""

    line: Line
    situation: Situation
    decision: Decision


class _Frame(NamedTuple):
    asked: Asked
    facts: Facts


class _Base(NamedTuple):
    """A subject and everything that does not depend on how it asks."""

    uid: EntityUid
    facts: Facts
    about: Record
    exceptions: tuple[ExceptionGrant, ...]


class _Try(NamedTuple):
    """One decision; `bare` are subject and actors without approvals that nobody has given."""

    way: Way
    how: Circumstance
    confines: tuple[str, str, str]
    situation: Situation
    decision: Decision
    answer: ScopeDecision
    bare: tuple[Entity, ...]


class Reach:
    """Answers a question, subject by subject.

    Pure: depends on the bundle, the question, what is known beside the subject, and what is said about it. Holds memos
    of what is the same for every subject, bounded in size.

    Attributes:
        sight: what the rules behind it can tell apart.
        ways: the ways that are tried.
        vouching: for whom a trusted issuer may speak.
        notes: what the answer leaves open, for its reader.
    """

    def __init__(
        self, bundle: Bundle, question: Question, world: World = NOTHING_KNOWN, *, actor: EntityUid | None = None
    ) -> None:
        catalogue = bundle.catalogue
        self.bundle, self.question = bundle.at(question.at) if bundle.returning else bundle, question
        self._actor = actor
        self._assembly = Assembly(catalogue)
        self._audience = catalogue.audiences[catalogue.scopes[question.scope].audience]
        self.sight = Sight(bundle, carriers(catalogue, question.scope, question.hops))
        self._clients = {**{client.id: client for client in world.clients}, **catalogue.clients}
        self.ways = ways(catalogue, self._clients, question, self.sight, actor=actor)
        of = self._scopes()
        self._world = world._replace(exceptions=tuple(grant for grant in world.exceptions if grant.scope in of))
        self._hows, left_out = circumstances(bundle, self.sight, question)
        self.vouching = Vouching(catalogue)
        self._numbers = {id(way): number for number, way in enumerate(self.ways)}
        self._groups = self._grouped()
        self._frames: dict[tuple[int, int, tuple[str, str, str]], _Frame | None] = {}
        self._dead: set[tuple[int, tuple[Any, ...], str, tuple[str, str, str]]] = set()
        self._approvals = self._supplied()
        # Where a mapping decides, or a rule about actors looks at the subject, no refusal speaks for another subject.
        about_subject = touches(self.sight.acting, "context.subject.id")
        self._remembers = self._audience.mode == "enforce" and not about_subject
        self._confining = self._tenancies()
        self.notes = _notes(left_out, len(self.ways))

    # -- what is the same for every subject -----------------------------------------------------------------------

    def _grouped(self) -> tuple[tuple[int, tuple[Way, ...]], ...]:
        """The ways by how many earlier tokens they take, those together that the subject's rules cannot tell apart."""
        reads, clients = self.sight.issuing, self._clients
        seen = [name for name in _OF_CLIENTS if touches(reads, f"context.client.{name}")]
        told = {f"context.client.{name}" for name in _OF_CLIENTS}
        by_client = self._audience.mode != "enforce" or any(
            path == "context" or (path.startswith("context.client") and path not in told) for path in reads
        )
        groups: dict[tuple[object, ...], list[Way]] = {}
        for way in self.ways:
            key = (
                way.client if by_client else tuple(getattr(clients[way.client], name) for name in seen),
                way.environment,
                way.grant if touches(reads, "context.request.grant") else "",
                way.method if touches(reads, "context.request.method") else "",
                way.addresses if touches(reads, "context.request.address") else (),
                way.actors if touches(reads, "context.chain.actors") else (),
                len(way.actors) if touches(reads, "context.chain.depth") else 0,
            )
            groups.setdefault((len(way.via), *key), []).append(way)
        return tuple(sorted(((len(group[0].via), tuple(group)) for group in groups.values()), key=itemgetter(0)))

    def _supplied(self) -> Mapping[str, frozenset[str]]:
        """Approvals that a rule may demand, per principal type that can have any."""
        kinds = self.sight.demands.get("require_approval", set())
        given = frozenset(f"{kind}:{scope}" for kind in kinds for scope in self._scopes())
        sources = self.bundle.catalogue.sources.values()
        able = {about for source in sources if "approvals" in source.facts for about in source.about}
        return dict.fromkeys(able, given)

    def _scopes(self) -> frozenset[str]:
        return frozenset(scope for way in self.ways for scope in way.scopes)

    def _tenancies(self) -> tuple[Tenancy, ...]:
        """What a token may be confined to at any of the audiences on the way, each parameter once."""
        catalogue = self.bundle.catalogue
        found: dict[str, Tenancy] = {tenancy.parameter: tenancy for tenancy in self._audience.tenancy}
        for scope in sorted(self._scopes()):
            for tenancy in catalogue.audiences[catalogue.scopes[scope].audience].tenancy:
                found.setdefault(tenancy.parameter, tenancy)
        return tuple(found.values())

    # -- one subject ----------------------------------------------------------------------------------------------

    def best(self, uid: EntityUid, answers: Answers) -> Found | None:
        """The best way in which `uid` gets the scope; None where there is none."""
        for cheapest in self._found(uid, answers):
            return self._told(min(cheapest, key=_order))
        return None

    def each_client(self, uid: EntityUid, answers: Answers) -> list[Found]:
        """The best way through each client that there is one through, in order of their ids."""
        best: dict[str, _Try] = {}
        for found in self._found(uid, answers):
            for one in found:
                known = best.get(one.way.client)
                if known is None or _order(one) < _order(known):
                    best[one.way.client] = one
        return [self._told(best[client]) for client in sorted(best)]

    def _found(self, uid: EntityUid, answers: Answers) -> Iterator[list[_Try]]:
        """What is granted, at each cost and number of hops at which anything is, the least first."""
        base = self._base(uid, answers)
        vouched = self.vouching.of_subject(uid)
        groups = [(level, [w for w in group if w.is_open_to(uid, vouched=vouched)]) for level, group in self._groups]
        levels = [(level, list(own)) for level, own in itertools.groupby(groups, key=itemgetter(0))]
        dead: set[tuple[int, tuple[Any, ...], tuple[str, str, str]]] = set()
        confines = self._confines(base)
        for _, same in itertools.groupby(enumerate(self._hows), key=lambda numbered: numbered[1].cost):
            hows = list(same)
            for level, own in levels:
                found: list[_Try] = []
                for index, (_, group) in enumerate(own):
                    for number, how in hows if group else ():
                        for where in confines:
                            mark = (level << 20) + index, how.seen, where
                            if mark in dead:
                                continue
                            tried = self._through(base, group, number, how, where)
                            if tried is None:
                                dead.add(mark)
                            else:
                                found += tried
                if found:
                    yield found

    def _through(
        self, base: _Base, group: list[Way], number: int, how: Circumstance, where: tuple[str, str, str]
    ) -> list[_Try] | None:
        """What is granted on the ways of a group; None when what obligations demand cannot change anything."""
        usable = [way for way in group if not (how.signed_in and way.grant == "client_credentials")]
        if not base.exceptions:
            first = next((way for way in usable if self._frame(way, number, how, where) is not None), None)
            if first is None:
                return []
            alone = self._decided(base, first, number, how, where, alone=True)
            if alone is None or not alone.answer.granted:
                met = alone is not None and alone.answer.reason == "obligation_unmet"
                return [] if met else None
        found = []
        for way in usable:
            mark = (self._numbers[id(way)], how.seen, base.uid.type, where)
            if mark in self._dead:
                continue
            tried = self._decided(base, way, number, how, where)
            if tried is None:
                continue
            if not tried.answer.granted:
                if self._remembers and not base.exceptions and tried.answer.reason in _FINAL:
                    self._remember(mark)
            elif self._acts(tried) and self._came(base, way, number, how, where):
                found.append(tried)
        return found

    def _acts(self, tried: _Try) -> bool:
        return self._actor is None or self._actor in tried.decision.actors

    def _remember(self, mark: tuple[int, tuple[Any, ...], str, tuple[str, str, str]]) -> None:
        if len(self._dead) < _FRAMES:
            self._dead.add(mark)

    def _came(self, base: _Base, way: Way, number: int, how: Circumstance, where: tuple[str, str, str]) -> bool:
        """Whether the earlier tokens on the way are issued, each with its actor hidden or shown as it has to be."""
        earlier = way.earlier
        if earlier is None:
            return True
        tried = self._decided(base, earlier, number, how, where)
        if tried is None or not tried.answer.granted:
            return False
        if earlier.outcome != "any" and (earlier.outcome == "hidden") is bool(tried.decision.actors):
            return False
        return self._came(base, earlier, number, how, where)

    def _decided(
        self,
        base: _Base,
        way: Way,
        number: int,
        how: Circumstance,
        where: tuple[str, str, str],
        *,
        alone: bool = False,
    ) -> _Try | None:
        """The decision; `alone`: over the subject's part of it, which has to be granted for the whole to be."""
        frame = self._frame(way, number, how, where)
        if frame is None:
            return None
        asked, facts = self._placed(frame, base, how, alone=alone)
        decision = decide(self.bundle, asked, facts, self.question.at)
        bare = (base.facts.subject, *frame.facts.actors)
        return _Try(way, how, where, Situation(asked, facts, self.question.at), decision, decision.scopes[0], bare)

    def _placed(self, frame: _Frame, base: _Base, how: Circumstance, *, alone: bool) -> tuple[Asked, Facts]:
        """The subject in the frame: what `Assembly.build` makes of both together, which a test holds."""
        subject, actors = base.facts.subject, frame.facts.actors
        if how.approved:
            subject = self._approved(subject)
            actors = tuple(self._approved(actor) for actor in actors)
        facts = Facts(
            subject=subject,
            actors=() if alone else actors,
            context=Record({**frame.facts.context, "subject": base.about}),
            readings={**frame.facts.readings, **base.facts.readings},
            ends={**frame.facts.ends, **base.facts.ends} if frame.facts.ends or base.facts.ends else {},
            exceptions=self._exceptions(base, frame) if self._world.exceptions else (),
        )
        return replace(frame.asked, subject=base.uid), facts

    def _exceptions(self, base: _Base, frame: _Frame) -> tuple[ExceptionGrant, ...]:
        people = {base.uid, *(actor.uid for actor in frame.facts.actors)}
        return tuple(grant for grant in self._world.exceptions if grant.principal in people)

    def _approved(self, entity: Entity) -> Entity:
        more = self._approvals.get(entity.uid.type)
        if not more:
            return entity
        held = entity.attrs.get("approvals")
        together = more | held if isinstance(held, frozenset) else more
        return Entity(entity.uid, {**entity.attrs, "approvals": together}, entity.ancestors)

    def _base(self, uid: EntityUid, answers: Answers) -> _Base:
        key = entity_key(uid)
        anybody = self.ways[0].client if self.ways else next(iter(self._clients))
        asked = Asked(
            grant="",
            client_id=anybody,
            subject=uid,
            audience=self._audience.id,
            scopes=(),
            registered=self._registered(anybody),
        )
        facts = self._assembly.build(asked, {key: answers}, self._world.tokens, self.question.at)
        own = {where: reading for where, reading in facts.readings.items() if where.startswith("subject/")}
        ends = {where: found for where, found in facts.ends.items() if where.startswith("subject/")}
        exceptions = tuple(grant for grant in self._world.exceptions if grant.principal == uid)
        return _Base(
            uid,
            replace(facts, readings=own, ends=ends),
            Record({"type": uid.type, "id": uid.id}),
            exceptions,
        )

    def _registered(self, client_id: str) -> RegisteredClient | None:
        """The client as a decision sees it, when it is none of the bundle's."""
        if client_id in self.bundle.catalogue.clients:
            return None
        return registered_form(self._clients[client_id])

    def _frame(self, way: Way, number: int, how: Circumstance, where: tuple[str, str, str]) -> _Frame | None:
        """Everything about a request but its subject; None where the client may not call from there."""
        key = (id(way), number, where)
        if key not in self._frames:
            if len(self._frames) >= _FRAMES:
                self._frames.clear()
            self._frames[key] = self._framed(way, how, where)
        return self._frames[key]

    def _framed(self, way: Way, how: Circumstance, where: tuple[str, str, str]) -> _Frame | None:
        address = way.address(how.address)
        if address is None:
            return None
        at, question, catalogue = self.question.at, self.question, self.bundle.catalogue
        asks_itself = way.grant == "client_credentials"
        asked = Asked(
            grant=way.grant,
            client_id=way.client,
            subject=EntityUid("", ""),
            actors=way.actors,
            impersonate=way.impersonate,
            audience=catalogue.scopes[way.scope].audience,
            scopes=(way.scope,),
            purpose=how.purpose,
            environment=way.environment,
            tenant=where[0],
            workspace=where[1],
            project=where[2],
            acr="" if asks_itself else how.acr,
            amr=() if asks_itself else how.amr,
            authenticated_at=at if how.fresh and not asks_itself else None,
            session="" if asks_itself else question.session,
            device="" if asks_itself else question.device,
            address=address,
            binding=Binding(kind=how.binding, thumbprint=_THUMBPRINT) if how.binding else None,
            method=way.method,
            registered=self._registered(way.client),
        )
        facts = self._assembly.build(asked, self._world.documents, self._world.tokens, at)
        readings = {key: reading for key, reading in facts.readings.items() if not key.startswith("subject/")}
        ends = {key: found for key, found in facts.ends.items() if not key.startswith("subject/")}
        return _Frame(asked, replace(facts, readings=readings, ends=ends))

    def _confines(self, base: _Base) -> list[tuple[str, str, str]]:
        """The tenants, workspaces and projects worth stating: the subject's own, where that can make a difference."""
        choices: dict[str, list[str]] = {"tenant": [""], "workspace": [""], "project": [""]}
        for name in choices:
            fixed = getattr(self.question, name)
            if fixed:
                choices[name] = [fixed]
        for tenancy in self._confining:
            if getattr(self.question, tenancy.parameter):
                continue
            fact = tenancy.member_of.partition(".")[2]
            held = base.facts.subject.attrs.get(fact)
            own = sorted(held) if isinstance(held, frozenset) else []
            seen = self.sight.sees(f"context.request.{tenancy.parameter}")
            if not seen and f"subject/{fact}" not in base.facts.ends:
                own = own[:1]
            if tenancy.required:
                choices[tenancy.parameter] = own or [""]
            elif seen:
                choices[tenancy.parameter] = ["", *own]
        every = itertools.product(choices["tenant"], choices["workspace"], choices["project"])
        return list(itertools.islice(every, 256))

    # -- the line -------------------------------------------------------------------------------------------------

    def _told(self, one: _Try) -> Found:
        return Found(self._line(one), one.situation, one.decision)

    def _line(self, one: _Try) -> Line:
        asked, decision, answer = one.situation.asked, one.decision, one.answer
        lifetime = decision.lifetime
        return Line(
            principal=entity_key(self._actor or asked.subject),
            role="subject" if self._actor is None else "actor",
            subject=entity_key(asked.subject),
            scope=answer.scope,
            client=asked.client_id,
            environment=asked.environment,
            grant=asked.grant,
            method=asked.method,
            actors=tuple(entity_key(actor) for actor in decision.actors),
            via=one.way.via,
            purpose=asked.purpose,
            tenant=asked.tenant,
            workspace=asked.workspace,
            project=asked.project,
            address=asked.address if self.sight.sees("context.request.address") else "",
            route=answer.route,
            acting=answer.acting,
            needs=self._needs(one),
            lifetime=lifetime.seconds if lifetime else 0,
            bounded_by=lifetime.bounded_by if lifetime else "",
            mode=decision.mode,
            would=_would(answer),
            facts=carried(self.bundle, one.situation, answer),
        )

    def _needs(self, one: _Try) -> tuple[Obligation, ...]:
        """The obligations that the request as the question holds it fixed does not meet; a purpose is just stated."""
        if one.how.cost == 0:
            return ()
        question, asked, answer = self.question, one.situation.asked, one.answer
        bare = replace(asked, acr=question.acr, amr=question.amr, authenticated_at=None, binding=None)
        found: dict[Obligation, None] = {}
        for name, principal in zip((answer.route, *answer.acting), one.bare, strict=False):
            rule = self.bundle.rules.rules.get(name)
            for demand in self.bundle.plans.terms(rule).demands if rule is not None else ():
                if not is_met(demand, bare, principal, answer.scope, question.at):
                    found[demand] = None
        if self._audience.binding and asked.binding is not None:
            found[Obligation("require_binding", self._audience.binding)] = None
        return tuple(found)


def _order(one: _Try) -> tuple[Any, ...]:
    lifetime = one.decision.lifetime
    lasting = -lifetime.seconds if lifetime else 0
    way = one.way
    itself = way.is_own or way.own in way.actors
    return (
        one.how.cost,
        len(way.via),
        lasting,
        not itself,
        way.client,
        way.environment,
        one.confines,
        way.method,
        one.how.purpose,
    )


def _would(answer: ScopeDecision) -> str:
    said = answer.would
    if said is None:
        return ""
    return f"granted by {said.route}" if said.granted else str(said.reason)


def _notes(left_out: int, count: int) -> tuple[str, ...]:
    found = []
    if left_out:
        found.append(f"{left_out} combinations of circumstances were not tried; hold some of them fixed")
    if count >= MOST:
        found.append(f"only the first {MOST} ways were tried; name a client, or allow fewer hops")
    return tuple(found)
