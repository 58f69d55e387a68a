"""Random inputs near a bundle's scenarios, and the formulas' variables pinned to them."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

import msgspec
import z3
from cedarpy import pst

from mintwarden.model.fact_type import FactType
from mintwarden.model.values import Entity, Record
from mintwarden.policy.amend import Situation
from mintwarden.policy.bundle.model import Bundle, ScenarioDocument
from mintwarden.policy.cedar.literals import read_ip
from mintwarden.policy.cedar.tree import children
from mintwarden.policy.prove.party import Facet, OpenSet, Party
from mintwarden.policy.prove.request import OPTIONAL, Request
from mintwarden.policy.prove.terms import Address, Number, Symbols, Text, Truth

ADDRESSES = ("203.0.113.7", "198.51.100.1", "2001:db8::1", "127.0.0.1")


def literals(bundle: Bundle) -> tuple[list[str], list[int]]:
    """The texts and numbers that the bundle's rules spell out."""
    texts, numbers = {"", "other"}, {0, 1}
    todo = [clause.expr for rule in bundle.rules.rules.values() for clause in rule.template.clauses]
    while todo:
        expr = todo.pop()
        todo.extend(children(expr))
        if isinstance(expr, pst.StringLit):
            texts.add(expr.value)
        if isinstance(expr, pst.LongLit):
            numbers.update((expr.value - 1, expr.value, expr.value + 1))
    return sorted(texts), sorted(numbers)


def groups(bundle: Bundle) -> list[str]:
    found = {"nobody"}
    for rule in bundle.rules.rules.values():
        found.update(uid.id for uid in pst.entity_uids(rule.template) if str(uid.type) == "Group")
    return sorted(found)


class Mutator:
    """Changes what a scenario says is given, in ways that can happen."""

    def __init__(self, bundle: Bundle) -> None:
        self._random = Random(0)
        self._bundle = bundle
        self._texts, self._numbers = literals(bundle)
        self._groups = groups(bundle)

    def mutated(self, scenario: ScenarioDocument, random: Random) -> ScenarioDocument:
        self._random = random
        given: dict[str, Any] = copy.deepcopy(dict(scenario.given))
        catalogue = self._bundle.catalogue
        scopes = sorted(catalogue.audiences[given["audience"]].scopes)
        given["scopes"] = (random.choice([*given["scopes"][:1], random.choice(scopes)]),)
        given["parent_scopes"] = given["parent_expires_in"] = None
        given["details"] = given["parent_details"] = ()
        for _ in range(random.choice((0, 1, 1, 2, 3))):
            self._one(given)
        return msgspec.structs.replace(scenario, given=given)

    def _one(self, given: dict[str, Any]) -> None:
        random, catalogue = self._random, self._bundle.catalogue
        choice = random.randrange(14)
        if choice == 0:
            given["client"] = random.choice(sorted(catalogue.clients))
        elif choice == 1:
            given["environment"] = random.choice(sorted(catalogue.environments))
        elif choice == 2:
            given["acr"] = random.choice(("", "phr", "mfa", "pwd"))
        elif choice == 3:
            given["auth_age"] = random.choice((None, 0, 599, 600, 601, 901, 10_000))
        elif choice == 4:
            given["binding"] = random.choice(("", "dpop", "mtls"))
        elif choice == 5:
            given["address"] = random.choice(("", *ADDRESSES))
        elif choice == 6:
            given["purpose"] = random.choice(("", *sorted(catalogue.purposes)))
        elif choice == 7:
            given[random.choice(("tenant", "workspace", "project"))] = random.choice(("", "t1", "other"))
        elif choice == 8:
            given["now"] += random.choice((-1, 1)) * random.randrange(24) * 3_600_000
        else:
            self._fact(given["facts"])

    def _fact(self, facts: dict[str, Any]) -> None:
        random = self._random
        key = random.choice(sorted(facts)) if facts else ""
        if not key or not facts[key]:
            return
        source = random.choice(sorted(facts[key]))
        entry, declared = facts[key][source], self._bundle.catalogue.sources[source]
        how = random.randrange(8)
        if how == 0:
            if "absent" not in (declared.missing, declared.stale, declared.failing) or declared.missing == "absent":
                entry["state"] = "missing"
        elif how <= 2 and declared.groups:
            entry["groups"] = tuple({*entry["groups"]} ^ {random.choice(self._groups)})
        else:
            name = random.choice(sorted(declared.facts))
            if declared.facts[name].optional and random.randrange(3) == 0:
                entry["facts"].pop(name, None)
            else:
                entry["facts"][name] = self._value(declared.facts[name].type, entry["facts"].get(name))

    def _value(self, of: FactType, old: Any) -> Any:
        random = self._random
        match of.kind:
            case "bool":
                return not old
            case "long":
                return random.choice(self._numbers)
            case "string":
                return random.choice(self._texts)
            case "set":
                return sorted({*(old or ())} ^ {random.choice(self._texts)})
            case "datetime":
                return random.choice(("2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z"))
            case _:
                return old


