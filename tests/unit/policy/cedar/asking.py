"""One question, asked of one rule in three ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mintwarden.model.values import Datetime, Decimal4, Duration, Entity, EntityUid, Record
from mintwarden.policy.cedar.faults import Fault
from mintwarden.policy.cedar.literals import read_ip
from mintwarden.policy.cedar.operators import STANDARD, Operators, World
from mintwarden.policy.cedar.oracle import ask
from mintwarden.policy.cedar.rules import Rule, RuleSet, compile_rules
from mintwarden.policy.cedar.walk import truth_of

SCOPES = {"payments:read": "payments", "payments:write": "payments", "hr:read": "hr"}
ISSUE = EntityUid("Action", "issue")
ALICE = EntityUid("User", "alice")
STAFF, OPS = EntityUid("Group", "staff"), EntityUid("Group", "ops")

FACTS: Mapping[str, Any] = {
    "active": True,
    "blocked": False,
    "level": 5,
    "department": "finance",
    "tenants": frozenset({"t1", "t2"}),
    "numbers": frozenset({1, 2}),
    "flags": frozenset({True}),
    "limit": Decimal4(15_000),
    "joined": Datetime(1_700_000_000_000),
    "shift": Duration(3_600_000),
    "address": read_ip("10.1.2.3"),
    "self": ALICE,
    "manager": EntityUid("User", "bob"),
    "home": Record(city="Delft", rooms=3),
    "units": frozenset({Duration(1)}),
}
CONTEXT = Record(
    request=Record(environment="production", time=Datetime(1_795_000_000_000), address=read_ip("192.0.2.7/24")),
    session=Record(risk=10),
    actors=frozenset({"Agent:refunds"}),
    nested=Record(deep=Record(value="x")),
)


def question(
    facts: Mapping[str, Any] = FACTS, context: Record = CONTEXT, groups: tuple[EntityUid, ...] = (STAFF,)
) -> World:
    resource = Entity(
        EntityUid("Scope", "payments:read"),
        {"name": "payments:read", "audience": "payments", "tier": "low", "rank": 0},
        frozenset({EntityUid("Audience", "payments")}),
    )
    return World(Entity(ALICE, facts, frozenset(groups)), ISSUE, resource, context)


def rules_of(text: str, operators: Operators = STANDARD) -> RuleSet:
    made = compile_rules([("rules/a.cedar", text)], scopes=SCOPES, operators=operators)
    assert made.problems == ()
    return made


def rule_when(expression: str, operators: Operators = STANDARD) -> tuple[Rule, RuleSet]:
    made = rules_of(
        f'@id("r") permit(principal, action, resource == Scope::"payments:read") when {{ {expression} }};', operators
    )
    return made.rules["r"], made


def answers(expression: str, world: World | None = None) -> dict[str, str]:
    """What the compiled rule, the walk and Cedar say: `true`, `false` or `fault`."""
    asked = world or question()
    rule, made = rule_when(expression)
    permits, _, faulted = made.slice("issue", "payments:read").evaluate(*asked)
    try:
        cedars = "true" if ask(rule, asked) else "false"
    except Fault:
        cedars = "fault"
    return {
        "compiled": "true" if permits else "fault" if faulted else "false",
        "walk": truth_of(rule, asked),
        "cedar": cedars,
    }
