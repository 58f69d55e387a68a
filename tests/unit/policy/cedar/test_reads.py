"""What a rule reads, and which entitlements it leans on."""

from __future__ import annotations

import pytest

from tests.unit.policy.cedar.asking import rule_when, rules_of

READS = {
    "true": set(),
    'principal == User::"alice"': set(),
    "principal.level > 5": {"principal.level"},
    'principal.home.city == "Delft"': {"principal.home.city", "principal.city"},
    "principal has level": {"principal.level"},
    "principal has home.city": {"principal.home", "principal.home.city", "principal.city"},
    'principal in Group::"staff"': {"principal.<groups>"},
    'principal is User in Group::"staff"': {"principal.<groups>"},
    "principal is User": set(),
    'context.peer in Group::"staff"': {"context.peer", "principal.<groups>"},
    'resource in Audience::"payments" && resource.tier == "low"': set(),
    'action == Action::"issue"': set(),
    "context.session.risk < 50": {"context.session.risk"},
    "context has session && context.session has risk": {"context.session", "context.session.risk"},
    "context.session.user.level > 1": {"context.session.user.level", "principal.level"},
    "context == {}": {"context"},
    'principal.tenants.contains(context["request"]["tenant"])': {"principal.tenants", "context.request.tenant"},
    "(if context.a then principal else resource).level > 5": {"context.a", "principal.level"},
    "(if context.a then principal else resource) has level": {"context.a", "principal.level"},
    "{a: principal.level}.a == 1": {"principal.level", "principal.a"},
    'principal.name like "a*" || !principal.active': {"principal.name", "principal.active"},
    "[principal.level, 1].contains(context.x)": {"principal.level", "context.x"},
    "-principal.level < 1": {"principal.level"},
    "context.x is User": {"context.x"},
}


@pytest.mark.parametrize("expression", READS)
def test_reads(expression: str) -> None:
    rule, _ = rule_when(expression)
    assert rule.reads == READS[expression]


LEANS: dict[str, dict[str, set[str] | None]] = {
    "true": {},
    'principal.roles.contains("a") && principal.roles.containsAny(["b", "c"])': {"roles": {"a", "b", "c"}},
    'principal.roles.containsAll(["a"])': {"roles": {"a"}},
    "principal.ranks.contains(3)": {"ranks": {"3"}},
    "principal.roles.contains(context.request.tenant)": {"roles": None},
    'principal.roles.contains("a") || principal.roles.contains(context.x)': {"roles": None},
    'principal.roles == ["a"]': {"roles": None},
    '["a"].containsAll(principal.roles)': {"roles": None},
    "principal has roles": {},
    "principal.roles.isEmpty()": {"roles": None},
    'principal.home.roles.contains("a")': {"home": None},
    "principal.level > 5": {"level": None},
    'principal in Group::"a" || principal in [Group::"b", Group::"c"]': {"groups": {"a", "b", "c"}},
    "principal in context.groups": {"groups": None},
    'principal is User in Group::"a"': {"groups": {"a"}},
    'context.peer in Group::"a"': {"groups": {"a"}},
    'resource in Audience::"payments"': {},
    'context.roles.contains("a")': {},
    '(if context.a then principal else resource).roles.contains("a")': {"roles": None},
    "context has a && principal has home.roles": {"home": None},
}


@pytest.mark.parametrize("expression", LEANS)
def test_leans_on(expression: str) -> None:
    rule, _ = rule_when(expression)
    assert rule.leans_on == LEANS[expression]


def test_heads_read_and_lean_too() -> None:
    made = rules_of(
        '@id("r") permit(principal in Group::"staff", action, resource == Scope::"hr:read") unless { principal.blocked };'
    )
    assert made.rules["r"].reads == {"principal.<groups>", "principal.blocked"}
    assert made.rules["r"].leans_on == {"groups": {"staff"}, "blocked": None}


def test_a_slice_reads_what_its_rules_for_that_principal_read() -> None:
    made = rules_of(
        """
        @id("a") permit(principal is User, action, resource == Scope::"hr:read") when { principal.level > 1 };
        @id("b") permit(principal is Workload, action, resource in Audience::"hr") when { principal.image == "x" };
        @id("c") permit(principal == Agent::"x", action, resource in Audience::"hr") when { principal.model == "x" };
        @id("d") forbid(principal, action, resource) when { context has world && context.world.frozen };
        """
    )
    part = made.slice("issue", "hr:read")
    everywhere = {"context.world", "context.world.frozen"}
    assert part.reads("User") == {"principal.level", *everywhere}
    assert part.reads("Workload") == {"principal.image", *everywhere}
    assert part.reads("Agent") == {"principal.model", *everywhere}
    assert made.slice("issue", "payments:read").reads("User") == everywhere
    assert [rule.id for rule in part.rules_for("Agent")] == ["c", "d"]
