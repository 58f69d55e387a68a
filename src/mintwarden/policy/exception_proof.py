"""Which of a bundle's assertions an exception might break: proved like the assertions themselves."""

from __future__ import annotations

from msgspec.structs import replace

from mintwarden.policy.bundle.assertions import Assertion
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.exception_request import ExceptionRequest
from mintwarden.policy.exceptions import end_of, rule_of
from mintwarden.policy.prove.prove import prove

MOST_APPROVALS = 16


def endangered(bundle: Bundle, request: ExceptionRequest) -> tuple[str, ...]:
    """Ids of the assertions that hold by the rules, and that are violated or not proved once the exception is one more.

    Pure; takes the time of proofs. Assertions that do not hold without it either are no matter of the exception.
    """
    grant = request.grant(MOST_APPROVALS)
    rule = rule_of(grant, end_of(grant, bundle.catalogue.tiers[request.tier]))
    rules = bundle.rules.having([*bundle.rules.rules.values(), rule])
    concerned = [_about(one, request.scope) for one in bundle.assertions if _concerns(one, request)]
    broken = [v.assertion for v in prove(bundle.with_rules(rules), concerned) if v.outcome != "holds"]
    return tuple(verdict.assertion.id for verdict in prove(bundle, broken) if verdict.outcome == "holds")


def _about(assertion: Assertion, scope: str) -> Assertion:
    """As much of it as the exception could break: what it says about the scope."""
    return assertion if assertion.together else replace(assertion, scopes=(scope,))


def _concerns(assertion: Assertion, request: ExceptionRequest) -> bool:
    """Whether the exception could make a difference to it."""
    if request.scope not in assertion.scopes:
        return False
    if request.action == "issue" and assertion.about == "subject" and request.principal.type not in assertion.types:
        return False
    if request.client and assertion.clients and request.client not in assertion.clients:
        return False
    return not (request.environment and assertion.environments and request.environment not in assertion.environments)
