"""The smallest change that would turn a refused scope: searched, and tried by deciding again."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from mintwarden.model.decision import Decision, Obligation, ScopeDecision
from mintwarden.model.fact_type import FactType
from mintwarden.model.values import Datetime, Decimal4, Duration, Entity, EntityUid, Record
from mintwarden.policy.amend import Amendment, Situation, amend, amendment_of, ask_for
from mintwarden.policy.cedar.change import Change
from mintwarden.policy.cedar.literals import read_ip
from mintwarden.policy.cedar.operators import World
from mintwarden.policy.cedar.smallest import Goal, smallest_change_for
from mintwarden.policy.cedar.walk import walk
from mintwarden.policy.decide import decide_by_rules
from mintwarden.policy.plan import ACT, ISSUE, SourceIndex

if TYPE_CHECKING:
    from mintwarden.policy.bundle.model import Bundle
    from mintwarden.policy.cedar.rules import Rule

DECISIONS = 80
EXPANDED = 24
ROUTES = 12
"""Routes that are looked into, the nearest first."""

_OF_THE_WHOLE = ("claim_absent", "no_lifetime")
"""Reasons that are found only once every side has agreed."""

Amendments = tuple[Amendment, ...]


class Side(NamedTuple):
    """Whose part of a decision: the subject's, or that of the first actor who may not act."""

    role: str
    action: EntityUid
    principal: Entity


def is_clear(scope: ScopeDecision | None) -> bool:
    """Granted, by the rules: nothing else is asked here."""
    return scope is not None and scope.granted


def scope_of(decision: Decision, name: str) -> ScopeDecision | None:
    """The decision's answer for one scope, or for the one detail that was asked for."""
    return next((scope for scope in (*decision.scopes, *decision.details) if scope.scope == name), None)


def refusing_side(bundle: Bundle, situation: Situation, name: str) -> Side:
    """Who it is that may not have the scope."""
    asked, facts, now = situation
    openly = replace(asked, impersonate=False)
    for count in range(len(facts.actors)):
        decision = decide_by_rules(bundle, openly, replace(facts, actors=facts.actors[:count]), now)
        answer = scope_of(decision, name)
        if not is_clear(answer) and (answer is None or answer.reason not in _OF_THE_WHOLE):
            return _side(situation, count)
    return _side(situation, len(facts.actors))


def _side(situation: Situation, count: int) -> Side:
    """The side that came into play with the first `count` actors."""
    facts = situation.facts
    return (
        Side("subject", ISSUE, facts.subject)
        if count == 0
        else Side(f"actor:{count - 1}", ACT, facts.actors[count - 1])
    )


def world_of(bundle: Bundle, situation: Situation, side: Side, name: str) -> World:
    """The question that the side's rules are asked."""
    return World(side.principal, side.action, bundle.plans.scope(name).resource, situation.facts.context)


def nearest_routes(bundle: Bundle, situation: Situation, side: Side, name: str) -> list[Rule]:
    """The permits that could grant it to a principal of that type, those with the fewest unmet conditions first."""
    world = world_of(bundle, situation, side, name)
    slice_ = bundle.plans.scope(name).slice(side.action)

    def distance(rule: Rule) -> tuple[int, int, str]:
        unmet = sum(condition.truth != "true" for condition in walk(rule, world).conditions)
        return unmet, len(bundle.plans.terms(rule).demands), rule.id

    return sorted((r for r in slice_.rules_for(side.principal.uid.type) if r.effect == "permit"), key=distance)


def turn(bundle: Bundle, situation: Situation, name: str) -> Amendments | None:
    """The least that would get the rules to grant scope `name`; None if nothing was found. It has been tried."""
    return _Search(bundle, situation, name).run()


