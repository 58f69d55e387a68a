"""What verified tokens said when a decision was recorded, for deciding again once those tokens are gone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from mintwarden.model.catalogue import Catalogue, Source
from mintwarden.model.facts import Facts, Reading
from mintwarden.model.values import Entity


def remember(facts: Facts, recorded: Facts, catalogue: Catalogue, now: int) -> Facts:
    """`facts`, with what the sources of kind `token` said in `recorded`, as long as their age limit lets it count.

    Both are about the same principals in the same roles. INVARIANT: what was not recorded is missing, never absent: a
    token that is gone can say nothing more.
    """
    sources = [source for source in catalogue.sources.values() if source.kind == "token"]
    if not sources:
        return facts
    readings = dict(facts.readings)
    subject = _entity("subject", facts.subject, recorded.subject, recorded, sources, readings, now)
    actors = tuple(
        _entity(f"actor:{index}", actor, was, recorded, sources, readings, now)
        for index, (actor, was) in enumerate(zip(facts.actors, recorded.actors, strict=True))
    )
    return replace(facts, subject=subject, actors=actors, readings=readings)


def _entity(
    role: str,
    entity: Entity,
    was: Entity,
    recorded: Facts,
    sources: Iterable[Source],
    readings: dict[str, Reading],
    now: int,
) -> Entity:
    attrs: dict[str, Any] = {}
    for source in sources:
        key = f"{role}/{source.id}"
        before = recorded.readings.get(key)
        if entity.uid.type not in source.about or before is None or before.state != "present":
            continue
        said = {name: was.attrs[name] for name in source.facts if name in was.attrs}
        readings[key] = _reading(source, before.observed_at, said, now)
        if readings[key].state == "present":
            attrs |= said
    return Entity(entity.uid, {**entity.attrs, **attrs}, entity.ancestors) if attrs else entity


def _reading(source: Source, at: int, said: Mapping[str, Any], now: int) -> Reading:
    if source.max_age and now - at > source.max_age:
        return Reading("stale", at, source.max_age)
    if source.missing != "absent":
        for fact in source.facts.values():
            if not fact.optional and fact.name not in said:
                return Reading("missing", at, source.max_age, f"fact `{fact.name}` was not recorded")
    return Reading("present", at, source.max_age)
