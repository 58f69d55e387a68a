"""Mutants: what is changed, and whether the scenarios notice."""

from __future__ import annotations

from mintwarden.policy.bundle.load import load_bundle
from mintwarden.policy.cedar.rules import RuleSet, compile_rules
from mintwarden.review.mutants import run_mutants
from mintwarden.review.mutate import mutants_of
from mintwarden.review.scenarios import run_scenarios
from mintwarden.review.watch import watch_scenarios
from tests.unit.review.conftest import STARTER

T = "tests/orders.toml"


def _mutants(text: str, *, effect: str = "permit", notes: str = "") -> list[tuple[str, str]]:
    source = f'@id("r")\n{notes}\n{effect} (principal is User, action, resource == Scope::"s") {text};'
    rules = compile_rules([("r.cedar", source)], scopes={"s": "a"})
    assert rules.problems == ()
    return [(mutant.way, mutant.what) for mutant in mutants_of(rules.rules["r"])]


def _killers(bundle) -> dict[str, str]:
    return {one.mutant.text: one.killed_by for one in run_mutants(bundle, tuple(watch_scenarios(bundle)))}


def test_every_condition_is_negated_and_dropped_from_a_permit():
    assert _mutants("when { principal.a && (principal.b || !principal.c) }") == [
        ("negated", "`principal.a`"),
        ("dropped", "`principal.a`"),
        ("negated", "`principal.b`"),
        ("negated", "`principal.c`"),
        ("dropped", "`principal.b || !principal.c`"),
    ]


def test_a_forbid_keeps_its_conditions_or_goes():
    assert _mutants("when { principal.a }", effect="forbid") == [("negated", "`principal.a`"), ("removed", "")]


def test_thresholds_move_to_their_other_edge():
    assert ("moved", "`principal.a < 3`") in _mutants("when { principal.a < 3 }")
    assert ("moved", '`principal.a.lessThan(decimal("1.0"))`') in _mutants(
        'when { principal.a.lessThan(decimal("1.0")) }'
    )
    assert [way for way, _ in _mutants("when { principal.a == 3 }")] == ["negated", "dropped"]


def test_a_guard_is_not_dropped_and_a_question_of_its_own_is():
    assert ("dropped", "`principal has a`") not in _mutants("when { principal has a && principal.a > 3 }")
    assert ("dropped", "`principal has a`") in _mutants("when { principal has a && (principal.b || principal.a > 3) }")
    assert ("dropped", "`principal has a`") in _mutants("when { principal has a }")


def test_obligations_are_dropped():
    assert _mutants("", notes='@require_acr("phr") @require_approval("manager")') == [
        ("dropped", '`@require_acr("phr")`'),
        ("dropped", '`@require_approval("manager")`'),
    ]


def test_spans_of_time_are_a_second_longer():
    assert _mutants("", notes='@max_ttl("5m") @require_auth_age("1h")') == [
        ("dropped", '`@require_auth_age("1h")`'),
        ("moved", '`@require_auth_age("1h")` (to `3601s`)'),
        ("dropped", '`@max_ttl("5m")`'),
        ("moved", '`@max_ttl("5m")` (to `301s`)'),
    ]


def test_a_binding_becomes_any_and_several_words_lose_one():
    assert _mutants("", notes='@require_binding("dpop") @require_acr("mfa phr")') == [
        ("dropped", '`@require_binding("dpop")`'),
        ("moved", '`@require_binding("dpop")` (to `any`)'),
        ("dropped", '`@require_acr("mfa phr")`'),
        ("moved", '`@require_acr("mfa phr")` (to `phr`)'),
        ("moved", '`@require_acr("mfa phr")` (to `mfa`)'),
    ]
    assert _mutants("", notes='@require_binding("any")') == [("dropped", '`@require_binding("any")`')]


def test_a_mutants_text_means_what_its_tree_means(loaded):
    bundle = loaded()
    scopes = {name: scope.audience for name, scope in bundle.catalogue.scopes.items()}
    watched = tuple(watch_scenarios(bundle))
    for rule in bundle.rules.rules.values():
        for mutant in mutants_of(rule):
            others = [other for other in bundle.rules.rules.values() if other is not rule]
            rules = RuleSet([*others, *([mutant.changed] if mutant.changed else [])], scopes=scopes)
            changed = bundle.with_rules(rules)
            for one in watched:
                assert one.under(changed.on_compiled()) == one.under(changed.on_cedar()), mutant.text


def test_what_the_starters_scenarios_notice(loaded):
    killers = _killers(loaded())
    assert killers["no-writing-at-risk removed"]
    assert killers['orders-export-night: `context.request.time.toTime() < duration("4h")` dropped']
    assert killers["no-writing-at-risk: `principal.score >= 80` moved"] == ""


def test_every_verdict_is_that_of_all_scenarios_run_again(loaded):
    """INVARIANT: leaving out the scenarios that a mutant cannot change changes no verdict."""
    bundle = loaded()
    scopes = {name: scope.audience for name, scope in bundle.catalogue.scopes.items()}
    watched = tuple(watch_scenarios(bundle))
    for mutation in run_mutants(bundle, watched):
        mutant = mutation.mutant
        others = [other for other in bundle.rules.rules.values() if other is not mutant.original]
        changed = bundle.with_rules(RuleSet([*others, *([mutant.changed] if mutant.changed else [])], scopes=scopes))
        noticed = any(not result.passed for result in run_scenarios(changed))
        assert bool(mutation.killed_by) == noticed, mutant.text


def test_the_example_company_notices_nine_of_ten():
    bundle = load_bundle(STARTER.parents[4] / "examples/meridian")
    mutations = list(run_mutants(bundle, tuple(watch_scenarios(bundle))))
    assert sum(1 for one in mutations if one.killed_by) >= 0.9 * len(mutations)


def test_a_scenario_kills_a_survivor(loaded):
    edge = """
[[scenario]]
id = "at-the-edge"
why = "one o'clock is night"
[scenario.given]
client = "order-export"
audience = "orders"
now = "2026-11-24T01:00:00Z"
[scenario.expect]
granted = ["orders:read"]
"""
    text = 'orders-export-night: `context.request.time.toTime() >= duration("1h")` moved'
    assert _killers(loaded())[text] == ""
    assert _killers(loaded((T, "", edge)))[text] == "at-the-edge"


def test_what_no_longer_reads_a_missing_fact_is_noticed(loaded):
    """The risk source refuses when it is silent: without the guardrail nobody would ask it."""
    silent = ("sources.toml", 'missing = "absent"', 'missing = "refuse"')
    rule = ("rules/orders.cedar", "principal has score && principal.score", "principal.score")
    more = """
[[scenario]]
id = "risk-unknown"
why = "no score, no writing"
[scenario.given]
client = "shop-web"
grant = "token_exchange"
subject = 'User::"bob"'
scopes = ["orders:write"]
amr = ["mfa"]
audience = "orders"
now = "2026-11-24T12:00:00Z"
[scenario.given.facts."User:bob".directory]
facts = { department = "sales", tenants = [] }
groups = ["order-desk"]
[scenario.expect]
refused = { "orders:write" = "fact_missing" }
"""
    bundle = loaded(silent, rule, (T, "", more))
    watched = [one for one in watch_scenarios(bundle) if one.scenario.id == "risk-unknown"]
    assert watched[0].lacks_facts
    killers = {one.mutant.text: one.killed_by for one in run_mutants(bundle, watched)}
    assert killers["no-writing-at-risk removed"] == "risk-unknown"