class _Search:
    """Best first: the cheapest amendments so far are decided; a refusal says what to amend next."""

    def __init__(self, bundle: Bundle, situation: Situation, name: str) -> None:
        self._bundle = bundle
        self._situation = situation
        self._name = name
        self._sources = SourceIndex(bundle.catalogue)
        self._left = DECISIONS

    def run(self) -> Amendments | None:
        queue: list[tuple[int, int, list[str], Amendments]] = [(0, 0, [], ())]
        seen: set[frozenset[Amendment]] = {frozenset()}
        expanded = 0
        while queue and self._left > 0 and expanded < EXPANDED:
            *_, amendments = heapq.heappop(queue)
            situation = self._amended(amendments)
            if situation is None:
                continue
            answer = self._decide(situation)
            if is_clear(answer):
                return self._pruned(amendments)
            if answer is None:
                return None
            expanded += 1
            for more in self._next(situation, answer):
                both = _merged(amendments, more)
                if more and frozenset(both) not in seen:
                    seen.add(frozenset(both))
                    heapq.heappush(queue, (sum(a.cost for a in both), len(both), [a.text for a in both], both))
        return None

    def _amended(self, amendments: Iterable[Amendment]) -> Situation | None:
        situation: Situation | None = self._situation
        for amendment in amendments:
            if situation is not None:
                situation = amend(situation, amendment, self._sources)
        return situation

    def _decide(self, situation: Situation) -> ScopeDecision | None:
        self._left -= 1
        return scope_of(decide_by_rules(self._bundle, *situation), self._name)

    def _pruned(self, amendments: Amendments) -> Amendments:
        for amendment in sorted(amendments, key=lambda a: (-a.cost, a.text)):
            fewer = tuple(a for a in amendments if a != amendment)
            situation = self._amended(fewer)
            if situation is not None and is_clear(self._decide(situation)):
                amendments = fewer
        return amendments

    # -- what a refusal suggests -----------------------------------------------------------------------------------

    def _next(self, situation: Situation, answer: ScopeDecision) -> Iterator[Amendments]:
        match answer.reason:
            case "environment":
                audience = self._bundle.catalogue.audiences[situation.asked.audience]
                yield from ((ask_for("environment", name),) for name in audience.environments)
            case "tenancy":
                yield from self._tenancy(situation)
            case "obligation_unmet":
                side = refusing_side(self._bundle, situation, self._name)
                yield tuple(self._meeting(situation, side, demand) for demand in answer.unmet)
            case "fact_missing" | "fact_stale" | "source_failing":
                yield tuple(Amendment("source", Change("set", (key,))) for key in answer.facts)
            case "forbidden" | "forbid_failed" | "no_route" | "actor_not_permitted":
                yield from self._by_rules(situation)
            case "claim_absent":
                yield from self._claims(answer.determining)
            case "no_lifetime":
                yield from self._more_time(situation, answer.determining)
            case _:
                return  # the catalogue or the earlier token says no, and no fact can change that

    def _tenancy(self, situation: Situation) -> Iterator[Amendments]:
        asked, subject = situation.asked, situation.facts.subject
        for tenancy in self._bundle.catalogue.audiences[asked.audience].tenancy:
            name = tenancy.member_of.partition(".")[2]
            allowed, value = subject.attrs.get(name), getattr(asked, tenancy.parameter)
            own = sorted(allowed) if isinstance(allowed, frozenset) else []
            if (not value and not tenancy.required) or value in own:
                continue
            yield from ((ask_for(tenancy.parameter, choice),) for choice in own[:1])
            if value:
                yield (Amendment("subject", Change("add", ("principal", name), value)),)
            elif not own:
                yield (
                    ask_for(tenancy.parameter, "any"),
                    Amendment("subject", Change("add", ("principal", name), "any")),
                )

    def _meeting(self, situation: Situation, side: Side, demand: Obligation) -> Amendment:
        first = (demand.value.split() or [""])[0]
        match demand.name:
            case "require_binding":
                return ask_for("binding", "dpop" if demand.value == "any" else demand.value)
            case "require_auth_age":
                return ask_for("auth_age", 0)
            case "require_amr":
                return ask_for("amr", frozenset((*situation.asked.amr, *demand.value.split())))
            case "require_approval":
                approval = f"{demand.value}:{self._name}"
                return Amendment(side.role, Change("add", ("principal", "approvals"), approval))
            case _:
                return ask_for(demand.name.removeprefix("require_"), first)

    def _by_rules(self, situation: Situation) -> Iterator[Amendments]:
        """Make every guardrail let go, or some route hold."""
        bundle, name = self._bundle, self._name
        side = refusing_side(bundle, situation, name)
        world = world_of(bundle, situation, side, name)
        _, forbids, faulted = bundle.evaluate(bundle.plans.scope(name).slice(side.action), *world)
        standing = [(rule, False) for rule in (*forbids, *(rule for rule in faulted if rule.effect == "forbid"))]
        if standing:
            yield from self._reach(standing, world, side)
            return
        for rule in nearest_routes(bundle, situation, side, name)[:ROUTES]:
            yield from self._reach([(rule, True)], world, side)

    def _reach(self, goals: Sequence[Goal], world: World, side: Side) -> Iterator[Amendments]:
        changes = smallest_change_for(goals, world, check=lambda _, made: None not in _amendments(side.role, made))
        if changes is not None:
            yield tuple(a for a in _amendments(side.role, changes) if a is not None)

    def _more_time(self, situation: Situation, bounds: Iterable[str]) -> Iterator[Amendments]:
        """Push out the session's end or an entitlement's; what was asked for or carried over cannot be."""
        audience = self._bundle.catalogue.audiences[situation.asked.audience]
        for bound in bounds:
            if bound == "session":
                later = Datetime(situation.now + audience.default_ttl * 1000)
                yield (Amendment("context", Change("set", ("context", "session", "expires_at"), later)),)
            kind, _, what = bound.partition(":")
            fact, _, element = what.partition("/")
            keys = (key for key, ends in situation.facts.ends.items() if key.endswith(f"/{fact}") and element in ends)
            if kind == "entitlement":
                yield tuple(Amendment("end", Change("unset", (key, element))) for key in sorted(keys))

    def _claims(self, names: Iterable[str]) -> Iterator[Amendments]:
        """A value for each claim that the scope cannot do without, where it is a fact and not an expression."""
        amendments: list[Amendment] = []
        for name in names:
            claim = self._bundle.catalogue.claims[name]
            root, *steps = claim.origin.split(".")
            if not steps:
                return
            path = ("principal" if root == "subject" else root, *steps)
            amendment = amendment_of("subject", Change("present", path, _sample(claim.type)))
            if amendment is None:
                return
            amendments.append(amendment)
        yield tuple(amendments)


def _merged(amendments: Amendments, more: Amendments) -> Amendments:
    """Both in order; where both give the same fact a value, the later one."""
    again = {(a.about, a.change.path) for a in more if a.change.kind in ("set", "other", "present", "unset")}
    return tuple(dict.fromkeys((*(a for a in amendments if (a.about, a.change.path) not in again), *more)))


def _amendments(role: str, changes: Iterable[Change]) -> list[Amendment | None]:
    return [amendment_of(role, change) for change in changes]


def _sample(of: FactType) -> Any:
    samples: dict[str, Any] = {
        "bool": True,
        "long": 0,
        "decimal": Decimal4(0),
        "datetime": Datetime(0),
        "duration": Duration(0),
        "set": frozenset(),
        "record": Record(),
        "ipaddr": read_ip("192.0.2.1"),
    }
    return samples.get(of.kind, "something")
