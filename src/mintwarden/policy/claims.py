"""Which claims the granted scopes need, and what each is, from its authoritative source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mintwarden.model.decision import ClaimDecision, ScopeDecision
from mintwarden.model.facts import Facts
from mintwarden.model.values import Record
from mintwarden.policy.plain import plain
from mintwarden.policy.plan import ClaimPlan

_ABSENT: Any = object()


def missing_claims(
    plans: Sequence[ClaimPlan], scopes: Sequence[ScopeDecision], facts: Facts, details: Sequence[ScopeDecision] = ()
) -> Mapping[str, tuple[str, ...]]:
    """Granted scopes that need a claim which must not be absent and is, with the names of those claims.

    `details` need what every token must say, and nothing that is said for certain scopes.
    """
    lacking: dict[str, tuple[str, ...]] = {}
    if not any(plan.claim.absent == "refuse" for plan in plans):
        return lacking
    granted = [scope.scope for scope in scopes if scope.granted]
    names = [*granted, *(detail.scope for detail in details if detail.granted)] if details else granted
    for plan in plans:
        if plan.claim.absent != "refuse" or not plan.wanted_by(granted):
            continue
        if _value(plan, facts, granted) is _ABSENT:
            for name in names:
                if not plan.scopes or name in plan.scopes:
                    lacking[name] = (*lacking.get(name, ()), plan.claim.name)
    return lacking


def derive_claims(
    plans: Sequence[ClaimPlan], granted: Sequence[str], facts: Facts
) -> tuple[tuple[ClaimDecision, ...], tuple[str, ...]]:
    """The claims that the granted scopes need and that have a value, sorted by name; and those that failed."""
    claims: list[ClaimDecision] = []
    faults: tuple[str, ...] = ()
    for plan in plans:
        if not plan.wanted_by(granted):
            continue
        value = _value(plan, facts, granted)
        if value is not _ABSENT:
            claim = plan.claim
            claims.append(ClaimDecision(claim.name, value, claim.origin or f"cel:{claim.name}", claim.source))
        elif plan.derivation is not None and plan.derivation.derive(facts, granted).fault:
            faults += (plan.claim.name,)
    return tuple(claims), faults


def _value(plan: ClaimPlan, facts: Facts, granted: Sequence[str]) -> Any:
    if plan.derivation is not None:
        result = plan.derivation.evaluate(facts, granted)
        return _ABSENT if result is None else result
    value: Any = facts.subject.attrs if plan.steps[0] == "subject" else facts.context
    for step in plan.steps[1:]:
        if not isinstance(value, Record | dict | Mapping) or step not in value:
            return _ABSENT
        value = value[step]
    return plain(value)
