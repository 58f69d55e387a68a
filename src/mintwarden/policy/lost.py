"""Whether a refusal means that whoever a grant stands on is gone or barred, rather than that one thing is missing."""

from __future__ import annotations

from collections.abc import Mapping

from mintwarden.model.catalogue import Catalogue
from mintwarden.model.decision import Decision, ScopeDecision
from mintwarden.model.facts import Facts
from mintwarden.policy.cedar.rule import Rule

_THEIRS = ("principal", "context.session")
_CLOCK = "context.request.time"


def is_lost(decision: Decision, facts: Facts, catalogue: Catalogue, rules: Mapping[str, Rule]) -> bool:
    """Pure. Every scope was refused, and each for good reason to think that nobody is there to renew for.

    Gone: a source that says who is in which group does not know the subject any more. Barred: a guardrail that looks
    at nothing but the account, its session and the time forbids. A guardrail that also looks at the world (a freeze, a
    network), a missing entitlement, an unmet demand or a source that is late refuses this renewal and no more.
    """
    if decision.granted or not decision.scopes:
        return False
    return all(_gone(scope, facts, catalogue) or _barred(scope, rules) for scope in decision.scopes)


def _gone(scope: ScopeDecision, facts: Facts, catalogue: Catalogue) -> bool:
    if scope.reason != "fact_missing":
        return False
    for name in scope.facts:
        role, _, source = name.partition("/")
        known = catalogue.sources.get(source)
        if role == "subject" and known is not None and known.groups and facts.readings[name].state == "missing":
            return True
    return False


def _barred(scope: ScopeDecision, rules: Mapping[str, Rule]) -> bool:
    return scope.reason == "forbidden" and any(
        name in rules and _is_about_them(rules[name].reads) for name in scope.determining
    )


def _is_about_them(reads: frozenset[str]) -> bool:
    theirs = {path for path in reads if any(path == name or path.startswith(f"{name}.") for name in _THEIRS)}
    return bool(theirs) and reads <= theirs | {_CLOCK}
