"""Facts that are fetched, kept and sealed into the ledger's records, and that nobody reads."""

from __future__ import annotations

from collections.abc import Iterator

from mintwarden.model.catalogue import Source
from mintwarden.policy.bundle.problem import Place
from mintwarden.policy.bundle.sources import PRINCIPALS
from mintwarden.policy.cedar.reads import GROUPS
from mintwarden.policy.lint.finding import Hit, Kind
from mintwarden.policy.lint.subject import Subject
from mintwarden.policy.modes import reads_of

_READ_BY_US = frozenset({"context.session.expires_at"})
"""A session's end bounds a token's life without any rule."""


def look(subject: Subject) -> Iterator[Hit]:
    """Facts, and groups, that no rule, claim, tenancy or obligation reads."""
    read = frozenset(_read(subject))
    for source in subject.catalogue.sources.values():
        for name in source.facts:
            if not any(_is_read(read, path) for path in _paths(source, name)):
                place = Place("sources.toml", ("sources", source.id, "facts", name), is_key=True)
                message = f"no rule or claim reads the fact `{name}` of source `{source.id}`"
                yield Hit(place, message, "remove it: what is not needed should not be collected")
        if source.groups and GROUPS not in read:
            place = Place("sources.toml", ("sources", source.id, "groups"), is_key=True)
            yield Hit(place, f"no rule asks for a group of source `{source.id}`", "remove `groups = true`")


def _read(subject: Subject) -> Iterator[str]:
    yield from _READ_BY_US
    for rule in subject.rules:
        yield from rule.reads
        if "require_approval" in rule.annotations:
            yield "principal.approvals"
    for claim in subject.catalogue.claims.values():
        derivation = subject.bundle.derivations.get(claim.name)
        for path in derivation.reads if derivation is not None else (claim.origin,):
            yield f"principal.{path.removeprefix('subject.')}" if path.startswith("subject.") else path
    for audience in subject.catalogue.audiences.values():
        yield from (f"principal.{tenancy.member_of.removeprefix('subject.')}" for tenancy in audience.tenancy)
        yield from (f"principal.{path.removeprefix('subject.')}" for path in reads_of(audience))


def _paths(source: Source, fact: str) -> Iterator[str]:
    for about in source.about:
        yield f"principal.{fact}" if about in PRINCIPALS else f"context.{about}.{fact}"


def _is_read(read: frozenset[str], path: str) -> bool:
    """The path itself, something below it, or all of what it is in."""
    steps = path.split(".")
    above = {".".join(steps[:end]) for end in range(1, len(steps) + 1)} - {"principal"}
    if len(steps) == 3:
        above -= {"context." + steps[1]}  # `context has session` asks for no fact of it
    return not read.isdisjoint(above) or any(other.startswith(f"{path}.") for other in read)


KIND = Kind(id="fact-unread", severity="warning", summary="A fact that no rule or claim reads", look=look)
