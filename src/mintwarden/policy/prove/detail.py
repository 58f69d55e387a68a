"""The fields of an authorization detail, each open within what its type declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import z3

from mintwarden.model.detail import DetailField, DetailType
from mintwarden.model.values import LONG_MAX, LONG_MIN
from mintwarden.policy.prove.party import OpenSet
from mintwarden.policy.prove.terms import (
    Fields,
    Formula,
    Number,
    Symbols,
    Term,
    Text,
    Truth,
    every,
    negated,
    some,
)


class Said:
    """The variables of one detail.

    Attributes:
        term: `context.detail`.
        values, sets: the terms of fields by their paths, as far as a rule has looked at them.
    """

    def __init__(self, of: DetailType, name: str, symbols: Symbols) -> None:
        self.of = of
        self._name = name
        self._symbols = symbols
        self.values: dict[str, Term] = {}
        self.sets: dict[str, OpenSet] = {}
        self._axioms: list[Formula] = []
        self._listed: list[tuple[OpenSet, DetailField]] = []
        self.term = Fields(lambda field: self._get(of.fields, "", field))

    def is_there(self, path: str, field: DetailField) -> Formula:
        """Whether the field is sent."""
        return True if field.required else z3.Bool(f"{self._name}.{path}?")

    def _get(self, declared: Mapping[str, DetailField], within: str, name: str) -> tuple[Term, Formula]:
        field = declared.get(name)
        if field is None:
            return Truth(False), False
        path = f"{within}{name}"
        if path not in self.values:
            self.values[path] = self._make(field, path)
        return self.values[path], self.is_there(path, field)

    def _make(self, field: DetailField, path: str) -> Term:
        variable, kind = f"{self._name}.{path}", field.type.kind
        if kind == "record":
            return Fields(lambda name: self._get(field.fields, f"{path}.", name))
        if kind == "bool":
            return Truth(z3.Bool(variable))
        if kind == "set" and field.type.element is not None:
            made = self.sets[path] = OpenSet(variable, None if field.type.element.kind == "string" else "long")
            self._listed.append((made, field))
            return made.term
        number = z3.Int(variable)
        if kind == "string":
            if field.one_of:
                self._axioms.append(z3.Or([number == self._symbols.code(word) for word in field.one_of]))
            self._axioms.append(number != self._symbols.code(""))
            return Text(number)
        least, most = (LONG_MIN, LONG_MAX) if kind == "long" else (-LONG_MAX, LONG_MAX)
        self._axioms.append(z3.And(number >= least, number <= most))
        return Number("long" if kind == "long" else "decimal", number)

    def axioms(self) -> Iterator[Formula]:
        """What always holds of a detail that is well formed. A set that is sent is not empty."""
        yield from self._axioms
        for made, field in self._listed:
            yield negated(made.is_empty())
            if field.one_of:
                words = [self._symbols.code(word) for word in field.one_of]
                yield some(made.holds(Text(word)) for word in words)
                for key in made.asked:
                    known: list[Any] = [key == word for word in words]
                    yield some((negated(made.holds(Text(key))), *known))
            yield every(made.axioms())
