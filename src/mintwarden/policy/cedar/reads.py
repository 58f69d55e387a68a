"""What a rule can read, found from its tree: paths such as `principal.department` or `context.session.risk`.

`principal.<groups>` stands for the groups that `in` looks at. A path that ends early reads all that is below it.
"""

from __future__ import annotations

from collections.abc import Iterator

from cedarpy import pst

from mintwarden.policy.cedar.tree import children, path_of, uid_of

GROUPS = "principal.<groups>"


def reads_of(template: pst.Template) -> frozenset[str]:
    """Every path that the head or a clause can read; `resource` and `action` say nothing that could change."""
    found: set[str] = set()
    if isinstance(template.principal, pst.ScopeIn | pst.ScopeIsIn):
        found.add(GROUPS)
    for clause in template.clauses:
        found.update(_reads(clause.expr))
    return frozenset(path for path in found if path.partition(".")[0] in ("principal", "context"))


def _reads(expr: pst.Expr) -> Iterator[str]:
    if isinstance(expr, pst.Var):
        # A bare `principal` is its name, which its type and id give; a bare `context` is all of it.
        if expr.name == "context":
            yield "context"
        return
    if isinstance(expr, pst.GetAttr | pst.HasAttr):
        yield from _attribute_reads(expr)
        return
    if isinstance(expr, pst.BinaryOp) and expr.op == "in":
        yield from _membership(expr.left)
    if isinstance(expr, pst.Is) and expr.in_expr is not None:
        yield from _membership(expr.base)
    for child in children(expr):
        yield from _reads(child)


def _attribute_reads(expr: pst.GetAttr | pst.HasAttr) -> Iterator[str]:
    path = path_of(expr) if isinstance(expr, pst.GetAttr) else None
    base = path_of(expr.base)
    if isinstance(expr, pst.HasAttr) and base is not None:
        path = (*base, *expr.attrs)
    if path is None:
        # An attribute of something computed, such as `(if a then principal else b).x`.
        attrs = expr.attrs if isinstance(expr, pst.HasAttr) else (expr.attr,)
        yield from (f"principal.{attr}" for attr in attrs)
        yield from _reads(expr.base)
        return
    yield ".".join(path)
    # A step may go through an attribute that is an entity's name, and that may be the principal's own. The
    # context's namespaces are records.
    yield from (f"principal.{attr}" for attr in path[2 if path[0] == "principal" else 3 :])


def _membership(child: pst.Expr) -> Iterator[str]:
    """`child in ..` looks at the groups of the principal, if the child can be the principal."""
    if not (isinstance(child, pst.Var) and child.name in ("resource", "action")):
        yield GROUPS


def leans_on(template: pst.Template) -> dict[str, frozenset[str] | None]:
    """The principal's attributes that the rule reads, and of each the literal elements that it tests for.

    Groups stand under `groups`, by id. None where the rule looks at an attribute in any other way, so that any of
    its elements may have carried it.
    """
    found: dict[str, frozenset[str] | None] = {}
    if isinstance(template.principal, pst.ScopeIn | pst.ScopeIsIn):
        entity = template.principal.entity
        _lean(found, "groups", frozenset({entity.id}) if isinstance(entity, pst.EntityUid) else None)
    for clause in template.clauses:
        _lean_in(found, clause.expr)
    return found


def _lean(found: dict[str, frozenset[str] | None], on: str, elements: frozenset[str] | None) -> None:
    known = found.get(on, frozenset())
    found[on] = None if known is None or elements is None else known | elements


def _lean_in(found: dict[str, frozenset[str] | None], expr: pst.Expr) -> None:
    if isinstance(expr, pst.BinaryOp) and expr.op in ("contains", "contains_all", "contains_any"):
        path = path_of(expr.left) or ()
        elements = _elements(expr.right)
        if len(path) == 2 and path[0] == "principal" and elements is not None:
            _lean(found, path[1], elements)
            return
    if isinstance(expr, pst.BinaryOp) and expr.op == "in":
        _lean_groups(found, expr.left, expr.right)
    if isinstance(expr, pst.Is) and expr.in_expr is not None:
        _lean_groups(found, expr.base, expr.in_expr)
    if isinstance(expr, pst.HasAttr) and isinstance(expr.base, pst.Var):
        return  # whether a set is there at all is no matter of its elements
    if isinstance(expr, pst.GetAttr):
        whole = path_of(expr)
        if whole is None or whole[0] == "principal":
            _lean(found, whole[1] if whole else expr.attr, None)
        if whole is not None:
            return
    for child in children(expr):
        _lean_in(found, child)


def _lean_groups(found: dict[str, frozenset[str] | None], child: pst.Expr, of: pst.Expr) -> None:
    if any(True for _ in _membership(child)):
        _lean(found, "groups", _elements(of))


def _elements(expr: pst.Expr) -> frozenset[str] | None:
    parts = expr.elements if isinstance(expr, pst.Set) else (expr,)
    found: set[str] = set()
    for part in parts:
        if isinstance(part, pst.StringLit):
            found.add(part.value)
        elif isinstance(part, pst.LongLit):
            found.add(str(part.value))
        elif isinstance(part, pst.EntityLit):
            found.add(uid_of(part.value).id)
        else:
            return None
    return frozenset(found)
