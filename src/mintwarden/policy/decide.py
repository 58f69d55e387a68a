"""Step 5: the decision. Pure and total: no I/O, no clock, no randomness, and an answer for every input.

Per scope, and per authorization detail, in this order: may it be asked at all (catalogue, environment, ceiling, earlier
token, tenancy), are the facts known and fresh, does a guardrail forbid it, is there a route whose obligations are met,
may each actor use it. Then, over what is granted: claims, lifetime, binding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from mintwarden.model.asked import Asked, RegisteredClient
from mintwarden.model.catalogue import Audience, Client, Tenancy
from mintwarden.model.decision import (
    Decision,
    Obligation,
    RefusalReason,
    RuleFault,
    ScopeDecision,
)
from mintwarden.model.facts import Facts, Reading
from mintwarden.model.values import Entity, EntityUid, Record
from mintwarden.policy.claims import derive_claims, missing_claims
from mintwarden.policy.details import carried, read_detail
from mintwarden.policy.exceptions import Lift, Short, lift
from mintwarden.policy.lifetime import bound_lifetime
from mintwarden.policy.modes import beside, holds, lender, lent_by
from mintwarden.policy.obligations import Terms, is_met
from mintwarden.policy.plan import ACT, GROUPS, IMPERSONATE, ISSUE, Question, Route, Side
from mintwarden.policy.registered import client_of

if TYPE_CHECKING:
    from mintwarden.policy.bundle.model import Bundle, Verdict
    from mintwarden.policy.cedar.rules import Rule

_GROUPS_PATH = f"principal.{GROUPS}"
_STATE_REASON: Mapping[str, RefusalReason] = {
    "missing": "fact_missing",
    "stale": "fact_stale",
    "failing": "source_failing",
}

_Whole = tuple[RefusalReason, tuple[Obligation, ...], tuple[str, ...]]
"""Why every scope is refused, with unmet obligations and the readings that refused."""


def decide(bundle: Bundle, asked: Asked, facts: Facts, now: int) -> Decision:
    """What may be issued for `asked`, given `facts`, at `now` (`Millis`) under `bundle`.

    Depends on its arguments only; never raises for well-formed input. The answer is the same, byte for byte, on
    any machine and at any later date.
    """
    decision = _decide(bundle, asked, facts, now)
    return decision if not asked.identity else replace(decision, identity=_identity(bundle, asked, facts, now))


def _identity(bundle: Bundle, asked: Asked, facts: Facts, now: int) -> Decision | None:
    """What the client may learn of the person beside what its token is for: the same question, of another audience."""
    audience = bundle.catalogue.identity
    if not audience:
        return None
    beside = replace(asked, audience=audience, scopes=asked.identity, identity=(), details=(), defaulted=False)
    return _decide(bundle, beside, facts, now)


def _decide(bundle: Bundle, asked: Asked, facts: Facts, now: int) -> Decision:
    if bundle.returning and now >= bundle.returning[0]:
        bundle = bundle.at(now)
    judgement = _Judgement(bundle, asked, facts, now)
    ruled = judgement.decide()
    if bundle.observed_scopes:
        ruled = _with_observed(ruled, bundle, asked, facts, now)
    audience = judgement.audience
    if audience is None or audience.mode == "enforce":
        return ruled
    enforces, stage = holds(audience, asked, facts, now, groups_known=_knows_groups(bundle, asked, facts))
    if enforces:
        return replace(ruled, stage=stage)
    issued = _Observing(bundle, asked, facts, now, ruled).decide()
    return beside(issued, ruled, mode="observe", stage=stage)


def decide_by_rules(bundle: Bundle, asked: Asked, facts: Facts, now: int) -> Decision:
    """What `decide` would answer if the audience enforced for everybody."""
    bundle = bundle.at(now)
    return _with_observed(_Judgement(bundle, asked, facts, now).decide(), bundle, asked, facts, now)


def _with_observed(ruled: Decision, bundle: Bundle, asked: Asked, facts: Facts, now: int) -> Decision:
    """The rules' answer, and beside it what those that are only observed would have made of it."""
    names = asked.scopes if not asked.details else (*asked.scopes, *(detail.type for detail in asked.details))
    if bundle.observed_scopes.isdisjoint(names):
        return ruled
    return beside(ruled, _Judgement(bundle.with_observed(), asked, facts, now).decide())


