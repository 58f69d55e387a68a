"""Rules that are wrong in one place: what a slip of the hand could have made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from cedarpy import pst
from msgspec import Struct
from msgspec.structs import replace

from mintwarden.policy.cedar.render import render
from mintwarden.policy.cedar.rules import Rule
from mintwarden.policy.cedar.tree import children, conjuncts, disjuncts, expand_has
from mintwarden.policy.cedar.walk import goals_of
from mintwarden.policy.obligations import BOUNDS, DEMANDS, seconds_of

Way = Literal["negated", "moved", "dropped", "removed"]

_OTHER_EDGE: Mapping[str, pst.BinaryOpName] = {
    "less": "less_eq",
    "less_eq": "less",
    "greater": "greater_eq",
    "greater_eq": "greater",
    "decimal_less_than": "decimal_less_eq",
    "decimal_less_eq": "decimal_less_than",
    "decimal_greater": "decimal_greater_eq",
    "decimal_greater_eq": "decimal_greater",
}


class Mutant(Struct, frozen=True, kw_only=True):
    """A rule with one change.

    Attributes:
        original: the rule as it is.
        changed: the rule as it might have been; None when it is not there.
        way: what was done to `what`: a condition, or an obligation with its `@`.
        write: the scenario that would notice.
    """

    original: Rule
    changed: Rule | None
    way: Way
    what: str
    write: str

    @property
    def text(self) -> str:
        """One line for people."""
        return f"{self.original.id}: {self.what} {self.way}" if self.what else f"{self.original.id} {self.way}"


def mutants_of(rule: Rule) -> Iterator[Mutant]:
    """Each condition negated, each threshold moved to its other edge; a permit without one of its conditions or
    obligations, or with one a second longer or a word looser; no forbid at all.
    """
    goals = goals_of(rule.template)
    for index, goal in enumerate(goals):
        if index == 0 and isinstance(goal, pst.Is) and rule.head.principal_type is not None:
            continue  # principals of another type are not even asked
        for way, what, other in _other_goals(goal):
            yield _mutant(rule, (*goals[:index], other, *goals[index + 1 :]), way, what)
        if rule.effect == "permit" and not _guards(goal, goals[index + 1 :]):
            yield _mutant(rule, (*goals[:index], *goals[index + 1 :]), "dropped", render(goal))
    if rule.effect == "forbid":
        write = f"a request that `{rule.id}` alone refuses"
        yield Mutant(original=rule, changed=None, way="removed", what="", write=write)
    for name in (*DEMANDS, *BOUNDS):
        if name in rule.annotations:
            yield _without(rule, name)
            yield from _loosened(rule, name, rule.annotations[name])


def _guards(goal: pst.Expr, later: tuple[pst.Expr, ...]) -> bool:
    """Whether it only asks if an attribute is there that a later goal reads: without it, the rule is refused."""
    if not isinstance(goal, pst.HasAttr):
        return False
    asked = expand_has(goal)[-1]
    return any(pst.GetAttr(asked.base, asked.attrs[0]) in _plainly_read(other) for other in later)


def _plainly_read(expr: pst.Expr) -> Iterator[pst.Expr]:
    """What is evaluated whenever the expression is, the expression itself included."""
    yield expr
    if isinstance(expr, pst.IfThenElse) or (isinstance(expr, pst.BinaryOp) and expr.op in ("and", "or")):
        yield from _plainly_read(children(expr)[0])
        return
    for child in children(expr):
        yield from _plainly_read(child)


def _other_goals(goal: pst.Expr) -> Iterator[tuple[Way, str, pst.Expr]]:
    """Way, source of the condition that is changed, and the goal with that change."""
    op: Literal["and", "or"]
    if isinstance(goal, pst.BinaryOp) and goal.op in ("and", "or"):
        op = "and" if goal.op == "and" else "or"
        parts = tuple(conjuncts(goal) if op == "and" else disjuncts(goal))
        for index, part in enumerate(parts):
            for way, what, other in _other_goals(part):
                yield way, what, _joined(op, (*parts[:index], other, *parts[index + 1 :]))
        return
    if isinstance(goal, pst.UnaryOp) and goal.op == "not":
        for way, what, other in _other_goals(goal.arg):
            yield way, what, pst.UnaryOp("not", other)
        return
    yield "negated", render(goal), pst.UnaryOp("not", goal)
    if isinstance(goal, pst.BinaryOp) and goal.op in _OTHER_EDGE:
        yield "moved", render(goal), pst.BinaryOp(_OTHER_EDGE[goal.op], goal.left, goal.right)


def _joined(op: Literal["and", "or"], parts: tuple[pst.Expr, ...]) -> pst.Expr:
    whole = parts[0]
    for part in parts[1:]:
        whole = pst.BinaryOp(op, whole, part)
    return whole


def _mutant(rule: Rule, goals: tuple[pst.Expr, ...], way: Way, what: str) -> Mutant:
    clauses = tuple(pst.When(goal) for goal in goals)
    template = pst.Template(
        id=rule.template.id,
        effect=rule.template.effect,
        principal=pst.ScopeAny(),
        action=rule.template.action,
        resource=rule.template.resource,
        clauses=clauses,
        annotations=rule.template.annotations,
    )
    text = "".join(f" when {{ {render(goal)} }}" for goal in goals)
    changed = replace(
        rule,
        template=template,
        text=f"{rule.effect} (principal, action, resource){text};",
        permit_text=f"permit (principal, action, resource){text};",
    )
    scene = f"all else of `{rule.id}` holds"
    if way == "moved":
        write = f"a request in which {scene} and the sides of `{what}` are equal"
    elif way == "dropped":
        write = f"a request in which {scene} and `{what}` does not"
    else:
        write = f"a request in which {scene}, and that turns on `{what}`"
    return Mutant(original=rule, changed=changed, way=way, what=f"`{what}`", write=write)


def _without(rule: Rule, name: str) -> Mutant:
    annotations = {key: value for key, value in rule.annotations.items() if key != name}
    return _obliged(rule, annotations, name, "dropped")


def _loosened(rule: Rule, name: str, value: str) -> Iterator[Mutant]:
    """A span of time a second longer, another binding, one of several words less."""
    words = value.split()
    others: list[str] = []
    if name in ("max_ttl", "require_auth_age"):
        others = [f"{seconds_of(value) + 1}s"]
    elif name == "require_binding" and value != "any":
        others = ["any"]
    elif len(words) > 1:
        others = [" ".join(kept for kept in words if kept != word) for word in words]
    for other in others:
        yield _obliged(rule, {**rule.annotations, name: other}, name, "moved", other)


def _obliged(rule: Rule, annotations: Mapping[str, str], name: str, way: Way, to: str = "") -> Mutant:
    what = f'`@{name}("{rule.annotations[name]}")`'
    if name == "max_ttl":
        write = f"a request for the longest lifetime that `{rule.id}` grants, and the lifetime that is expected"
    elif way == "moved":
        write = f'a request in which `{rule.id}` holds, and that turns on {what} being no `@{name}("{to}")`'
    else:
        write = f"a request in which `{rule.id}` holds and only {what} is not met"
    changed = replace(rule, annotations=annotations)
    return Mutant(original=rule, changed=changed, way=way, what=f"{what} (to `{to}`)" if to else what, write=write)
