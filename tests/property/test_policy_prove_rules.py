"""The formula of a rule is true, false and faulty where the rule is, on random well-typed rules and random facts."""

from __future__ import annotations

import os
from functools import cache
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mintwarden.model.facts import Facts, Reading
from mintwarden.model.values import LONG_MAX, LONG_MIN, Datetime, Decimal4, Duration, Entity, EntityUid, Record
from mintwarden.policy.amend import Situation
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.cedar.literals import read_ip
from mintwarden.policy.cedar.operators import World
from mintwarden.policy.cedar.rules import compile_rules
from mintwarden.policy.cedar.walk import truth_of
from mintwarden.policy.plan import ISSUE
from mintwarden.policy.prove.prove import Prover, _Case
from mintwarden.policy.prove.request import Shape
from tests.property.prove_cases import pinned, under
from tests.unit.policy.company import BUNDLE, CLIENT, PAYMENTS
from tests.unit.policy.company import asked as asking

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
SEEDS, EACH = (1_000, 10) if NIGHTLY else (50, 10)
NOW = 1_795_000_000_000
SOURCES = """[sources.all]
kind = "store"
about = ["User"]
missing = "absent"
groups = true
description = "d"
[sources.all.facts]
flag = "bool"
level = "long"
name = "string"
tags = "set<string>"
ranks = "set<long>"
price = "decimal"
home = "ipaddr"
seen = "datetime"
left = "duration"
"""
CLAIMS = """[claims.name]
type = "string"
source = "all"
from = "subject.name"
description = "d"
"""
RULES = "\n".join(
    f'@id("{name}") @owner("o") @reason("r") permit (principal, action, resource == Scope::"pay:{name}");'
    for name in ("read", "write", "approve")
)
STRINGS = ("", "a", "ab", "ba", "a*b", "zzz")
LONGS = (0, 1, -1, 7, 50, LONG_MAX, LONG_MIN, 2**62)
DATES = ("2026-11-24T02:30:00Z", "1969-12-31T23:59:59Z", "2026-11-24", "0000-01-01")
SPANS = ("1h", "-1d", "0ms", "90m", "1500ms", "-1ms")
IPS = (
    "127.200.0.1",
    "10.0.0.1",
    "10.0.0.0/8",
    "127.0.0.1",
    "127.0.0.0/7",
    "224.0.0.1",
    "::1",
    "ff00::1/12",
    "2001:db8::1/64",
)


@cache
def company() -> tuple[Bundle, Prover]:
    bundle = build_bundle(
        {
            "bundle.toml": BUNDLE,
            "sources.toml": SOURCES,
            "claims.toml": CLAIMS,
            "audiences/payments.toml": PAYMENTS.replace('department = "*"\nmanager = ["pay:approve"]', 'name = "*"'),
            "clients/app.toml": CLIENT.replace('legacy = ["old:use"]\n', ""),
            "rules/all.cedar": RULES,
        }
    )
    return bundle, Prover(bundle)


def condition(random: Random, depth: int = 3) -> str:
    """A well-typed condition."""
    kind = random.randrange(7) if depth else 9
    if kind <= 1:
        return f"({condition(random, depth - 1)} && {condition(random, depth - 1)})"
    if kind == 2:
        return f"({condition(random, depth - 1)} || {condition(random, depth - 1)})"
    if kind == 3:
        return f"!({condition(random, depth - 1)})"
    if kind == 4:
        one, two, three = (condition(random, depth - 1) for _ in range(3))
        return f"(if {one} then {two} else {three})"
    return atom(random)


def number(random: Random, depth: int = 2) -> str:
    if not depth or random.randrange(2):
        parts = (
            "principal.level", str(random.choice((0, 1, 7, 50, LONG_MAX))), "principal.left.toSeconds()",
            "principal.left.toMilliseconds()", "principal.left.toDays()", "context.request.auth_age",
            "context.chain.depth", "resource.rank",
        )  # fmt: skip
        return random.choice(parts)
    if random.randrange(4) == 0:
        return f"-({number(random, depth - 1)})"
    return f"({number(random, depth - 1)} {random.choice(('+', '-', '*'))} {number(random, depth - 1)})"


def text(random: Random) -> str:
    return random.choice(("principal.name", "context.request.acr", "context.client.id", f'"{random.choice(STRINGS)}"'))


def moment(random: Random) -> str:
    one = random.choice(("principal.seen", "context.request.time", f'datetime("{random.choice(DATES)}")'))
    how = random.randrange(4)
    if how == 0:
        return f"{one}.toDate()"
    return f"{one}.offset({span(random)})" if how == 1 else one


def span(random: Random) -> str:
    return random.choice(("principal.left", "principal.seen.toTime()", f'duration("{random.choice(SPANS)}")'))


def texts(random: Random) -> str:
    return "[" + ", ".join(text(random) for _ in range(random.randrange(1, 3))) + "]"


