"""Lifetimes that are written down and never reached, because another bound always cuts them."""

from __future__ import annotations

from collections.abc import Iterator

from mintwarden.policy.durations import written
from mintwarden.policy.lint.finding import Hit, Kind
from mintwarden.policy.lint.subject import Subject
from mintwarden.policy.obligations import terms_of


def look(subject: Subject) -> Iterator[Hit]:
    """Rules, and audiences, whose own lifetime is longer than any tier of theirs allows."""
    tiers = subject.catalogue.tiers
    for audience in subject.catalogue.audiences.values():
        cap = max((tiers[scope.tier].max_ttl for scope in audience.scopes.values()), default=audience.max_ttl)
        for key, seconds in (("max_ttl", audience.max_ttl), ("default_ttl", audience.default_ttl)):
            if seconds > cap:
                message = f"`{key}` of audience `{audience.id}` is {written(seconds)}, its tiers allow {written(cap)}"
                yield Hit(subject.audience(audience.id, "audience", key), message, f'write `"{written(cap)}"` or less')
    for rule in subject.rules:
        ttl = terms_of(rule.annotations).max_ttl
        cap = max((tiers[scope.tier].max_ttl for scope in subject.reached(rule)), default=0)
        if ttl is not None and ttl > cap:
            message = f"rule `{rule.id}` allows {written(ttl)}, the tier of what it grants {written(cap)}"
            yield Hit(rule, message, f'write `@max_ttl("{written(cap)}")` or less')


KIND = Kind(id="lifetime-over-cap", severity="warning", summary="A lifetime over the tier's cap", look=look)
