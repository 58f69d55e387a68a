"""Rules against the catalogue, beyond what `test_problem` names one by one."""

from __future__ import annotations

import pytest

R, S, B = "rules/orders.cedar", "sources.toml", "bundle.toml"
APPROVALS = (
    S,
    "",
    '\n[sources.desk]\nkind = "store"\nabout = ["User"]\n[sources.desk.facts]\napprovals = "set<string>"\n',
)


def _rule(condition: str, head: str = "principal is User") -> tuple[str, str, str]:
    return (
        R,
        "",
        f"""
@id("more")
@owner("o")
@reason("r")
permit ({head}, action == Action::"issue", resource == Scope::"orders:read") when {{ {condition} }};
""",
    )


@pytest.mark.parametrize(
    "condition",
    [
        'if resource.tier == "low" then true else !(resource.name like "orders:*")',
        'resource in [Scope::"orders:read", Scope::"orders:write"] && resource in Audience::"orders" && principal is User in Group::"x"',
        '["production", "staging"].contains(context.request.environment) && context.client.id == "anyone"',
        '{ a: 1, b: [principal.department] }.a == -(-1) && "low" == resource.tier',
        'resource.audience == "orders" && principal.tenants.containsAny(["a", "b"]) ',
    ],
)
def test_a_rule_that_names_only_what_there_is(condition, loaded):
    assert "more" in loaded(_rule(condition)).rules.rules


@pytest.mark.parametrize(
    ("condition", "message", "remedy"),
    [
        ('["prod"].contains(context.request.environment)', "can never be `prod`", "`production`"),
        ('context.request has purpose && context.request.purpose == "fun"', "can never be `fun`", "declare it"),
        ('resource.audience == "order"', "can never be `order`", "`orders`"),
        ('resource.name != "orders:rea"', "can never be `orders:rea`", "`orders:read`"),
        ('resource in Audience::"x"', "unknown audience `x`", "`orders`"),
        ('resource.owner == "x"', "a `Scope` has no `owner`", "known are"),
        ('principal.department == 1', "", ""),
        ('context.request.foo == "x"', "no source provides `context.request.foo`", "declare it in"),
    ],
)  # fmt: skip
def test_a_rule_that_names_what_there_is_not(condition, message, remedy, refused):
    problems = refused(_rule(condition))
    assert any(message in problem.message and remedy in problem.remedy for problem in problems), problems


def test_several_purposes_may_be_required(loaded, refused):
    purposes = (B, "[tiers.low]", '[purposes.one]\nmeaning = "x"\n[purposes.two]\nmeaning = "y"\n[tiers.low]')
    rule = (R, '@require_amr("mfa")', '@require_purpose("one two")')
    assert loaded(purposes, rule).rules.rules["orders-write-desk"].annotations["require_purpose"] == "one two"
    assert any(
        "unknown purpose `two`" in p.message for p in refused((B, purposes[1], purposes[2].replace("two", "too")), rule)
    )


def test_an_approval_needs_a_fact_and_one_word(loaded, refused):
    rule = (R, '@require_amr("mfa")', '@require_approval("manager")')
    assert loaded(APPROVALS, rule)
    assert any("one kind" in p.message for p in refused(APPROVALS, (R, rule[1], '@require_approval("a b")')))
    wrong = (APPROVALS[0], "", APPROVALS[2].replace("set<string>", "string"))
    assert any("`approvals`" in p.message for p in refused(wrong, rule))


@pytest.mark.parametrize("name", ["require_acr", "require_amr", "require_purpose"])
def test_an_obligation_says_something(name, refused):
    problems = refused((R, '@require_amr("mfa")', f'@{name}(" ")'))
    assert [problem.message for problem in problems] == [f"rule `orders-write-desk`: `@{name}` says nothing"]


def test_a_permit_for_an_audience_is_a_route_to_each_of_its_scopes(loaded):
    scope = ("audiences/orders.toml", "", '\n[scopes."orders:void"]\nmeaning = "Void."\ntier = "high"\n')
    rule = (
        R,
        "",
        '@id("all")\n@owner("o")\n@reason("r")\npermit (principal is User, action, resource in Audience::"orders");\n',
    )
    assert loaded(scope, rule)


def test_a_permit_to_act_is_no_route(refused):
    scope = ("audiences/orders.toml", "", '\n[scopes."orders:void"]\nmeaning = "Void."\ntier = "high"\n')
    assert [problem.message for problem in refused(scope)] == ["no rule can grant scope `orders:void`"]


def test_a_bundle_without_rules_grants_nothing_and_says_so(starter, refused):
    problems = refused((R, starter[R], ""))
    assert {p.message for p in problems} == {f"no rule can grant scope `orders:{name}`" for name in ("read", "write")}


def test_cedars_own_hint_becomes_the_remedy(refused):
    problems = refused((R, 'Group::"order-desk" ||', 'Grop::"order-desk" ||'))
    assert any("unknown entity type `Grop`" in p.message and "`Group`" in p.remedy for p in problems)
