"""Something in a situation that ends soon: what tells routes apart that last equally long by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from mintwarden.model.values import Entity, EntityUid, Record
from mintwarden.policy.amend import Situation
from mintwarden.policy.diff.pair import Pair
from mintwarden.policy.diff.shrink import PLAIN_NAME, people, with_person
from mintwarden.policy.diff.slices import permits_of

SOON = 60_000
"""Milliseconds."""


def ending_soon(pair: Pair, situation: Situation, scope: str, action: EntityUid, kind: str) -> Iterator[Situation]:
    """The situation with one entitlement, membership or approval that a route leans on held for a minute yet."""
    leaned = _leaned(pair, scope, action, kind)
    for role, entity in people(situation):
        if entity.uid.type != kind:
            continue
        for name, literals in sorted(leaned.items()):
            held = _held(entity, name)
            if held is None:
                continue
            others = {_made_up(pair, name, held)} if literals is None else set[str]()
            for element in sorted({*(literals or ()), *map(str, held), *others}):
                holding = with_person(situation, role, _holding(pair, entity, name, element))
                ends = {f"{role}/{name}": {element: situation.now + SOON}}
                yield holding._replace(facts=replace(holding.facts, ends=ends))


def _leaned(pair: Pair, scope: str, action: EntityUid, kind: str) -> dict[str, set[str] | None]:
    """What the routes of either bundle lean on, and the elements that they test for; None where any may count."""
    found: dict[str, set[str] | None] = {}
    for bundle in (pair.old, pair.new):
        for rule in permits_of(bundle, scope, action, kind):
            for name, literals in rule.leans_on.items():
                known = found.get(name, set())
                found[name] = None if known is None or literals is None else known | literals
            for demand in bundle.plans.terms(rule).demands:
                if demand.name == "require_approval":
                    known = found.get("approvals", set())
                    found["approvals"] = None if known is None else known | {f"{demand.value}:{scope}"}
    return found


def _held(entity: Entity, name: str) -> frozenset[Any] | None:
    if name == "groups":
        return frozenset(group.id for group in entity.ancestors)
    value = entity.attrs.get(name)
    return value if isinstance(value, frozenset) else None


def _holding(pair: Pair, entity: Entity, name: str, element: str) -> Entity:
    if name == "groups":
        return entity._replace(ancestors=entity.ancestors | {EntityUid("Group", element)})
    held: Any = entity.attrs[name]
    made: Any = int(element) if _of_numbers(pair, name) else element
    return entity._replace(attrs=Record({**entity.attrs, name: held | {made}}))


def _made_up(pair: Pair, name: str, held: frozenset[Any]) -> str:
    """An element that is not held yet."""
    if _of_numbers(pair, name):
        return str(next(number for number in range(len(held) + 1) if number not in held))
    return next(text for text in (PLAIN_NAME, *(f"{PLAIN_NAME}-{n}" for n in range(len(held) + 1))) if text not in held)


def _of_numbers(pair: Pair, name: str) -> bool:
    facts = (source.facts[name] for source in pair.both.catalogue.sources.values() if name in source.facts)
    return any(fact.type.element is not None and fact.type.element.kind == "long" for fact in facts)
