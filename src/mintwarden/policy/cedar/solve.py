"""Ways to make a condition true or false: candidate changes, none of which is believed before it has been tried."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice, product
from typing import Any

from cedarpy import pst

from mintwarden.model.values import (
    LONG_MAX,
    LONG_MIN,
    Datetime,
    Decimal4,
    Duration,
    EntityUid,
    IpAddress,
    Record,
)
from mintwarden.policy.cedar.change import Change, Kind
from mintwarden.policy.cedar.faults import Fault, Uncovered
from mintwarden.policy.cedar.literals import DAY, read_ip
from mintwarden.policy.cedar.render import render_value, spell_datetime, spell_duration
from mintwarden.policy.cedar.tree import conjuncts, disjuncts, expand_has, glob_parts, path_of
from mintwarden.policy.cedar.walk import GROUPS_PATH, Walker

Changes = frozenset[Change]

NOTHING: Changes = frozenset()
KEPT = 8
"""Ways kept for one condition, the cheapest first; more would multiply without end."""
COMBINED = 256
_SAMPLES: tuple[Any, ...] = (Record(), True, 0, "", frozenset())
_MILLIS: Mapping[str, int] = {
    "to_milliseconds": 1,
    "to_seconds": 1_000,
    "to_minutes": 60_000,
    "to_hours": 3_600_000,
    "to_days": DAY,
}
_STRICT: Mapping[str, tuple[int, bool]] = {
    "less": (-1, True),
    "less_eq": (-1, False),
    "greater": (1, True),
    "greater_eq": (1, False),
    "decimal_less_than": (-1, True),
    "decimal_less_eq": (-1, False),
    "decimal_greater": (1, True),
    "decimal_greater_eq": (1, False),
}
"""Which way the left side has to go for the comparison to hold, and whether it must pass the bound."""


def order(changes: Changes) -> tuple[int, int, list[str]]:
    """Sorts ways: cheap before dear, few before many, and the same every time."""
    return sum(change.cost for change in changes), len(changes), sorted(change.text for change in changes)


def cheapest(ways: Iterable[Changes]) -> list[Changes]:
    """The best of them, without repetition."""
    return heapq.nsmallest(KEPT, dict.fromkeys(islice(ways, COMBINED)), key=order)


class Solver:
    """Looks for changes in one world."""

    def __init__(self, walker: Walker) -> None:
        self._walker = walker
        self._known: dict[tuple[int, bool], tuple[pst.Expr, list[Changes]]] = {}

    def all_of(self, goals: Iterable[tuple[pst.Expr, bool]]) -> list[Changes]:
        """Ways to give every goal its wanted truth at once."""
        ways = [self.best(expr, want) for expr, want in goals]
        return cheapest(frozenset().union(*chosen) for chosen in product(*ways))

    def best(self, expr: pst.Expr, want: bool) -> list[Changes]:
        """The best `ways`, worked out once: nested alternatives would otherwise double at each level."""
        key = id(expr), want
        if key not in self._known:
            self._known[key] = expr, cheapest(self.ways(expr, want))
        return self._known[key][1]

    def ways(self, expr: pst.Expr, want: bool) -> Iterator[Changes]:
        """Ways to give one condition its wanted truth; `NOTHING` when it has it already."""
        if self._walker.truth(expr) == ("true" if want else "false"):
            yield NOTHING
            return
        match expr:
            case pst.BinaryOp(op="and"):
                yield from self._junction([(part, want) for part in conjuncts(expr)], every=want)
            case pst.BinaryOp(op="or"):
                yield from self._junction([(part, want) for part in disjuncts(expr)], every=not want)
            case pst.UnaryOp(op="not"):
                yield from self.best(expr.arg, not want)
            case pst.IfThenElse():
                yield from self.all_of([(expr.cond, True), (expr.then_expr, want)])
                yield from self.all_of([(expr.cond, False), (expr.else_expr, want)])
            case pst.HasAttr():
                yield from self._has(expr, want)
            case pst.Is() if expr.in_expr is not None:
                yield from self._in(expr.base, expr.in_expr, want)
            case pst.Like() if want:
                yield from self.give(expr.base, "".join(glob_parts(expr.pattern)))
            case pst.Like():
                yield from self._change_away(expr.base)
            case pst.BinaryOp():
                yield from self._relation(expr, want)
            case pst.UnaryOp():
                yield from self._property(expr, want)
            case pst.GetAttr():
                yield from self.give(expr, want)
            case _:
                pass  # a literal, or the type of an entity: nothing to change

    def _junction(self, goals: list[tuple[pst.Expr, bool]], *, every: bool) -> Iterator[Changes]:
        if every:
            yield from self.all_of(goals)
            return
        for goal, want in goals:
            yield from self.best(goal, want)
        # A part that faults stands in the way of those after it.
        if len(goals) > 1:
            yield from self.all_of(goals)

    def _value(self, expr: pst.Expr) -> Any:
        try:
            return self._walker.value(expr)
        except (Fault, Uncovered):
            return None

    # -- conditions ------------------------------------------------------------------------------------

    def _has(self, expr: pst.HasAttr, want: bool) -> Iterator[Changes]:
        path = path_of(expand_has(expr)[-1].base)
        if path is None or path[0] == "resource":
            return
        where = (*path, expr.attrs[-1])
        if not want:
            yield frozenset({Change("unset", where)})
            return
        yield NOTHING  # another condition may want a value there
        is_namespace = where[0] == "context" and len(where) == 2
        yield frozenset({Change("present", where, Record() if is_namespace else "")})

    def _relation(self, expr: pst.BinaryOp, want: bool) -> Iterator[Changes]:
        if expr.op in ("eq", "not_eq"):
            yield from self._equality(expr.left, expr.right, want is (expr.op == "eq"))
        elif expr.op in _STRICT:
            direction, strict = _STRICT[expr.op]
            yield from self._beyond(expr, direction if want else -direction, strict is want)
        elif expr.op == "in":
            yield from self._in(expr.left, expr.right, want)
        elif expr.op in ("contains", "contains_all", "contains_any"):
            yield from self._contains(expr, want)
        elif expr.op == "is_in_range":
            outer = self._value(expr.right)
            if want and isinstance(outer, IpAddress):
                yield from self.give(expr.left, outer)
            elif not want:
                yield from self._change_away(expr.left)

    def _equality(self, left: pst.Expr, right: pst.Expr, want: bool) -> Iterator[Changes]:
        for one, other in ((left, right), (right, left)):
            if not want:
                yield from self._change_away(one)
            elif (value := self._value(other)) is not None:
                yield from self.give(one, value)

    def _beyond(self, expr: pst.BinaryOp, direction: int, strict: bool) -> Iterator[Changes]:
        for one, other, way in ((expr.left, expr.right, direction), (expr.right, expr.left, -direction)):
            bound = self._value(other)
            if bound is not None:
                moved = _moved(bound, way if strict else 0)
                if moved is not None:
                    yield from self.give(one, moved)

    def _in(self, child: pst.Expr, of: pst.Expr, want: bool) -> Iterator[Changes]:
        wanted = self._value(of)
        groups = sorted(wanted, key=render_value) if isinstance(wanted, frozenset) else [wanted]
        groups = [group for group in groups if isinstance(group, EntityUid)]
        if isinstance(child, pst.Var):
            if child.name != "principal":
                return
            if want:
                yield from (frozenset({Change("join", GROUPS_PATH, group)}) for group in groups)
            else:
                held = self._walker.world.principal.ancestors
                yield frozenset(Change("leave", GROUPS_PATH, group) for group in groups if group in held)
        elif want:
            for group in groups:
                yield from self.give(child, group)
        else:
            yield from self._change_away(child)

    def _contains(self, expr: pst.BinaryOp, want: bool) -> Iterator[Changes]:
        values, element = self._value(expr.left), self._value(expr.right)
        path = _changeable(expr.left)
        elements = element if isinstance(element, frozenset) and expr.op != "contains" else frozenset({element})
        if path is not None and element is not None:
            held = values if isinstance(values, frozenset) else frozenset()
            if not want and held is not values:
                yield frozenset({Change("set", path, frozenset())})
            yield from _of_set(path, held, elements, want=want, one=(expr.op == "contains_any") is want)
        if not isinstance(values, frozenset):
            return
        if expr.op == "contains":
            if want:
                for value in sorted(values, key=render_value):
                    yield from self.give(expr.right, value)
            else:
                yield from self._change_away(expr.right)
        elif (other := _changeable(expr.right)) is not None and isinstance(element, frozenset):
            yield from _of_other_set(other, values, element, contains_any=expr.op == "contains_any", want=want)

    def _property(self, expr: pst.UnaryOp, want: bool) -> Iterator[Changes]:
        if expr.op == "is_empty":
            yield from self.give(expr.arg, frozenset() if want else frozenset({""}))
            if not want:
                yield from self.give(expr.arg, frozenset({0}))
        elif expr.op in _ADDRESSES:
            for text in _ADDRESSES[expr.op][0 if want else 1]:
                yield from self.give(expr.arg, read_ip(text))

    def _change_away(self, expr: pst.Expr) -> Iterator[Changes]:
        """Ways to give an expression some other value than it has."""
        value = self._value(expr)
        for other in _others(value):
            for changes in self.give(expr, other):
                yield frozenset(Change("other", c.path, c.value) if c.kind == "set" else c for c in changes)

    # -- values ----------------------------------------------------------------------------------------

    def give(self, expr: pst.Expr, value: Any) -> Iterator[Changes]:
        """Ways to give an expression a value, by undoing on the way down what is done on the way up."""
        if not _fits(value):
            return
        if (path := _changeable(expr)) is not None:
            yield frozenset({Change("set", path, value)})
            return
        match expr:
            case pst.BinaryOp(op="add" | "sub" | "mul" | "offset" | "duration_since"):
                for inner, wanted in self._undone(expr, value):
                    yield from self.give(inner, wanted)
            case pst.GetAttr(base=pst.Record(fields=fields)) if expr.attr in fields:
                yield from self.give(fields[expr.attr], value)
            case pst.UnaryOp():
                wanted = self._undone_unary(expr, value)
                if wanted is not None:
                    yield from self.give(expr.arg, wanted)
            case pst.IfThenElse():
                truth = self._walker.truth(expr.cond)
                if truth != "fault":
                    yield from self.give(expr.then_expr if truth == "true" else expr.else_expr, value)
            case _ if isinstance(value, bool) and isinstance(expr, pst.BinaryOp | pst.HasAttr | pst.Is | pst.Like):
                yield from self.best(expr, value)

    def _undone(self, expr: pst.BinaryOp, value: Any) -> Iterator[tuple[pst.Expr, Any]]:
        left, right = self._value(expr.left), self._value(expr.right)
        for inner, known, undo in ((expr.left, right, _LEFT[expr.op]), (expr.right, left, _RIGHT[expr.op])):
            if known is not None:
                with suppress(AttributeError, TypeError, ValueError, ZeroDivisionError):
                    yield inner, undo(value, known)

    def _undone_unary(self, expr: pst.UnaryOp, value: Any) -> Any:
        if expr.op == "not" and isinstance(value, bool):
            return not value
        if expr.op == "neg" and type(value) is int:
            return -value
        if expr.op == "to_date":
            return value
        if expr.op == "to_time" and isinstance(value, Duration):
            day = self._value(expr.arg)
            return Datetime((day.millis // DAY * DAY if isinstance(day, Datetime) else 0) + value.millis)
        if expr.op in _MILLIS and type(value) is int:
            return Duration(value * _MILLIS[expr.op])
        return _spelled(expr.op, value)


def _changeable(expr: pst.Expr) -> tuple[str, ...] | None:
    """The path of a fact; the resource and the names of things are not facts."""
    path = path_of(expr)
    return path if path is not None and len(path) > 1 and path[0] in ("principal", "context") else None


def _fits(value: Any) -> bool:
    """Whether there is such a value: numbers have 64 bits, and so have those inside decimals and times."""
    number = value[0] if isinstance(value, Decimal4 | Datetime | Duration) else value
    return type(number) is not int or LONG_MIN <= number <= LONG_MAX


def _moved(value: Any, by: int) -> Any:
    if type(value) is int:
        return value + by
    if isinstance(value, Datetime | Duration):
        return type(value)(value.millis + by)
    return Decimal4(value.units + by) if isinstance(value, Decimal4) else None


def _others(value: Any) -> Iterator[Any]:
    """Some values of the same type that are not this one; of every simple type when there is none."""
    if value is None:
        yield from _SAMPLES
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, str):
        yield "" if value else "other"
        yield f"{value} or other"
    elif isinstance(value, frozenset):
        yield frozenset()
    elif isinstance(value, EntityUid):
        yield EntityUid(value.type, f"{value.id} or other")
    elif isinstance(value, IpAddress):
        yield from map(read_ip, ("192.0.2.1", "198.51.100.1", "2001:db8::1"))
    else:
        yield from (moved for by in (1, -1) if (moved := _moved(value, by)) is not None)


def _of_set(
    path: tuple[str, ...], held: frozenset[Any], elements: frozenset[Any], *, want: bool, one: bool
) -> Iterator[Changes]:
    """Add what is lacking or remove what is there: each alone if `one` is enough, else all together."""
    kind: Kind = "add" if want else "remove"
    wanted = sorted(elements - held if want else elements & held, key=render_value)
    changes = [Change(kind, path, element) for element in wanted]
    if one:
        yield from (frozenset({change}) for change in changes)
    else:
        yield frozenset(changes)


def _of_other_set(
    path: tuple[str, ...], values: frozenset[Any], held: frozenset[Any], *, contains_any: bool, want: bool
) -> Iterator[Changes]:
    """The same from the other side: what is asked for is the fact."""
    if contains_any:
        yield from _of_set(path, held, values, want=want, one=want)
    elif want:
        yield frozenset(Change("remove", path, element) for element in held - values)
    else:
        yield frozenset({Change("add", path, "something else")})


def _spelled(op: str, value: Any) -> str | None:
    """The text that a constructor reads as the value."""
    if op == "ip" and isinstance(value, IpAddress):
        return value.text
    if op == "datetime" and isinstance(value, Datetime):
        return spell_datetime(value.millis) or None
    if op == "duration" and isinstance(value, Duration):
        return spell_duration(value.millis)
    if op == "decimal" and isinstance(value, Decimal4):
        sign, units = ("-" if value.units < 0 else ""), abs(value.units)
        return f"{sign}{units // 10_000}.{units % 10_000:04d}"
    return None


def _quotient(product: int, factor: int) -> int:
    quotient, rest = divmod(product, factor)
    if rest:
        raise ValueError("not a multiple")
    return quotient


_LEFT: Mapping[str, Callable[[Any, Any], Any]] = {
    "add": lambda value, right: value - right,
    "sub": lambda value, right: value + right,
    "mul": _quotient,
    "offset": lambda value, right: Datetime(value.millis - right.millis),
    "duration_since": lambda value, right: Datetime(value.millis + right.millis),
}
_RIGHT: Mapping[str, Callable[[Any, Any], Any]] = {
    "add": lambda value, left: value - left,
    "sub": lambda value, left: left - value,
    "mul": _quotient,
    "offset": lambda value, left: Duration(value.millis - left.millis),
    "duration_since": lambda value, left: Datetime(left.millis - value.millis),
}
_ADDRESSES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "is_ipv4": (("192.0.2.1",), ("2001:db8::1",)),
    "is_ipv6": (("2001:db8::1",), ("192.0.2.1",)),
    "is_loopback": (("127.0.0.1", "::1"), ("192.0.2.1", "2001:db8::1")),
    "is_multicast": (("224.0.0.1", "ff02::1"), ("192.0.2.1", "2001:db8::1")),
}
