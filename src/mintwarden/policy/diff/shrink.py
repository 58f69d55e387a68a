"""Makes an example small: whatever can be left out or made plainer without losing what it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from msgspec.structs import replace

from mintwarden.model.asked import Asked
from mintwarden.model.catalogue import Catalogue, Source
from mintwarden.model.fact_type import FactType
from mintwarden.model.facts import Facts, Reading
from mintwarden.model.values import Datetime, Decimal4, Duration, Entity, EntityUid, Record
from mintwarden.policy.amend import Situation
from mintwarden.policy.prove.example import request_record
from mintwarden.policy.prove.party import may_lack
from mintwarden.policy.prove.request import NAMESPACES

Shows = Callable[[Situation], bool]
ROUNDS = 6
PLAIN_NAME = "example"
_NOON = 1_798_804_800_000
"""Friday, 1 January 2027, 12:00 UTC."""
_NAMED = ("tenant", "workspace", "project")
_TEXTS = ("purpose", "tenant", "workspace", "project", "acr", "address")


def shrink(catalogue: Catalogue, situation: Situation, shows: Shows) -> Situation:
    """The situation with nothing in it that could be left out: neither a source, a group, a fact, nor a word of the
    request; with numbers as near to nought and sets as small as they can be one by one. Pure and deterministic.

    `catalogue` says what must be there; `shows` is asked about every smaller one.
    """
    for _ in range(ROUNDS):
        before = situation
        for candidates in (_without_sources, _plainer_request, _without_groups, _plainer_facts, _plainer_names):
            situation = _settle(catalogue, situation, shows, candidates)
        if situation == before:
            break
    return situation


Candidates = Callable[[Catalogue, Situation], Iterator[Situation]]


def _settle(catalogue: Catalogue, situation: Situation, shows: Shows, candidates: Candidates) -> Situation:
    """Takes each smaller one that still shows it, and looks again at what is left of that."""
    again = True
    while again:
        again = False
        for smaller in map(_ends_of_what_is_held, candidates(catalogue, situation)):
            if smaller != situation and shows(smaller):
                situation, again = smaller, True
                break
    return situation


def _ends_of_what_is_held(situation: Situation) -> Situation:
    """INVARIANT: only what is held ends."""
    ends: dict[str, Mapping[str, int]] = {}
    everybody = dict(people(situation))
    for key, spans in situation.facts.ends.items():
        role, _, name = key.partition("/")
        entity = everybody.get(role)
        value = entity.attrs.get(name) if entity is not None else None
        held = {str(element) for element in value} if isinstance(value, frozenset) else set[str]()
        if entity is not None and name == "groups":
            held = {group.id for group in entity.ancestors}
        if kept := {element: end for element, end in spans.items() if element in held}:
            ends[key] = kept
    return situation if ends == situation.facts.ends else situation._replace(facts=replace(situation.facts, ends=ends))


# -- what a situation is made of ------------------------------------------------------------------------------------


def people(situation: Situation) -> Iterator[tuple[str, Entity]]:
    """Everybody in it, by role."""
    yield "subject", situation.facts.subject
    yield from ((f"actor:{index}", actor) for index, actor in enumerate(situation.facts.actors))


def with_person(situation: Situation, role: str, entity: Entity) -> Situation:
    """The situation with other facts about whoever has the role."""
    facts = situation.facts
    if role == "subject":
        return situation._replace(facts=replace(facts, subject=entity))
    index = int(role.partition(":")[2])
    actors = (*facts.actors[:index], entity, *facts.actors[index + 1 :])
    return situation._replace(facts=replace(facts, actors=actors))


def _with_context(situation: Situation, name: str, record: Record | None) -> Situation:
    context = {key: value for key, value in situation.facts.context.items() if key != name}
    if record is not None:
        context[name] = record
    return situation._replace(facts=replace(situation.facts, context=Record(context)))


def with_request(situation: Situation, **changes: Any) -> Situation:
    """The situation with other words in the request, and what rules see of it."""
    asked: Asked = replace(situation.asked, **changes)
    return _with_context(situation._replace(asked=asked), "request", request_record(asked, situation.now))


def _of(catalogue: Catalogue, about: str) -> dict[str, Source]:
    return {name: source for name, source in catalogue.sources.items() if about in source.about}


# -- leaving out ------------------------------------------------------------------------------------------------------


def _without_sources(catalogue: Catalogue, situation: Situation) -> Iterator[Situation]:
    for role, entity in people(situation):
        for name, source in _of(catalogue, entity.uid.type).items():
            if _is_present(situation.facts, f"{role}/{name}"):
                attrs = Record({key: value for key, value in entity.attrs.items() if key not in source.facts})
                held = frozenset() if source.groups else entity.ancestors
                yield _missing(with_person(situation, role, Entity(entity.uid, attrs, held)), f"{role}/{name}", source)
    for space in NAMESPACES:
        sources = _of(catalogue, space)
        for name, source in sources.items():
            if not _is_present(situation.facts, f"{space}/{name}"):
                continue
            record = situation.facts.context.get(space)
            told = record if isinstance(record, Record) else Record()
            left = {k: v for k, v in told.items() if k not in source.facts}
            others = any(_is_present(situation.facts, f"{space}/{other}") for other in sources if other != name)
            smaller = _missing(situation, f"{space}/{name}", source)
            smaller = _with_context(smaller, space, Record(left) if others or space == "client" else None)
            if not others and space in ("session", "device"):
                smaller = with_request(smaller, **{space: ""})
            yield smaller


def _is_present(facts: Facts, key: str) -> bool:
    reading = facts.readings.get(key)
    return reading is not None and reading.state == "present"


def _missing(situation: Situation, key: str, source: Source) -> Situation:
    state: Literal["missing", "stale", "failing"] = "missing"
    if source.missing != "absent":
        state = "stale" if source.stale == "absent" else "failing" if source.failing == "absent" else "missing"
    facts = situation.facts
    role = key.rpartition("/")[0]
    gone = {f"{role}/{name}" for name in (*source.facts, *(("groups",) if source.groups else ()))}
    ends = {name: spans for name, spans in facts.ends.items() if name not in gone}
    readings = {**facts.readings, key: Reading(state, 0, source.max_age)}
    return situation._replace(facts=replace(facts, readings=readings, ends=ends))


def _without_groups(_catalogue: Catalogue, situation: Situation) -> Iterator[Situation]:
    for role, entity in people(situation):
        for group in sorted(entity.ancestors):
            yield with_person(situation, role, entity._replace(ancestors=entity.ancestors - {group}))
    for key, spans in sorted(situation.facts.ends.items()):
        for element in sorted(spans):
            left = {name: end for name, end in spans.items() if name != element}
            ends: Mapping[str, Mapping[str, int]] = {**situation.facts.ends, key: left}
            yield situation._replace(facts=replace(situation.facts, ends={k: v for k, v in ends.items() if v}))


def _plainer_request(_catalogue: Catalogue, situation: Situation) -> Iterator[Situation]:
    asked = situation.asked
    for name in _TEXTS:
        if getattr(asked, name):
            yield with_request(situation, **{name: ""})
            if name in _NAMED and getattr(asked, name) != PLAIN_NAME:
                yield _called(situation, name)
    if asked.binding is not None:
        yield with_request(situation, binding=None)
    for method in asked.amr:
        yield with_request(situation, amr=tuple(other for other in asked.amr if other != method))
    if asked.lifetime is not None:
        yield with_request(situation, lifetime=None)
    if asked.authenticated_at is not None:
        yield with_request(situation, authenticated_at=None)
        ago = situation.now - asked.authenticated_at
        for nearer in _toward_nought(ago // 1000):
            yield with_request(situation, authenticated_at=situation.now - nearer * 1000)
    if situation.now != _NOON:
        yield _shifted(situation, _NOON - situation.now)


def _called(situation: Situation, name: str) -> Situation:
    """Another word in the request, and in whatever set of the subject's holds it."""
    word, subject = getattr(situation.asked, name), situation.facts.subject
    attrs = Record(
        {
            key: (value - {word}) | {PLAIN_NAME} if isinstance(value, frozenset) and word in value else value
            for key, value in subject.attrs.items()
        }
    )
    renamed_facts = with_person(situation, "subject", subject._replace(attrs=attrs))
    return with_request(renamed_facts, **{name: PLAIN_NAME})


