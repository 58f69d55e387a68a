"""Turns a Cedar expression into a Python expression, as `ast` nodes; never as source text.

The result runs inside a function whose parameters are `p` (the principal's name), `pa` (its attributes), `pg` (its
ancestors), `c` (the context), `w` (the `World`) and one `k<n>` for each constant that a code object cannot hold.
Every operator is a call of its entry in the operator table, save where the types are certain enough that a Python
expression is provably the same: those cases stand in `inline`, and are used only for operators of standard meaning.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cedarpy import pst

from mintwarden.model.values import EntityUid, Record
from mintwarden.policy.cedar.faults import Fault, Uncovered
from mintwarden.policy.cedar.operators import STANDARD, WORLDLY, Operators
from mintwarden.policy.cedar.tree import conjuncts, disjuncts, expand_has, glob_parts, literal, uid_of

PARAMETERS = ("p", "pa", "pg", "c", "w")
AT: Mapping[str, Any] = {"lineno": 1, "col_offset": 0, "end_lineno": 1, "end_col_offset": 0}
_LOAD = ast.Load()
_BOOL_RESULT = frozenset(
    {
        "eq", "not_eq", "not", "less", "less_eq", "greater", "greater_eq", "contains", "contains_all", "contains_any",
        "is_empty", "has", "in", "is", "like", "has_tag", "decimal_less_than", "decimal_less_eq", "decimal_greater",
        "decimal_greater_eq", "is_ipv4", "is_ipv6", "is_loopback", "is_multicast", "is_in_range",
    }
)  # fmt: skip
_COMPARISONS: Mapping[str, Callable[[], ast.cmpop]] = {
    "less": ast.Lt,
    "less_eq": ast.LtE,
    "greater": ast.Gt,
    "greater_eq": ast.GtE,
}


class Lowered(NamedTuple):
    """A Python expression, and whether it is certain to give a boolean or fault."""

    node: ast.expr
    is_bool: bool = False


def name(of: str) -> ast.expr:
    """The variable `of`."""
    return ast.Name(of, _LOAD, **AT)


def constant(value: Any) -> ast.expr:
    """A constant that a code object can hold."""
    return ast.Constant(value, **AT)


def _compare(left: ast.expr, op: ast.cmpop, right: ast.expr) -> ast.expr:
    return ast.Compare(left, [op], [right], **AT)


class Lowering:
    """The lowering of one rule: collects its constants, names its temporaries."""

    def __init__(self, operators: Operators) -> None:
        self.constants: dict[str, Any] = {}
        self._by_value: dict[EntityUid | frozenset[EntityUid], str] = {}
        self._operators = operators
        self._temporaries = 0

    # -- pieces ----------------------------------------------------------------------------------------

    def keep(self, value: Any) -> ast.expr:
        """A parameter that holds `value`."""
        key = f"k{len(self.constants)}"
        self.constants[key] = value
        return name(key)

    def keep_entity(self, value: EntityUid | frozenset[EntityUid]) -> ast.expr:
        """A parameter that holds an entity's name or a set of them, one for equal ones."""
        if value not in self._by_value:
            key = f"k{len(self.constants)}"
            self._by_value[value] = key
            self.constants[key] = value
        return name(self._by_value[value])

    def call(self, operator: str, *arguments: ast.expr) -> Lowered:
        """A call of an operator."""
        if operator not in self._operators:
            raise Uncovered(f"there is no operator `{operator}`")
        worldly = (name("w"),) if operator in WORLDLY else ()
        return Lowered(
            ast.Call(name(f"op_{operator}"), [*arguments, *worldly], [], **AT),
            operator in _BOOL_RESULT and self.is_standard(operator),
        )

    def is_standard(self, operator: str) -> bool:
        """Whether the operator has its standard meaning, so that it may be inlined."""
        return self._operators.get(operator) is STANDARD[operator]

    def guarded(
        self, value: ast.expr, of: str, cheap: Callable[[ast.expr], ast.expr], otherwise: Callable[[ast.expr], ast.expr]
    ) -> ast.expr:
        """`cheap(t) if type(t := value) is of else otherwise(t)`."""
        bound, again = self.bind(value)
        test = _compare(ast.Call(name("type"), [bound], [], **AT), ast.Is(), name(of))
        return ast.IfExp(test, cheap(again), otherwise(again), **AT)

    def bind(self, value: ast.expr) -> tuple[ast.expr, ast.expr]:
        """`(t := value)` and `t`, for a value that is used twice and must be computed once."""
        temporary = f"t{self._temporaries}"
        self._temporaries += 1
        return ast.NamedExpr(ast.Name(temporary, ast.Store(), **AT), value, **AT), name(temporary)

    # -- expressions -----------------------------------------------------------------------------------

    def truth(self, expr: pst.Expr) -> ast.expr:
        """The expression where Cedar insists on a boolean."""
        lowered = self.lower(expr)
        if lowered.is_bool:
            return lowered.node
        return self.guarded(lowered.node, "bool", lambda t: t, lambda t: self.call("boolean", t).node)

    def every(self, exprs: list[ast.expr]) -> ast.expr:
        """`a and b and ...`."""
        return exprs[0] if len(exprs) == 1 else ast.BoolOp(ast.And(), exprs, **AT)

    def lower(self, expr: pst.Expr) -> Lowered:
        """The expression as a value."""
        method = _METHODS.get(type(expr))
        if method is None:
            raise Uncovered(f"`{type(expr).__name__}` is not compiled")
        return method(self, expr)

    def lower_var(self, expr: pst.Var) -> Lowered:
        if expr.name == "principal":
            return Lowered(name("p"))
        if expr.name == "context":
            return Lowered(name("c"))
        if expr.name == "action":
            return Lowered(ast.Attribute(name("w"), "action", _LOAD, **AT))
        return Lowered(self._of_resource("uid"))

    def _of_resource(self, attribute: str) -> ast.expr:
        return ast.Attribute(ast.Attribute(name("w"), "resource", _LOAD, **AT), attribute, _LOAD, **AT)

    def _attributes(self, expr: pst.Expr) -> ast.expr | None:
        """The mapping that holds the attributes of a variable that is certain to have some."""
        if isinstance(expr, pst.Var):
            if expr.name == "principal":
                return name("pa")
            if expr.name == "context":
                return name("c")
            if expr.name == "resource":
                return self._of_resource("attrs")
        return None

    def lower_literal(self, expr: pst.BoolLit | pst.LongLit | pst.StringLit) -> Lowered:
        return Lowered(constant(expr.value), isinstance(expr, pst.BoolLit))

    def lower_entity(self, expr: pst.EntityLit) -> Lowered:
        return Lowered(self.keep_entity(uid_of(expr.value)))

    def lower_get(self, expr: pst.GetAttr) -> Lowered:
        key = constant(expr.attr)
        inline = self.is_standard("get")
        attributes = self._attributes(expr.base) if inline else None
        if attributes is not None:
            return Lowered(ast.Subscript(attributes, key, _LOAD, **AT))
        base = self.lower(expr.base).node
        if not inline:
            return self.call("get", base, key)
        return Lowered(
            self.guarded(
                base,
                "Record",
                lambda t: ast.Subscript(t, key, _LOAD, **AT),
                lambda t: self.call("get", t, key).node,
            )
        )

    def lower_has(self, expr: pst.HasAttr) -> Lowered:
        if len(expr.attrs) > 1:
            return Lowered(self.every([self.lower(step).node for step in expand_has(expr)]), True)
        key = constant(expr.attrs[0])
        inline = self.is_standard("has")
        attributes = self._attributes(expr.base) if inline else None
        if attributes is not None:
            return Lowered(_compare(key, ast.In(), attributes), True)
        base = self.lower(expr.base).node
        if not inline:
            return self.call("has", base, key)
        node = self.guarded(
            base, "Record", lambda t: _compare(key, ast.In(), t), lambda t: self.call("has", t, key).node
        )
        return Lowered(node, True)

    def lower_like(self, expr: pst.Like) -> Lowered:
        return self.call("like", self.lower(expr.base).node, constant(glob_parts(expr.pattern)))

    def lower_is(self, expr: pst.Is) -> Lowered:
        of = constant(str(expr.entity_type))
        if isinstance(expr.base, pst.Var):
            base = again = self.lower(expr.base).node
        else:
            base, again = self.bind(self.lower(expr.base).node)
        if self.is_standard("is") and isinstance(expr.base, pst.Var) and expr.base.name == "principal":
            test = Lowered(_compare(ast.Attribute(base, "type", _LOAD, **AT), ast.Eq(), of), True)
        else:
            test = self.call("is", base, of)
        if expr.in_expr is None:
            return test
        if isinstance(expr.base, pst.Var):
            inside = self._in(expr.base, expr.in_expr)
        else:
            inside = self.call("in", again, self.lower(expr.in_expr).node)
        return Lowered(self.every([test.node, inside.node]), True)

    def lower_if(self, expr: pst.IfThenElse) -> Lowered:
        then, otherwise = self.lower(expr.then_expr), self.lower(expr.else_expr)
        node = ast.IfExp(self.truth(expr.cond), then.node, otherwise.node, **AT)
        return Lowered(node, then.is_bool and otherwise.is_bool)

    def lower_set(self, expr: pst.Set) -> Lowered:
        entities = [uid_of(e.value) for e in expr.elements if isinstance(e, pst.EntityLit)]
        if entities and len(entities) == len(expr.elements):
            return Lowered(self.keep_entity(frozenset(entities)))
        values = [e.value for e in expr.elements if isinstance(e, pst.StringLit)]
        if len(values) == len(expr.elements):
            return Lowered(constant(frozenset(values)))
        elements: list[ast.expr] = [self.lower(element).node for element in expr.elements]
        return self.call("make_set", ast.Tuple(elements, _LOAD, **AT))

    def lower_record(self, expr: pst.Record) -> Lowered:
        names: list[ast.expr | None] = [constant(key) for key in expr.fields]
        values = [self.lower(value).node for value in expr.fields.values()]
        return Lowered(ast.Call(name("Record"), [ast.Dict(names, values, **AT)], [], **AT))

    def lower_unary(self, expr: pst.UnaryOp) -> Lowered:
        if expr.op == "not" and self.is_standard("not"):
            return Lowered(ast.UnaryOp(ast.Not(), self.truth(expr.arg), **AT), True)
        if isinstance(expr.arg, pst.StringLit) and expr.op in _CONSTRUCTORS and expr.op in self._operators:
            try:
                return Lowered(self.keep(self._operators[expr.op](expr.arg.value)))
            except Fault:
                pass  # not here: it faults where and when the rule gets to it
        return self.call(expr.op, self.lower(expr.arg).node)

    def lower_binary(self, expr: pst.BinaryOp) -> Lowered:
        if expr.op == "and":
            return Lowered(self.every([self.truth(part) for part in conjuncts(expr)]), True)
        if expr.op == "or":
            return Lowered(ast.BoolOp(ast.Or(), [self.truth(part) for part in disjuncts(expr)], **AT), True)
        if expr.op == "in":
            return self._in(expr.left, expr.right)
        if expr.op in _INLINE and self.is_standard(expr.op):
            inlined = _INLINE[expr.op](self, expr)
            if inlined is not None:
                return Lowered(inlined, True)
        return self.call(expr.op, self.lower(expr.left).node, self.lower(expr.right).node)

    def _in(self, child: pst.Expr, of: pst.Expr) -> Lowered:
        right = self.lower(of).node
        if self.is_standard("in") and isinstance(child, pst.Var) and child.name == "principal":
            if isinstance(of, pst.EntityLit):
                return Lowered(self.principal_in(right), True)
            if isinstance(of, pst.Set) and of.elements and all(isinstance(e, pst.EntityLit) for e in of.elements):
                disjoint = ast.Call(ast.Attribute(right, "isdisjoint", _LOAD, **AT), [name("pg")], [], **AT)
                apart = ast.UnaryOp(ast.Not(), disjoint, **AT)
                return Lowered(ast.BoolOp(ast.Or(), [_compare(name("p"), ast.In(), right), apart], **AT), True)
        return self.call("in", self.lower(child).node, right)

    def principal_in(self, group: ast.expr) -> ast.expr:
        """Whether the principal is `group` or below it."""
        return ast.BoolOp(ast.Or(), [_compare(group, ast.In(), name("pg")), _compare(name("p"), ast.Eq(), group)], **AT)

    # -- inlined: the same meaning as the operator, where one side's type is certain ----------------------------

    def inline_equality(self, expr: pst.BinaryOp) -> ast.expr | None:
        """A string or an entity's name equals nothing of another type, in Python as in Cedar."""
        for one, other in ((expr.left, expr.right), (expr.right, expr.left)):
            if isinstance(one, pst.StringLit | pst.EntityLit):
                op = ast.Eq() if expr.op == "eq" else ast.NotEq()
                return _compare(self.lower(other).node, op, self.lower(one).node)
            # Python warns of `is` between literals.
            if isinstance(one, pst.BoolLit) and not isinstance(other, pst.BoolLit | pst.LongLit | pst.Set):
                same = ast.Is() if expr.op == "eq" else ast.IsNot()
                return _compare(self.lower(other).node, same, constant(one.value))
        return None

    def inline_order(self, expr: pst.BinaryOp) -> ast.expr | None:
        """Against a literal number, only a number needs no further look; `type` tells it from a boolean."""
        op = _COMPARISONS[expr.op]
        if not isinstance(expr.right, pst.LongLit):
            return None
        number = constant(expr.right.value)
        return self.guarded(
            self.lower(expr.left).node,
            "int",
            lambda t: _compare(t, op(), number),
            lambda t: self.call(expr.op, t, number).node,
        )

    def inline_contains(self, expr: pst.BinaryOp) -> ast.expr | None:
        """A string is in a set in Python exactly when it is in Cedar; the set must be one, not a string."""
        strings = literal(expr.left)
        if isinstance(strings, frozenset) and all(type(s) is str for s in strings):
            return _compare(self.lower(expr.right).node, ast.In(), constant(strings))
        if not isinstance(expr.right, pst.StringLit):
            return None
        element = constant(expr.right.value)
        return self.guarded(
            self.lower(expr.left).node,
            "frozenset",
            lambda t: _compare(element, ast.In(), t),
            lambda t: self.call("contains", t, element).node,
        )

    def inline_several(self, expr: pst.BinaryOp) -> ast.expr | None:
        """`containsAll` and `containsAny` of literal strings."""
        strings = literal(expr.right)
        if not isinstance(strings, frozenset) or not all(type(s) is str for s in strings):
            return None
        wanted = constant(strings)

        def cheap(t: ast.expr) -> ast.expr:
            if expr.op == "contains_all":
                return _compare(wanted, ast.LtE(), t)
            disjoint = ast.Call(ast.Attribute(wanted, "isdisjoint", _LOAD, **AT), [t], [], **AT)
            return ast.UnaryOp(ast.Not(), disjoint, **AT)

        return self.guarded(
            self.lower(expr.left).node, "frozenset", cheap, lambda t: self.call(expr.op, t, wanted).node
        )


