"""Compiled rules: what cannot be compiled goes to Cedar, what goes wrong stays inside the rule."""

from __future__ import annotations

import pytest
from cedarpy import pst

from mintwarden.model.values import Entity, EntityUid, Record
from mintwarden.policy.cedar.compile import compile_test, environment_of
from mintwarden.policy.cedar.faults import Uncovered
from mintwarden.policy.cedar.lower import Lowering
from mintwarden.policy.cedar.operators import STANDARD
from mintwarden.policy.cedar.oracle import Verdict
from mintwarden.policy.cedar.walk import Walker
from tests.unit.policy.cedar.asking import question, rule_when, rules_of

READ = 'resource == Scope::"payments:read"'


def ids(verdict: Verdict) -> list[list[str]]:
    return [[rule.id for rule in rules] for rules in verdict]


def test_permits_forbids_and_faults_are_told_apart_in_the_order_of_ids() -> None:
    made = rules_of(
        f"""
        @id("z") permit(principal, action, {READ});
        @id("y") forbid(principal, action, resource) when {{ principal.active }};
        @id("x") forbid(principal, action, {READ}) when {{ principal.missing }};
        @id("w") permit(principal, action, {READ}) unless {{ principal.level }};
        @id("v") permit(principal, action, {READ}) when {{ false }} when {{ principal.missing }};
        @id("u") permit(principal, action, {READ}) when {{ principal.level == 5 }} unless {{ principal.blocked }};
        """
    )
    part = made.slice("issue", "payments:read")
    assert ids(part.evaluate(*question())) == [["u", "z"], ["y"], ["w", "x"]]
    assert ids(part.oracle.evaluate(*question())) == [["u", "z"], ["y"], ["w", "x"]]


def test_an_operator_that_is_not_there_sends_the_rule_to_cedar() -> None:
    operators = {name: meaning for name, meaning in STANDARD.items() if name != "like"}
    for pattern, held in (("fin*", [["r"], [], []]), ("hr", [[], [], []])):
        _, made = rule_when(f'principal.department like "{pattern}"', operators)
        assert ids(made.slice("issue", "payments:read").evaluate(*question())) == held
    _, made = rule_when('principal.level like "x"', operators)
    assert ids(made.slice("issue", "payments:read").evaluate(*question())) == [[], [], ["r"]]


@pytest.mark.parametrize(
    ("expression", "verdict"),
    [
        ("[principal.active, 1].contains(true)", [["r"], [], []]),
        ("[principal.active, 1].contains(false)", [[], [], []]),
        ("[principal.active, 1].contains(true) && principal.missing", [[], [], ["r"]]),
    ],
)
def test_a_set_that_python_would_merge_is_judged_by_cedar(expression: str, verdict: list[list[str]]) -> None:
    _, made = rule_when(expression)
    assert ids(made.slice("issue", "payments:read").evaluate(*question())) == verdict


def test_what_cedar_cannot_be_asked_faults() -> None:
    """Not a Cedar value: the oracle refuses the facts as a whole, the compiled rule only what it touches."""
    _, made = rule_when("[principal.active, 1].contains(true)")
    part = made.slice("issue", "payments:read")
    odd = question(facts={"active": True, "odd": Record({"__extn": Record({"fn": "ip", "arg": "x"})})})
    assert ids(part.evaluate(*odd)) == [[], [], ["r"]]
    assert ids(part.oracle.evaluate(*odd)) == [[], [], ["r"]]


def test_a_compiled_rule_reaches_nothing_but_the_operators() -> None:
    names = environment_of(STANDARD)
    assert names["__builtins__"] == {}
    assert {name for name in names if not name.startswith("op_")} == {
        "__builtins__", "type", "bool", "int", "frozenset", "Record",
    }  # fmt: skip


def test_a_wrong_operator_is_not_hidden_by_inlining() -> None:
    for operator, expression in {
        "eq": 'principal.department == "finance"',
        "less": "principal.level < 6",
        "contains": 'principal.tenants.contains("t1")',
        "contains_any": 'principal.tenants.containsAny(["t1"])',
        "has": "principal has level",
        "is": "principal is User",
        "in": 'principal in Group::"staff"',
        "not": "!principal.blocked",
    }.items():
        _, made = rule_when(expression, {**STANDARD, operator: lambda *_: False})
        part = made.slice("issue", "payments:read")
        assert ids(part.evaluate(*question())) == [[], [], []]
        assert ids(part.oracle.evaluate(*question())) == [["r"], [], []]


def test_a_type_of_principal_that_no_rule_knows() -> None:
    made = rules_of(f'@id("r") permit(principal is User, action, {READ});')
    part = made.slice("issue", "payments:read")
    stranger = Entity(EntityUid("Robot", "x"), {})
    asked = question()._replace(principal=stranger)
    assert ids(part.evaluate(*asked)) == [[], [], []]
    assert ids(part.evaluate(*asked)) == [[], [], []]


def test_a_slice_can_be_compiled_ahead() -> None:
    made = rules_of(f'@id("r") permit(principal, action, {READ});')
    part = made.slice("issue", "payments:read")
    part.compile()
    assert ids(part.evaluate(*question())) == [["r"], [], []]


def test_reading_attributes_is_an_operator_too() -> None:
    _, made = rule_when("principal.active", {**STANDARD, "get": lambda *_: False})
    part = made.slice("issue", "payments:read")
    assert (ids(part.evaluate(*question())), ids(part.oracle.evaluate(*question()))) == ([[], [], []], [["r"], [], []])


def test_a_path_of_several_names_is_tested_step_by_step() -> None:
    """As a tree may say it, although Cedar's own parser takes such paths apart."""
    for attrs, held in ((("home", "city"), True), (("home", "street"), False), (("nothing", "at", "all"), False)):
        clause = pst.When(pst.HasAttr(pst.Var("principal"), attrs))
        template = pst.Template(
            "r", "permit", pst.ScopeAny(), pst.ScopeAny(), pst.ScopeAny(), (clause,), pst.FrozenMap({})
        )
        test = compile_test(template, environment_of(STANDARD), STANDARD)
        world = question()
        principal = world.principal
        assert test(principal.uid, principal.attrs, principal.ancestors, world.context, world) is held
        assert Walker(world).truth(clause.expr) == ("true" if held else "false")


def test_a_construct_that_is_not_known_is_not_compiled() -> None:
    class Novelty:
        pass

    with pytest.raises(Uncovered):
        Lowering(STANDARD).lower(Novelty())  # type: ignore[arg-type]


def test_nothing_asked_is_nothing_answered() -> None:
    assert rules_of("").slice("issue", "hr:read").oracle.evaluate_batch([]) == []
