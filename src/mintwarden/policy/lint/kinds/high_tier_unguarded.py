"""Routes to scopes of a high tier for which a stolen bearer token or an old sign-in is enough."""

from __future__ import annotations

from collections.abc import Iterator

from mintwarden.policy.cedar.rules import Rule
from mintwarden.policy.lint.finding import Hit, Kind
from mintwarden.policy.lint.reach import possible_scopes
from mintwarden.policy.lint.subject import Subject

_GUARDS = frozenset({"require_binding", "require_acr", "require_amr", "require_auth_age", "require_approval"})
_READS = frozenset(f"context.request.{name}" for name in ("acr", "amr", "auth_age", "binding"))


def look(subject: Subject) -> Iterator[Hit]:
    """Permits that issue a scope of the upper half of the tiers with neither sender constraint nor step-up."""
    tiers = subject.catalogue.tiers
    high = {tier.id for tier in tiers.values() if tier.rank > 0 and tier.rank * 2 >= len(tiers)}
    for rule in subject.routes():
        if _is_guarded(rule):
            continue
        named = [
            scope.name
            for scope in possible_scopes(subject, rule)
            if scope.tier in high and not subject.catalogue.audiences[scope.audience].binding
        ]
        if named:
            listed = ", ".join(f"`{name}`" for name in named)
            message = f"rule `{rule.id}` issues {listed}, of a high tier, without sender constraint or step-up"
            yield Hit(
                rule, message, 'add `@require_binding("any")`, `@require_acr("...")` or `@require_auth_age("...")`'
            )


def _is_guarded(rule: Rule) -> bool:
    return not _GUARDS.isdisjoint(rule.annotations) or not _READS.isdisjoint(rule.reads)


KIND = Kind(
    id="high-tier-unguarded",
    severity="warning",
    summary="A route to a high tier without sender constraint or step-up",
    look=look,
)
