"""Which sources a bundle leans on, and what its claims copy."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from mintwarden.model.catalogue import Source
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.plan import EXTERNAL_PRINCIPALS, GROUPS


class Reads(Struct, frozen=True):
    """What a bundle looks at.

    Attributes:
        sources: those that a rule, a claim, a tenancy, an obligation or the way an audience is observed may look at.
        claims: the paths that claims are made of.
    """

    sources: frozenset[str]
    claims: frozenset[str]


def reads_of(bundle: Bundle) -> Reads:
    """What a bundle looks at; rather too much than too little."""
    catalogue = bundle.catalogue
    claims = frozenset(_claims(bundle))
    paths = {*claims, *_others(bundle)}
    everybody = any(audience.mode != "enforce" for audience in catalogue.audiences.values())
    sources = (
        source.id
        for source in catalogue.sources.values()
        if any(_looks(paths, source, about) or (everybody and about in EXTERNAL_PRINCIPALS) for about in source.about)
    )
    return Reads(frozenset(sources), claims)


def _claims(bundle: Bundle) -> Iterator[str]:
    for claim in bundle.catalogue.claims.values():
        derivation = bundle.derivations.get(claim.name)
        for path in derivation.reads if derivation is not None else (claim.origin,):
            yield f"principal.{path.removeprefix('subject.')}" if path.startswith("subject.") else path


def _others(bundle: Bundle) -> Iterator[str]:
    yield "context.session.expires_at"
    for rule in bundle.rules.rules.values():
        yield from rule.reads
        if "require_approval" in rule.annotations:
            yield "principal.approvals"
    for audience in bundle.catalogue.audiences.values():
        yield from (f"principal.{tenancy.member_of.partition('.')[2]}" for tenancy in audience.tenancy)


def _looks(paths: set[str], source: Source, about: str) -> bool:
    if about not in EXTERNAL_PRINCIPALS:
        return any(path == "context" or path.split(".")[:2] == ["context", about] for path in paths)
    if source.groups and f"principal.{GROUPS}" in paths:
        return True
    return any(
        path.split(".")[0] == "principal" and (path.split(".")[1:2] or [""])[0] in ("", *source.facts) for path in paths
    )