def _knows_groups(bundle: Bundle, asked: Asked, facts: Facts) -> bool:
    keys = bundle.plans.sources.keys((_GROUPS_PATH,), asked.subject.type, "subject")
    return all(facts.readings[key].state in ("present", "missing") for key in keys if key in facts.readings)


class _Judgement:
    """One decision in the making. Nothing that is issued by it lasts beyond `until` (`Millis`), if there is one."""

    until: int | None = None
    __slots__ = (
        "asked", "audience", "bundle", "client", "details", "each", "facts", "known", "lifted", "now", "routes",
        "trouble",
    )  # fmt: skip

    def __init__(self, bundle: Bundle, asked: Asked, facts: Facts, now: int) -> None:
        self.bundle = bundle
        self.asked = asked
        self.facts = facts
        self.now = now
        self.audience = bundle.catalogue.audiences.get(asked.audience)
        self.client: Client | RegisteredClient | None = bundle.catalogue.clients.get(asked.client_id)
        if self.client is None:
            self.client = client_of(bundle.catalogue, asked)
        self.trouble = False
        for reading in facts.readings.values():
            if reading.state != "present":
                self.trouble = True
        self.known: frozenset[str] | None = None
        self.routes: dict[tuple[str, str], Route] = {}
        self.lifted: dict[str, list[Lift]] = {}
        self.details: Sequence[ScopeDecision] = ()
        self.each: Sequence[_OfDetail] = ()

    def decide(self) -> Decision:
        audience, client, asked = self.audience, self.client, self.asked
        whole = self._refuses_all()
        if audience is None or client is None or whole is not None:
            reason, unmet, facts = whole or ("unknown_scope", (), ())
            if asked.unresolved:
                return self._unresolved()
            scopes = [_refuse(name, reason, unmet=unmet, facts=facts) for name in asked.scopes]
            self.details = [_refuse(detail.type, reason, unmet=unmet, facts=facts) for detail in asked.details]
            return self._decision(scopes, asked.actors)
        scopes = self._subject_side(audience, client)
        if asked.details:
            self._details(audience, client)
        actors: tuple[EntityUid, ...] = ()
        if self.facts.actors:
            scopes, actors = self._actor_side(scopes)
        return self._finish(audience, scopes, actors)

    def _unresolved(self) -> Decision:
        """INVARIANT: that a name is nowhere is why it was refused, whatever else the request would have lacked."""
        audience, client, asked = self.audience, self.client, self.asked
        ceiling = client.ceilings.get(asked.audience, ()) if client is not None else ()
        scopes = [
            _refuse(name, "unknown_scope")
            if audience is None or name not in audience.scopes
            else _refuse(name, "client_ceiling" if name not in ceiling else "wider_than_parent")
            for name in asked.scopes
        ]
        self.details = [_refuse(detail.type, "unknown_detail") for detail in asked.details]
        return self._decision(scopes, asked.actors)

    def _finish(self, audience: Audience, scopes: list[ScopeDecision], actors: tuple[EntityUid, ...]) -> Decision:
        claim_plans = self.bundle.plans.claims(audience)
        lacking = missing_claims(claim_plans, scopes, self.facts, self.details)
        if lacking:
            scopes = [_lacks(scope, lacking) for scope in scopes]
            self.details = [_lacks(detail, lacking) for detail in self.details]
        granted = [scope.scope for scope in scopes if scope.granted]
        if not granted and not any(detail.granted for detail in self.details):
            return self._decision(scopes, actors)
        legacy = [] if audience.mode == "enforce" else [end for s in scopes if s.granted for end in lent_by(s.route)]
        lifetime = bound_lifetime(
            self.bundle,
            audience,
            self.asked,
            self.facts,
            client_kind=self.client.kind if self.client is not None else "",
            granted=granted,
            routes=self.routes,
            legacy=legacy,
            until=self.until,
            lifted=self.lifted,
            details=self._granted_details() if self.each else (),
            now=self.now,
        )
        if lifetime.seconds < 1:
            bound = (lifetime.bounded_by,)
            scopes = [_refuse(s.scope, "no_lifetime", determining=bound) if s.granted else s for s in scopes]
            self.details = [
                _refuse(d.scope, "no_lifetime", determining=bound) if d.granted else d for d in self.details
            ]
            return self._decision(scopes, actors)
        claims, claim_faults = derive_claims(claim_plans, granted, self.facts)
        return Decision(
            bundle=self.bundle.digest,
            decided_at=self.now,
            audience=audience.id,
            subject=self.asked.subject,
            actors=actors,
            scopes=tuple(scopes),
            granted=True,
            claims=claims,
            claim_faults=claim_faults,
            lifetime=lifetime,
            binding=self.asked.binding,
            evaluator=self.bundle.evaluator,
            details=tuple(self.details),
        )

    def _decision(self, scopes: list[ScopeDecision], actors: tuple[EntityUid, ...]) -> Decision:
        return Decision(
            bundle=self.bundle.digest,
            decided_at=self.now,
            audience=self.asked.audience,
            subject=self.asked.subject,
            actors=actors,
            scopes=tuple(scopes),
            granted=False,
            evaluator=self.bundle.evaluator,
            details=tuple(self.details),
        )

    # -- what refuses every scope alike ------------------------------------------------------------------

    def _refuses_all(self) -> _Whole | None:
        audience, asked = self.audience, self.asked
        if audience is None or self.client is None:
            return "unknown_scope", (), ()
        if asked.environment not in audience.environments:
            return "environment", (), ()
        demanded = audience.binding or ("any" if asked.parent is not None and asked.parent.binding else "")
        if demanded and (asked.binding is None or demanded not in ("any", asked.binding.kind)):
            return "obligation_unmet", (Obligation("require_binding", demanded),), ()
        for tenancy in audience.tenancy:
            value = getattr(asked, tenancy.parameter)
            if not value and not tenancy.required:
                continue
            unknown = self._tenancy_unknown(tenancy)
            if unknown is not None:
                return unknown
            allowed = self.facts.subject.attrs.get(tenancy.member_of.partition(".")[2])
            if not value or not isinstance(allowed, frozenset) or value not in allowed:
                return "tenancy", (), ()
        return None

    def _tenancy_unknown(self, tenancy: Tenancy) -> _Whole | None:
        """INVARIANT: what is not known is said to be so, and is not mistaken for what is not the subject's."""
        key = self.bundle.plans.sources.tenancy_key(self.asked.subject.type, tenancy.member_of)
        reading = self.facts.readings.get(key) if key is not None else None
        if key is None or (reading is not None and reading.state == "present"):
            return None
        return _STATE_REASON[reading.state if reading is not None else "missing"], (), (key,)

    # -- the subject: action `issue` ------------------------------------------------------------------

    def _subject_side(self, audience: Audience, client: Client | RegisteredClient) -> list[ScopeDecision]:
        names, parent = self.asked.scopes, self.asked.parent
        known, ceiling = audience.scopes, client.ceilings.get(audience.id, ())
        held = names if parent is None or parent.scopes is None else parent.scopes
        side = self._side(self.facts.subject, "subject", ISSUE)
        return [
            _refuse(name, "unknown_scope")
            if name not in known
            else _refuse(name, "client_ceiling")
            if name not in ceiling
            else _refuse(name, "wider_than_parent")
            if name not in held
            else self._judge(name, side)
            for name in names
        ]

    def _side(self, principal: Entity, role: str, action: EntityUid) -> Side:
        return self.bundle.plans.side(principal, role, action)

    # -- the actors: action `act`, or `impersonate` when no actor was named ------------------------------------------

    def _actor_side(self, scopes: list[ScopeDecision]) -> tuple[list[ScopeDecision], tuple[EntityUid, ...]]:
        actors = self.facts.actors
        if self.asked.impersonate:
            hidden = [self._with_actors(scope, IMPERSONATE) for scope in scopes]
            wanted = [before.scope for before in scopes if before.granted]
            if self.each:
                if self._hidden_with_details(scopes, hidden):
                    return hidden, ()
            elif wanted and wanted == [after.scope for after in hidden if after.granted]:
                return hidden, ()
        if self.each:
            self.details = [one.acted_on(answer, ACT) for one, answer in zip(self.each, self.details, strict=True)]
        return [self._with_actors(scope, ACT) for scope in scopes], tuple([actor.uid for actor in actors])

    def _with_actors(self, scope: ScopeDecision, action: EntityUid) -> ScopeDecision:
        if not scope.granted:
            return scope
        acting: list[str] = []
        faults = scope.faults
        for index, actor in enumerate(self.facts.actors):
            verdict = self._judge(scope.scope, self._side(actor, f"actor:{index}", action))
            faults += verdict.faults
            if not verdict.granted:
                reason = "actor_not_permitted" if verdict.reason == "no_route" else verdict.reason
                return _refuse(
                    scope.scope,
                    reason or "actor_not_permitted",
                    determining=verdict.determining,
                    unmet=verdict.unmet,
                    facts=verdict.facts,
                    faults=faults,
                )
            acting.append(verdict.route)
        return ScopeDecision(scope=scope.scope, granted=True, route=scope.route, acting=tuple(acting), faults=faults)

    # -- authorization details: each is judged as a scope is, its fields in the context --------------------------

    def _details(self, audience: Audience, client: Client | RegisteredClient) -> None:
        asked, parent = self.asked, self.asked.parent
        records = [read_detail(audience, detail) for detail in asked.details]
        held: frozenset[int] | None = None
        if parent is not None and parent.scopes is not None:
            held = carried(audience, asked.details, records, parent.details)
        self.each = [_OfDetail(self, record) for record in records]
        self.details = [
            _refuse(detail.type, "unknown_detail")
            if record is None
            else _refuse(detail.type, "client_ceiling")
            if detail.type not in client.details
            else _refuse(detail.type, "wider_than_parent")
            if held is not None and place not in held
            else one.issued(detail.type)
            for place, (detail, record, one) in enumerate(zip(asked.details, records, self.each, strict=True))
        ]

    def _hidden_with_details(self, scopes: Sequence[ScopeDecision], hidden: Sequence[ScopeDecision]) -> bool:
        """Whether the client may stay hidden for everything that is granted; the details are then so."""
        details = [one.acted_on(answer, IMPERSONATE) for one, answer in zip(self.each, self.details, strict=True)]
        wanted = [before.granted for before in (*scopes, *self.details)]
        if not any(wanted) or wanted != [after.granted for after in (*hidden, *details)]:
            return False
        self.details = details
        return True

    def _granted_details(self) -> list[tuple[str, Mapping[tuple[str, str], Route]]]:
        return [
            (answer.scope, one.routes) for answer, one in zip(self.details, self.each, strict=True) if answer.granted
        ]

    # -- one principal, one scope, one action ------------------------------------------------------------------

    def _judge(self, name: str, side: Side) -> ScopeDecision:
        bundle, facts, question = self.bundle, self.facts, side.questions[name]
        needs = question.needs
        if needs is not self.known:
            if self.trouble or not needs.issubset(facts.readings):
                refused = self._unknown(name, needs)
                if refused is not None:
                    return refused
            self.known = needs
        permits, forbids, faulted = bundle.evaluate(
            question.slice, side.principal, side.action, question.plan.resource, facts.context
        )
        if len(permits) == 1 and not forbids and not faulted:
            plain = bundle.plans.plain_grant(question, permits[0])
            if plain is not None:
                self.routes[name, side.role] = plain.route
                return plain.decision
        return self._weighed(name, side, question, (permits, forbids, faulted))

    def _weighed(self, name: str, side: Side, question: Question, verdict: Verdict) -> ScopeDecision:
        """What the rules come to where it is not one permit that demands nothing, and nothing beside it."""
        permits, forbids, faulted = verdict
        faults = tuple(RuleFault(rule.id, rule.effect) for rule in faulted) if faulted else ()
        if forbids:
            return _refuse(name, "forbidden", determining=tuple(rule.id for rule in forbids), faults=faults)
        for fault in faults:
            if fault.effect == "forbid":
                return _refuse(name, "forbid_failed", determining=(fault.rule,), faults=faults)
        answer = self._best_route(name, permits, side, faults) if permits else _refuse(name, "no_route", faults=faults)
        if self.facts.exceptions and not answer.granted:
            return self._excepted(answer, question, side)
        return answer

    def _excepted(self, refused: ScopeDecision, question: Question, side: Side) -> ScopeDecision:
        """What the rules refuse for want of a route, granted where an exception is one."""
        found = lift(
            self.bundle,
            self.asked,
            self.facts,
            self.now,
            question=question,
            action=side.action,
            principal=side.principal,
            role=side.role,
        )
        name, faults = refused.scope, refused.faults
        if isinstance(found, Lift):
            self.lifted.setdefault(name, []).append(found)
            return ScopeDecision(scope=name, granted=True, route=found.grant.route, faults=faults)
        if isinstance(found, Short) and not 0 < len(refused.unmet) <= len(found.unmet):
            route = (found.grant.route,)
            return _refuse(name, "obligation_unmet", determining=route, unmet=found.unmet, faults=faults)
        return refused

    def _unknown(self, name: str, needs: frozenset[str]) -> ScopeDecision | None:
        """A refusal when a source that the rules read is not there to be read, unless the bundle tolerates that."""
        sources = self.bundle.catalogue.sources
        blocked: list[tuple[str, RefusalReason]] = []
        for key in sorted(needs):
            reading = self.facts.readings.get(key) or Reading("missing")
            if reading.state == "present":
                continue
            source = sources[key.rpartition("/")[2]]
            if getattr(source, reading.state) == "refuse":
                blocked.append((key, _STATE_REASON[reading.state]))
        if not blocked:
            return None
        return _refuse(name, blocked[0][1], facts=tuple(key for key, _ in blocked))

    def _best_route(
        self, name: str, permits: tuple[Rule, ...], side: Side, faults: tuple[RuleFault, ...]
    ) -> ScopeDecision:
        """The satisfied route that lasts longest; failing that, the one with the fewest unmet obligations."""
        best: tuple[float, str, Route] | None = None
        nearest: tuple[int, str, tuple[Obligation, ...]] | None = None
        for rule in permits:
            route = self.bundle.plans.route(rule)
            terms = route.terms
            unmet = self._unmet(terms, side.principal, name)
            if unmet:
                candidate = (len(unmet), rule.id, unmet)
                nearest = candidate if nearest is None else min(nearest, candidate, key=lambda c: c[:2])
                continue
            lasting = (-float(terms.max_ttl) if terms.max_ttl is not None else float("-inf"), rule.id, route)
            best = lasting if best is None else min(best, lasting, key=lambda c: c[:2])
        if best is not None:
            self.routes[name, side.role] = best[2]
            return ScopeDecision(scope=name, granted=True, route=best[1], faults=faults)
        _, rule_id, unmet = nearest or (0, "", ())
        return _refuse(name, "obligation_unmet", determining=(rule_id,), unmet=unmet, faults=faults)

    def _unmet(self, terms: Terms, principal: Entity, name: str) -> tuple[Obligation, ...]:
        if not terms.demands:
            return ()
        return tuple(d for d in terms.demands if not is_met(d, self.asked, principal, name, self.now))


