"""What a comparison says is so for `decide`: equal bundles answer alike, and every example tells the two apart."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cache
from random import Random

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mintwarden.context.assemble import Assembly
from mintwarden.policy.amend import Situation
from mintwarden.policy.bundle.load import load_bundle
from mintwarden.policy.bundle.model import Bundle, ScenarioDocument
from mintwarden.policy.cedar.operators import STANDARD, Operators
from mintwarden.policy.cedar.rules import Rule, RuleSet, compile_rules
from mintwarden.policy.diff.meaning import Meaning, meaning
from mintwarden.policy.diff.pair import Pair, not_admitted
from mintwarden.review.given import asked_of, facts_of
from mintwarden.review.mutate import mutants_of
from tests.property.prove_cases import Mutator
from tests.property.test_policy_prove_rules import company, condition, facts
from tools.findings import ROOT

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
PAIRS, INPUTS = (250, 40) if NIGHTLY else (15, 40)
"""Pairs of bundles, and random inputs for each: 600 cases by day, 10,000 by night."""
MUTANTS, NEAR = (100, 100) if NIGHTLY else (4, 50)
"""The same for Meridian: 200 by day, 10,000 by night."""
SCOPES = {"pay:read": "payments", "pay:write": "payments", "pay:approve": "payments"}


def faults_of(found: Meaning, old: Bundle, new: Bundle, inputs: Iterable[Situation]) -> list[str]:
    """What of a comparison `decide` contradicts."""
    pair = Pair(old, new)
    faults = []
    for one in found.differences:
        answers = (pair.ask("old", one.situation), pair.ask("new", one.situation))
        if answers != (one.old, one.new) or (one.old.granted, one.old.seconds) == (one.new.granted, one.new.seconds):
            faults.append(f"an example that is none: {one}")
    told = [(one.scope, one.kind, one.action) for one in found.differences]
    told += [(one.scope, one.kind, one.action) for one in found.unproved]
    issuing = {(scope, kind) for scope, kind, action in told if action == "issue"}
    acting = {scope for scope, _, action in told if action != "issue"}
    for situation in inputs:
        before, after = pair.ask("old", situation), pair.ask("new", situation)
        alike = (before.granted, before.seconds, before.actors) == (after.granted, after.seconds, after.actors)
        scope = situation.asked.scopes[0]
        if not alike and (scope, situation.asked.subject.type) not in issuing and scope not in acting:
            faults.append(f"a difference that was not found: {situation}: {before.text}, {after.text}")
    return faults


# -- random rules -----------------------------------------------------------------------------------------------------


def ruled(permit: str, forbid: str, *, operators: Operators = STANDARD) -> Bundle:
    """A bundle that lets users read by one random condition and stops them by another."""
    bundle, _ = company()
    text = f"""@id("read") permit (principal is User, action == Action::"issue", resource == Scope::"pay:read") when {{ {permit} }};
