"""Scenarios: what they give, what they expect, and how a difference reads."""

from __future__ import annotations

import operator
from typing import Any

import pytest

from mintwarden.policy.cedar.operators import STANDARD
from mintwarden.policy.cedar.rules import compile_rules
from mintwarden.review.scenarios import ScenarioResult, run_scenarios

T, R, A, S = "tests/orders.toml", "rules/orders.cedar", "audiences/orders.toml", "sources.toml"


def _scenario(given: str = "", expect: str = 'granted = ["orders:read"]', facts: str = "") -> tuple[str, str, str]:
    """One more scenario: the export at night, with additions."""
    return (
        T,
        "",
        f"""
[[scenario]]
id = "one"
why = "to see"
[scenario.given]
{given or 'client = "order-export"'}
audience = "orders"
now = "2026-11-24T02:30:00Z"
{facts}
[scenario.expect]
{expect}
""",
    )


ADA = """client = "shop-web"
grant = "token_exchange"
subject = 'User::"ada"'
"""
ACTS = "actors = ['Workload::\"shop-web\"']\n"


def _run(bundle: Any) -> ScenarioResult:
    return next(result for result in run_scenarios(bundle) if result.id == "one")


def _differences(bundle: Any) -> list[str]:
    return [str(difference) for difference in _run(bundle).differences]


def test_the_starters_scenarios_pass(loaded):
    results = run_scenarios(loaded())
    assert [result.id for result in results if not result.passed] == []
    assert len(results) == 4
    assert results[0].line > 0


def test_what_was_not_granted_is_named_with_its_reason(loaded):
    expect = 'granted = ["orders:read", "orders:write"]'
    given = 'client = "order-export"\nscopes = ["orders:read", "orders:write"]'
    assert _differences(loaded(_scenario(given, expect))) == [
        'granted: expected ["orders:read","orders:write"], got ["orders:read"] (orders:write client_ceiling)'
    ]


def test_what_was_granted_and_should_not_be_is_named_with_its_route(loaded):
    given = 'client = "order-export"\nscopes = ["orders:read"]'
    assert _differences(loaded(_scenario(given, 'granted = []\nrefused = { "orders:read" = "no_route" }'))) == [
        'granted: expected [], got ["orders:read"] (orders:read granted by orders-export-night)',
        "refused orders:read: expected no_route, got granted (orders:read granted by orders-export-night)",
    ]


def test_another_reason_is_a_difference(loaded):
    given = 'client = "order-export"\nscopes = ["orders:write"]'
    assert _differences(loaded(_scenario(given, 'granted = []\nrefused = { "orders:write" = "no_route" }'))) == [
        "refused orders:write: expected no_route, got client_ceiling (orders:write client_ceiling)"
    ]


def test_a_scope_that_was_not_asked_for_was_not_refused(loaded):
    assert _differences(loaded(_scenario(expect='refused = { "orders:write" = "no_route" }'))) == [
        "refused orders:write: expected no_route, got not asked for"
    ]


def test_unmet_obligations_are_named(loaded):
    given = f'{ADA}{ACTS}scopes = ["orders:write"]\namr = ["pwd"]'
    assert (
        "orders:write obligation_unmet: orders-write-desk, @require_amr(mfa)"
        in _differences(loaded(_scenario(given, 'granted = ["orders:write"]')))[0]
    )


@pytest.mark.parametrize(
    ("expect", "difference"),
    [
        ("claims = { can_write = true }", "claim can_write: expected true, got false"),
        ("claims = { can_write = 0 }", "claim can_write: expected 0, got false"),
        ('claims = { department = "x" }', 'claim department: expected "x", got absent'),
        ('absent_claims = ["can_write"]', "claim can_write: expected absent, got false"),
        ("lifetime = 60", "lifetime: expected 60s, got 300s by default:orders"),
        ('route = { "orders:read" = "x" }', "route of orders:read: expected x, got orders-export-night"),
        ('route = { "orders:write" = "x" }', "route of orders:write: expected x, got none"),
    ],
)
def test_everything_that_is_expected_is_compared(expect, difference, loaded):
    assert _differences(loaded(_scenario(expect=f'granted = ["orders:read"]\n{expect}'))) == [difference]


