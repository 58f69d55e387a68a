"""Inputs of a decision from a solver's answer: what the answer leaves open gets an everyday value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Literal

import z3
from msgspec.structs import replace

from mintwarden.model.asked import Asked
from mintwarden.model.caller import Binding
from mintwarden.model.catalogue import Source
from mintwarden.model.detail import Detail, DetailField
from mintwarden.model.fact_type import FactType
from mintwarden.model.facts import Facts, Reading
from mintwarden.model.values import Datetime, Decimal4, Duration, Entity, EntityUid, Record, Value
from mintwarden.policy.amend import Situation
from mintwarden.policy.cedar.literals import read_ip
from mintwarden.policy.prove.detail import Said
from mintwarden.policy.prove.party import Facet, OpenSet, Party, may_lack
from mintwarden.policy.prove.request import OPTIONAL, Request
from mintwarden.policy.prove.terms import Address, Number, Symbols, Text, Truth

DAY = 86_400_000
_LEFT_OUT = frozenset({"expires_at"})
"""Facts that are not made up where no rule reads them: an end that has passed would refuse."""
_OPTIONAL_TEXTS = tuple(name for name in OPTIONAL if name != "binding")


class Example:
    """Reads one request out of a solver's model."""

    def __init__(self, model: z3.ModelRef, request: Request) -> None:
        self._model = model
        self._request = request
        self._symbols: Symbols = request.symbols
        self._readings: dict[str, Reading] = {}
        self._now = self._number(request.time)

    def situation(self, scope: str, detail: Said | None = None) -> Situation:
        """What to ask `decide`; `scope` is the type of `detail`, where there is one."""
        request = self._request
        subject = self._entity(request.subject)
        actors = tuple(self._entity(actor) for actor in request.actors)
        known = {name: self._namespace(facet) for name, facet in request.facets.items() if facet.sources}
        asked = self._asked(scope, subject.uid, tuple(actor.uid for actor in actors), known)
        if detail is not None:
            fields = self._said(detail, detail.of.fields, "")
            asked = replace(asked, scopes=(), details=(Detail(type=scope, fields=fields),))
        context: dict[str, Any] = {
            "request": request_record(asked, self._now),
            "client": self._client(asked.client_id, known.pop("client", None)),
            "chain": Record({"depth": len(actors), "actors": frozenset(f"{a.uid.type}:{a.uid.id}" for a in actors)}),
            "subject": Record({"type": subject.uid.type, "id": subject.uid.id}),
            **{name: record for name, record in known.items() if record is not None},
        }
        facts = Facts(subject=subject, actors=actors, context=Record(context), readings=self._readings)
        return Situation(asked, facts, self._now)

    def _asked(
        self, scope: str, subject: EntityUid, actors: tuple[EntityUid, ...], known: dict[str, Record | None]
    ) -> Asked:
        request = self._request
        texts: dict[str, Any] = {name: self._text(request.texts[name]) for name in ("grant", "environment", "method")}
        texts |= {
            name: self._text(request.texts[name]) if self._truth(request.given[name], False) else ""
            for name in _OPTIONAL_TEXTS
        }
        bound = self._truth(request.given["binding"], False)
        kind: Literal["dpop", "mtls"] = "mtls" if self._text(request.texts["binding"]) == "mtls" else "dpop"
        address = self._address(request.address) if self._truth(request.given["address"], False) else ""
        return Asked(
            client_id=self._text(request.client["id"]),
            subject=subject,
            actors=actors,
            impersonate=request.shape.hidden,
            audience=request.audience.id,
            scopes=(scope,),
            authenticated_at=self._now - self._number(request.age) if self._truth(request.signed_in, False) else None,
            amr=tuple(sorted(self._members(request.amr))),
            binding=Binding(kind=kind, thumbprint="example") if bound else None,
            address=address,
            session="example" if known.get("session") is not None else "",
            device="example" if known.get("device") is not None else "",
            **texts,
        )

    def _client(self, client_id: str, facts: Record | None) -> Record:
        client = self._request.bundle.catalogue.clients[client_id]
        own = {name: getattr(client, name) for name in ("id", "kind", "owner", "principal")}
        return Record({**(facts or {}), **own})

    # -- facts -----------------------------------------------------------------------------------------------------

    def _entity(self, party: Party) -> Entity:
        uid = EntityUid(party.about, self._text(party.code))
        groups = frozenset(EntityUid("Group", name) for name, held in party.groups.items() if self._truth(held, False))
        return Entity(uid, self._namespace(party) or Record(), groups)

    def _namespace(self, facet: Facet) -> Record | None:
        """The facts of its sources together; None when none of them is known."""
        facts: dict[str, Value] = {}
        is_known = False
        for source in facet.sources.values():
            present = self._truth(facet.knows(source.id), True)
            state = "present" if present else _tolerated(source)
            self._readings[f"{facet.role}/{source.id}"] = Reading(state, self._now if present else 0, source.max_age)
            if present:
                is_known = True
                facts.update(self._facts(facet, source))
        return Record(facts) if is_known else None

    def _facts(self, facet: Facet, source: Source) -> Iterator[tuple[str, Value]]:
        for name, fact in source.facts.items():
            flag = z3.Bool(f"{facet.name}.{name}?")
            if may_lack(fact, source) and not self._truth(flag, name not in _LEFT_OUT):
                continue
            if name in facet.sets:
                yield name, self._members(facet.sets[name])
            elif name in facet.values:
                yield name, self._value(facet.values[name], fact.type)
            else:
                yield name, self._usual(fact.type)

    def _value(self, term: Any, of: FactType) -> Value:
        match term:
            case Truth(holds):
                return self._truth(holds, False)
            case Text(code):
                return self._text(code)
            case Number("datetime", value):
                return Datetime(self._number(value))
            case Number("duration", value):
                return Duration(self._number(value))
            case Number("decimal", value):
                return Decimal4(self._number(value))
            case Number("long", value):
                return self._number(value)
            case Address():
                return read_ip(self._address(term))
            case _:
                return self._usual(of)

    def _members(self, members: OpenSet) -> frozenset[Any]:
        keys = [key for key in members.asked if self._truth(members.holds(_as_term(members, key)), False)]
        found = frozenset(self._number(key) if members.element else self._text(key) for key in keys)
        if not found and not self._truth(members.is_empty(), True):
            return frozenset({0 if members.element else "example"})
        return found

    def _usual(self, of: FactType) -> Value:
        usual: dict[str, Value] = {
            "bool": False, "long": 0, "string": "example", "decimal": Decimal4(0), "duration": Duration(0),
            "datetime": Datetime(self._now + DAY), "ipaddr": read_ip("192.0.2.1"), "set": frozenset(),
        }  # fmt: skip
        return usual.get(of.kind, Record())

    # -- an authorization detail -----------------------------------------------------------------------------------

    def _said(self, detail: Said, declared: Mapping[str, DetailField], within: str) -> dict[str, Any]:
        said: dict[str, Any] = {}
        for name, field in sorted(declared.items()):
            path = f"{within}{name}"
            if not self._truth(detail.is_there(path, field), False):
                continue
            if field.type.kind == "record":
                said[name] = self._said(detail, field.fields, f"{path}.")
            elif path in detail.sets:
                said[name] = sorted(self._members(detail.sets[path])) or self._usual_said(field, name)
            elif path in detail.values:
                said[name] = _as_said(self._value(detail.values[path], field.type))
            else:
                said[name] = self._usual_said(field, name)
        return said

    def _usual_said(self, field: DetailField, name: str) -> Any:
        if name == "locations":
            return [self._request.audience.identifier]
        if field.type.kind == "set":
            strings = field.type.element is not None and field.type.element.kind == "string"
            return [field.one_of[0] if field.one_of else "example"] if strings else [0]
        return field.one_of[0] if field.one_of else _as_said(self._usual(field.type))

    # -- single values ---------------------------------------------------------------------------------------------

    def _truth(self, formula: Any, otherwise: bool) -> bool:
        if isinstance(formula, bool):
            return formula
        value = self._model.eval(formula)
        return otherwise if not (z3.is_true(value) or z3.is_false(value)) else z3.is_true(value)

    def _number(self, value: Any) -> int:
        return value if isinstance(value, int) else int(self._model.eval(value, model_completion=True).as_long())

    def _text(self, code: Any) -> str:
        if not isinstance(code, int) and not z3.is_int_value(self._model.eval(code)):
            return "example"
        return self._symbols.text(self._number(code), self._model)

    def _address(self, address: Address) -> str:
        width, of = (32, IPv4Address) if self._truth(address.is_v4, True) else (128, IPv6Address)
        prefix = self._number(address.prefix)
        text = str(of(self._number(address.host)))
        return text if prefix == width else f"{text}/{prefix}"


def _as_said(value: Value) -> Any:
    if isinstance(value, Decimal4):
        sign, units = ("-" if value.units < 0 else ""), abs(value.units)
        return f"{sign}{units // 10_000}.{units % 10_000:04d}"
    return value


def request_record(asked: Asked, now: int) -> Record:
    """What rules see as `context.request`."""
    told: dict[str, Any] = {
        "time": Datetime(now),
        "grant": asked.grant,
        "environment": asked.environment,
        "method": asked.method,
        "amr": frozenset(asked.amr),
    }
    told |= {name: getattr(asked, name) for name in _OPTIONAL_TEXTS if getattr(asked, name)}
    if asked.address:
        told["address"] = read_ip(asked.address)
    if asked.authenticated_at is not None:
        told["auth_age"] = max(0, now - asked.authenticated_at) // 1000
    if asked.binding is not None:
        told["binding"] = asked.binding.kind
    return Record(told)


def _as_term(members: OpenSet, key: Any) -> Text | Number:
    return Text(key) if members.element is None else Number("long", key)


def _tolerated(source: Source) -> Literal["missing", "stale", "failing"]:
    if source.missing == "absent":
        return "missing"
    if source.stale == "absent":
        return "stale"
    return "failing" if source.failing == "absent" else "missing"
