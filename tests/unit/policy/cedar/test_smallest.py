"""The smallest change of facts that makes a rule hold: found, tried, and no larger than it has to be."""

from __future__ import annotations

import pytest

from mintwarden.model.values import Decimal4, EntityUid, Record
from mintwarden.policy.cedar.change import Change, apply_changes
from mintwarden.policy.cedar.oracle import ask
from mintwarden.policy.cedar.smallest import smallest_change, smallest_change_for
from tests.unit.policy.cedar.asking import FACTS, OPS, question, rule_when, rules_of

CHANGES: dict[str, list[str] | None] = {
    "principal.active": [],
    "principal.blocked": ["principal.blocked = true"],
    "!principal.active": ["principal.active = false"],
    "principal.level > 5": ["principal.level = 6"],
    "principal.level >= 7 && principal.level < 9": ["principal.level = 7"],
    "principal.level > 5 && principal.level != 6": ["principal.level = anything else, such as 7"],
    "principal.level < 2": ["principal.level = 1"],
    "5 < principal.level": ["principal.level = 6"],
    "principal.level + 2 == 10": ["principal.level = 8"],
    "3 * principal.level - 1 == 8": ["principal.level = 3"],
    "-principal.level == 3": ["principal.level = -3"],
    'principal.department == "hr"': ['principal.department = "hr"'],
    'principal.department != "finance"': ['principal.department = anything else, such as ""'],
    'principal.department like "h*r"': ['principal.department = "hr"'],
    '!(principal.department like "f*")': ['principal.department = anything else, such as ""'],
    '["hr", "it"].contains(principal.department)': ['principal.department = "hr"'],
    '!["finance"].contains(principal.department)': ['principal.department = anything else, such as ""'],
    'principal.tenants.contains("t9")': ['principal.tenants gains "t9"'],
    '!principal.tenants.contains("t1")': ['principal.tenants loses "t1"'],
    'principal.tenants.containsAll(["t1", "t8", "t9"])': [
        'principal.tenants gains "t8"',
        'principal.tenants gains "t9"',
    ],
    '!principal.tenants.containsAll(["t1", "t2"])': ['principal.tenants loses "t1"'],
    'principal.tenants.containsAny(["t8", "t9"])': ['principal.tenants gains "t8"'],
    '!principal.tenants.containsAny(["t1", "t2"])': [
        'principal.tenants loses "t1"',
        'principal.tenants loses "t2"',
    ],
    '["t1"].containsAll(principal.tenants)': ['principal.tenants loses "t2"'],
    '["t8", "t9"].containsAny(principal.tenants)': ['principal.tenants gains "t8"'],
    '!["t1", "t2"].containsAll(principal.tenants)': ['principal.tenants gains "something else"'],
    '!["t1"].containsAny(principal.tenants)': ['principal.tenants loses "t1"'],
    "principal.tenants.isEmpty()": ["principal.tenants = []"],
    "!principal.missing.isEmpty()": ['principal.missing = [""]'],
    'principal.roles.contains("x")': ['principal.roles gains "x"'],
    '!principal.roles.contains("x")': ["principal.roles = []"],
    'principal in Group::"ops"': ['principal joins Group::"ops"'],
    '!(principal in Group::"staff")': ['principal leaves Group::"staff"'],
    'principal in [Group::"ops", Group::"risk"]': ['principal joins Group::"ops"'],
    'principal.manager in Group::"ops"': ['principal.manager = Group::"ops"'],
    "principal.manager == principal": ['principal.manager = User::"alice"'],
    "principal.self != principal": ['principal.self = anything else, such as User::"alice or other"'],
    'principal is User in Group::"ops"': ['principal joins Group::"ops"'],
    "principal has rank": ["principal.rank is present"],
    "principal is Workload": None,
    'principal == User::"bob"': None,
    "resource.rank > 5": None,
    "false": None,
    "principal.active && !principal.active": None,
    "context has world": ["context.world is present"],
    "context has world && context.world.frozen": ["context.world.frozen = true"],
    "!(context has session) || context.session.risk < 5": ["context.session.risk = 4"],
    "!(context has session)": ["context.session is absent"],
    "context.session.risk < principal.level": ["context.session.risk = 4"],
    "principal.level > 9 || principal.department == \"hr\"": ['principal.department = "hr"'],
    "(principal.level > 9 && principal.blocked) || context.session.risk < 5": ["context.session.risk = 4"],
    "if principal.blocked then true else principal.level > 5": ["principal.blocked = true"],
    "(if principal.blocked then principal.level else principal.rank) == 3": ["principal.rank = 3"],
    "principal.limit.greaterThan(decimal(\"2.5\"))": ['principal.limit = decimal("2.5001")'],
    "principal.limit.lessThanOrEqual(decimal(\"1.0\"))": ['principal.limit = decimal("1.0")'],
    'principal.text == "x" && decimal(principal.text) == decimal("1.5")': None,
    'decimal(principal.text) == decimal("1.5")': ['principal.text = "1.5000"'],
    'ip(principal.text).isInRange(ip("10.0.0.0/8"))': ['principal.text = "10.0.0.0/8"'],
    'duration(principal.text) == duration("90m")': ['principal.text = "1h30m"'],
    'datetime(principal.text) == datetime("2026-11-24")': ['principal.text = "2026-11-24T00:00:00Z"'],
    'principal.address.isInRange(ip("192.0.2.0/24"))': ['principal.address = ip("192.0.2.0/24")'],
    '!principal.address.isInRange(ip("10.0.0.0/8"))': ['principal.address = anything else, such as ip("192.0.2.1")'],
    "principal.address.isLoopback()": ['principal.address = ip("127.0.0.1")'],
    "principal.address.isIpv6()": ['principal.address = ip("2001:db8::1")'],
    "principal.address.isMulticast()": ['principal.address = ip("224.0.0.1")'],
    'context.request.time < datetime("2026-01-01")': [
        'context.request.time = datetime("2025-12-31T23:59:59.999Z")',
    ],
    'context.request.time.toTime() < duration("2h")': [
        'context.request.time = datetime("2026-11-18T01:59:59.999Z")',
    ],
    'context.request.time.toDate() == datetime("2026-11-24")': ['context.request.time = datetime("2026-11-24T00:00:00Z")'],
    'context.request.time.durationSince(principal.joined) < duration("1d")': [
        'principal.joined = datetime("2026-11-17T11:06:40.001Z")',
    ],
    'principal.joined.offset(duration("1d")) > context.request.time': [
        'principal.joined = datetime("2026-11-17T11:06:40.001Z")',
    ],
    "principal.shift.toHours() >= 8": ['principal.shift = duration("8h")'],
    "principal.home.rooms > 3": ["principal.home.rooms = 4"],
    '{a: principal.department}.a == "hr"': ['principal.department = "hr"'],
    'context.request.environment == "staging"': ['context.request.environment = "staging"'],
    "(!principal.active) == true": ["principal.active = false"],
    "principal.active != true": ["principal.active = anything else, such as false"],
    "context.missing.deep || principal.blocked": ["context.missing.deep = true"],
    "principal.level > 9223372036854775807": None,
    'principal.limit.greaterThan(decimal("922337203685477.5807"))': None,
    "principal.shift.toDays() == 106751991168": None,
    "principal.level == true": ["principal.level = true"],
    "principal.hasTag(\"x\")": None,
    "principal.department < 5": ["principal.department = 4"],
}  # fmt: skip


