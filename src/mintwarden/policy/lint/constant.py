"""Conditions whose truth does not depend on any fact. Sound and incomplete: what is not certain is not said."""

from __future__ import annotations

from collections.abc import Iterator

from cedarpy import pst

from mintwarden.policy.cedar.tree import conjuncts, disjuncts, literal
from mintwarden.policy.cedar.walk import goals_of


def always(expr: pst.Expr) -> bool:
    """It is true in every world, and never an error."""
    match expr:
        case pst.BoolLit():
            return expr.value
        case pst.UnaryOp(op="not"):
            return _false(expr.arg)
        case pst.BinaryOp(op="and"):
            return always(expr.left) and always(expr.right)
        case pst.BinaryOp(op="or"):
            return always(expr.left) or (_false(expr.left) and always(expr.right))
        case pst.BinaryOp(op="eq" | "not_eq" as op):
            return _compared(expr) is (op == "eq")
        case _:
            return False


def never(expr: pst.Expr) -> bool:
    """It is true in no world: false, or an error."""
    match expr:
        case pst.BoolLit():
            return not expr.value
        case pst.UnaryOp(op="not"):
            return always(expr.arg)
        case pst.BinaryOp(op="and"):
            return never(expr.left) or never(expr.right)
        case pst.BinaryOp(op="or"):
            return never(expr.left) and never(expr.right)
        case pst.IfThenElse():
            return (never(expr.cond) or never(expr.then_expr)) and (always(expr.cond) or never(expr.else_expr))
        case pst.BinaryOp(op="eq" | "not_eq" as op):
            return _compared(expr) is (op == "not_eq")
        case _:
            return False


def demands_of(template: pst.Template) -> tuple[pst.Expr, ...]:
    """What must all be true for the rule to hold, taken apart as far as it goes: `!(a || b)` is `!a`, `!b`."""
    return tuple(part for goal in goals_of(template) for part in _apart(goal))


def _apart(goal: pst.Expr) -> Iterator[pst.Expr]:
    if isinstance(goal, pst.UnaryOp) and goal.op == "not":
        inner = goal.arg
        if isinstance(inner, pst.UnaryOp) and inner.op == "not":
            yield from _apart(inner.arg)
            return
        if isinstance(inner, pst.BinaryOp) and inner.op == "or":
            for part in disjuncts(inner):
                yield from _apart(pst.UnaryOp("not", part))
            return
    if isinstance(goal, pst.BinaryOp) and goal.op == "and":
        for part in conjuncts(goal):
            yield from _apart(part)
        return
    yield goal


def _false(expr: pst.Expr) -> bool:
    """It is false in every world, and never an error."""
    match expr:
        case pst.BoolLit():
            return not expr.value
        case pst.UnaryOp(op="not"):
            return always(expr.arg)
        case pst.BinaryOp(op="and"):
            return _false(expr.left) or (always(expr.left) and _false(expr.right))
        case pst.BinaryOp(op="or"):
            return _false(expr.left) and _false(expr.right)
        case pst.BinaryOp(op="eq" | "not_eq" as op):
            return _compared(expr) is (op == "not_eq")
        case _:
            return False


def _compared(expr: pst.BinaryOp) -> bool | None:
    """Whether two literals are equal; None where that is not certain."""
    left, right = literal(expr.left), literal(expr.right)
    if left is None or right is None or type(left) is not type(right):
        return None
    return left == right
