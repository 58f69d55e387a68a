"""What an exception changes about a decision: one more route to one scope for one principal, while it lasts.

Cedar's own form of it is `cedar_text`; a bundle that runs on Cedar asks Cedar whether that holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cedarpy import PolicySet
from msgspec import Struct

from mintwarden.model.asked import Asked
from mintwarden.model.catalogue import Tier
from mintwarden.model.decision import Obligation
from mintwarden.model.exception import ExceptionGrant
from mintwarden.model.facts import Facts
from mintwarden.model.values import Datetime, Entity, EntityUid
from mintwarden.policy.cedar.heads import head_of
from mintwarden.policy.cedar.oracle import Oracle
from mintwarden.policy.cedar.render import quote, render_value
from mintwarden.policy.cedar.rule import Rule
from mintwarden.policy.obligations import is_met
from mintwarden.policy.plan import Question

if TYPE_CHECKING:
    from mintwarden.policy.bundle.model import Bundle

SECOND = 1000
"""A token lives for whole seconds: an exception with less than one left can carry none."""


class Lift(Struct, frozen=True):
    """An exception that grants.

    Attributes:
        ends: when it ends under the tier of now, `Millis`, exclusive.
        max_ttl: the longest life that any rule gives the scope, in seconds; None where one of them sets no limit.
        demands: what every rule demands and the exception does not waive: they are met.
        role: whose question it answered.
    """

    grant: ExceptionGrant
    ends: int
    max_ttl: int | None
    demands: tuple[Obligation, ...]
    role: str


class Short(Struct, frozen=True):
    """An exception that would grant, were its obligations met."""

    grant: ExceptionGrant
    unmet: tuple[Obligation, ...]


def lift(
    bundle: Bundle,
    asked: Asked,
    facts: Facts,
    now: int,
    *,
    question: Question,
    action: EntityUid,
    principal: Entity,
    role: str,
) -> Lift | Short | None:
    """The exception by which `principal` may have the question's scope although no rule permits it, if there is one.

    INVARIANT: asked only once the facts are known and no guardrail forbids: an exception is a permit, nothing more. Of
    several, the one that lasts longest; of those that demand too much, the one that lacks the least.
    """
    best: Lift | None = None
    short: Short | None = None
    for grant in facts.exceptions:
        ends = end_of(grant, question.plan.tier)
        if not _holds(bundle, grant, ends, asked, facts, now, question=question, action=action, principal=principal):
            continue
        demands, max_ttl = _terms(bundle, question, principal.uid.type, grant)
        unmet = tuple(d for d in demands if not is_met(d, asked, principal, grant.scope, now))
        if unmet:
            if short is None or (len(unmet), grant.id) < (len(short.unmet), short.grant.id):
                short = Short(grant, unmet)
        elif best is None or (-ends, grant.id) < (-best.ends, best.grant.id):
            best = Lift(grant, ends, max_ttl, demands, role)
    return best or short


def end_of(grant: ExceptionGrant, tier: Tier) -> int:
    """When it ends, `Millis`: a tier that allows less by now, or nothing, or wants more approvals, ends it earlier."""
    if grant.tier != tier.id or grant.approvals < max(1, tier.exception_approvals):
        return grant.starts_at
    return min(grant.expires_at, grant.starts_at + tier.exception_max * SECOND)


def cedar_text(grant: ExceptionGrant, ends: int) -> str:
    """The exception as a Cedar policy, its end being `ends`."""
    when = [
        f"resource.audience == {quote(grant.audience)}",
        f"resource.tier == {quote(grant.tier)}",
        f"context.request.time >= {render_value(Datetime(grant.starts_at))}",
        f"context.request.time <= {render_value(Datetime(ends - SECOND))}",
    ]
    if grant.client:
        when.append(f"context.client.id == {quote(grant.client)}")
    if grant.environment:
        when.append(f"context.request.environment == {quote(grant.environment)}")
    return (
        f"@id({quote(grant.route)})\n"
        f"permit (principal == {render_value(grant.principal)}, "
        f"action == {render_value(EntityUid('Action', grant.action))}, "
        f"resource == {render_value(EntityUid('Scope', grant.scope))})\n"
        f"when {{ {' && '.join(when)} }};"
    )


def rule_of(grant: ExceptionGrant, ends: int) -> Rule:
    """`cedar_text` as a rule, such as stand in bundles."""
    text = cedar_text(grant, ends)
    (template,) = PolicySet.from_str(text).to_pst().static_policies.values()
    return Rule(
        id=grant.route,
        effect="permit",
        annotations={"id": grant.route},
        file="exceptions",
        line=1,
        column=1,
        text=text,
        permit_text=text,
        template=template,
        head=head_of(template),
    )


def _holds(
    bundle: Bundle,
    grant: ExceptionGrant,
    ends: int,
    asked: Asked,
    facts: Facts,
    now: int,
    *,
    question: Question,
    action: EntityUid,
    principal: Entity,
) -> bool:
    scope, resource = question.plan.scope, question.plan.resource
    if grant.scope != scope.name or grant.principal != principal.uid or grant.action != action.id:
        return False
    if bundle.evaluator == "cedar":
        permits, _, _ = Oracle((rule_of(grant, ends),)).evaluate(principal, action, resource, facts.context)
        return bool(permits)
    return (
        grant.audience == scope.audience
        and grant.tier == scope.tier
        and grant.starts_at <= now <= ends - SECOND
        and grant.client in ("", asked.client_id)
        and grant.environment in ("", asked.environment)
    )


def _terms(
    bundle: Bundle, question: Question, principal_type: str, grant: ExceptionGrant
) -> tuple[tuple[Obligation, ...], int | None]:
    """What every permit of the slice demands, save what the exception waives; the longest of their limits."""
    terms = [bundle.plans.terms(rule) for rule in _permits(question, principal_type)]
    if not terms:
        return (), None
    common = tuple(
        demand
        for demand in terms[0].demands
        if demand.name not in grant.waives and all(demand in other.demands for other in terms[1:])
    )
    limits = [one.max_ttl for one in terms]
    return common, None if None in limits else max(limit for limit in limits if limit is not None)


def _permits(question: Question, principal_type: str) -> Iterator[Rule]:
    return (rule for rule in question.slice.rules_for(principal_type) if rule.effect == "permit")
