"""Cedar expressions as formulas: when an expression is true, and when it faults.

INVARIANT: where a construct has no formula its truth and its fault are left open, so that whatever holds of the
formula holds of the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import z3
from cedarpy import pst

from mintwarden.model.values import Datetime, Decimal4, Duration, IpAddress
from mintwarden.policy.cedar.faults import Fault
from mintwarden.policy.cedar.literals import DAY, read_datetime, read_decimal, read_duration, read_ip
from mintwarden.policy.cedar.render import render
from mintwarden.policy.cedar.tree import conjuncts, disjuncts, expand_has, glob_parts
from mintwarden.policy.cedar.walk import goals_of
from mintwarden.policy.prove.terms import (
    Address,
    Fields,
    Formula,
    Kind,
    Members,
    Named,
    Number,
    Numeral,
    Symbols,
    Term,
    Text,
    Truth,
    Untranslated,
    every,
    fits,
    negated,
    same,
    some,
)


class Outcome(NamedTuple):
    """When a condition is true, and when it faults; never both."""

    true: Formula
    fault: Formula


class Bearer(Protocol):
    """An entity that has attributes and is in others."""

    def get(self, name: str) -> tuple[Term, Formula]:
        """An attribute, and whether it is there."""
        ...

    def is_in(self, entity_type: str, name: str) -> Formula:
        """Whether another entity is among its ancestors."""
        ...


class Asking(NamedTuple):
    """One question: the variables of a rule."""

    principal: Named
    action: str
    resource: Named
    context: Fields


Value = tuple[Any, Formula]
_OPEN = "there is no formula for this"
_CHILDLESS = ("Action", "Group", "Audience")
"""Types of entities that are in no other, whatever they are called."""


class Translator:
    """Formulas for the expressions of one question. `left_open` collects what could not be translated."""

    def __init__(self, symbols: Symbols, asking: Asking, fresh: Callable[[], Any]) -> None:
        self._symbols = symbols
        self._asking = asking
        self._fresh = fresh
        self.left_open: list[str] = []
        self.axioms: list[Formula] = []

    def rule(self, template: pst.Template) -> Outcome:
        """A whole rule, its head's action and resource taken to match, as in a slice."""
        return self._all(goals_of(template))

    def truth(self, expr: pst.Expr) -> Outcome:
        """An expression as a condition."""
        try:
            return self._truth(expr)
        except Untranslated as error:
            return self._open(expr, str(error))
        except (AttributeError, TypeError, RecursionError, z3.Z3Exception):
            # INVARIANT: a value of a kind that was not foreseen is left open like any other construct.
            return self._open(expr, _OPEN)

    def _open(self, expr: pst.Expr, why: str) -> Outcome:
        self.left_open.append(f"`{render(expr)}`: {why}")
        true, fault = self.opening(expr)
        self.axioms.append(z3.Not(z3.And(true, fault)))
        return Outcome(true, fault)

    def opening(self, _expr: pst.Expr) -> tuple[Any, Any]:
        """Two Booleans that nothing is known of: whether the expression is true, and whether it faults."""
        return self._fresh(), self._fresh()

    def _truth(self, expr: pst.Expr) -> Outcome:
        match expr:
            case pst.BinaryOp(op="and"):
                return self._all(conjuncts(expr))
            case pst.BinaryOp(op="or"):
                return self._any(disjuncts(expr))
            case pst.UnaryOp(op="not"):
                inner = self.truth(expr.arg)
                return Outcome(negated(some(inner)), inner.fault)
            case pst.IfThenElse():
                return self._if(self.truth(expr.cond), self.truth(expr.then_expr), self.truth(expr.else_expr))
            case pst.HasAttr():
                return self._every(self._has(step) for step in expand_has(expr))
            case _:
                value, fault = self.value(expr)
                if not isinstance(value, Truth):
                    raise Untranslated("not a condition")
                return Outcome(every((value.holds, negated(fault))), fault)

    def _all(self, parts: Iterable[pst.Expr]) -> Outcome:
        return self._every(self.truth(part) for part in parts)

    def _every(self, outcomes: Iterable[Outcome]) -> Outcome:
        true: Formula = True
        fault: Formula = False
        for outcome in outcomes:
            fault = some((fault, every((true, outcome.fault))))
            true = every((true, outcome.true))
            if true is False:
                break  # Cedar looks no further either
        return Outcome(true, fault)

    def _any(self, parts: Iterable[pst.Expr]) -> Outcome:
        true: Formula = False
        fault: Formula = False
        for part in parts:
            going = every((negated(true), negated(fault)))
            if going is False:
                break
            outcome = self.truth(part)
            true = some((true, every((going, outcome.true))))
            fault = some((fault, every((going, outcome.fault))))
        return Outcome(true, fault)

    def _if(self, condition: Outcome, then: Outcome, other: Outcome) -> Outcome:
        otherwise = negated(some(condition))
        true = some((every((condition.true, then.true)), every((otherwise, other.true))))
        faults = (condition.fault, every((condition.true, then.fault)), every((otherwise, other.fault)))
        return Outcome(true, some(faults))

    def _has(self, step: pst.HasAttr) -> Outcome:
        base, fault = self.value(step.base)
        _, present = self._member(base, step.attrs[0], may_lack=True)
        return Outcome(every((present, negated(fault))), fault)

    def _member(self, base: Term, name: str, *, may_lack: bool = False) -> tuple[Any, Formula]:
        of: Any = base.of if isinstance(base, Named) else base
        if not isinstance(base, Named | Fields) or of is None:
            raise Untranslated("an attribute of an entity that is only named")
        try:
            found: tuple[Any, Formula] = of.get(name)
        except Untranslated as error:
            if may_lack and isinstance(error, Typed):
                return None, error.present
            raise
        return found

    # -- values --------------------------------------------------------------------------------------------------

    def value(self, expr: pst.Expr) -> Value:
        """Its value, and when it has none; raises `Untranslated`."""
        match expr:
            case pst.Var():
                return self._variable(expr.name), False
            case pst.BoolLit():
                return Truth(expr.value), False
            case pst.LongLit():
                return Number("long", expr.value), False
            case pst.StringLit():
                return Text(self._symbols.code(expr.value)), False
            case pst.EntityLit():
                return Named(str(expr.value.type), self._symbols.code(expr.value.id)), False
            case pst.GetAttr():
                return self._get(expr)
            case pst.Set():
                return self._set(expr)
            case pst.Like():
                base, fault = self.value(expr.base)
                return Truth(self._like(base, glob_parts(expr.pattern))), fault
            case pst.Is():
                return self._is(expr)
            case pst.UnaryOp() if expr.op != "not":
                return self._unary(expr)
            case pst.BinaryOp() if expr.op not in ("and", "or"):
                return self._binary(expr)
            case pst.IfThenElse():
                return self._choice(expr)
            case pst.BinaryOp() | pst.UnaryOp() | pst.HasAttr():
                outcome = self.truth(expr)
                return Truth(outcome.true), outcome.fault
            case _:
                raise Untranslated("records that are spelled out have no formula")

    def _variable(self, name: str) -> Term:
        if name == "principal":
            return self._asking.principal
        if name == "resource":
            return self._asking.resource
        if name == "action":
            return Named("Action", self._symbols.code(self._asking.action))
        return self._asking.context

    def _get(self, expr: pst.GetAttr) -> Value:
        base, fault = self.value(expr.base)
        value, present = self._member(base, expr.attr)
        return value, some((fault, negated(present)))

    def _set(self, expr: pst.Set) -> Value:
        values = [self.value(element) for element in expr.elements]
        elements = tuple(value for value, _ in values)
        if any(isinstance(element, Members | Fields) for element in elements):
            raise Untranslated("sets of sets and of records have no formula")
        made = Members(
            lambda wanted: some(same(element, wanted) for element in elements), lambda: not elements, elements
        )
        return made, some(fault for _, fault in values)

    def _like(self, base: Any, parts: tuple[str, ...]) -> Formula:
        return self._symbols.like(base.code, parts)

    def _is(self, expr: pst.Is) -> Value:
        base, fault = self.value(expr.base)
        if not isinstance(base, Named):
            raise Untranslated("`is` of something else than an entity")
        if base.type != str(expr.entity_type):
            return Truth(False), fault
        if expr.in_expr is None:
            return Truth(True), fault
        among, other = self.value(expr.in_expr)
        return Truth(self._in(base, among)), some((fault, other))

    def _choice(self, expr: pst.IfThenElse) -> Value:
        condition = self.truth(expr.cond)
        (one, fault), (other, other_fault) = self.value(expr.then_expr), self.value(expr.else_expr)
        faults = (condition.fault, every((condition.true, fault)), every((negated(some(condition)), other_fault)))
        if isinstance(condition.true, bool):
            return (one if condition.true else other), some(faults)
        match one, other:
            case Truth(a), Truth(b):
                chosen: Term = Truth(z3.If(condition.true, a, b))
            case Number(kind, a), Number(other_kind, b) if kind == other_kind:
                chosen = Number(kind, z3.If(condition.true, a, b))
            case Text(a), Text(b):
                chosen = Text(z3.If(condition.true, a, b))
            case _:
                raise Untranslated("`if` between such values has no formula")
        return chosen, some(faults)

    # -- operators -----------------------------------------------------------------------------------------------

    def _unary(self, expr: pst.UnaryOp) -> Value:
        if expr.op in _READERS:
            if not isinstance(expr.arg, pst.StringLit):
                raise Untranslated("a value that is read from a text that is not spelled out")
            try:
                return _literal(_READERS[expr.op](expr.arg.value)), False
            except Fault:
                raise Untranslated("a value that cannot be read") from None
        value, fault = self.value(expr.arg)
        if expr.op == "is_empty":
            return Truth(value.is_empty()), fault
        if expr.op == "neg":
            return Number("long", -value.value), some((fault, negated(fits(-value.value))))
        if expr.op in _ADDRESSES:
            return Truth(_ADDRESSES[expr.op](value)), fault
        kind, convert = _CONVERSIONS[expr.op]
        result = convert(value.value)
        overflow = negated(fits(result)) if expr.op == "to_date" else False
        return Number(kind, result), some((fault, overflow))

    def _binary(self, expr: pst.BinaryOp) -> Value:
        (left, fault), (right, other) = self.value(expr.left), self.value(expr.right)
        either = some((fault, other))
        op = expr.op
        if op in ("eq", "not_eq"):
            equal = same(left, right)
            return Truth(equal if op == "eq" else negated(equal)), either
        if op in _COMPARISONS:
            return Truth(_COMPARISONS[op](left.value, right.value)), either
        if op in _ARITHMETIC:
            kind, compute = _ARITHMETIC[op]
            result = compute(left.value, right.value)
            return Number(kind, result), some((either, negated(fits(result))))
        if op == "in":
            return Truth(self._in(left, right)), either
        if op == "is_in_range":
            return Truth(_in_range(left, right)), either
        if op in ("contains", "contains_all", "contains_any"):
            return Truth(_contains(op, left, right)), either
        raise Untranslated("tags have no formula")

    def _in(self, child: Any, of: Any) -> Formula:
        if isinstance(of, Members):
            if of.elements is None:
                raise Untranslated("`in` a set that is a fact")
            return some(self._in(child, element) for element in of.elements)
        if not isinstance(child, Named) or not isinstance(of, Named):
            raise Untranslated("`in` of something else than entities")
        if not isinstance(of.code, int):
            raise Untranslated("`in` an entity that is not spelled out")
        bearer: Bearer | None = child.of
        if bearer is None and child.type not in _CHILDLESS:
            # It may be the very principal, whose groups are known.
            raise Untranslated("whether an entity that is only named is in another")
        is_self = same(child, of)
        return is_self if bearer is None else some((is_self, bearer.is_in(of.type, self._symbols.text(of.code))))


