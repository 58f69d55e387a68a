"""What if: a situation with one thing changed, so that it can be decided again."""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.model.asked import Asked
from mintwarden.model.caller import Binding
from mintwarden.model.facts import Facts, Reading
from mintwarden.model.values import Datetime, Entity, EntityUid, IpAddress, Record
from mintwarden.policy.cedar.change import Change, apply_changes
from mintwarden.policy.cedar.operators import World
from mintwarden.policy.plan import SourceIndex

_WORDS = frozenset({"grant", "environment", "method", "purpose", "tenant", "workspace", "project", "acr"})
_NOBODY = EntityUid("", "")


class Situation(NamedTuple):
    """The inputs of a decision."""

    asked: Asked
    facts: Facts
    now: int


class Amendment(Struct, frozen=True):
    """One thing otherwise.

    Attributes:
        about: `subject` or `actor:<index>` for their facts, `context` for facts of the session and the like,
            `request` for what is asked and how, `source` for a source's answer, `end` for the end of an
            entitlement or a membership.
        change: what, in terms of a rule; its path begins with `principal` or `context`. For a source, the path is
            the reading's key; for an end, the key in `Facts.ends` and the element.
    """

    about: str
    change: Change

    @property
    def text(self) -> str:
        """One line for people."""
        change = self.change
        if self.about == "source":
            return f"{change.path[0]} is known and fresh"
        if self.about == "end":
            return f"{change.path[0]} {change.path[1]} ends later, or never"
        if self.about == "request":
            return Change(change.kind, change.path[1:], change.value).text
        return Change(change.kind, (self.about, *change.path[1:]), change.value).text

    @property
    def cost(self) -> int:
        """How far it is from an everyday change; see `Change.cost`."""
        return 1 if self.about in ("source", "end") else self.change.cost


def amendment_of(role: str, change: Change) -> Amendment | None:
    """The amendment that a change in a rule's world comes to; None for what is no fact, such as who is asking."""
    if change.path[0] == "principal":
        return Amendment(role, change)
    space, name = (*change.path[1:3], "", "")[:2]
    if space in ("chain", "subject", "detail") or (space == "client" and name in ("id", "kind", "owner", "principal")):
        return None
    return Amendment("request" if space == "request" else "context", change)


def amend(situation: Situation, amendment: Amendment, sources: SourceIndex) -> Situation | None:
    """The situation with it; None when that cannot be."""
    if amendment.about == "source":
        facts = situation.facts
        return situation._replace(facts=_with_reading(facts, amendment.change.path[0], situation.now))
    if amendment.about == "end":
        return situation._replace(facts=_without_end(situation.facts, *amendment.change.path))
    if amendment.about == "request":
        return _amend_request(situation, amendment.change)
    return _amend_facts(situation, amendment, sources)


def _with_reading(facts: Facts, key: str, now: int) -> Facts:
    known = facts.readings.get(key) or Reading("missing")
    readings = {**facts.readings, key: Reading("present", now, known.max_age)}
    return replace(facts, readings=readings)


def _without_end(facts: Facts, key: str, element: str) -> Facts:
    left = {name: end for name, end in facts.ends.get(key, {}).items() if name != element}
    return replace(facts, ends={**facts.ends, key: left})


# -- facts ---------------------------------------------------------------------------------------------------------


def _amend_facts(situation: Situation, amendment: Amendment, sources: SourceIndex) -> Situation | None:
    facts, role = situation.facts, amendment.about
    principal = _principal(facts, role)
    world = apply_changes(World(principal, _NOBODY, Entity(_NOBODY, {}), facts.context), [amendment.change])
    if world is None:
        return None
    if role == "subject":
        facts = replace(facts, subject=world.principal)
    elif role.startswith("actor:"):
        index = int(role.removeprefix("actor:"))
        facts = replace(facts, actors=(*facts.actors[:index], world.principal, *facts.actors[index + 1 :]))
    else:
        facts = replace(facts, context=world.context)
    path = ".".join(amendment.change.path)
    for key in sources.keys([path], principal.uid.type, role):
        reading = facts.readings.get(key)
        if reading is None or reading.state != "present":
            facts = _with_reading(facts, key, situation.now)
    return situation._replace(facts=facts)


def _principal(facts: Facts, role: str) -> Entity:
    return facts.actors[int(role.removeprefix("actor:"))] if role.startswith("actor:") else facts.subject


# -- the request ---------------------------------------------------------------------------------------------------


def _amend_request(situation: Situation, change: Change) -> Situation | None:
    """What is asked and what rules see of it, changed together."""
    if len(change.path) != 3:
        return None
    name = change.path[2]
    request = situation.facts.context.get("request")
    old = request.get(name) if isinstance(request, Record) else None
    match change.kind:
        case "unset":
            value: Any = None
        case "add" | "remove":
            kept = old if isinstance(old, frozenset) else frozenset()
            value = kept | {change.value} if change.kind == "add" else kept - {change.value}
        case _:
            value = change.value
    asked = _asked_with(situation, name, value)
    if asked is None or not isinstance(request, Record):
        return None
    seen: dict[str, Any] = {**request, name: value}
    now = situation.now
    if name == "time":
        now = value.millis
        if asked.authenticated_at is not None:
            seen["auth_age"] = max(0, now - asked.authenticated_at) // 1000
    request = Record({member: told for member, told in seen.items() if told is not None and told != ""})
    context = Record({**situation.facts.context, "request": request})
    return Situation(asked, replace(situation.facts, context=context), now)


def _asked_with(situation: Situation, name: str, value: Any) -> Asked | None:
    asked = situation.asked
    if name in _WORDS and (value is None or isinstance(value, str)):
        return replace(asked, **{name: value or ""})
    if name == "time" and isinstance(value, Datetime):
        return asked
    if name == "auth_age" and (value is None or (type(value) is int and value >= 0)):
        return replace(asked, authenticated_at=None if value is None else situation.now - value * 1000)
    if name == "amr" and isinstance(value, frozenset) and all(isinstance(method, str) for method in value):
        return replace(asked, amr=tuple(sorted(value)))
    if name == "binding" and value in (None, "dpop", "mtls"):
        thumbprint = asked.binding.thumbprint if asked.binding else ""
        return replace(asked, binding=Binding(kind=value, thumbprint=thumbprint) if value else None)
    if name == "address" and (value is None or isinstance(value, IpAddress)):
        return replace(asked, address=value.text if value else "")
    return None


def ask_for(name: str, value: Any, *, add: bool = False) -> Amendment:
    """The request with another `name`, or with `value` added to it."""
    return Amendment("request", Change("add" if add else "set", ("context", "request", name), value))
