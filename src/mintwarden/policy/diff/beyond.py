"""Where something else than a rule can grant: exceptions, and the mapping of an older system."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from mintwarden.model.exception import ExceptionGrant
from mintwarden.model.values import EntityUid
from mintwarden.policy.amend import Situation
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.obligations import DEMANDS

HOUR = 3_600_000
_NOBODY = "00000000-0000-7000-8000-00000000000"
"""The beginning of the ids of exceptions that are made up."""


def beyond_rules(bundles: Iterable[Bundle], scope: str) -> bool:
    """Whether one of the bundles allows an exception for the scope, or observes its audience."""
    return any(excepts(bundle, scope) or observes(bundle, scope) for bundle in bundles)


def excepts(bundle: Bundle, scope: str) -> bool:
    """Whether the scope's tier allows exceptions."""
    return bundle.plans.scope(scope).tier.exception_max > 0


def observes(bundle: Bundle, scope: str) -> bool:
    """Whether the scope's audience does not simply enforce."""
    return bundle.plans.scope(scope).audience.mode != "enforce"


def lent(bundles: Iterable[Bundle], situation: Situation, scope: str) -> Iterator[Situation]:
    """The situation with an exception for the subject, with one for everybody in it, and with all that a mapping gives
    the scope for.
    """
    known = tuple(bundles)
    facts = situation.facts
    people = (facts.subject.uid, *(actor.uid for actor in facts.actors))
    exceptions = tuple(
        grant
        for bundle in known
        if excepts(bundle, scope)
        for grant in _exceptions(bundle, scope, people, situation.now)
    )
    if exceptions:
        own = tuple(grant for grant in exceptions if grant.principal == people[0])
        yield situation._replace(facts=replace(facts, exceptions=own))
        yield situation._replace(facts=replace(facts, exceptions=exceptions))
    groups = {
        EntityUid("Group", group)
        for bundle in known
        for group, scopes in bundle.plans.scope(scope).audience.legacy.items()
        if scope in scopes
    }
    if groups:
        subject = facts.subject._replace(ancestors=facts.subject.ancestors | groups)
        yield situation._replace(facts=replace(facts, subject=subject))


def _exceptions(bundle: Bundle, scope: str, people: Iterable[EntityUid], now: int) -> Iterator[ExceptionGrant]:
    plan = bundle.plans.scope(scope)
    for index, principal in enumerate(dict.fromkeys(people)):
        for action in ("issue", "act"):
            yield ExceptionGrant(
                id=f"{_NOBODY}{index:x}",
                principal=principal,
                action="issue" if action == "issue" else "act",
                scope=scope,
                audience=plan.audience.id,
                tier=plan.tier.id,
                starts_at=now - HOUR,
                expires_at=now + HOUR,
                approvals=16,
                waives=DEMANDS,
            )
