"""Compiles one rule to a Python function that says whether it holds."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from types import CodeType, FunctionType
from typing import Any, Literal

from cedarpy import pst

from mintwarden.model.values import EntityUid, Record, Value
from mintwarden.policy.cedar.lower import AT, ENVIRONMENT, PARAMETERS, Lowering, constant, name
from mintwarden.policy.cedar.operators import Operators, World
from mintwarden.policy.cedar.tree import uid_of

Test = Callable[[EntityUid, Mapping[str, Value], frozenset[EntityUid], Record, World], bool]
"""A compiled rule: takes the principal's name, attributes and ancestors, the context, and the whole question."""

_DEFAULT: Literal["<rule>"] = "<rule>"


def compile_test(template: pst.Template, environment: Mapping[str, Any], operators: Operators) -> Test:
    """The rule's principal constraint and clauses as one function; action and resource are the slice's affair.

    Raises `Uncovered` for a construct that has to go to Cedar. The function raises `Fault`, or whatever Python
    raises for a missing key or a wrong type, where Cedar has an evaluation error.
    """
    lowering = Lowering(operators)
    parts = [*_principal(template.principal, lowering), *(_clause(c, lowering) for c in template.clauses)]
    body = lowering.every(parts) if parts else constant(True)
    code = _function(body, lowering.constants)
    # `environment` is shared by every rule of a set and never written to.
    return FunctionType(code, environment, _DEFAULT, tuple(lowering.constants.values()))  # type: ignore[arg-type]


def environment_of(operators: Operators) -> dict[str, Any]:
    """The names that compiled rules see."""
    return {**ENVIRONMENT, **{f"op_{operator}": meaning for operator, meaning in operators.items()}}


def _principal(constraint: pst.PrincipalOrResourceConstraint, lowering: Lowering) -> list[ast.expr]:
    parts: list[ast.expr] = []
    if isinstance(constraint, pst.ScopeIs | pst.ScopeIsIn):
        of = constant(str(constraint.entity_type))
        parts.append(ast.Compare(ast.Attribute(name("p"), "type", ast.Load(), **AT), [ast.Eq()], [of], **AT))
    if isinstance(constraint, pst.ScopeEq | pst.ScopeIn | pst.ScopeIsIn):
        assert isinstance(constraint.entity, pst.EntityUid)  # noqa: S101 - a slot would make it a template
        uid = lowering.keep_entity(uid_of(constraint.entity))
        if isinstance(constraint, pst.ScopeEq):
            parts.append(ast.Compare(name("p"), [ast.Eq()], [uid], **AT))
        else:
            parts.append(lowering.principal_in(uid))
    return parts


def _clause(clause: pst.Clause, lowering: Lowering) -> ast.expr:
    truth = lowering.truth(clause.expr)
    return truth if isinstance(clause, pst.When) else ast.UnaryOp(ast.Not(), truth, **AT)


def _function(body: ast.expr, constants: Mapping[str, Any]) -> CodeType:
    parameters = [ast.arg(parameter, **AT) for parameter in (*PARAMETERS, *constants)]
    arguments = ast.arguments([], parameters, None, [], [], None, [])
    function = ast.Lambda(arguments, body, **AT)
    module = compile(ast.Expression(function), _DEFAULT, "eval", dont_inherit=True, optimize=1)
    return next(constant for constant in module.co_consts if isinstance(constant, CodeType))
