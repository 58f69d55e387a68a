"""Small questions about Cedar's policy tree, asked by everything that walks it."""

from __future__ import annotations

from collections.abc import Iterator

from cedarpy import pst

from mintwarden.model.values import EntityUid


def uid_of(uid: pst.EntityUid) -> EntityUid:
    """The tree's entity name as ours."""
    return EntityUid(str(uid.type), uid.id)


def conjuncts(expr: pst.Expr) -> Iterator[pst.Expr]:
    """The parts of a chain of `&&`, in order."""
    return _parts(expr, "and")


def disjuncts(expr: pst.Expr) -> Iterator[pst.Expr]:
    """The parts of a chain of `||`, in order."""
    return _parts(expr, "or")


def _parts(expr: pst.Expr, op: str) -> Iterator[pst.Expr]:
    if isinstance(expr, pst.BinaryOp) and expr.op == op:
        yield from _parts(expr.left, op)
        yield from _parts(expr.right, op)
    else:
        yield expr


def expand_has(expr: pst.HasAttr) -> list[pst.HasAttr]:
    """`e has a.b` as `e has a`, `e.a has b`, which is what it means."""
    steps: list[pst.HasAttr] = []
    base = expr.base
    for attr in expr.attrs:
        steps.append(pst.HasAttr(base, (attr,)))
        base = pst.GetAttr(base, attr)
    return steps


def glob_parts(pattern: tuple[pst.PatternElem, ...]) -> tuple[str, ...]:
    """The stretches of text between a pattern's wildcards: `a*b` is `("a", "b")`."""
    parts = [""]
    for element in pattern:
        if isinstance(element, pst.Char):
            parts[-1] += element.value
        else:
            parts.append("")
    return tuple(parts)


def literal(expr: pst.Expr) -> object:
    """The value of a literal, or of a set of literals all of one type; None for anything else."""
    if isinstance(expr, pst.StringLit | pst.LongLit | pst.BoolLit):
        return expr.value
    if isinstance(expr, pst.EntityLit):
        return uid_of(expr.value)
    if isinstance(expr, pst.Set):
        values = [literal(element) for element in expr.elements if not isinstance(element, pst.Set)]
        if len(values) == len(expr.elements) and len({type(value) for value in values} | {type(None)}) <= 2:
            return frozenset(values) if None not in values else None
    return None


def path_of(expr: pst.Expr) -> tuple[str, ...] | None:
    """`("principal", "address", "city")` for `principal.address.city`; None for anything else."""
    names: list[str] = []
    while isinstance(expr, pst.GetAttr):
        names.append(expr.attr)
        expr = expr.base
    if not isinstance(expr, pst.Var):
        return None
    return (expr.name, *reversed(names))


def children(expr: pst.Expr) -> tuple[pst.Expr, ...]:
    """The expressions directly inside."""
    match expr:
        case pst.UnaryOp():
            return (expr.arg,)
        case pst.BinaryOp():
            return (expr.left, expr.right)
        case pst.GetAttr() | pst.HasAttr() | pst.Like():
            return (expr.base,)
        case pst.Is():
            return (expr.base,) if expr.in_expr is None else (expr.base, expr.in_expr)
        case pst.IfThenElse():
            return (expr.cond, expr.then_expr, expr.else_expr)
        case pst.Set():
            return expr.elements
        case pst.Record():
            return tuple(expr.fields.values())
        case _:
            return ()
