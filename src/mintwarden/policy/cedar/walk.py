"""Evaluates a rule by walking its tree, so that every condition can be shown with its truth and what it saw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from cedarpy import pst
from msgspec import Struct

from mintwarden.model.values import EntityUid, Record, Value
from mintwarden.policy.cedar.faults import Fault, Uncovered
from mintwarden.policy.cedar.operators import STANDARD, WORLDLY, Operators, World
from mintwarden.policy.cedar.render import quote, render
from mintwarden.policy.cedar.rule import Rule
from mintwarden.policy.cedar.tree import children, conjuncts, disjuncts, expand_has, glob_parts, path_of, uid_of

GROUPS_PATH = ("principal", "<groups>")
Truth = Literal["true", "false", "fault"]


class Seen(Struct, frozen=True):
    """A fact that a condition looked at: its path, and its value if there is one."""

    path: str
    present: bool
    value: Value | None = None


class Condition(Struct, frozen=True, kw_only=True):
    """One condition of a rule.

    Attributes:
        text: Cedar source.
        truth: what it comes to, looked at by itself.
        kind: `test` for a plain condition; `all`, `any`, `not` and `if` have `parts`.
        reached: whether Cedar would have looked at it at all: not after a condition that is false or faults.
        seen: the facts it looked at.
        fault: why it could not be evaluated.
    """

    text: str
    truth: Truth
    kind: Literal["test", "all", "any", "not", "if"] = "test"
    reached: bool = True
    parts: tuple[Condition, ...] = ()
    seen: tuple[Seen, ...] = ()
    fault: str = ""


class Walked(Struct, frozen=True):
    """A rule and its conditions, all of which must be true."""

    rule: Rule
    conditions: tuple[Condition, ...]

    @property
    def truth(self) -> Truth:
        """Whether the rule holds: the first condition that is not true decides."""
        return next((c.truth for c in self.conditions if c.truth != "true"), "true")


def walk(rule: Rule, world: World, operators: Operators = STANDARD) -> Walked:
    """The rule's head and clauses as conditions. Action and resource are taken to match, as in a slice."""
    walker = Walker(world, operators)
    conditions = [walker.condition(expr) for expr in goals_of(rule.template)]
    reached = True
    marked: list[Condition] = []
    for condition in conditions:
        marked.append(_unreached(condition) if not reached else condition)
        reached = reached and condition.truth == "true"
    return Walked(rule, tuple(marked))


def truth_of(rule: Rule, world: World, operators: Operators = STANDARD) -> Truth:
    """Whether the rule holds, without the explanation."""
    walker = Walker(world, operators)
    truths = (walker.truth(goal) for goal in goals_of(rule.template))
    return next((truth for truth in truths if truth != "true"), "true")


def goals_of(template: pst.Template) -> tuple[pst.Expr, ...]:
    """The expressions that must all be true: the principal's constraint, then each clause, `&&` taken apart."""
    goals: list[pst.Expr] = []
    principal, constraint = pst.Var("principal"), template.principal
    if isinstance(constraint, pst.ScopeIs | pst.ScopeIsIn):
        goals.append(pst.Is(principal, constraint.entity_type, None))
    if isinstance(constraint, pst.ScopeEq | pst.ScopeIn | pst.ScopeIsIn) and isinstance(
        constraint.entity, pst.EntityUid
    ):
        op: pst.BinaryOpName = "eq" if isinstance(constraint, pst.ScopeEq) else "in"
        goals.append(pst.BinaryOp(op, principal, pst.EntityLit(constraint.entity)))
    for clause in template.clauses:
        if isinstance(clause, pst.When):
            goals.extend(conjuncts(clause.expr))
        else:
            goals.append(pst.UnaryOp("not", clause.expr))
    return tuple(goals)


def _unreached(condition: Condition) -> Condition:
    return Condition(
        text=condition.text,
        truth=condition.truth,
        kind=condition.kind,
        reached=False,
        parts=tuple(_unreached(part) for part in condition.parts),
        seen=condition.seen,
        fault=condition.fault,
    )