@pytest.mark.parametrize("expression", CHANGES)
def test_the_smallest_change(expression: str) -> None:
    rule, _ = rule_when(expression)
    found = smallest_change(rule, question())
    assert (None if found is None else [change.text for change in found]) == CHANGES[expression]
    if found is not None:
        changed = apply_changes(question(), found)
        assert changed is not None
        assert ask(rule, changed)


def test_several_unmet_conditions_are_all_changed_and_no_more() -> None:
    rule, _ = rule_when(
        'principal in Group::"ops" && principal.level >= 7 && principal.active && context.session.risk < 5'
        ' && principal.tenants.contains("t3") && (principal.blocked || principal.department == "finance")'
    )
    found = smallest_change(rule, question())
    assert found is not None
    assert [change.text for change in found] == [
        "context.session.risk = 4",
        'principal joins Group::"ops"',
        "principal.level = 7",
        'principal.tenants gains "t3"',
    ]


def test_a_forbid_can_be_made_not_to_hold_while_a_permit_does() -> None:
    made = rules_of(
        """
        @id("p") permit(principal, action, resource == Scope::"hr:read") when { principal.level > 6 };
        @id("f") forbid(principal, action, resource) when { principal.active && principal.department == "finance" };
        """
    )
    found = smallest_change_for([(made.rules["p"], True), (made.rules["f"], False)], question())
    assert found is not None
    assert [change.text for change in found] == ["principal.active = false", "principal.level = 7"]


def test_a_forbid_without_conditions_cannot_be_turned() -> None:
    made = rules_of('@id("f") forbid(principal, action, resource);')
    assert smallest_change_for([(made.rules["f"], False)], question()) is None


def test_the_caller_may_insist_on_more() -> None:
    rule, _ = rule_when("principal.level > 5 || principal.blocked")
    found = smallest_change(rule, question(), check=lambda world, _: world.principal.attrs["level"] == 5)
    assert found == (Change("set", ("principal", "blocked"), True),)


def test_a_change_that_cannot_be_made_is_none() -> None:
    assert apply_changes(question(), [Change("add", ("principal", "level"), "x")]) is None
    assert apply_changes(question(), [Change("remove", ("principal", "level"), "x")]) is None
    assert apply_changes(question(), [Change("set", ("principal", "level", "x"), "x")]) is None
    assert apply_changes(question(), [Change("join", ("principal", "<groups>"), "x")]) is None


def test_changes_are_made_on_a_copy() -> None:
    asked = question()
    changes = [
        Change("set", ("context", "fresh", "inner"), 1),
        Change("unset", ("context", "session", "risk")),
        Change("join", ("principal", "<groups>"), OPS),
        Change("set", ("principal", "limit"), Decimal4(1)),
    ]
    changed = apply_changes(asked, changes)
    assert changed is not None
    assert changed.context["fresh"] == Record(inner=1)
    assert changed.context["session"] == Record()
    assert OPS in changed.principal.ancestors
    assert changed.principal.attrs["limit"] == Decimal4(1)
    assert asked == question()
    assert asked.principal.attrs == FACTS


def test_facts_are_changed_rather_than_who_is_asking() -> None:
    rule, _ = rule_when('context.client.id == "batch" || context.request.purpose == "x" || principal.level > 5')
    found = smallest_change(rule, question(context=Record(client=Record(id="web"), request=Record(purpose=""))))
    assert found is not None
    assert [change.text for change in found] == ["principal.level = 6"]
    assert Change("set", ("context", "client", "id"), "batch").cost > Change("set", ("context", "request", "x"), 1).cost
    assert Change("set", ("context",), EntityUid("a", "b")).cost == 2
