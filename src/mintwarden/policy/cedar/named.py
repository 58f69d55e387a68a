"""What the conditions of rules name: entities, and texts that something is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cedarpy import pst


def _nodes(expressions: Iterable[pst.Expr]) -> Iterator[pst.Expr]:
    todo: list[pst.Expr] = list(expressions)
    while todo:
        node = todo.pop()
        yield node
        match node:
            case pst.UnaryOp():
                todo.append(node.arg)
            case pst.BinaryOp():
                todo += [node.left, node.right]
            case pst.GetAttr() | pst.HasAttr() | pst.Like():
                todo.append(node.base)
            case pst.Is():
                todo += [node.base] if node.in_expr is None else [node.base, node.in_expr]
            case pst.IfThenElse():
                todo += [node.cond, node.then_expr, node.else_expr]
            case pst.Set():
                todo += node.elements
            case pst.Record():
                todo += node.fields.values()
            case _:
                pass


def entities(expressions: Iterable[pst.Expr]) -> Iterator[pst.EntityUid]:
    """Every entity that expressions name."""
    for node in _nodes(expressions):
        if isinstance(node, pst.EntityLit):
            yield node.value


def compared(expressions: Iterable[pst.Expr]) -> Iterator[tuple[str, str]]:
    """(text, path) of every `path == "text"` and `["text", ...].contains(path)`."""
    for node in _nodes(expressions):
        if not isinstance(node, pst.BinaryOp):
            continue
        if node.op in ("eq", "not_eq"):
            for one, other in ((node.left, node.right), (node.right, node.left)):
                if isinstance(one, pst.StringLit) and (path := _path(other)):
                    yield one.value, path
        elif node.op == "contains" and isinstance(node.left, pst.Set) and (path := _path(node.right)):
            for element in node.left.elements:
                if isinstance(element, pst.StringLit):
                    yield element.value, path


def _path(node: pst.Expr) -> str:
    names: list[str] = []
    while isinstance(node, pst.GetAttr):
        names.append(node.attr)
        node = node.base
    return ".".join((node.name, *reversed(names))) if isinstance(node, pst.Var) else ""


def contained(expressions: Iterable[pst.Expr]) -> Iterator[tuple[str, str]]:
    """(text, path) of every `path.contains("text")`."""
    for node in _nodes(expressions):
        if isinstance(node, pst.BinaryOp) and node.op == "contains" and isinstance(node.right, pst.StringLit):
            path = _path(node.left)
            if path:
                yield node.right.value, path