def _shifted(situation: Situation, by: int) -> Situation:
    """Another moment, the sign-in and every end as far from it as before."""
    facts, asked = situation.facts, situation.asked
    ends = {key: {name: end + by for name, end in spans.items()} for key, spans in facts.ends.items()}
    readings = {
        key: replace(r, observed_at=r.observed_at + by) if r.state == "present" else r
        for key, r in facts.readings.items()
    }
    moved = Situation(asked, replace(facts, ends=ends, readings=readings), situation.now + by)
    at = asked.authenticated_at
    moved = with_request(moved, authenticated_at=None if at is None else at + by)
    for role, entity in people(moved):
        moved = with_person(moved, role, entity._replace(attrs=_later(entity.attrs, by)))
    for space in NAMESPACES:
        record = moved.facts.context.get(space)
        if isinstance(record, Record):
            moved = _with_context(moved, space, _later(record, by))
    return moved


def _later(attrs: Mapping[str, Any], by: int) -> Record:
    return Record({name: Datetime(v.millis + by) if isinstance(v, Datetime) else v for name, v in attrs.items()})


# -- making plainer ---------------------------------------------------------------------------------------------------


def _plainer_facts(catalogue: Catalogue, situation: Situation) -> Iterator[Situation]:
    for role, entity in people(situation):
        for attrs in _plainer(_of(catalogue, entity.uid.type), entity.attrs, situation.now):
            yield with_person(situation, role, entity._replace(attrs=attrs))
    for space in NAMESPACES:
        record = situation.facts.context.get(space)
        if isinstance(record, Record):
            for attrs in _plainer(_of(catalogue, space), record, situation.now):
                yield _with_context(situation, space, attrs)


