"""Recorded facts in the making of others: what a source said taken away, a group left, a reading judged anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from mintwarden.model.catalogue import Catalogue, Source
from mintwarden.model.facts import Facts, Reading
from mintwarden.model.values import Entity, EntityUid, Record

PRINCIPALS = ("User", "Workload", "Agent")
NAMESPACES = ("client", "session", "device", "world")
CLIENT_OWN = frozenset({"id", "kind", "owner", "principal"})
"""What `context.client` holds of the client's own description; every other member is a fact of a source."""

_NOBODY: frozenset[EntityUid] = frozenset()


def roles_of(facts: Facts) -> tuple[tuple[str, str], ...]:
    """(role, principal type) of the subject and each actor, in order."""
    actors = tuple((f"actor:{index}", actor.uid.type) for index, actor in enumerate(facts.actors))
    return (("subject", facts.subject.uid.type), *actors)


def required(source: Source) -> frozenset[str]:
    """The facts without which the source counts as missing; see `context.assemble`."""
    if source.missing == "absent":
        return frozenset()
    return frozenset(fact.name for fact in source.facts.values() if not fact.optional)


class FactsDraft:
    """A copy of `facts` that can be changed; `catalogue` says which source says what.

    Every change either makes what `context.assemble` would have made, or returns False: what is recorded does not
    tell. Then the draft is of no more use.
    """

    def __init__(self, facts: Facts, catalogue: Catalogue) -> None:
        self._facts = facts
        self._sources = catalogue.sources
        self._attrs: dict[str, dict[str, Any]] = {}
        self._ancestors: dict[str, frozenset[EntityUid]] = {}
        for role, entity in self._entities():
            self._attrs[role] = dict(entity.attrs)
            self._ancestors[role] = entity.ancestors
        self._context: dict[str, Any] = dict(facts.context)
        self.readings: dict[str, Reading] = dict(facts.readings)
        self._ends: dict[str, dict[str, int]] = {where: dict(ends) for where, ends in facts.ends.items()}

    def done(self) -> Facts:
        """The facts as changed."""
        entities = [Entity(entity.uid, self._attrs[role], self._ancestors[role]) for role, entity in self._entities()]
        return replace(
            self._facts,
            subject=entities[0],
            actors=tuple(entities[1:]),
            context=Record(self._context),
            readings=self.readings,
            ends={where: ends for where, ends in self._ends.items() if ends},
        )

    def forget(self, role: str, names: Iterable[str]) -> None:
        """Take facts away from a principal or a namespace, with the ends of their elements."""
        gone = frozenset(names)
        for name in gone:
            self._ends.pop(f"{role}/{name}", None)
        if role in self._attrs:
            for name in gone:
                self._attrs[role].pop(name, None)
        elif role in self._context:
            kept = self._context[role]
            own = CLIENT_OWN if role == "client" else frozenset()
            self._context[role] = Record({n: v for n, v in kept.items() if n not in gone or n in own})

    def forget_groups(self, role: str) -> None:
        """Nobody is known to be in any group."""
        self._ancestors[role] = _NOBODY
        self._ends.pop(f"{role}/groups", None)

    def forget_namespace(self, name: str) -> None:
        """As where none of its sources says anything."""
        self._context.pop(name, None)

    def leave_group(self, group: str) -> None:
        """Neither the subject nor an actor is in `group`."""
        uid = EntityUid("Group", group)
        for role, ancestors in self._ancestors.items():
            if uid in ancestors:
                self._ancestors[role] = ancestors - {uid}
            self._ends.get(f"{role}/groups", {}).pop(group, None)

    def describe_client(self, client: Mapping[str, str]) -> None:
        """The client's own description as another catalogue has it."""
        self._context["client"] = Record({**self._context.get("client", {}), **client})

    def has(self, role: str, name: str) -> bool:
        """Whether the fact is there."""
        if role in self._attrs:
            return name in self._attrs[role]
        return name in self._context.get(role, ())

    def silence(self, role: str, about: str, source: Source, reading: Reading) -> bool:
        """What the source said is not known, for the reason that `reading` gives.

        False where it named groups beside another source: which of the two named which was not recorded.
        """
        key = f"{role}/{source.id}"
        before = self.readings.get(key)
        self.readings[key] = reading
        if before is None or before.state != "present":
            return True
        self.forget(role, source.facts)
        if about in PRINCIPALS:
            if source.groups and self._ancestors.get(role):
                if self._named_by_others(role, about, source):
                    return False
                self.forget_groups(role)
        elif about != "client" and not self._spoken(role, about):
            self.forget_namespace(about)
        return True

    def _named_by_others(self, role: str, about: str, source: Source) -> bool:
        return any(
            other.groups and other.id != source.id and about in other.about and self._is_present(role, other)
            for other in self._sources.values()
        )

    def _spoken(self, role: str, about: str) -> bool:
        return any(about in source.about and self._is_present(role, source) for source in self._sources.values())

    def _is_present(self, role: str, source: Source) -> bool:
        reading = self.readings.get(f"{role}/{source.id}")
        return reading is not None and reading.state == "present"

    def _entities(self) -> Iterable[tuple[str, Entity]]:
        facts = self._facts
        return (("subject", facts.subject), *((f"actor:{index}", actor) for index, actor in enumerate(facts.actors)))
