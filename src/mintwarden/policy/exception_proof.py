"""Which of a bundle's assertions an exception might break: proved like the assertions themselves."""

from __future__ import annotations

from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.cedar.rules import RuleSet
from mintwarden.policy.exception_request import ExceptionRequest
from mintwarden.policy.exceptions import end_of, rule_of
from mintwarden.policy.prove.prove import prove


def endangered(bundle: Bundle, request: ExceptionRequest) -> tuple[str, ...]:
    """Ids of the assertions that hold by the rules, and that are violated or not proved once the exception is one more.

    Pure; takes the time of proofs. Assertions that do not hold without it either are no matter of the exception.
    """
    concerned = [one for one in bundle.assertions if request.scope in one.scopes]
    held = [verdict.assertion for verdict in prove(bundle, concerned) if verdict.outcome == "holds"]
    if not held:
        return ()
    grant = request.grant(16)
    rule = rule_of(grant, end_of(grant, bundle.catalogue.tiers[request.tier]))
    scopes = {scope.name: scope.audience for scope in bundle.catalogue.scopes.values()}
    rules = RuleSet([*bundle.rules.rules.values(), rule], scopes=scopes)
    return tuple(v.assertion.id for v in prove(bundle.with_rules(rules), held) if v.outcome != "holds")
