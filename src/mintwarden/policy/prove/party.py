"""Whoever and whatever facts are about, with every fact open: a principal, or a namespace of the context."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import z3

from mintwarden.model.catalogue import Catalogue, Source
from mintwarden.model.fact_type import Fact, FactType
from mintwarden.model.values import LONG_MAX, LONG_MIN
from mintwarden.policy.prove.terms import (
    Address,
    Formula,
    Kind,
    Members,
    Number,
    Symbols,
    Term,
    Text,
    Truth,
    Untranslated,
    every,
    some,
)
from mintwarden.policy.prove.translate import Typed

_NUMBERS: Mapping[str, Kind] = {"long": "long", "decimal": "decimal", "datetime": "datetime", "duration": "duration"}


class OpenSet:
    """A set of which only membership is known; `asked` are the elements that somebody has asked for."""

    def __init__(self, name: str, element: Kind | None) -> None:
        self.element = element
        self.asked: list[Any] = []
        self._empty = z3.Bool(f"{name} is empty")
        self._holds = z3.Function(f"{name} holds", z3.IntSort(), z3.BoolSort())

    def holds(self, wanted: Any) -> Formula:
        """Whether an element is in it."""
        if isinstance(wanted, Text) == (self.element is not None):
            raise Untranslated("an element of another type than the set's")
        key = wanted.code if isinstance(wanted, Text) else wanted.value
        if not any(_identical(key, known) for known in self.asked):
            self.asked.append(key)
        return self._holds(key)

    def is_empty(self) -> Formula:
        """Whether nothing is in it."""
        return self._empty

    @property
    def term(self) -> Members:
        """Itself as a value."""
        return Members(self.holds, self.is_empty)

    def axioms(self) -> list[Formula]:
        """What is empty holds nothing."""
        return [z3.Implies(self._empty, z3.Not(self._holds(key))) for key in self.asked]


def _identical(one: Any, other: Any) -> bool:
    if isinstance(one, int) or isinstance(other, int):
        return isinstance(one, int) and isinstance(other, int) and one == other
    return bool(one.eq(other))


class Facet:
    """One of the kinds of things that sources are about, in one role, with its facts open.

    Attributes:
        role: as in `Facts.readings`.
        about: the principal type or namespace.
        values: the facts that were looked at, by name.
        axioms: what always holds of its variables.
    """

    def __init__(self, catalogue: Catalogue, role: str, about: str, prefix: str) -> None:
        self.role = role
        self.about = about
        self.name = f"{prefix}{role}"
        self.sources = {source.id: source for source in catalogue.sources.values() if about in source.about}
        self.values: dict[str, Term] = {}
        self.sets: dict[str, OpenSet] = {}
        self.axioms: list[Formula] = []
        self._facts = {name: (fact, s) for s in self.sources.values() for name, fact in s.facts.items()}

    def knows(self, source: str) -> Formula:
        """Whether the source is there and fresh."""
        return z3.Bool(f"{self.name}/{source}") if source in self.sources else False

    @property
    def is_known(self) -> Formula:
        """Whether any source is."""
        return some(self.knows(source) for source in self.sources)

    def has(self, name: str) -> Formula:
        """Whether a fact is there."""
        fact, source = self._facts[name]
        if not may_lack(fact, source):
            return self.knows(source.id)
        return every((self.knows(source.id), z3.Bool(f"{self.name}.{name}?")))

    def get(self, name: str) -> tuple[Term, Formula]:
        """A fact, and whether it is there; one that no source provides never is."""
        if name not in self._facts:
            return Truth(False), False
        if name not in self.values:
            self.values[name] = self._make(name, self._facts[name][0].type)
        return self.values[name], self.has(name)

    def _make(self, name: str, of: FactType) -> Term:
        variable = f"{self.name}.{name}"
        if of.kind == "bool":
            return Truth(z3.Bool(variable))
        if of.kind == "string":
            return Text(z3.Int(variable))
        if of.kind in _NUMBERS:
            number = z3.Int(variable)
            self.axioms.append(z3.And(number >= LONG_MIN, number <= LONG_MAX))
            return Number(_NUMBERS[of.kind], number)
        if of.kind == "ipaddr":
            address, axiom = open_address(variable)
            self.axioms.append(axiom)
            return address
        if of.kind == "set" and of.element is not None and of.element.kind in ("string", "long"):
            made = self.sets[name] = OpenSet(variable, None if of.element.kind == "string" else "long")
            return made.term
        raise Typed(f"facts of the type `{of.kind}` have no formula", self.has(name))

    def all_axioms(self) -> Iterable[Formula]:
        """What always holds of its variables, its sets included."""
        yield from self.axioms
        for one in self.sets.values():
            yield from one.axioms()


class Party(Facet):
    """A principal: its name and groups as well as its facts."""

    def __init__(self, catalogue: Catalogue, role: str, about: str, prefix: str, symbols: Symbols) -> None:
        super().__init__(catalogue, role, about, prefix)
        # INVARIANT: no variable shares its name with that of a fact: names with a space are nobody's facts.
        self.code = z3.Int(f"{self.name} id")
        self.groups: dict[str, Formula] = {}
        self.symbols = symbols

    def is_in(self, entity_type: str, name: str) -> Formula:
        """Whether it is in the entity, itself aside: only groups have members."""
        if entity_type != "Group":
            return False
        if name not in self.groups:
            member = self.groups[name] = z3.Bool(f"{self.name} in {name}")
            saying = some(self.knows(source.id) for source in self.sources.values() if source.names(name))
            self.axioms.append(z3.Implies(member, saying))
        return self.groups[name]


def may_lack(fact: Fact, source: Source) -> bool:
    """Whether a fact may be absent although its source is there."""
    return fact.optional or source.missing == "absent"


def open_address(variable: str, *, single: bool = False) -> tuple[Address, Formula]:
    """Any address or range, and what always holds of it."""
    v4, host, prefix = z3.Bool(f"{variable}.v4"), z3.Int(f"{variable}.host"), z3.Int(f"{variable}.prefix")
    width = z3.If(v4, 32, 128)
    sized = prefix == width if single else z3.And(prefix >= 0, prefix <= width)
    return Address(v4, host, prefix), z3.And(sized, host >= 0, host < z3.If(v4, 1 << 32, 1 << 128))
