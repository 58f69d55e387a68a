"""How long a token may live: the least of every bound that applies, and which one it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

from mintwarden.model.asked import Asked
from mintwarden.model.catalogue import Audience
from mintwarden.model.decision import Lifetime, Obligation
from mintwarden.model.facts import Facts
from mintwarden.model.values import Datetime, Record
from mintwarden.policy.plan import GROUPS, ClaimPlan, Plans, Route

if TYPE_CHECKING:
    from mintwarden.policy.bundle.model import Bundle
    from mintwarden.policy.cedar.rules import Rule
    from mintwarden.policy.exceptions import Lift

Routes = Mapping[tuple[str, str], Route]
"""By scope, or type of detail, and role: the route that was taken."""

_seconds = itemgetter(1)
_NO_ENDS: Mapping[str, int] = {}
_NO_LIFTED: Mapping[str, Iterable[Lift]] = {}


def bound_lifetime(
    bundle: Bundle,
    audience: Audience,
    asked: Asked,
    facts: Facts,
    *,
    client_kind: str,
    granted: Sequence[str],
    routes: Routes,
    legacy: Iterable[tuple[str, str]] = (),
    lifted: Mapping[str, Iterable[Lift]] = _NO_LIFTED,
    details: Iterable[tuple[str, Routes]] = (),
    until: int | None = None,
    now: int,
) -> Lifetime:
    """The lifetime in seconds, never rounded up; 0 or less when a bound leaves no time.

    `legacy` are the subject's facts, with the element, by which an older system's mapping gave something;
    `lifted` the exceptions that granted, by scope; `details` the types of granted details with the routes of each;
    `until` the end of what all of it is issued by (`Millis`).
    """
    bounds: dict[str, int] = {}
    if asked.lifetime is not None:
        bounds["requested"] = asked.lifetime
    else:
        bounds[f"default:{audience.id}"] = audience.default_ttl
    bounds[f"audience:{audience.id}"] = audience.max_ttl
    if audience.max_age_of_decision is not None and is_autonomous(asked, client_kind):
        bounds[f"max_age_of_decision:{audience.id}"] = audience.max_age_of_decision
    if asked.parent is not None:
        bounds["parent"] = (asked.parent.expires_at - now) // 1000
    if until is not None:
        bounds[f"downgrade:{audience.id}"] = (until - now) // 1000
    plans = bundle.plans
    _add_routes(bounds, plans, facts, granted, routes, now)
    for name, own in details:
        _add_routes(bounds, plans, facts, (name,), own, now)
    if lifted:
        _add_exceptions(bounds, facts, granted, lifted, now)
    if facts.ends:
        _add_claims(bounds, plans.claims(audience), facts, granted, now)
        for fact, element in legacy:
            _add_end(bounds, facts, "subject", fact, element, now)
        for tenancy in audience.tenancy:
            fact = tenancy.member_of.partition(".")[2]
            _add_end(bounds, facts, "subject", fact, getattr(asked, tenancy.parameter), now)
    _add_session(bounds, facts.context, now)
    ordered = sorted(bounds.items())
    bounded_by, seconds = min(ordered, key=_seconds)  # the first by name of several equal ones
    return Lifetime(seconds, bounded_by, tuple(ordered))


def is_autonomous(asked: Asked, client_kind: str) -> bool:
    """Does an agent hold the token, or act by it, or is it about one."""
    return client_kind == "agent" or asked.subject.type == "Agent" or any(a.type == "Agent" for a in asked.actors)


def _add_routes(
    bounds: dict[str, int], plans: Plans, facts: Facts, granted: Sequence[str], routes: Routes, now: int
) -> None:
    """The tiers of what is granted, and what the routes to it set and lean on."""
    for name in granted:
        tier = plans.scope(name).tier
        bounds[tier.bound] = tier.max_ttl
    for (name, role), (rule, terms) in routes.items():
        if name not in granted:
            continue
        if terms.max_ttl is not None:
            bounds[f"route:{rule.id}"] = terms.max_ttl
        if facts.ends:
            _add_ends(bounds, facts, role, rule, now)
            _add_approvals(bounds, facts, role, terms.demands, name, now)


def _add_claims(
    bounds: dict[str, int], claims: Sequence[ClaimPlan], facts: Facts, granted: Sequence[str], now: int
) -> None:
    """The ends of elements that a claim copies: a token must not say for longer what holds for shorter."""
    for plan in claims:
        if not plan.wanted_by(granted):
            continue
        for path in plan.derivation.reads if plan.derivation is not None else (plan.claim.origin,):
            role, _, rest = path.partition(".")
            fact = "groups" if rest == GROUPS else rest.partition(".")[0]
            if role == "subject":
                for element in facts.ends.get(f"subject/{fact}", _NO_ENDS):
                    _add_end(bounds, facts, "subject", fact, element, now)


def _add_ends(bounds: dict[str, int], facts: Facts, role: str, rule: Rule, now: int) -> None:
    """The ends of the entitlements and memberships that the route leans on.

    A route that tests for no particular element leans on all that have an end.
    """
    for attribute, literals in rule.leans_on.items():
        ends = facts.ends.get(f"{role}/{attribute}")
        if not ends:
            continue
        elements: Iterable[str] = ends if literals is None else literals & ends.keys()
        for element in elements:
            bounds[f"entitlement:{attribute}/{element}"] = (ends[element] - now) // 1000


def _add_exceptions(
    bounds: dict[str, int], facts: Facts, granted: Iterable[str], lifted: Mapping[str, Iterable[Lift]], now: int
) -> None:
    """The ends of the exceptions that granted, the longest life that a rule would give, the approvals demanded."""
    for name in granted:
        for lift in lifted.get(name, ()):
            bounds[lift.grant.route] = (lift.ends - now) // 1000
            if lift.max_ttl is not None:
                bounds[f"route:{lift.grant.route}"] = lift.max_ttl
            _add_approvals(bounds, facts, lift.role, lift.demands, name, now)


def _add_approvals(
    bounds: dict[str, int], facts: Facts, role: str, demands: Iterable[Obligation], scope: str, now: int
) -> None:
    """The ends of the approvals that the route demands."""
    for demand in demands:
        if demand.name == "require_approval":
            _add_end(bounds, facts, role, "approvals", f"{demand.value}:{scope}", now)


def _add_end(bounds: dict[str, int], facts: Facts, role: str, attribute: str, element: str, now: int) -> None:
    end = facts.ends.get(f"{role}/{attribute}", _NO_ENDS).get(element)
    if end is not None:
        bounds[f"entitlement:{attribute}/{element}"] = (end - now) // 1000


def _add_session(bounds: dict[str, int], context: Record, now: int) -> None:
    session = context.get("session")
    if isinstance(session, Record):
        end = session.get("expires_at")
        if isinstance(end, Datetime):
            bounds["session"] = (end.millis - now) // 1000