class Walker:
    """Values of expressions in one world."""

    def __init__(self, world: World, operators: Operators = STANDARD) -> None:
        self.world = world
        self._operators = operators

    def truth(self, expr: pst.Expr) -> Truth:
        """What it comes to as a condition."""
        try:
            return "true" if self._boolean(expr) else "false"
        except (Fault, Uncovered):
            return "fault"

    def value(self, expr: pst.Expr) -> Any:
        """Its value; raises `Fault` where Cedar has an evaluation error."""
        return _VALUES[type(expr)](self, expr)

    def condition(self, expr: pst.Expr) -> Condition:
        """The expression as a condition with its parts."""
        fault = ""
        try:
            truth: Truth = "true" if self._boolean(expr) else "false"
        except (Fault, Uncovered) as error:
            truth, fault = "fault", str(error)
        kind, inner = _parts(expr)
        parts = tuple(self.condition(part) for part in inner)
        seen = () if parts else tuple(self._seen(expr))
        return Condition(text=render(expr), truth=truth, kind=kind, parts=parts, seen=seen, fault=fault)

    # -- values ----------------------------------------------------------------------------------------

    def _call(self, operator: str, *arguments: Any) -> Any:
        if operator in WORLDLY:
            return self._operators[operator](*arguments, self.world)
        return self._operators[operator](*arguments)

    def _boolean(self, expr: pst.Expr) -> bool:
        return bool(self._call("boolean", self.value(expr)))

    def value_of_var(self, expr: pst.Var) -> Any:
        match expr.name:
            case "principal":
                return self.world.principal.uid
            case "resource":
                return self.world.resource.uid
            case "action":
                return self.world.action
            case _:
                return self.world.context

    def value_of_unary(self, expr: pst.UnaryOp) -> Any:
        return self._call(expr.op, self.value(expr.arg))

    def value_of_binary(self, expr: pst.BinaryOp) -> Any:
        if expr.op == "and":
            return all(self._boolean(part) for part in conjuncts(expr))
        if expr.op == "or":
            return any(self._boolean(part) for part in disjuncts(expr))
        return self._call(expr.op, self.value(expr.left), self.value(expr.right))

    def value_of_has(self, expr: pst.HasAttr) -> Any:
        return all(self._call("has", self.value(step.base), step.attrs[0]) for step in expand_has(expr))

    def value_of_is(self, expr: pst.Is) -> Any:
        base = self.value(expr.base)
        if not self._call("is", base, str(expr.entity_type)):
            return False
        return expr.in_expr is None or self._call("in", base, self.value(expr.in_expr))

    def value_of_if(self, expr: pst.IfThenElse) -> Any:
        return self.value(expr.then_expr if self._boolean(expr.cond) else expr.else_expr)

    def value_of_get(self, expr: pst.GetAttr) -> Any:
        return self._call("get", self.value(expr.base), expr.attr)

    def value_of_like(self, expr: pst.Like) -> Any:
        return self._call("like", self.value(expr.base), glob_parts(expr.pattern))

    def value_of_set(self, expr: pst.Set) -> Any:
        return self._call("make_set", tuple(self.value(element) for element in expr.elements))

    def value_of_record(self, expr: pst.Record) -> Any:
        return Record({name: self.value(member) for name, member in expr.fields.items()})

    # -- what was seen -----------------------------------------------------------------------------------

    def _seen(self, expr: pst.Expr) -> Iterator[Seen]:
        if isinstance(expr, pst.BinaryOp) and expr.op == "in" and isinstance(expr.left, pst.Var):
            yield from self._groups(expr.left)
        if isinstance(expr, pst.HasAttr):
            base = path_of(expr.base)
            if base is not None and len(base) == 1:
                return
        path = path_of(expr)
        if path is not None and len(path) > 1:
            try:
                yield Seen(path_text(path), True, self.value(expr))
            except Fault:
                yield Seen(path_text(path), False)
            return
        for child in children(expr):
            yield from self._seen(child)

    def _groups(self, var: pst.Var) -> Iterator[Seen]:
        if var.name == "principal":
            groups: frozenset[EntityUid] = self.world.principal.ancestors
            yield Seen(path_text(GROUPS_PATH), True, groups)


def path_text(path: tuple[str, ...]) -> str:
    """`principal.address.city`; names that are no identifiers in brackets."""
    head, *names = path
    return head + "".join(f".{n}" if n.isidentifier() or n == GROUPS_PATH[1] else f"[{quote(n)}]" for n in names)


def _parts(expr: pst.Expr) -> tuple[Literal["test", "all", "any", "not", "if"], tuple[pst.Expr, ...]]:
    if isinstance(expr, pst.BinaryOp) and expr.op == "and":
        return "all", tuple(conjuncts(expr))
    if isinstance(expr, pst.BinaryOp) and expr.op == "or":
        return "any", tuple(disjuncts(expr))
    if isinstance(expr, pst.UnaryOp) and expr.op == "not":
        return "not", (expr.arg,)
    if isinstance(expr, pst.IfThenElse):
        return "if", (expr.cond, expr.then_expr, expr.else_expr)
    return "test", ()


_VALUES: Mapping[type, Callable[[Walker, Any], Any]] = {
    pst.Var: Walker.value_of_var,
    pst.BoolLit: lambda _, expr: expr.value,
    pst.LongLit: lambda _, expr: expr.value,
    pst.StringLit: lambda _, expr: expr.value,
    pst.EntityLit: lambda _, expr: uid_of(expr.value),
    pst.GetAttr: Walker.value_of_get,
    pst.HasAttr: Walker.value_of_has,
    pst.Like: Walker.value_of_like,
    pst.Is: Walker.value_of_is,
    pst.IfThenElse: Walker.value_of_if,
    pst.Set: Walker.value_of_set,
    pst.Record: Walker.value_of_record,
    pst.UnaryOp: Walker.value_of_unary,
    pst.BinaryOp: Walker.value_of_binary,
}
