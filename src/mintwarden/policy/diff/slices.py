"""Which questions two bundles put alike: those with the same rules about the same facts need no solver."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mintwarden.model.catalogue import Tenancy
from mintwarden.model.values import EntityUid
from mintwarden.policy.bundle.facttypes import spelled
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.cedar.rule import Rule
from mintwarden.policy.diff.pair import Pair
from mintwarden.policy.diff.trees import conditions_of
from mintwarden.policy.durations import written
from mintwarden.policy.prove.party import may_lack


def gates_alike(pair: Pair, scope: str) -> bool:
    """Whether the same requests for the scope reach the rules."""
    return _gate(pair.old, scope) == _gate(pair.new, scope)


def rules_alike(pair: Pair, scope: str, action: EntityUid, about: str) -> bool:
    """Whether the same rules, about the same facts and the same resource, decide the action for such principals."""
    return _question(pair.old, scope, action, about) == _question(pair.new, scope, action, about)


def routes_alike(pair: Pair, scope: str, action: EntityUid, about: str) -> bool:
    """Whether the same permits follow each other in the order in which the longest that is met is looked for."""
    return _routes(pair.old, scope, action, about) == _routes(pair.new, scope, action, about)


def rules_apart(pair: Pair, scope: str, action: EntityUid, about: str) -> tuple[list[Rule], list[Rule]]:
    """The rules of OLD's slice that NEW's does not have, and the other way round."""
    slices = [list(b.plans.scope(scope).slice(action).rules_for(about)) for b in (pair.old, pair.new)]
    told = [{_told(bundle, rule) for rule in rules} for bundle, rules in zip((pair.old, pair.new), slices, strict=True)]
    return (
        [rule for rule in slices[0] if _told(pair.old, rule) not in told[1]],
        [rule for rule in slices[1] if _told(pair.new, rule) not in told[0]],
    )


def resources_alike(pair: Pair, scope: str) -> bool:
    """Whether rules see the same of the scope."""
    return pair.old.plans.scope(scope).resource == pair.new.plans.scope(scope).resource


def permits_of(bundle: Bundle, scope: str, action: EntityUid, about: str) -> list[Rule]:
    """The slice's permits for principals of a type, that first which counts first."""
    rules = bundle.plans.scope(scope).slice(action).rules_for(about)
    return sorted((r for r in rules if r.effect == "permit"), key=lambda rule: (-lasting(bundle, rule), rule.id))


def lasting(bundle: Bundle, rule: Rule) -> float:
    """The seconds that a rule lets a token live."""
    ttl = bundle.plans.terms(rule).max_ttl
    return float("inf") if ttl is None else float(ttl)


def exceptional(bundle: Bundle, scope: str, action: EntityUid, about: str) -> tuple[str, str]:
    """What an exception has to meet, and how long it may make a token live: what every permit demands."""
    terms = [bundle.plans.terms(rule) for rule in permits_of(bundle, scope, action, about)]
    common = [d for d in terms[0].demands if all(d in other.demands for other in terms[1:])] if terms else []
    limits = [one.max_ttl for one in terms]
    longest = "any" if not limits or None in limits else written(max(limit for limit in limits if limit is not None))
    return ", ".join(sorted(f"@{demand.name}({demand.value})" for demand in common)) or "nothing", longest


def longest(pair: Pair, scope: str) -> int:
    """The seconds beyond which no route of either bundle makes a difference."""
    plans = [bundle.plans.scope(scope) for bundle in (pair.old, pair.new)]
    return max(min(plan.audience.max_ttl, plan.tier.max_ttl) for plan in plans)


def _gate(bundle: Bundle, scope: str) -> tuple[Any, ...]:
    audience = bundle.plans.scope(scope).audience
    clients = (
        (
            client.id,
            client.kind,
            client.owner,
            client.principal,
            *(frozenset(getattr(client, name)) for name in ("grants", "environments", "methods")),
        )
        for client in bundle.catalogue.clients.values()
        if scope in client.ceilings.get(audience.id, ())
    )
    tenancies = frozenset(map(_tenancy, audience.tenancy))
    return frozenset(audience.environments), audience.binding, tenancies, frozenset(clients)


def _tenancy(tenancy: Tenancy) -> tuple[Any, ...]:
    return tenancy.parameter, tenancy.member_of, tenancy.required


def _question(bundle: Bundle, scope: str, action: EntityUid, about: str) -> tuple[Any, ...]:
    question = bundle.plans.question(scope, action, about, "subject")
    rules = sorted(_told(bundle, rule) for rule in question.slice.rules_for(about))
    resource = tuple(sorted(question.plan.resource.attrs.items()))
    return rules, resource, _sources(bundle, {key.rpartition("/")[2] for key in question.needs})


def _told(bundle: Bundle, rule: Rule) -> tuple[Any, ...]:
    demands = sorted((demand.name, demand.value) for demand in bundle.plans.terms(rule).demands)
    return rule.effect, conditions_of(rule.template), tuple(demands)


def _routes(bundle: Bundle, scope: str, action: EntityUid, about: str) -> list[tuple[Any, ...]]:
    return [(lasting(bundle, rule), *_told(bundle, rule)) for rule in permits_of(bundle, scope, action, about)]


def _sources(bundle: Bundle, names: Iterable[str]) -> list[tuple[Any, ...]]:
    """All of what may be known, where the needed sources are involved: what is there, and what its absence means."""
    found = []
    for name in sorted(names):
        source = bundle.catalogue.sources[name]
        facts = sorted((fact.name, spelled(fact.type), may_lack(fact, source)) for fact in source.facts.values())
        refusing = (source.missing, source.stale, source.failing)
        found.append((name, sorted(source.about), facts, refusing, source.groups))
    return found