def atom(random: Random) -> str:
    compare = random.choice(("<", "<=", ">", ">=", "==", "!="))
    atoms = (
        lambda: "principal.flag",
        lambda: f"principal has {random.choice(('flag', 'level', 'name', 'seen', 'nothing'))}",
        lambda: f"context.request has {random.choice(('acr', 'address', 'auth_age', 'binding'))}",
        lambda: f"{number(random)} {compare} {number(random)}",
        lambda: f"{text(random)} {random.choice(('==', '!='))} {text(random)}",
        lambda: f'{text(random)} like "{random.choice(("*", "a*", "*b", "a*b*", "*a*"))}"',
        lambda: f"{moment(random)} {compare} {moment(random)}",
        lambda: f"{span(random)} {compare} {span(random)}",
        lambda: f"principal.seen.durationSince({moment(random)}) < {span(random)}",
        lambda: f"principal.tags.contains({text(random)})",
        lambda: f"principal.tags.{random.choice(('containsAll', 'containsAny'))}({texts(random)})",
        lambda: f"{texts(random)}.contains({text(random)})",
        lambda: "principal.tags.isEmpty()",
        lambda: f"principal.ranks.contains({number(random)})",
        lambda: f'principal.price.{random.choice(("lessThan", "greaterThanOrEqual"))}(decimal("1.5"))',
        lambda: f'principal.home.isInRange(ip("{random.choice(IPS)}"))',
        lambda: f'principal.home == ip("{random.choice(IPS)}")',
        lambda: f"principal.home.{random.choice(('isIpv4', 'isIpv6', 'isLoopback', 'isMulticast'))}()",
        lambda: f'principal in Group::"{random.choice(("g1", "g2"))}"',
        lambda: f'principal in [Group::"g1", User::"{random.choice(("alice", "bob"))}"]',
        lambda: f'principal == User::"{random.choice(("alice", "bob"))}"',
        lambda: f"principal is {random.choice(('User', 'Agent'))}",
        lambda: f'resource in Audience::"{random.choice(("payments", "other"))}"',
        lambda: f'(if principal.flag then {text(random)} else {text(random)}) == {text(random)}',
    )  # fmt: skip
    return random.choice(atoms)()


def facts(random: Random) -> Situation:
    every: dict[str, Any] = {
        "flag": random.random() < 0.5,
        "level": random.choice(LONGS),
        "name": random.choice(STRINGS),
        "tags": frozenset(random.sample(STRINGS, random.randrange(3))),
        "ranks": frozenset(random.sample((0, 1, 7, 50), random.randrange(3))),
        "price": Decimal4(random.choice((0, 14_999, 15_000, -1, LONG_MAX))),
        "home": read_ip(random.choice(IPS)),
        "seen": Datetime(random.choice((NOW, 0, -1, LONG_MAX, LONG_MIN))),
        "left": Duration(random.choice((0, 1_500, -1_500, 7_999, -7_999, 7_000, 86_400_000, LONG_MAX, LONG_MIN))),
    }
    lacking = random.sample(sorted(every), random.choice((0, 0, 1, 3)))
    known = random.random() < 0.9
    attrs = {name: value for name, value in every.items() if known and name not in lacking}
    held = frozenset(EntityUid("Group", name) for name in ("g1", "g2", "g3") if known and random.random() < 0.5)
    age = random.choice((None, -5, 0, 1_999, 60_000))
    question = asking(
        acr=random.choice(("", "a", "phr")), authenticated_at=None if age is None else NOW - age,
        address=random.choice(("", "10.0.0.1")),
    )  # fmt: skip
    request: dict[str, Any] = {
        "time": Datetime(NOW), "grant": question.grant, "environment": "production", "method": question.method,
        "amr": frozenset(),
    }  # fmt: skip
    request |= {"acr": question.acr} if question.acr else {}
    request |= {"auth_age": max(0, age) // 1000} if age is not None else {}
    request |= {"address": read_ip(question.address)} if question.address else {}
    context: dict[str, Any] = {
        "request": Record(request),
        "client": Record({"id": "app", "kind": "service", "owner": "o", "principal": "Workload"}),
        "chain": Record({"depth": 0, "actors": frozenset()}),
        "subject": Record({"type": "User", "id": "alice"}),
    }
    reading = {"subject/all": Reading("present" if known else "missing", NOW)}
    alice = Entity(EntityUid("User", "alice"), Record(attrs), held)
    return Situation(question, Facts(subject=alice, context=Record(context), readings=reading), NOW)


def compare(random: Random) -> set[str]:
    """The truths that came about."""
    bundle, prover = company()
    question = prover._make(_Case(("pay:read",), "User", Shape(())))
    request, granting = question.requests[0], question.grantings[0]
    seen: set[str] = set()
    for number_ in range(EACH):
        source = f'@id("r") permit (principal, action, resource) when {{ {condition(random)} }};'
        rule = next(iter(compile_rules([("r.cedar", source)], scopes={"pay:read": "payments"}).rules.values()))
        found = facts(random)
        world = World(found.facts.subject, ISSUE, bundle.plans.scope("pay:read").resource, found.facts.context)
        truth = truth_of(rule, world)
        translator = granting.translator(ISSUE, request.subject)
        outcome = translator.rule(rule.template)
        assert not translator.left_open, translator.left_open
        pins = [*pinned(request, found), *request.axioms(), *prover._symbols.axioms()]
        assert under(outcome.true, pins) == (truth == "true"), (number_, source, found)
        assert under(outcome.fault, pins) == (truth == "fault"), (number_, source, found)
        seen.add(truth)
    return seen


@settings(max_examples=SEEDS)
@given(st.integers(0, 2**64))
def test_a_rule_and_its_formula_agree(seed: int) -> None:
    compare(Random(seed))


def test_the_random_rules_are_true_false_and_faulty() -> None:
    assert set().union(*(compare(Random(seed)) for seed in range(5))) == {"true", "false", "fault"}