_CONSTRUCTORS = frozenset({"decimal", "ip", "datetime", "duration"})
_INLINE: Mapping[str, Callable[[Lowering, pst.BinaryOp], ast.expr | None]] = {
    "eq": Lowering.inline_equality,
    "not_eq": Lowering.inline_equality,
    "less": Lowering.inline_order,
    "less_eq": Lowering.inline_order,
    "greater": Lowering.inline_order,
    "greater_eq": Lowering.inline_order,
    "contains": Lowering.inline_contains,
    "contains_all": Lowering.inline_several,
    "contains_any": Lowering.inline_several,
}
_METHODS: Mapping[type, Callable[[Lowering, Any], Lowered]] = {
    pst.Var: Lowering.lower_var,
    pst.BoolLit: Lowering.lower_literal,
    pst.LongLit: Lowering.lower_literal,
    pst.StringLit: Lowering.lower_literal,
    pst.EntityLit: Lowering.lower_entity,
    pst.GetAttr: Lowering.lower_get,
    pst.HasAttr: Lowering.lower_has,
    pst.Like: Lowering.lower_like,
    pst.Is: Lowering.lower_is,
    pst.IfThenElse: Lowering.lower_if,
    pst.Set: Lowering.lower_set,
    pst.Record: Lowering.lower_record,
    pst.UnaryOp: Lowering.lower_unary,
    pst.BinaryOp: Lowering.lower_binary,
}

ENVIRONMENT: Mapping[str, Any] = {"__builtins__": {}, "type": type, "bool": bool, "int": int, "frozenset": frozenset,
                                  "Record": Record}  # fmt: skip
"""Names that compiled rules may use besides the operators: no builtins, nothing that reaches further."""