@id("stop") forbid (principal is User, action == Action::"issue", resource == Scope::"pay:read") when {{ {forbid} }};
"""
    return bundle.with_rules(compile_rules([("r.cedar", text)], scopes=SCOPES, operators=operators))


def rewritten(random: Random, text: str) -> str:
    """Another condition: mostly one that means the same."""
    ways = (
        lambda: text,
        lambda: f"!(!({text}))",
        lambda: f"({text}) && true",
        lambda: f"if ({text}) then true else false",
        lambda: f"({text}) || ({text})",
        lambda: f"({text}) && {condition(random, 1)}",
        lambda: f"({text}) || {condition(random, 1)}",
        lambda: condition(random, 2),
    )
    return random.choice(ways)()


def compare(random: Random, operators: Operators = STANDARD) -> tuple[Meaning, list[str]]:
    permit, forbid = condition(random, 2), condition(random, 1)
    texts = rewritten(random, permit), rewritten(random, forbid)
    old, new = ruled(permit, forbid, operators=operators), ruled(*texts, operators=operators)
    found = meaning(old, new)
    return found, faults_of(found, old, new, (facts(random) for _ in range(INPUTS)))


@settings(max_examples=PAIRS, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**64))
def test_decide_says_what_the_comparison_says(seed: int) -> None:
    assert compare(Random(seed))[1] == []


def test_the_random_pairs_are_equal_and_different() -> None:
    """The comparison above would be idle over one of the two."""
    found = [compare(Random(seed))[0] for seed in range(12)]
    equal = sum(not one.differences and not one.unproved for one in found)
    assert 3 <= equal <= 9
    assert sum(one.proved > 0 for one in found) >= 3
    assert sum(bool(one.unproved) for one in found) <= 1


def test_a_mistake_in_the_translation_is_caught() -> None:
    """`<` that means `<=` in what decides stands for the opposite mistake in the formulas: proved equal, and not so."""
    wrong = {**STANDARD, "less": STANDARD["less_eq"]}
    texts = ("principal.level < 50", "principal.level <= 49")
    old, new = (ruled(text, "principal.level > 1000", operators=wrong) for text in texts)
    found = meaning(old, new)
    assert (found.differences, found.unproved) == ((), ())
    assert found.proved > 0
    assert any("was not found" in fault for fault in faults_of(found, old, new, map(facts, map(Random, range(400)))))


# -- Meridian -----------------------------------------------------------------------------------------------------------


@cache
def meridian() -> tuple[Bundle, Assembly, Mutator, Mapping[str, tuple[ScenarioDocument, ...]]]:
    bundle = load_bundle(ROOT / "examples/meridian")
    by_scope: dict[str, list[ScenarioDocument]] = {}
    for scenario in bundle.scenarios:
        for scope in scenario.given["scopes"]:
            by_scope.setdefault(scope, []).append(scenario)
    return bundle, Assembly(bundle.catalogue), Mutator(bundle), {k: tuple(v) for k, v in by_scope.items()}


def reached(bundle: Bundle, rule: Rule) -> list[str]:
    """Scopes of the rule's head that a scenario asks for."""
    scopes = [rule.head.scope] if rule.head.scope else list(bundle.catalogue.audiences[rule.head.audience].scopes)
    return [scope for scope in scopes if scope in meridian()[3]]


def situations(random: Random, scopes: list[str], count: int) -> Iterable[Situation]:
    bundle, assembly, mutator, by_scope = meridian()
    made = 0
    for _ in range(count * 20):
        scope = random.choice(scopes)
        mutated = mutator.mutated(random.choice(by_scope[scope]), random)
        scenario = msgspec.structs.replace(mutated, given={**mutated.given, "scopes": (scope,)})
        asked = asked_of(scenario, bundle.catalogue)
        if not_admitted(bundle.catalogue, asked):
            continue
        yield Situation(asked, facts_of(scenario, asked, bundle.catalogue, assembly), scenario.given["now"])
        made += 1
        if made == count:
            return


@settings(max_examples=MUTANTS, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**64))
def test_mutants_of_meridian_are_told_as_decide_tells_them(seed: int) -> None:
    random = Random(seed)
    bundle = meridian()[0]
    rules = [
        r for r in bundle.rules.rules.values() if (r.head.scope or (NIGHTLY and r.head.audience)) and reached(bundle, r)
    ]
    mutant = random.choice(list(mutants_of(random.choice(rules))) or list(mutants_of(rules[0])))
    others = [rule for rule in bundle.rules.rules.values() if rule is not mutant.original]
    scopes = {name: scope.audience for name, scope in bundle.catalogue.scopes.items()}
    changed = bundle.with_rules(RuleSet([*others, *([mutant.changed] if mutant.changed else [])], scopes=scopes))
    found = meaning(bundle, changed)
    assert faults_of(found, bundle, changed, situations(random, reached(bundle, mutant.original), NEAR)) == []
    assert found.unproved == ()


@pytest.mark.parametrize("seed", range(2))
def test_the_same_seed_gives_the_same_answer(seed: int) -> None:
    assert compare(Random(seed)) == compare(Random(seed))
