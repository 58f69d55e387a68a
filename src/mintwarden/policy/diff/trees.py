"""Rules by what they say: their policy tree, without layout, `@id` and the order of what has none."""

from __future__ import annotations

from cedarpy import pst

from mintwarden.policy.cedar.render import render
from mintwarden.policy.cedar.rule import Rule
from mintwarden.policy.cedar.tree import conjuncts, disjuncts
from mintwarden.policy.cedar.walk import goals_of


def conditions_of(template: pst.Template) -> tuple[str, ...]:
    """What must all be true, as Cedar source in one spelling, in order: Cedar looks at it in this order."""
    return tuple(render(normal(goal)) for goal in goals_of(template))


def resource_of(rule: Rule) -> str:
    """The resource in the rule's head."""
    if rule.head.scope:
        return f'Scope::"{rule.head.scope}"'
    if rule.head.detail:
        return f'Detail::"{rule.head.detail}"'
    kind = f"{rule.head.kind} in " if rule.head.kind else ""
    return f'{kind}Audience::"{rule.head.audience}"' if rule.head.audience else f"any {rule.head.kind}".rstrip()


def actions_of(rule: Rule) -> str:
    """The actions in the rule's head."""
    return "any" if rule.head.actions is None else ", ".join(sorted(rule.head.actions))


def normal(expr: pst.Expr) -> pst.Expr:
    """The same expression with chains leaning to the left and the elements of sets in order."""
    match expr:
        case pst.BinaryOp(op="and"):
            return _chain("and", [normal(part) for part in conjuncts(expr)])
        case pst.BinaryOp(op="or"):
            return _chain("or", [normal(part) for part in disjuncts(expr)])
        case pst.BinaryOp():
            return pst.BinaryOp(expr.op, normal(expr.left), normal(expr.right))
        case pst.UnaryOp():
            return pst.UnaryOp(expr.op, normal(expr.arg))
        case pst.IfThenElse():
            return pst.IfThenElse(normal(expr.cond), normal(expr.then_expr), normal(expr.else_expr))
        case pst.Set():
            return pst.Set(tuple(sorted((normal(element) for element in expr.elements), key=render)))
        case pst.GetAttr():
            return pst.GetAttr(normal(expr.base), expr.attr)
        case pst.HasAttr():
            return pst.HasAttr(normal(expr.base), expr.attrs)
        case pst.Like():
            return pst.Like(normal(expr.base), expr.pattern)
        case pst.Is():
            return pst.Is(
                normal(expr.base), expr.entity_type, normal(expr.in_expr) if expr.in_expr is not None else None
            )
        case _:
            return expr


def _chain(op: pst.BinaryOpName, parts: list[pst.Expr]) -> pst.Expr:
    whole = parts[0]
    for part in parts[1:]:
        whole = pst.BinaryOp(op, whole, part)
    return whole
