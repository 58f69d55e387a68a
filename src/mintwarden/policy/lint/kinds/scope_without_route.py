"""Scopes that no rule can ever grant. The loader refuses those that no head names at all."""

from __future__ import annotations

from collections.abc import Iterator

from mintwarden.policy.lint.finding import Hit, Kind
from mintwarden.policy.lint.reach import possible_scopes
from mintwarden.policy.lint.subject import Subject


def look(subject: Subject) -> Iterator[Hit]:
    """Scopes whose every permit can never apply or is only observed, and those that only an older mapping gives."""
    possible = [(rule, scope.name) for rule in subject.routes() for scope in possible_scopes(subject, rule)]
    routed = {name for rule, name in possible if not rule.is_observed}
    tried = {name for rule, name in possible if rule.is_observed}
    named = {scope.name for rule in subject.routes() for scope in subject.reached(rule)}
    for name in subject.catalogue.scopes:
        if name in routed:
            continue
        if name in tried:
            message = f"every permit for scope `{name}` is only observed"
        elif name in named:
            message = f"no permit for scope `{name}` can ever apply"
        else:
            message = f"only the legacy mapping gives scope `{name}`: it ends when the audience enforces"
        yield Hit(subject.scope(name), message, "write a permit that can hold, or remove the scope")


KIND = Kind(id="scope-without-route", severity="warning", summary="A scope that no rule can ever grant", look=look)
