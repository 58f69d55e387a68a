"""What an expression comes to when nothing is known for certain: values with formulas in them.

A formula is a Python `bool` where it is known and a solver's Boolean where it is not; numbers and texts likewise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import z3

from mintwarden.model.values import LONG_MAX, LONG_MIN
from mintwarden.policy.cedar.operators import like

Formula = Any
"""`bool`, or a Boolean of the solver."""
Numeral = Any
"""`int`, or an integer of the solver."""
Kind = Literal["long", "decimal", "datetime", "duration"]


class Untranslated(Exception):
    """There is no formula for this construct."""


class Truth(NamedTuple):
    """A boolean."""

    holds: Formula


class Number(NamedTuple):
    """A long, or one of the types that are a number underneath."""

    kind: Kind
    value: Numeral


class Text(NamedTuple):
    """A string, by its code in `Symbols`."""

    code: Numeral


class Address(NamedTuple):
    """An address or a range of addresses."""

    is_v4: Formula
    host: Numeral
    prefix: Numeral


class Named(NamedTuple):
    """An entity; `of` is the principal or the resource that it is, None for a name that a rule spells out."""

    type: str
    code: Numeral
    of: Any = None


class Members(NamedTuple):
    """A set: a predicate, and for one that is spelled out its elements."""

    holds: Callable[[Any], Formula]
    is_empty: Callable[[], Formula]
    elements: tuple[Any, ...] | None = None


class Fields(NamedTuple):
    """A record: by name a value and whether it is there."""

    get: Callable[[str], tuple[Any, Formula]]


Term = Truth | Number | Text | Address | Named | Members | Fields


def every(parts: Iterable[Formula]) -> Formula:
    """All of them."""
    kept = []
    for part in parts:
        if part is False:
            return False
        if part is not True:
            kept.append(part)
    return True if not kept else kept[0] if len(kept) == 1 else z3.And(kept)


def some(parts: Iterable[Formula]) -> Formula:
    """At least one of them."""
    kept = []
    for part in parts:
        if part is True:
            return True
        if part is not False:
            kept.append(part)
    return False if not kept else kept[0] if len(kept) == 1 else z3.Or(kept)


def negated(part: Formula) -> Formula:
    """Not it."""
    return not part if isinstance(part, bool) else z3.Not(part)


def fits(value: Numeral) -> Formula:
    """Whether it is a 64-bit integer."""
    return every((value >= LONG_MIN, value <= LONG_MAX))


def same(left: Term, right: Term) -> Formula:
    """`==`, for values that validation has found to be of one type."""
    match left, right:
        case Truth(one), Truth(other):
            return one == other
        case Number(kind, one), Number(other_kind, other):
            return kind == other_kind and one == other
        case Text(one), Text(other):
            return one == other
        case Named(kind, one, _), Named(other_kind, other, _):
            return kind == other_kind and one == other
        case Address(v4, host, prefix), Address(other_v4, other_host, other_prefix):
            return every((v4 == other_v4, host == other_host, prefix == other_prefix))
        case _:
            raise Untranslated("equality of sets and records")


class Symbols:
    """Texts as numbers: each text that a rule spells out has its code, and every other number is some other text.

    INVARIANT: codes are only ever added, so that a formula keeps its meaning.
    """

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._patterns: dict[tuple[str, ...], Any] = {}

    def code(self, text: str) -> int:
        """The code of a text."""
        return self._codes.setdefault(text, len(self._codes))

    def like(self, code: Numeral, parts: tuple[str, ...]) -> Formula:
        """Whether the text is like the pattern; see `axioms`."""
        if isinstance(code, int):
            return like(self.text(code), parts)
        if len(parts) > 1 and not any(parts):
            return True  # nothing but wildcards: any text is
        predicate = self._patterns.get(parts)
        if predicate is None:
            name = f"like {len(self._patterns)}"
            predicate = self._patterns[parts] = z3.Function(name, z3.IntSort(), z3.BoolSort())
        return predicate(code)

    def axioms(self) -> list[Formula]:
        """What is known of the patterns: how the texts that have a code compare. Of others, nothing."""
        return [
            predicate(code) == like(text, parts)
            for parts, predicate in self._patterns.items()
            for text, code in self._codes.items()
        ]

    def text(self, code: int, model: z3.ModelRef | None = None) -> str:
        """A text for a code: the one that has it, or another that is like what the model says it is like."""
        for text, own in self._codes.items():
            if own == code:
                return text
        wanted = [
            parts for parts, p in self._patterns.items() if model is not None and z3.is_true(model.eval(p(code), True))
        ]
        filler = f"other{code}"
        tries = (filler.join(parts) for parts in wanted)
        found = next((text for text in tries if text and all(like(text, parts) for parts in wanted)), filler)
        return found if found not in self._codes else filler
