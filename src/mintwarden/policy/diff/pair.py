"""Two bundles asked the same question, each seeing it as its own catalogue would let it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.model.asked import Asked
from mintwarden.model.catalogue import Catalogue, Source
from mintwarden.model.facts import Facts
from mintwarden.model.values import Entity, EntityUid, Record
from mintwarden.policy.amend import Situation
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide
from mintwarden.policy.durations import written
from mintwarden.policy.prove.party import may_lack
from mintwarden.policy.prove.request import NAMESPACES

Side = Literal["old", "new"]
OWN = ("id", "kind", "owner", "principal")
"""What a catalogue itself says of a client, as rules see it."""
_ENFORCING: Mapping[str, Any] = {
    "mode": "enforce", "legacy": {}, "legacy_roles": {}, "legacy_clients": {}, "canary": None, "downgrade": None,
}  # fmt: skip


class Answer(Struct, frozen=True):
    """What a bundle says to one scope of a request.

    Attributes:
        reason: why it is refused; empty when granted.
        route: the rule that grants it.
        seconds, bounded_by: how long, and by what; 0 when refused.
        actors: who will stand in the token as acting.
    """

    granted: bool
    reason: str = ""
    route: str = ""
    seconds: int = 0
    bounded_by: str = ""
    actors: tuple[EntityUid, ...] = ()

    @property
    def text(self) -> str:
        """A few words for people."""
        if not self.granted:
            return f"refused: {self.reason}"
        hidden = "" if not self.actors else f", naming {' and '.join(map(str, self.actors))}"
        return f"granted by {self.route} for {written(self.seconds)} ({self.bounded_by}){hidden}"


class Pair:
    """OLD and NEW with their rules enforced everywhere: what an older system's mapping gives is compared as written.

    Attributes:
        old, new: the two, every audience enforcing.
        written: the two as they are.
        both: neither: a catalogue of all that either knows, for the inputs that both are asked about.
    """

    def __init__(self, old: Bundle, new: Bundle) -> None:
        self.old = enforcing(old)
        self.new = enforcing(new)
        self.written = {"old": old, "new": new}
        self.both = _with_catalogue(self.new, _merged(old.catalogue, new.catalogue))

    def side(self, side: Side) -> Bundle:
        """One of the two."""
        return self.old if side == "old" else self.new

    def ask(self, side: Side, situation: Situation, *, as_written: bool = False) -> Answer:
        """What a bundle answers to the one scope asked for: enforced, or as it is written."""
        bundle = self.written[side] if as_written else self.side(side)
        asked, facts, now = project(bundle.catalogue, situation)
        barred = not_admitted(bundle.catalogue, asked)
        if barred:
            return Answer(granted=False, reason=barred)
        decision = decide(bundle, asked, facts, now)
        scope = decision.scopes[0]
        if not decision.granted or decision.lifetime is None:
            return Answer(granted=False, reason=scope.reason or "")
        lifetime = decision.lifetime
        return Answer(True, "", scope.route, lifetime.seconds, lifetime.bounded_by, decision.actors)

    @cached_property
    def most_actors(self) -> int:
        """The longest chain that both take."""
        return min(self.old.catalogue.max_actors, self.new.catalogue.max_actors)


def enforcing(bundle: Bundle) -> Bundle:
    """The bundle with every audience enforcing."""
    if all(audience.mode == "enforce" for audience in bundle.catalogue.audiences.values()):
        return bundle
    audiences = {
        name: replace(audience, **{k: v for k, v in _ENFORCING.items() if k in audience.__struct_fields__})
        for name, audience in bundle.catalogue.audiences.items()
    }
    return _with_catalogue(bundle, replace(bundle.catalogue, audiences=audiences))


def _with_catalogue(bundle: Bundle, catalogue: Catalogue) -> Bundle:
    return Bundle(
        digest=bundle.digest,
        catalogue=catalogue,
        rules=bundle.rules,
        schema=bundle.schema,
        derivations=bundle.derivations,
        approvals=bundle.approvals,
        scenarios=bundle.scenarios,
        assertions=bundle.assertions,
        evaluator=bundle.evaluator,
    )


def not_admitted(catalogue: Catalogue, asked: Asked) -> str:
    """Why the steps before a decision refuse the request; empty when they do not."""
    client = catalogue.clients.get(asked.client_id)
    if client is None:
        return "unknown client"
    if asked.audience not in catalogue.audiences:
        return "unknown audience"
    for name, allowed in (
        ("environment", client.environments),
        ("grant", client.grants),
        ("method", client.methods),
        ("purpose", ("", *catalogue.purposes)),
    ):
        if getattr(asked, name) not in allowed:
            return f"{name} `{getattr(asked, name)}` is not the client's" if name != "purpose" else "unknown purpose"
    if len(asked.actors) > catalogue.max_actors:
        return "the chain of actors is too long"
    if asked.impersonate and asked.actors != (EntityUid(client.principal, client.id),):
        return "the client is another principal"
    return ""


def project(catalogue: Catalogue, situation: Situation) -> Situation:
    """The situation as a catalogue's sources and clients would have it: what they do not know is not there."""
    asked, facts, now = situation
    about: dict[str, set[str]] = {}
    grouped: set[str] = set()
    for source in catalogue.sources.values():
        for kind in source.about:
            about.setdefault(kind, set()).update(source.facts)
            if source.groups:
                grouped.add(kind)
    readings = {key: reading for key, reading in facts.readings.items() if key.rpartition("/")[2] in catalogue.sources}
    client = catalogue.clients.get(asked.client_id)
    context: dict[str, Any] = dict(facts.context)
    for space in NAMESPACES:
        if space in context:
            context[space] = Record({k: v for k, v in context[space].items() if k in about.get(space, ())})
            if space != "client" and space not in about:
                del context[space]
    context["client"] = Record({**context.get("client", {}), **{n: getattr(client, n) for n in OWN if client}})

    def seen(entity: Entity) -> Entity:
        kind = entity.uid.type
        attrs = Record({name: value for name, value in entity.attrs.items() if name in about.get(kind, ())})
        return Entity(entity.uid, attrs, entity.ancestors if kind in grouped else frozenset())

    return Situation(
        asked,
        Facts(
            subject=seen(facts.subject),
            actors=tuple(map(seen, facts.actors)),
            context=Record(context),
            readings=readings,
            ends=facts.ends,
            exceptions=facts.exceptions,
        ),
        now,
    )


def _merged(old: Catalogue, new: Catalogue) -> Catalogue:
    sources = {**old.sources, **new.sources}
    for name in old.sources.keys() & new.sources.keys():
        sources[name] = _both(old.sources[name], new.sources[name])
    return replace(
        new,
        sources=sources,
        clients={**old.clients, **new.clients},
        purposes={**old.purposes, **new.purposes},
        tiers={**old.tiers, **new.tiers},
        audiences={**old.audiences, **new.audiences},
        scopes={**old.scopes, **new.scopes},
        max_actors=min(old.max_actors, new.max_actors),
    )


def _both(old: Source, new: Source) -> Source:
    """A source as both would take its documents: what either demands is there."""
    facts = {**old.facts, **new.facts}
    for name in old.facts.keys() & new.facts.keys():
        lacking = may_lack(old.facts[name], old) and may_lack(new.facts[name], new)
        facts[name] = replace(new.facts[name], optional=lacking)
    return replace(
        new,
        facts=facts,
        about=tuple(dict.fromkeys((*old.about, *new.about))),
        missing=new.missing if old.missing == new.missing else "refuse",
        groups=old.groups or new.groups,
    )