class _OfDetail(_Judgement):
    """One authorization detail, judged by the rules that name its type and by every guardrail."""

    __slots__ = ()

    def __init__(self, whole: _Judgement, record: Record | None) -> None:
        facts = whole.facts
        if record is not None:
            facts = replace(facts, context=Record({**facts.context, "detail": record}))
        super().__init__(whole.bundle, whole.asked, facts, whole.now)

    def issued(self, name: str) -> ScopeDecision:
        """The subject's side."""
        return self._judge(name, self._side(self.facts.subject, "subject", ISSUE))

    def acted_on(self, answer: ScopeDecision, action: EntityUid) -> ScopeDecision:
        """The same with every actor's side."""
        return self._with_actors(answer, action)

    def _excepted(self, refused: ScopeDecision, *_question: object) -> ScopeDecision:
        """No exception is one for a detail: it was asked, and approved, for a scope."""
        return refused


class _Observing(_Judgement):
    """What an older system's mapping gives, and no rule adds to or takes from.

    INVARIANT: it lifts no ceiling, no earlier token's limit, no tenancy, no guardrail of the subject or of an actor,
    and no unknown fact that a guardrail reads. What it gives hides no client that the rules do not hide.
    """

    __slots__ = ("ruled", "until")

    def __init__(self, bundle: Bundle, asked: Asked, facts: Facts, now: int, ruled: Decision) -> None:
        super().__init__(bundle, asked, facts, now)
        self.ruled = ruled
        downgrade = self.audience.downgrade if self.audience is not None else None
        self.until = downgrade.until if downgrade is not None and now < downgrade.until else None

    def _details(self, audience: Audience, client: Client | RegisteredClient) -> None:
        """No older system's mapping gives any."""
        self.details = [_refuse(detail.type, "not_mapped") for detail in self.asked.details]

    def _judge(self, name: str, side: Side) -> ScopeDecision:
        bundle, audience, question = self.bundle, self.audience, side.questions[name]
        plan, principal, action, role = question.plan, side.principal, side.action, side.role
        unknown = self._unknown(name, plan.guard_needs(action, principal.uid.type, role))
        if unknown is not None or audience is None:
            return unknown or _refuse(name, "unknown_scope")
        _, forbids, faulted = bundle.evaluate(question.slice, principal, action, plan.resource, self.facts.context)
        faults = tuple(RuleFault(rule.id, rule.effect) for rule in faulted)
        if forbids:
            return _refuse(name, "forbidden", determining=tuple(rule.id for rule in forbids), faults=faults)
        for fault in faults:
            if fault.effect == "forbid":
                return _refuse(name, "forbid_failed", determining=(fault.rule,), faults=faults)
        if role != "subject":
            return ScopeDecision(scope=name, granted=True)
        route = lender(audience, name, self.asked, self.facts)
        if route:
            return ScopeDecision(scope=name, granted=True, route=route)
        return self._unknown(name, plan.lender_needs(principal.uid.type)) or _refuse(name, "not_mapped")

    def _actor_side(self, scopes: list[ScopeDecision]) -> tuple[list[ScopeDecision], tuple[EntityUid, ...]]:
        actors, ruled = self.facts.actors, self.ruled
        if self.asked.impersonate and ruled.granted and not ruled.actors:
            by_rules = ruled.granted_scopes
            if all(scope.scope in by_rules for scope in scopes if scope.granted):
                return scopes, ()
        return [self._guarded(scope) for scope in scopes], tuple([actor.uid for actor in actors])

    def _guarded(self, scope: ScopeDecision) -> ScopeDecision:
        """The scope, refused if a guardrail is about one of the actors."""
        for index, actor in enumerate(self.facts.actors if scope.granted else ()):
            verdict = self._judge(scope.scope, self._side(actor, f"actor:{index}", ACT))
            if not verdict.granted:
                return verdict
        return scope


def _refuse(
    name: str,
    reason: RefusalReason,
    *,
    determining: tuple[str, ...] = (),
    unmet: tuple[Obligation, ...] = (),
    facts: tuple[str, ...] = (),
    faults: tuple[RuleFault, ...] = (),
) -> ScopeDecision:
    return ScopeDecision(
        scope=name, granted=False, reason=reason, determining=determining, unmet=unmet, facts=facts, faults=faults
    )


def _lacks(scope: ScopeDecision, lacking: Mapping[str, tuple[str, ...]]) -> ScopeDecision:
    """The scope, refused if a claim that it cannot do without has no value."""
    if not scope.granted or scope.scope not in lacking:
        return scope
    return _refuse(scope.scope, "claim_absent", determining=lacking[scope.scope], faults=scope.faults)
