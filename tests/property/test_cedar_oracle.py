"""Compiled rules answer as Cedar does: which rules hold, which fault, on random rules and random questions."""

from __future__ import annotations

import os
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mintwarden.policy.cedar.faults import Fault
from mintwarden.policy.cedar.operators import STANDARD, Operators
from mintwarden.policy.cedar.oracle import Verdict
from mintwarden.policy.cedar.rules import RuleSet, compile_rules
from tests.property.cedar_cases import SCOPES, Rules, world

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
RULES, WORLDS = 10, 5
BATCHES = 2_000 if NIGHTLY else 100
"""Each batch is `RULES * WORLDS` cases: 100,000 by night, 5,000 by day."""


def rule_set(random: Random, operators: Operators = STANDARD) -> RuleSet:
    rules = Rules(random)
    text = "\n".join(rules.rule(number) for number in range(RULES))
    made = compile_rules([("random.cedar", text)], scopes=SCOPES, operators=operators)
    assert not made.problems, (made.problems, text)
    return made


def ids(verdict: Verdict) -> tuple[list[str], ...]:
    return tuple([rule.id for rule in rules] for rules in verdict)


def disagreements(made: RuleSet, random: Random) -> list[str]:
    """Where the compiled slice and Cedar differ."""
    found = []
    part = made.slice("issue", "a:read")
    for _ in range(WORLDS):
        question = world(random)
        ours, cedars = part.evaluate(*question), part.oracle.evaluate(*question)
        if ids(ours) != ids(cedars):
            different = {
                rule.id: rule.text
                for mine, theirs in zip(ours, cedars, strict=True)
                for rule in set(mine) ^ set(theirs)
            }
            found.append(f"{ids(ours)} != {ids(cedars)}\n{different}\n{question}")
    return found


@settings(max_examples=BATCHES)
@given(st.integers(0, 2**64))
def test_compiled_rules_answer_as_cedar_does(seed: int) -> None:
    random = Random(seed)
    assert disagreements(rule_set(random), random) == []


def _wrong(operator: str) -> Operators:
    """The table with one operator that answers the other way round, or wrongly gives up."""
    meant = STANDARD[operator]

    def planted(*arguments: object) -> object:
        answer = meant(*arguments)
        if isinstance(answer, bool):
            return not answer
        raise Fault("planted")

    return {**STANDARD, operator: planted}


def _never_faulting(operator: str) -> Operators:
    meant = STANDARD[operator]

    def planted(*arguments: object) -> object:
        try:
            return meant(*arguments)
        except Fault:
            return True

    return {**STANDARD, operator: planted}


@pytest.mark.parametrize("operator", sorted(STANDARD))
def test_a_wrong_operator_is_noticed(operator: str) -> None:
    """The comparison reaches every operator: whichever is planted, some random rule gives it away."""
    tables = [_never_faulting(operator)] if operator in ("boolean", "get_tag") else [_wrong(operator)]
    for operators in tables:
        assert any(
            disagreements(rule_set(random, operators), random) for random in (Random(seed) for seed in range(400))
        )