def _plainer(sources: Mapping[str, Source], attrs: Mapping[str, Any], now: int) -> Iterator[Record]:
    for source in sources.values():
        for name, fact in source.facts.items():
            if name not in attrs:
                continue
            if may_lack(fact, source):
                yield Record({key: value for key, value in attrs.items() if key != name})
            for plainer in _plainer_values(fact.type, attrs[name], now):
                yield Record({**attrs, name: plainer})


def _plainer_values(of: FactType, value: Any, now: int) -> Iterator[Any]:
    match value:
        case bool():
            if value:
                yield False
        case int():
            yield from _toward_nought(value)
        case Decimal4(units):
            yield from map(Decimal4, _toward_nought(units))
        case Duration(millis):
            yield from map(Duration, _toward_nought(millis))
        case Datetime(millis) if millis != now:
            yield Datetime(now)
        case frozenset():
            yield from (value - {element} for element in sorted(value))
        case str() if value not in ("", PLAIN_NAME) and of.kind == "string":
            yield PLAIN_NAME
        case _:
            return


def _toward_nought(value: int) -> Iterator[int]:
    """Values nearer to nought, the nearest first: nought, then ever smaller steps back, down to one."""
    if value:
        yield 0
    sign, size = (1 if value > 0 else -1), abs(value)
    step = size // 2
    while step:
        yield sign * (size - step)
        step //= 2


def _plainer_names(_catalogue: Catalogue, situation: Situation) -> Iterator[Situation]:
    """Another name for whoever is made up."""
    for role, entity in people(situation):
        uid = entity.uid
        if uid.id.startswith(PLAIN_NAME) or (situation.asked.impersonate and role != "subject"):
            continue
        yield renamed(situation, role, EntityUid(uid.type, _free(situation, role, uid.type)))


def _free(situation: Situation, role: str, kind: str) -> str:
    """A plain name that no other actor of the kind has."""
    taken = {
        actor.id
        for index, actor in enumerate(situation.asked.actors)
        if actor.type == kind and f"actor:{index}" != role
    }
    taken = taken if role != "subject" else set()
    return next(name for n in range(len(taken) + 1) if (name := f"{PLAIN_NAME}-{n}" if n else PLAIN_NAME) not in taken)


def told_apart(situation: Situation) -> Situation:
    """The situation with another name for each actor that is called like one before it."""
    for index, actor in enumerate(situation.asked.actors):
        if actor in situation.asked.actors[:index]:
            role = f"actor:{index}"
            situation = renamed(situation, role, EntityUid(actor.type, _free(situation, role, actor.type)))
    return situation


def renamed(situation: Situation, role: str, uid: EntityUid) -> Situation:
    """The situation with somebody else in a role, of the same facts."""
    everybody = dict(people(situation))
    moved = with_person(situation, role, everybody[role]._replace(uid=uid))
    actors = tuple(actor.uid for actor in moved.facts.actors)
    asked = replace(moved.asked, subject=moved.facts.subject.uid, actors=actors)
    chain = Record({"depth": len(actors), "actors": frozenset(f"{a.type}:{a.id}" for a in actors)})
    moved = _with_context(moved._replace(asked=asked), "chain", chain)
    return _with_context(moved, "subject", Record({"type": asked.subject.type, "id": asked.subject.id}))
