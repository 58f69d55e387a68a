"""What the lint calls impossible, constant or pointless is so in every world that is tried."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mintwarden.model.values import Entity, EntityUid, Record
from mintwarden.policy.cedar.operators import World
from mintwarden.policy.cedar.rules import Rule, RuleSet, compile_rules
from mintwarden.policy.cedar.walk import Walker, goals_of, truth_of
from mintwarden.policy.lint.constant import always, demands_of, never
from mintwarden.policy.lint.contradiction import is_impossible
from tests.property.cedar_cases import SCOPES, Rules, world

LEVELS, NAMES = (0, 1, 2, 3), ("a", "b", "c")
WORLDS = 60


def atom(random: Random) -> str:
    level, name, other = random.choice(LEVELS), random.choice(NAMES), random.choice(NAMES)
    order = random.choice(("<", "<=", ">", ">=", "==", "!="))
    return random.choice(
        (
            f"principal.level {order} {level}",
            f"{level} {order} principal.level",
            f'principal.name == "{name}"',
            f'principal.name != "{name}"',
            f'["{name}", "{other}"].contains(principal.name)',
            f'principal.tags.contains("{name}")',
            f'"{name}" == "{other}"',
            "principal.flag",
            "true",
            "principal is User",
            'principal == User::"alice"',
        )
    )


def expression(random: Random, depth: int) -> str:
    if depth == 0 or random.random() < 0.3:
        return atom(random)
    inner = [expression(random, depth - 1) for _ in range(2)]
    return random.choice((f"!({inner[0]})", f"({inner[0]} && {inner[1]})", f"({inner[0]} || {inner[1]})"))


def small_world(random: Random) -> World:
    facts: dict[str, Any] = {
        "level": random.choice(LEVELS),
        "name": random.choice(NAMES),
        "tags": frozenset(name for name in NAMES if random.random() < 0.5),
        "flag": random.random() < 0.5,
    }
    if random.random() < 0.2:
        del facts[random.choice(sorted(facts))]
    uid = random.choice((EntityUid("User", "alice"), EntityUid("User", "bob"), EntityUid("Agent", "alice")))
    scope = Entity(EntityUid("Scope", "a:read"), {"name": "a:read"}, frozenset({EntityUid("Audience", "a")}))
    return World(Entity(uid, facts, frozenset()), EntityUid("Action", "issue"), scope, Record({}))


def rules_of(*texts: str) -> RuleSet:
    made = compile_rules([("random.cedar", "\n".join(texts))], scopes=SCOPES)
    assert not made.problems, made.problems
    return made


def rule_of(random: Random) -> Rule:
    clauses = " ".join(
        f"{random.choice(('when', 'unless'))} {{ {expression(random, 2)} }}" for _ in range(random.randint(1, 3))
    )
    return rules_of(f'@id("r") permit(principal, action, resource == Scope::"a:read") {clauses};').rules["r"]


def check_impossible(seed: int) -> bool:
    random = Random(seed)
    rule = rule_of(random)
    if not is_impossible(demands_of(rule.template), {}):
        return False
    for _ in range(WORLDS):
        assert truth_of(rule, small_world(random)) != "true", rule.text
    return True


@given(st.integers(0, 2**64))
def test_what_is_impossible_is_true_nowhere(seed: int) -> None:
    check_impossible(seed)


def test_much_is_found_impossible() -> None:
    assert sum(check_impossible(seed) for seed in range(200)) > 20


@given(st.integers(0, 2**64))
def test_demands_mean_what_the_rule_means(seed: int) -> None:
    """A rule holds exactly where all its demands do: which is what lets one rule's demands stand for another's."""
    random = Random(seed)
    rule = rule_of(random)
    for _ in range(WORLDS // 4):
        asked = small_world(random)
        walker = Walker(asked)
        demands = all(walker.truth(demand) == "true" for demand in demands_of(rule.template))
        assert demands == (truth_of(rule, asked) == "true"), rule.text


@given(st.integers(0, 2**64))
def test_what_is_constant_is_so_in_every_world(seed: int) -> None:
    random = Random(seed)
    texts = [rule_of(random).text, Rules(random).rule(1)]
    for rule in (rules_of(text).rules for text in texts):
        for goal in (goal for one in rule.values() for goal in goals_of(one.template)):
            for make in (small_world, world):
                truth = Walker(make(random)).truth(goal)
                assert not always(goal) or truth == "true"
                assert not never(goal) or truth != "true"
