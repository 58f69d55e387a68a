"""Sensitive claims in tokens that are looked after as if they mattered little."""

from __future__ import annotations

from collections.abc import Iterator

from mintwarden.model.catalogue import Audience
from mintwarden.policy.lint.finding import Hit, Kind
from mintwarden.policy.lint.subject import Subject

SENSITIVE = frozenset({"confidential", "restricted"})


def look(subject: Subject) -> Iterator[Hit]:
    """Confidential and restricted claims that a scope of the lowest of several tiers puts into a token."""
    tiers, claims = subject.catalogue.tiers, subject.catalogue.claims
    if len(tiers) < 2:
        return
    lowest = min(tiers.values(), key=lambda tier: tier.rank).id
    for audience in subject.catalogue.audiences.values():
        for name in audience.claims:
            scopes = _putting(audience, name, lowest)
            if claims[name].sensitivity in SENSITIVE and scopes:
                listed = ", ".join(f"`{scope}`" for scope in scopes)
                message = f"the {claims[name].sensitivity} claim `{name}` comes with {listed} of tier `{lowest}`"
                remedy = "name the scopes that need it, or raise their tier"
                yield Hit(subject.audience(audience.id, "claims", name).key(), message, remedy)


def _putting(audience: Audience, claim: str, tier: str) -> list[str]:
    needing = audience.claims[claim] or tuple(audience.scopes)
    return [name for name in needing if audience.scopes[name].tier == tier]


KIND = Kind(
    id="claim-too-sensitive", severity="warning", summary="A sensitive claim in tokens of the lowest tier", look=look
)
