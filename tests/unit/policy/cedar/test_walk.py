"""A rule explained: each condition, its truth, and the facts that it saw."""

from __future__ import annotations

from mintwarden.model.values import Record
from mintwarden.policy.cedar.walk import Condition, Seen, walk
from tests.unit.policy.cedar.asking import STAFF, question, rule_when, rules_of


def conditions(expression: str) -> tuple[Condition, ...]:
    rule, _ = rule_when(expression)
    return walk(rule, question()).conditions


def test_conditions_are_taken_apart_and_say_what_they_saw() -> None:
    found = conditions('principal.level > 5 && (principal.active && principal.department == "hr")')
    assert [(c.text, c.truth) for c in found] == [
        ("principal.level > 5", "false"),
        ("principal.active", "true"),
        ('principal.department == "hr"', "false"),
    ]
    assert found[0].seen == (Seen("principal.level", True, 5),)
    assert found[2].seen == (Seen("principal.department", True, "finance"),)


def test_what_comes_after_a_failure_is_shown_as_not_reached() -> None:
    found = conditions("principal.blocked && context.missing.x")
    assert [c.reached for c in found] == [True, False]
    assert found[1].truth == "fault"
    assert found[1].seen == (Seen("context.missing.x", False),)
    assert found[1].fault == "there is no attribute `missing`"


def test_alternatives_stay_together() -> None:
    (found,) = conditions('principal.level > 9 || (principal.active && !(principal in Group::"ops"))')
    assert (found.kind, found.truth) == ("any", "true")
    low, both = found.parts
    assert (low.kind, low.truth) == ("test", "false")
    assert (both.kind, [part.kind for part in both.parts]) == ("all", ["test", "not"])
    (membership,) = both.parts[1].parts
    assert membership.seen == (Seen("principal.<groups>", True, frozenset({STAFF})),)


def test_a_choice_shows_its_branches() -> None:
    (found,) = conditions("if principal.active then principal.level == 5 else false")
    assert (found.kind, found.truth) == ("if", "true")
    assert [part.truth for part in found.parts] == ["true", "true", "false"]


def test_not_reached_goes_all_the_way_down() -> None:
    found = conditions("principal.blocked && (principal.active || principal.blocked)")
    assert [part.reached for part in found[1].parts] == [False, False]


def test_the_head_and_unless_are_conditions_too() -> None:
    made = rules_of(
        """
        @id("a") permit(principal is User in Group::"ops", action, resource == Scope::"hr:read")
            unless { principal.blocked || context.session.risk > 50 };
        @id("b") permit(principal == User::"alice", action, resource == Scope::"hr:read");
        @id("c") permit(principal, action, resource == Scope::"hr:read");
        """
    )
    walked = walk(made.rules["a"], question())
    assert [(c.text, c.truth) for c in walked.conditions] == [
        ("principal is User", "true"),
        ('principal in Group::"ops"', "false"),
        ("!(principal.blocked || context.session.risk > 50)", "true"),
    ]
    assert walked.truth == "false"
    assert [c.text for c in walk(made.rules["b"], question()).conditions] == ['principal == User::"alice"']
    assert walk(made.rules["c"], question()).truth == "true"


def test_a_condition_that_only_cedar_can_judge_says_so() -> None:
    (found,) = conditions("[1, true].contains(1)")
    assert found.truth == "fault"
    assert found.fault == "a set of values that only their type tells apart"


def test_odd_names_are_shown_in_brackets() -> None:
    rule, _ = rule_when('context["odd name"] == 1')
    (found,) = walk(rule, question(context=Record({"odd name": 1}))).conditions
    assert found.seen == (Seen('context["odd name"]', True, 1),)
