"""Where a rule can hold at all, as far as the catalogue and its own text say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mintwarden.model.catalogue import Scope
from mintwarden.model.detail import DetailType
from mintwarden.model.values import EntityUid
from mintwarden.policy.cedar.rules import Rule
from mintwarden.policy.lint.constant import demands_of
from mintwarden.policy.lint.contradiction import Path, is_impossible
from mintwarden.policy.lint.subject import Subject


def possible_scopes(subject: Subject, rule: Rule) -> Iterator[Scope | DetailType]:
    """The scopes and types of details of the rule's head for which its conditions contradict nothing."""
    demands = demands_of(rule.template)
    return (scope for scope in subject.reached(rule) if not is_impossible(demands, _known(subject, scope)))


def _known(subject: Subject, scope: Scope | DetailType) -> Mapping[Path, frozenset[object]]:
    """What holds in every decision on a scope: itself, and where its audience is."""
    tier, audience = subject.catalogue.tiers[scope.tier], subject.catalogue.audiences[scope.audience]
    environments: frozenset[object] = frozenset(audience.environments)
    return {
        ("resource",): frozenset({EntityUid("Scope" if isinstance(scope, Scope) else "Detail", scope.name)}),
        ("resource", "name"): frozenset({scope.name}),
        ("resource", "audience"): frozenset({scope.audience}),
        ("resource", "tier"): frozenset({tier.id}),
        ("resource", "rank"): frozenset({tier.rank}),
        ("context", "request", "environment"): environments,
    }
