"""Why a decision came out as it did, as data: computed when somebody asks, by deciding again over the same inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from mintwarden.model.asked import Asked
from mintwarden.model.catalogue import Scope
from mintwarden.model.decision import Decision, Lifetime, RefusalReason, ScopeDecision
from mintwarden.model.detail import Detail, DetailType
from mintwarden.model.facts import Facts
from mintwarden.model.ids import entity_key
from mintwarden.model.values import Entity, Record
from mintwarden.policy.amend import Amendment, Situation
from mintwarden.policy.cedar.render import spell_datetime
from mintwarden.policy.cedar.walk import Condition, walk
from mintwarden.policy.decide import decide
from mintwarden.policy.details import read_detail
from mintwarden.policy.explained import (
    BoundShown,
    ChangeShown,
    ClaimShown,
    ConditionShown,
    ExceptionShown,
    Explanation,
    FactShown,
    Route,
    RuleShown,
    ScopeExplained,
)
from mintwarden.policy.modes import routes_to
from mintwarden.policy.obligations import is_met
from mintwarden.policy.plan import ACT, ISSUE, SourceIndex
from mintwarden.policy.shown import fact_at, sourced
from mintwarden.policy.turn import Side, is_clear, nearest_routes, refusing_side, turn, world_of

if TYPE_CHECKING:
    from mintwarden.policy.bundle.model import Bundle

BECAUSE: Mapping[RefusalReason, str] = {
    "no_route": "no rule permits it",
    "not_mapped": "the mapping of the older system does not give it to the caller",
    "forbidden": "a guardrail forbids it",
    "forbid_failed": "a guardrail could not be evaluated",
    "actor_not_permitted": "an actor may not act with it",
    "obligation_unmet": "a rule permits it, but demands more than the request brings",
    "fact_missing": "a fact that decides it is missing",
    "fact_stale": "a fact that decides it is too old",
    "source_failing": "a source of facts that decide it does not answer",
    "tenancy": "the tenant, workspace or project is absent or not the subject's",
    "wider_than_parent": "the earlier token does not carry it",
    "client_ceiling": "the client may never have it",
    "unknown_scope": "there is no such audience, scope or client",
    "unknown_detail": "the audience has no such type of authorization detail, or not with such fields",
    "environment": "the audience does not exist in that environment",
    "claim_absent": "a claim that it cannot do without has no value",
    "no_lifetime": "a bound leaves no time",
    "unverified": "Cedar and the compiled rules disagreed",
}
_BY_ROUTE = frozenset({"no_route", "obligation_unmet", "actor_not_permitted"})


def explain(bundle: Bundle, asked: Asked, facts: Facts, now: int, decision: Decision | None = None) -> Explanation:
    """Why `asked` was decided so. `decision` is the recorded one, if there is one; else it is decided here.

    Pure, like `decide`. Takes milliseconds, not microseconds: it is for people.
    """
    return _Explainer(bundle, Situation(asked, facts, now), decision).explain()


class _Explainer:
    def __init__(self, bundle: Bundle, situation: Situation, decision: Decision | None) -> None:
        self._bundle = bundle.at(situation.now)
        self._situation = situation
        self._decision = decision or decide(bundle, *situation)
        self._sources = SourceIndex(bundle.catalogue)

    def explain(self) -> Explanation:
        bundle, decision = self._bundle, self._decision
        binding = decision.binding
        return Explanation(
            bundle=decision.bundle,
            name=bundle.catalogue.name,
            owner=bundle.catalogue.owner,
            contact=bundle.catalogue.owner_contact,
            decided_at=decision.decided_at,
            evaluator=decision.evaluator,
            mode=decision.mode,
            stage=decision.stage,
            client=self._situation.asked.client_id,
            audience=decision.audience,
            subject=entity_key(decision.subject),
            actors=tuple(entity_key(actor) for actor in decision.actors),
            granted=decision.granted,
            scopes=tuple(self._scope(scope) for scope in decision.scopes),
            claim_faults=decision.claim_faults,
            claims=tuple(
                ClaimShown(claim.name, claim.value, claim.origin, claim.source, self._age_of(claim.source))
                for claim in decision.claims
            ),
            lifetime=decision.lifetime.seconds if decision.lifetime else None,
            bounds=_bounds(decision.lifetime),
            binding=f"{binding.kind} {binding.thumbprint}" if binding else "",
            details=tuple(
                self._detail(detail, answer)
                for detail, answer in zip(self._situation.asked.details, decision.details, strict=False)
            ),
        )

    def _detail(self, detail: Detail, answer: ScopeDecision) -> ScopeExplained:
        """One detail as if nothing else had been asked for, its fields where rules see them."""
        asked, facts, now = self._situation
        audience = self._bundle.catalogue.audiences.get(asked.audience)
        record = read_detail(audience, detail) if audience is not None else None
        if record is not None:
            facts = replace(facts, context=Record({**facts.context, "detail": record}))
        alone = Situation(replace(asked, scopes=(), details=(detail,)), facts, now)
        return _Explainer(self._bundle, alone, self._decision)._scope(answer)  # noqa: SLF001 - its own kind

    def _scope(self, answer: ScopeDecision) -> ScopeExplained:
        """What was issued, and beside it what the rules, or those that are only observed, would have said."""
        said = answer.would
        if self._decision.mode == "observe":
            # Without anything beside it the rules said the same: the same refusal, for it cannot be the same grant.
            if said is None:
                return self._answered(answer)
            return replace(self._issued(answer), would=self._said(said))
        return self._said(answer)

    def _said(self, answer: ScopeDecision) -> ScopeExplained:
        told = self._answered(answer)
        if answer.would is None:
            return told
        observing = _Explainer(self._bundle.with_observed(), self._situation, self._decision)
        return replace(told, would=observing._answered(answer.would))

    def _issued(self, answer: ScopeDecision) -> ScopeExplained:
        """What the mapping of an older system gave, or what kept it from giving."""
        scope = self._declared(answer.scope)
        audience = self._bundle.catalogue.audiences[self._decision.audience]
        return ScopeExplained(
            scope=answer.scope,
            meaning=scope.meaning if scope else "",
            tier=scope.tier if scope else "",
            granted=answer.granted,
            mapped=(answer.route,)
            if answer.granted
            else tuple(routes_to(audience, answer.scope))
            if answer.reason == "not_mapped"
            else (),
            reason=answer.reason,
            because=BECAUSE[answer.reason] if answer.reason else "",
            deciding=tuple(self._forbade(rule, answer.scope) for rule in answer.determining if self._known(rule)),
            lacking=self._lacking(answer),
        )

    def _forbade(self, rule_id: str, name: str) -> RuleShown:
        """A guardrail, and the first whom it is about."""
        rule, facts = self._bundle.rules.rules[rule_id], self._situation.facts
        sides = [Side("subject", ISSUE, facts.subject)]
        sides += [Side(f"actor:{index}", ACT, actor) for index, actor in enumerate(facts.actors)]
        for side in sides:
            world = world_of(self._bundle, self._situation, side, name)
            if all(condition.truth == "true" for condition in walk(rule, world).conditions):
                return self._rule(rule_id, side.role, side.principal)
        return self._rule(rule_id, "subject")

    def _answered(self, answer: ScopeDecision) -> ScopeExplained:
        """What the rules said."""
        scope = self._declared(answer.scope)
        common: dict[str, Any] = {
            "scope": answer.scope,
            "meaning": scope.meaning if scope else "",
            "tier": scope.tier if scope else "",
            "granted": answer.granted,
            "faults": tuple(self._rule(fault.rule, "") for fault in answer.faults if self._known(fault.rule)),
        }
        if is_clear(answer):
            return ScopeExplained(**common, carried=self._carried(answer), exceptions=self._excepted(answer, ""))
        reason = answer.reason or "no_route"
        side = refusing_side(self._bundle, self._situation, answer.scope)
        amendments = turn(self._bundle, self._situation, answer.scope) if scope else None
        return ScopeExplained(
            **common,
            reason=reason,
            because=BECAUSE[reason],
            deciding=self._deciding(answer, side),
            route=self._route(answer, side) if reason in _BY_ROUTE and scope else None,
            exceptions=self._excepted(answer, side.role),
            lacking=self._lacking(answer),
            change=None if amendments is None else _changes(amendments),
        )

    def _declared(self, name: str) -> Scope | DetailType | None:
        catalogue = self._bundle.catalogue
        return catalogue.scopes.get(name) or catalogue.details.get(name)

    # -- rules ---------------------------------------------------------------------------------------------------

    def _known(self, rule_id: str) -> bool:
        return rule_id in self._bundle.rules.rules

    def _carried(self, answer: ScopeDecision) -> tuple[RuleShown, ...]:
        facts = self._situation.facts
        carried = [(answer.route, "subject", facts.subject)]
        carried += [
            (rule, f"actor:{index}", actor)
            for index, (rule, actor) in enumerate(zip(answer.acting, facts.actors, strict=False))
        ]
        return tuple(self._rule(rule, role, principal) for rule, role, principal in carried if self._known(rule))

    def _excepted(self, answer: ScopeDecision, refused: str) -> tuple[ExceptionShown, ...]:
        """The exceptions that granted; of a refusal of the role `refused`, the one that demands too much."""
        routes = [("subject", answer.route)]
        routes += [(f"actor:{index}", route) for index, route in enumerate(answer.acting)]
        routes += [(refused, rule) for rule in answer.determining]
        return tuple(
            ExceptionShown(
                id=grant.id,
                role=role,
                principal=entity_key(grant.principal),
                starts_at=spell_datetime(grant.starts_at),
                expires_at=spell_datetime(grant.expires_at),
                approvals=grant.approvals,
                waives=grant.waives,
                unmet=answer.unmet,
            )
            for role, route in routes
            for grant in self._situation.facts.exceptions
            if grant.route == route
        )

    def _deciding(self, answer: ScopeDecision, side: Side) -> tuple[RuleShown, ...]:
        if answer.reason not in ("forbidden", "forbid_failed"):
            return ()
        return tuple(self._rule(r, side.role, side.principal) for r in answer.determining if self._known(r))

    def _rule(self, rule_id: str, role: str, principal: Entity | None = None) -> RuleShown:
        rule = self._bundle.rules.rules[rule_id]
        return RuleShown(
            id=rule.id,
            effect=rule.effect,
            role=role,
            owner=rule.annotations.get("owner", ""),
            reason=rule.annotations.get("reason", ""),
            file=rule.file,
            line=rule.line,
            facts=() if principal is None else tuple(self._fact(p, role, principal) for p in sorted(rule.reads)),
        )

    def _route(self, answer: ScopeDecision, side: Side) -> Route | None:
        routes = nearest_routes(self._bundle, self._situation, side, answer.scope)
        if answer.reason == "obligation_unmet":
            routes = [rule for rule in routes if rule.id in answer.determining]
        if not routes:
            return None
        rule = routes[0]
        walked = walk(rule, world_of(self._bundle, self._situation, side, answer.scope))
        return Route(
            rule=self._rule(rule.id, side.role, side.principal),
            conditions=tuple(self._condition(condition, side) for condition in walked.conditions),
            unmet=tuple(
                demand
                for demand in self._bundle.plans.terms(rule).demands
                if not is_met(demand, self._situation.asked, side.principal, answer.scope, self._situation.now)
            ),
        )

    def _condition(self, condition: Condition, side: Side) -> ConditionShown:
        return ConditionShown(
            text=condition.text,
            truth=condition.truth,
            kind=condition.kind,
            reached=condition.reached,
            parts=tuple(self._condition(part, side) for part in condition.parts),
            facts=tuple(self._fact(seen.path, side.role, side.principal) for seen in condition.seen),
            fault=condition.fault,
        )

    # -- facts ---------------------------------------------------------------------------------------------------

    def _fact(self, path: str, role: str, principal: Entity) -> FactShown:
        return fact_at(self._bundle, self._situation, path, role=role, principal=principal)

    def _lacking(self, answer: ScopeDecision) -> tuple[FactShown, ...]:
        if answer.reason == "claim_absent":
            claims = self._bundle.catalogue.claims
            return tuple(FactShown(path=name, present=False, source=claims[name].source) for name in answer.determining)
        return tuple(sourced(self._situation, key, None, [key]) for key in answer.facts)

    def _age_of(self, source: str) -> int | None:
        """Of what the source said about the subject or, failing that, about anything."""
        readings = self._situation.facts.readings
        for key in (f"subject/{source}", *sorted(key for key in readings if key.endswith(f"/{source}"))):
            reading = readings.get(key)
            if reading is not None and reading.observed_at:
                return max(0, self._situation.now - reading.observed_at) // 1000
        return None


def _changes(amendments: Iterable[Amendment]) -> tuple[ChangeShown, ...]:
    """Facts first, then what would have to be asked otherwise."""
    shown = [ChangeShown(amendment.about, amendment.text) for amendment in amendments]
    return tuple(sorted(shown, key=lambda change: (change.about == "request", change.text)))


def _bounds(lifetime: Lifetime | None) -> tuple[BoundShown, ...]:
    if lifetime is None:
        return ()
    shown = [BoundShown(name, seconds, name == lifetime.bounded_by) for name, seconds in lifetime.bounds]
    return tuple(sorted(shown, key=lambda bound: (bound.seconds, not bound.decided, bound.name)))