class Typed(Untranslated):
    """A fact of a type that has no formula; whether it is `present` is known."""

    def __init__(self, what: str, present: Formula) -> None:
        super().__init__(what)
        self.present = present


def _literal(value: object) -> Term:
    match value:
        case Datetime(millis):
            return Number("datetime", millis)
        case Duration(millis):
            return Number("duration", millis)
        case Decimal4(units):
            return Number("decimal", units)
        case IpAddress(network, host, _):
            return Address(network.version == 4, host, network.prefixlen)
        case _:
            raise Untranslated("a literal of another type")


def _contains(op: str, left: Any, right: Any) -> Formula:
    if op == "contains":
        return left.holds(right)
    if right.elements is not None:
        return (every if op == "contains_all" else some)(left.holds(element) for element in right.elements)
    if op == "contains_any" and left.elements is not None:
        return some(right.holds(element) for element in left.elements)
    raise Untranslated("two sets of facts compared element by element")


def _in_range(inner: Address, outer: Address) -> Formula:
    if not isinstance(outer.host, int) or not isinstance(outer.prefix, int):
        raise Untranslated("a range of addresses that is a fact")
    shift = (32 if outer.is_v4 else 128) - outer.prefix
    low = outer.host >> shift << shift
    high = low + (1 << shift) - 1
    return every((inner.is_v4 == outer.is_v4, inner.prefix >= outer.prefix, inner.host >= low, inner.host <= high))


