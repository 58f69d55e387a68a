"""One request with everything open that a caller can choose: the client, the chain, and what is asked how."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import z3
from msgspec import Struct

from mintwarden.model.catalogue import Audience, Client
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.prove.party import Facet, OpenSet, Party, open_address
from mintwarden.policy.prove.terms import (
    Fields,
    Formula,
    Members,
    Number,
    Symbols,
    Term,
    Text,
    Truth,
    Untranslated,
    every,
    negated,
    some,
)

LATEST = 253_402_300_799_999
"""The end of the year 9999, `Millis`."""
LONGEST_AGO = 10**14
NAMESPACES = ("client", "session", "device", "world")
OPTIONAL = ("purpose", "tenant", "workspace", "project", "acr", "binding")


class Shape(Struct, frozen=True):
    """Who acts. `actors` are principal types, the present actor first; None: anybody, any number of them.

    `hidden`: no actor was named, and the one actor is the client.
    """

    actors: tuple[str, ...] | None
    hidden: bool = False


ANYBODY = Shape(None)


class Request:
    """The variables of one request for scopes of one audience.

    Attributes:
        parties: the principals in it by role: the subject, and the actors of its shape.
        facets: the context's namespaces.
    """

    def __init__(self, bundle: Bundle, audience: Audience, shape: Shape, subject: Party, world: Facet, prefix: str):
        catalogue = bundle.catalogue
        self.bundle, self.audience, self.shape, self.prefix = bundle, audience, shape, prefix
        self.symbols: Symbols = subject.symbols
        self.subject = subject
        self.actors = tuple(
            Party(catalogue, f"actor:{index}", about, prefix, self.symbols)
            for index, about in enumerate(shape.actors or ())
        )
        self.facets = {name: world if name == "world" else Facet(catalogue, name, name, prefix) for name in NAMESPACES}
        self.client = {name: z3.Int(f"{prefix}client {name}") for name in ("id", "kind", "owner", "principal")}
        self.time = z3.Int("now")
        self.age = z3.Int(f"{prefix}age")
        self.signed_in = z3.Bool(f"{prefix}signed in")
        self.amr = OpenSet(f"{prefix}amr", None)
        self.texts = {name: z3.Int(f"{prefix}{name}") for name in ("grant", "environment", "method", *OPTIONAL)}
        self.given = {name: z3.Bool(f"{prefix}{name}?") for name in (*OPTIONAL, "address")}
        self.address, self._address_axiom = open_address(f"{prefix}address", single=True)
        self.depth: Any = len(self.actors) if shape.actors is not None else z3.Int(f"{prefix}depth")
        self.chain = OpenSet(f"{prefix}chain", None)
        self.context = Fields(self._context)

    # -- what rules see --------------------------------------------------------------------------------------------

    def _context(self, name: str) -> tuple[Term, Formula]:
        match name:
            case "request":
                return Fields(self._request), True
            case "client":
                return Fields(self._client), True
            case "chain":
                return Fields(self._chain), True
            case "subject":
                return Fields(self._subject), True
            case _ if name in self.facets:
                facet = self.facets[name]
                return Fields(facet.get), facet.is_known
            case _:
                return Truth(False), False

    def _request(self, name: str) -> tuple[Term, Formula]:
        match name:
            case "time":
                return Number("datetime", self.time), True
            case "amr":
                return self.amr.term, True
            case "auth_age":
                return Number("long", z3.If(self.age < 0, 0, self.age / 1000)), self.signed_in
            case "address":
                return self.address, self.given["address"]
            case _ if name in self.texts:
                return Text(self.texts[name]), self.given.get(name, True)
            case _:
                return Truth(False), False

    def _client(self, name: str) -> tuple[Term, Formula]:
        return (Text(self.client[name]), True) if name in self.client else self.facets["client"].get(name)

    def _chain(self, name: str) -> tuple[Term, Formula]:
        if name == "depth":
            return Number("long", self.depth), True
        if name != "actors":
            return Truth(False), False
        if self.shape.actors is None:
            return self.chain.term, True
        return Members(self._acts, lambda: not self.actors), True

    def _acts(self, wanted: Any) -> Formula:
        """Whether an entity key is an actor's."""
        if not isinstance(wanted, Text) or not isinstance(wanted.code, int):
            raise Untranslated("an actor who is not spelled out")
        kind, _, name = self.symbols.text(wanted.code).partition(":")
        code = self.symbols.code(name)
        return some(actor.code == code for actor in self.actors if actor.about == kind)

    def _subject(self, name: str) -> tuple[Term, Formula]:
        if name == "type":
            return Text(self.symbols.code(self.subject.about)), True
        return (Text(self.subject.code), True) if name == "id" else (Truth(False), False)

    # -- what always holds -----------------------------------------------------------------------------------------

    def clients(self, scope: str) -> list[Client]:
        """The clients whose ceiling has the scope, or that may ask for the detail."""
        audience = self.audience.id
        if scope in self.audience.details:
            return [c for c in self.bundle.catalogue.clients.values() if scope in c.details]
        return [c for c in self.bundle.catalogue.clients.values() if scope in c.ceilings.get(audience, ())]

    def axioms(self) -> Iterable[Formula]:
        """What every request that reaches a decision keeps to."""
        code = self.symbols.code
        yield z3.And(self.time >= 0, self.time <= LATEST)
        yield z3.And(self.age >= -LONGEST_AGO, self.age <= LONGEST_AGO)
        yield self._address_axiom
        for name in OPTIONAL:
            yield z3.Implies(self.given[name], self.texts[name] != code(""))
        yield z3.Or(self.texts["binding"] == code("dpop"), self.texts["binding"] == code("mtls"))
        purposes = [self.texts["purpose"] == code(purpose) for purpose in self.bundle.catalogue.purposes]
        yield z3.Implies(self.given["purpose"], z3.Or(purposes))
        if self.shape.actors is None:
            yield z3.And(self.depth >= 0, self.depth <= self.bundle.catalogue.max_actors)
        for one in (self.amr, self.chain):
            yield from one.axioms()
        for facet in (self.subject, *self.actors, *self.facets.values()):
            yield from facet.all_axioms()

    def is_by(self, client: Client) -> Formula:
        """Whether the client makes it, in one of its environments, by one of its grants and methods."""
        code = self.symbols.code
        own = {name: self.client[name] == code(getattr(client, name)) for name in self.client}
        choices = {"environment": client.environments, "grant": client.grants, "method": client.methods}
        parts = [*own.values()]
        parts += [z3.Or([self.texts[name] == code(value) for value in values]) for name, values in choices.items()]
        if self.shape.hidden:
            actor = self.actors[0]
            parts += [actor.code == code(client.id), actor.about == client.principal]
        return every(parts)

    def passes(self, scope: str) -> Formula:
        """Whether the gates before the rules let the scope through: client, environment, binding, tenancy."""
        code = self.symbols.code
        audience = self.audience
        parts = [
            some(self.is_by(client) for client in self.clients(scope)),
            some(self.texts["environment"] == code(name) for name in audience.environments),
        ]
        if audience.binding:
            parts.append(self.given["binding"])
            if audience.binding != "any":
                parts.append(self.texts["binding"] == code(audience.binding))
        for tenancy in audience.tenancy:
            given, value = self.given[tenancy.parameter], Text(self.texts[tenancy.parameter])
            allowed, present = self.subject.get(tenancy.member_of.partition(".")[2])
            member = every((present, allowed.holds(value))) if isinstance(allowed, Members) else False
            parts.append(every((given, member)) if tenancy.required else some((negated(given), member)))
        return every(parts)