def pinned(request: Request, situation: Situation) -> list[Any]:
    """The variables of a request, with the values that they have in a situation."""
    asked, facts, now = situation
    code = request.symbols.code
    client = request.bundle.catalogue.clients[asked.client_id]
    pins = [request.time == now, request.signed_in == (asked.authenticated_at is not None)]
    pins.append(request.age == (now - asked.authenticated_at if asked.authenticated_at is not None else 0))
    pins += [variable == code(getattr(client, name)) for name, variable in request.client.items()]
    for name in ("grant", "environment", "method"):
        pins.append(request.texts[name] == code(getattr(asked, name)))
    for name in OPTIONAL:
        value = (asked.binding.kind if asked.binding else "") if name == "binding" else getattr(asked, name)
        pins.append(request.given[name] == bool(value))
        if value:
            pins.append(request.texts[name] == code(value))
    pins.append(request.given["address"] == bool(asked.address))
    if asked.address:
        pins += _same_address(request.address, read_ip(asked.address))
    pins += _same_set(request.amr, frozenset(asked.amr), request.symbols)
    for party, entity in zip((request.subject, *request.actors), (facts.subject, *facts.actors), strict=True):
        pins += pinned_party(party, entity, facts.readings)
    for name, facet in request.facets.items():
        record = facts.context.get(name)
        pins += pinned_facet(facet, record if isinstance(record, Record) else Record(), facts.readings, request.symbols)
    return pins


def pinned_party(party: Party, entity: Entity, readings: Any) -> list[Any]:
    held = {group.id for group in entity.ancestors}
    pins = [party.code == party.symbols.code(entity.uid.id)]
    pins += [variable == (group in held) for group, variable in party.groups.items()]
    return pins + pinned_facet(party, entity.attrs, readings, party.symbols)


def pinned_facet(facet: Facet, attrs: Any, readings: Any, symbols: Symbols) -> list[Any]:
    pins = []
    for source in facet.sources.values():
        reading = readings.get(f"{facet.role}/{source.id}")
        pins.append(facet.knows(source.id) == (reading is not None and reading.state == "present"))
        pins += [z3.Bool(f"{facet.name}.{name}?") == (name in attrs) for name in source.facts]
    for name, term in facet.values.items():
        if name not in attrs:
            continue
        value = attrs[name]
        if name in facet.sets:
            pins += _same_set(facet.sets[name], value, symbols)
        elif isinstance(term, Truth):
            pins.append(term.holds == value)
        elif isinstance(term, Text):
            pins.append(term.code == symbols.code(value))
        elif isinstance(term, Number):
            pins.append(term.value == (value if isinstance(value, int) else value[0]))
        elif isinstance(term, Address):
            pins += _same_address(term, value)
    return pins


def _same_address(address: Address, value: Any) -> list[Any]:
    network = value.network
    return [address.is_v4 == (network.version == 4), address.host == value.host, address.prefix == network.prefixlen]


def _same_set(members: OpenSet, value: frozenset[Any], symbols: Symbols) -> list[Any]:
    codes = [element if members.element else symbols.code(element) for element in sorted(value)]
    pins = [members.is_empty() == (not codes)]
    for key in members.asked:
        term = Number("long", key) if members.element else Text(key)
        pins.append(members.holds(term) == z3.Or([z3.BoolVal(False), *(key == code for code in codes)]))
    return pins


def under(formula: Any, pins: list[Any]) -> bool:
    """Whether the formula is true where the pins leave it no choice."""
    if isinstance(formula, bool):
        return formula
    solver = z3.SimpleSolver()
    solver.add(*pins)
    assert solver.check() == z3.sat
    answer = solver.model().eval(formula, model_completion=True)
    assert z3.is_true(answer) or z3.is_false(answer)
    return bool(z3.is_true(answer))