def _among(*ranges: str) -> Callable[[Address], Formula]:
    outer = [_literal(read_ip(text)) for text in ranges]
    return lambda address: some(_in_range(address, one) for one in outer if isinstance(one, Address))


def _whole(value: Numeral, by: int) -> Numeral:
    return value // by if isinstance(value, int) else value / by


def _truncated(by: int) -> Callable[[Numeral], Numeral]:
    def convert(value: Numeral) -> Numeral:
        if isinstance(value, int):
            return -(-value // by) if value < 0 else value // by
        return z3.If(value < 0, -(-value / by), value / by)

    return convert


_READERS: Mapping[str, Callable[[str], object]] = {
    "datetime": read_datetime,
    "duration": read_duration,
    "decimal": read_decimal,
    "ip": read_ip,
}
_ADDRESSES: Mapping[str, Callable[[Address], Formula]] = {
    "is_ipv4": lambda address: address.is_v4,
    "is_ipv6": lambda address: negated(address.is_v4),
    "is_loopback": _among("127.0.0.0/8", "::1"),
    "is_multicast": _among("224.0.0.0/4", "ff00::/8"),
}
_CONVERSIONS: Mapping[str, tuple[Kind, Callable[[Numeral], Numeral]]] = {
    "to_date": ("datetime", lambda value: _whole(value, DAY) * DAY),
    "to_time": ("duration", lambda value: value % DAY),
    "to_milliseconds": ("long", lambda value: value),
    "to_seconds": ("long", _truncated(1_000)),
    "to_minutes": ("long", _truncated(60_000)),
    "to_hours": ("long", _truncated(3_600_000)),
    "to_days": ("long", _truncated(DAY)),
}
_COMPARISONS: Mapping[str, Callable[[Numeral, Numeral], Formula]] = {
    "less": lambda a, b: a < b,
    "less_eq": lambda a, b: a <= b,
    "greater": lambda a, b: a > b,
    "greater_eq": lambda a, b: a >= b,
    "decimal_less_than": lambda a, b: a < b,
    "decimal_less_eq": lambda a, b: a <= b,
    "decimal_greater": lambda a, b: a > b,
    "decimal_greater_eq": lambda a, b: a >= b,
}
_ARITHMETIC: Mapping[str, tuple[Kind, Callable[[Numeral, Numeral], Numeral]]] = {
    "add": ("long", lambda a, b: a + b),
    "sub": ("long", lambda a, b: a - b),
    "mul": ("long", lambda a, b: a * b),
    "offset": ("datetime", lambda a, b: a + b),
    "duration_since": ("duration", lambda a, b: a - b),
}