def test_the_bound_is_compared_and_every_bound_told(loaded):
    (difference,) = _differences(loaded(_scenario(expect='granted = ["orders:read"]\nbounded_by = "parent"')))
    assert difference.startswith("lifetime bounded by: expected parent, got default:orders (audience:orders 900s")


def test_a_refused_token_has_no_lifetime(loaded):
    given = 'client = "order-export"\nscopes = ["orders:write"]'
    expect = 'refused = { "orders:write" = "client_ceiling" }\nlifetime = 1\nbounded_by = "x"'
    assert _differences(loaded(_scenario(given, expect))) == [
        "lifetime: expected 1s, got none",
        "lifetime bounded by: expected x, got nothing",
    ]


def test_nothing_asked_for_means_the_defaults(loaded):
    decision = _run(loaded(_scenario())).decision
    assert decision.granted_scopes == ("orders:read",)


def test_an_exchange_without_an_actor_needs_the_client_to_act(loaded):
    """As in a real exchange: the client acts where no rule lets it stay hidden."""
    decision = _run(loaded(_scenario(ADA))).decision
    assert [str(actor) for actor in decision.actors] == ['Workload::"shop-web"']
    assert decision.granted_scopes == ("orders:read",)


def test_impersonation_needs_its_own_permit(loaded):
    rule = """@id("hide")
@owner("o")
@reason("r")
permit (principal == Workload::"shop-web", action == Action::"impersonate", resource in Audience::"orders");
"""
    assert _run(loaded((R, "", rule), _scenario(ADA))).decision.actors == ()


def test_without_impersonation_and_actors_nobody_acts(loaded):
    decision = _run(loaded(_scenario(f"{ADA}impersonate = false"))).decision
    assert decision.actors == ()


def test_a_parent_narrows_and_bounds(loaded):
    given = f'{ADA}{ACTS}scopes = ["orders:read", "orders:write"]\nparent_scopes = ["orders:read"]\nparent_expires_in = "90s"'
    expect = 'granted = ["orders:read"]\nrefused = { "orders:write" = "wider_than_parent" }\nlifetime = 90\nbounded_by = "parent"'
    assert _run(loaded(_scenario(given, expect))).passed


def test_a_parent_may_be_turned_into_what_it_carries(loaded):
    given = f'{ADA}{ACTS}scopes = ["orders:read"]\nparent_scopes = ["orders:write"]'
    assert _run(loaded(_scenario(given))).passed


def test_stale_missing_and_failing_facts_are_three_different_refusals(loaded):
    given = f'{ADA}{ACTS}scopes = ["orders:read"]'
    for state, reason in (
        ('age = "30h"', "fact_stale"),
        ('state = "missing"', "fact_missing"),
        ('state = "failing"', "source_failing"),
    ):
        facts = f'[scenario.given.facts."User:ada".directory]\nfacts = {{ department = "x", tenants = [] }}\n{state}'
        expect = f'granted = []\nrefused = {{ "orders:read" = "{reason}" }}'
        assert _differences(loaded(_scenario(given, expect, facts))) == []


def test_facts_of_another_type_are_the_scenarios_mistake(loaded):
    facts = '[scenario.given.facts."User:ada".directory]\nfacts = { department = 7, tenants = [] }'
    given = f'{ADA}{ACTS}scopes = ["orders:read"]'
    first = _differences(loaded(_scenario(given, facts=facts)))[0]
    assert first.startswith("facts of subject/directory: expected a document of the declared types, got ")


def test_the_end_of_an_earlier_token_bounds_alone(loaded):
    given = f'{ADA}{ACTS}scopes = ["orders:read"]\nparent_expires_in = "60s"'
    assert _run(loaded(_scenario(given, 'granted = ["orders:read"]\nbounded_by = "parent"'))).passed


