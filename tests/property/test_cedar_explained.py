"""The explaining walk agrees with the compiled rules; changes that it proposes do what they say, by Cedar itself."""

from __future__ import annotations

from random import Random

from cedarpy import PolicySet
from hypothesis import given, settings
from hypothesis import strategies as st

from mintwarden.policy.cedar.change import apply_changes
from mintwarden.policy.cedar.oracle import ask
from mintwarden.policy.cedar.render import render
from mintwarden.policy.cedar.smallest import smallest_change, smallest_change_for
from mintwarden.policy.cedar.walk import truth_of, walk
from tests.property.cedar_cases import world
from tests.property.test_cedar_oracle import NIGHTLY, rule_set

BATCHES = 500 if NIGHTLY else 30
SEEDS = st.integers(0, 2**64)


@settings(max_examples=BATCHES)
@given(SEEDS)
def test_the_walk_says_what_the_compiled_rule_says(seed: int) -> None:
    random = Random(seed)
    part = rule_set(random).slice("issue", "a:read")
    question = world(random)
    permits, forbids, faulted = part.evaluate(*question)
    for rule in part.rules:
        expected = "true" if rule in (*permits, *forbids) else "fault" if rule in faulted else "false"
        assert truth_of(rule, question) == expected == walk(rule, question).truth, rule.text


@settings(max_examples=BATCHES)
@given(SEEDS)
def test_rendered_expressions_parse_back_to_the_same_tree(seed: int) -> None:
    random = Random(seed)
    for rule in rule_set(random).rules.values():
        for clause in rule.template.clauses:
            text = f"permit(principal, action, resource) when {{ {render(clause.expr)} }};"
            (again,) = PolicySet.from_str(text).to_pst().static_policies.values()
            assert again.clauses[0].expr == clause.expr


@settings(max_examples=BATCHES)
@given(SEEDS)
def test_a_change_applied_makes_the_rule_hold_or_not_as_wanted(seed: int) -> None:
    random = Random(seed)
    part = rule_set(random).slice("issue", "a:read")
    question = world(random)
    for rule in part.rules:
        for want in (True, False):
            found = smallest_change_for([(rule, want)], question)
            if found is None:
                continue
            changed = apply_changes(question, found)
            assert changed is not None
            assert ask(rule, changed) is want, (rule.text, found)
            if found:
                assert truth_of(rule, question) != ("true" if want else "false"), (rule.text, found)
                for left_out in found:
                    fewer = apply_changes(question, [change for change in found if change != left_out])
                    assert fewer is not None
                    assert truth_of(rule, fewer) != ("true" if want else "false"), (rule.text, found)


def test_changes_are_found_for_many_random_rules() -> None:
    """Not a law, but a measure: of rules that a change could turn at all, most are turned."""
    turned = kept = 0
    for seed in range(60):
        random = Random(seed)
        part = rule_set(random).slice("issue", "a:read")
        question = world(random)
        for rule in part.rules:
            if truth_of(rule, question) == "false" and "User::" not in rule.text and "is User" not in rule.text:
                found = smallest_change(rule, question)
                turned, kept = (turned + 1, kept) if found else (turned, kept + 1)
    assert turned > kept