@pytest.mark.parametrize("hired", ["2020-01-02", "2020-01-02T00:00:00"])
def test_a_date_alone_is_a_datetime_and_one_without_its_zone_is_not(hired, loaded):
    source = (S, 'tenants = "set<string>"', 'tenants = "set<string>"\nhired = { type = "datetime", optional = true }')
    facts = f'[scenario.given.facts."User:ada".directory]\nfacts = {{ department = "support", tenants = [], hired = {hired} }}'
    given = f'{ADA}{ACTS}scopes = ["orders:read"]'
    assert _run(loaded(source, _scenario(given, facts=facts))).passed is ("T" not in hired)


def test_spans_and_dates_are_as_in_the_directory(loaded):
    source = (S, 'tenants = "set<string>"', 'tenants = "set<string>"\nhired = { type = "datetime", optional = true }')
    facts = """[scenario.given.facts."User:ada".directory]
facts = { department = "x", tenants = ["north"], hired = 2020-01-02T00:00:00Z }
groups = ["order-desk"]
spans = { groups = { order-desk = ["", "2026-11-24T02:31:00Z"] } }
"""
    given = f'{ADA}{ACTS}scopes = ["orders:read"]'
    expect = 'granted = ["orders:read"]\nlifetime = 60\nbounded_by = "entitlement:groups/order-desk"'
    assert _differences(loaded(source, _scenario(given, expect, facts))) == []


def test_facts_of_a_token_and_of_a_session(loaded):
    sources = (
        S,
        "",
        """
[sources.sign-in]
kind = "token"
about = ["User"]
[sources.sign-in.facts]
level = "long"
[sources.session]
kind = "store"
about = ["session"]
[sources.session.facts]
budget = "long"
""",
    )
    rule = R, 'principal in Group::"order-desk" || ', "principal.level > 1 && context.session.budget > 0 && "
    facts = """session = "s1"
[scenario.given.facts."User:ada".sign-in]
facts = { level = 2 }
[scenario.given.facts."session:s1".session]
facts = { budget = 1 }
"""
    given = f'{ADA}{ACTS}scopes = ["orders:read"]'
    assert _differences(loaded(sources, rule, _scenario(given, facts=facts))) == []


def test_a_wrong_compiled_operator_is_seen(loaded):
    """The oracle: Cedar answers every scenario too."""
    bundle = loaded()
    wrong = {**STANDARD, "greater_eq": operator.lt}
    texts = [(R, (loaded_text := bundle.rules.rules["no-writing-at-risk"].text)), ("rules/rest.cedar", "")]
    assert loaded_text
    rest = "\n".join(rule.text for rule in bundle.rules.rules.values() if rule.id != "no-writing-at-risk")
    rules = compile_rules(
        [texts[0], ("rules/rest.cedar", rest)],
        scopes={name: scope.audience for name, scope in bundle.catalogue.scopes.items()},
        operators=wrong,
    )
    results = {result.id: result for result in run_scenarios(bundle.with_rules(rules))}
    differences = [str(difference) for difference in results["desk-at-risk"].differences]
    assert any("what Cedar says" in difference and "report this" in difference for difference in differences)


def test_another_expected_claim_list_in_another_order_is_the_same(loaded):
    claim = '\n[claims.tenants]\ntype = "set<string>"\nsource = "directory"\nfrom = "subject.tenants"\n'
    facts = '[scenario.given.facts."User:ada".directory]\nfacts = { department = "support", tenants = ["b", "a"] }'
    given = f'{ADA}{ACTS}scopes = ["orders:read"]'
    bundle = loaded(
        ("claims.toml", "", claim),
        (A, 'tenant = "*"', 'tenant = "*"\ntenants = "*"'),
        _scenario(given, 'granted = ["orders:read"]\nclaims = { tenants = ["b", "a"] }', facts),
    )
    assert _differences(bundle) == []
