"""Assertions hold, are violated with an example that runs, or are not proved; never wrongly proved."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

import pytest

from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.bundle.problem import Problems
from mintwarden.policy.bundle.read import read_bundle
from mintwarden.policy.decide import decide
from mintwarden.policy.prove.prove import Verdict, prove
from mintwarden.policy.prove.scenario import scenario_text
from mintwarden.review.scenarios import run_scenarios
from tests.unit.policy.company import RULES, SOURCES, load_company
from tools.findings import ROOT


@cache
def meridian() -> dict[str, str]:
    return dict(read_bundle(ROOT / "examples/meridian", Problems()))


def test_meridian_keeps_its_assertions_in_time() -> None:
    bundle = build_bundle(meridian())
    started = time.process_time()
    verdicts = prove(bundle)
    assert time.process_time() - started < 10
    assert len(verdicts) >= 12
    assert {verdict.assertion.id: verdict.outcome for verdict in verdicts if verdict.outcome != "holds"} == {}
    assert [verdict.left_open for verdict in verdicts if verdict.left_open] == []


EXTRA = """@id("x") @owner("o") @reason("r")
permit (principal, action == Action::"issue", resource == Scope::"payments:refund");"""
SABOTAGED = {
    "agents-alone-never-high": (
        "rules/payments.cedar",
        '@id("payments-refund-operations")',
        f'{EXTRA}\n@id("payments-refund-operations")',
    ),
    "agents-never-critical": (
        "rules/guardrails.cedar",
        'forbid (principal is Agent, action, resource)\nwhen { resource.rank >= 3 };',
        'permit (principal is Agent, action == Action::"act", resource in Audience::"payments");',
    ),
    "agents-refund-mounted-and-paid-for": ("rules/payments.cedar", "principal.budget_remaining >= 5000", "true"),
    "duties-ledger": ("rules/ledger.cedar", 'contains("ledger-adjuster") };', 'contains("ledger-adjusted") };'),
    "critical-by-employees": ("rules/guardrails.cedar", "resource.rank >= 3 && principal.employment", "resource.rank >= 4 && principal.employment"),
    "left-means-nothing": ("rules/guardrails.cedar", "!principal.active", "principal.active && false"),
    "limits-by-two": ("rules/payments.cedar", '@require_approval("risk-officer")\n', ""),
    "staging-never-production": (
        "rules/payments.cedar",
        'principal in Group::"payments-readers" && principal.environment == "production"',
        'principal in Group::"payments-readers"',
    ),
    "settlement-at-night": ("rules/payments.cedar", '>= duration("1h")', '>= duration("59m")'),
    "vendor-low-and-from-home": ("rules/reports.cedar", "203.0.113.0/24", "203.0.112.0/23"),
    "production-from-main": ("rules/deployments.cedar", "context.world.incident_level >= 2", "context.world.incident_level >= 3"),
}  # fmt: skip


def sabotaged(name: str) -> tuple[Bundle, Verdict]:
    file, old, new = SABOTAGED[name]
    texts = meridian()
    assert old in texts[file]
    bundle = build_bundle({**texts, file: texts[file].replace(old, new)})
    (verdict,) = prove(bundle, [one for one in bundle.assertions if one.id == name])
    return bundle, verdict


@pytest.mark.parametrize("name", SABOTAGED)
def test_a_policy_that_lets_go_is_found_with_an_example_that_runs(name: str) -> None:
    bundle, verdict = sabotaged(name)
    assert verdict.outcome == "violated", verdict.reason
    for asked, facts, now in verdict.examples:
        assert decide(bundle, asked, facts, now).granted_scopes == asked.scopes
    text = scenario_text(bundle.catalogue, "example", "what went wrong", verdict.examples)
    file, _, new = SABOTAGED[name]
    again = build_bundle({**meridian(), file: meridian()[file].replace(SABOTAGED[name][1], new), "tests/x.toml": text})
    own = [scenario for scenario in again.scenarios if scenario.file == "tests/x.toml"]
    assert len(own) == len(verdict.examples)
    assert [result.differences for result in run_scenarios(again, own)] == [()] * len(own)


def test_the_same_bundle_gives_the_same_verdict() -> None:
    assert sabotaged("limits-by-two")[1].examples == sabotaged("limits-by-two")[1].examples


ASSERTIONS = """[[assertion]]
id = "a"
says = "never"
[assertion.never]
types = ["User"]
scopes = ["{scope}"]
{more}
"""


def verdict_of(root: Path, more: str, *, rules: str = RULES, scope: str = "pay:read") -> Verdict:
    files = {"assertions/a.toml": ASSERTIONS.format(scope=scope, more=more)}
    (verdict,) = prove(load_company(root, rules=rules, files=files))
    return verdict


OPAQUE = """
@id("opaque") @owner("o") @reason("r")
forbid (principal is User, action, resource == Scope::"pay:read")
when { principal.tenants == principal.entitlements };
"""


def test_what_cannot_be_translated_is_not_proved(tmp_path: Path) -> None:
    """The guardrail would have to be understood for this one, and it is not: neither proof nor example."""
    verdict = verdict_of(tmp_path, "unless = 'principal.tenants != principal.entitlements'", rules=RULES + OPAQUE)
    assert verdict.outcome == "not proved"
    assert "principal.tenants == principal.entitlements" in verdict.reason


def test_what_cannot_be_translated_may_be_beside_the_point(tmp_path: Path) -> None:
    verdict = verdict_of(tmp_path, "unless = 'principal.risk <= 90'", rules=RULES + OPAQUE)
    assert verdict.outcome == "holds"
    assert len(verdict.left_open) >= 1


def test_a_guardrail_that_faults_refuses(tmp_path: Path) -> None:
    faulty = """
@id("faulty") @owner("o") @reason("r")
forbid (principal is User, action, resource == Scope::"pay:read")
when { principal.risk * 9223372036854775807 > 5 };
"""
    assert verdict_of(tmp_path, "unless = 'principal.risk <= 0'", rules=RULES + faulty).outcome == "holds"
    assert verdict_of(tmp_path, "unless = 'principal.risk < 0'", rules=RULES + faulty).outcome == "violated"


def test_a_permit_that_faults_permits_nothing(tmp_path: Path) -> None:
    rules = RULES.replace("principal.risk < 50", "principal.risk + 9223372036854775800 > 0").replace(
        'contains("reader")', 'contains("reader") && principal.risk < 0'
    )
    assert verdict_of(tmp_path, "unless = 'principal.risk < 8'", rules=rules).outcome == "holds"
    assert verdict_of(tmp_path, "unless = 'principal.risk < 7'", rules=rules).outcome == "violated"


def test_an_absent_fact_satisfies_no_condition(tmp_path: Path) -> None:
    unless = "unless = 'principal has manager && principal.manager == \"m\"'"
    assert verdict_of(tmp_path, unless).outcome == "violated"
    rules = RULES.replace(
        "principal.risk < 50", 'principal.risk < 50 && principal has manager && principal.manager == "m"'
    )
    rules = rules.replace(
        'contains("reader")', 'contains("reader") && principal has manager && principal.manager == "m"'
    )
    assert verdict_of(tmp_path, unless, rules=rules).outcome == "holds"


def test_texts_by_pattern(tmp_path: Path) -> None:
    rules = RULES.replace("principal.risk < 50", 'principal.department like "pay*"').replace(
        'contains("reader")', 'contains("reader") && principal.department == "payments"'
    )
    assert verdict_of(tmp_path, "unless = 'principal.department like \"pay*\"'", rules=rules).outcome == "holds"
    verdict = verdict_of(tmp_path, "unless = 'principal.department == \"payments\"'", rules=rules)
    assert verdict.outcome == "violated"


def test_obligations_count(tmp_path: Path) -> None:
    acr = "unless = 'context.request has acr && context.request.acr == \"phr\"'"
    assert verdict_of(tmp_path, acr, scope="pay:write").outcome == "holds"
    assert verdict_of(tmp_path, acr, scope="pay:read").outcome == "violated"
    assert verdict_of(tmp_path, "unless_approved = true", scope="pay:approve").outcome == "holds"
    assert verdict_of(tmp_path, "unless_approved = true", scope="pay:write").outcome == "violated"


def test_what_an_older_system_gives_counts_while_it_is_observed(tmp_path: Path) -> None:
    finance = "unless = 'principal in Group::\"finance\"'"
    assert verdict_of(tmp_path, finance, scope="old:use").outcome == "violated"
    assert verdict_of(tmp_path, "unless = 'principal.risk <= 90'", scope="old:use").outcome == "holds"


def test_actors_answer_for_themselves(tmp_path: Path) -> None:
    about = 'about = "actor"\ntypes = ["Agent"]\n'
    files = {
        "assertions/a.toml": ASSERTIONS.replace('types = ["User"]\n', "").format(
            scope="pay:read", more=about + "unless = 'principal.risk < {risk}'"
        )
    }
    texts = {risk: files["assertions/a.toml"].replace("{risk}", str(risk)) for risk in (20, 19)}
    (holds,) = prove(load_company(tmp_path, files={"assertions/a.toml": texts[20]}))
    assert holds.outcome == "holds"
    (violated,) = prove(load_company(tmp_path, files={"assertions/a.toml": texts[19]}))
    assert violated.outcome == "violated"
    assert [actor.type for actor in violated.examples[0].asked.actors] == ["Agent"]


def test_together_over_chains_of_different_shapes_is_not_taken_for_a_proof(tmp_path: Path) -> None:
    """One scope is had with one actor, the other with two: no single shape has both, and yet one subject can."""
    rules = RULES.replace("principal.risk < 50 }", "context.chain.depth == 1 }").replace(
        'contains("reader")', 'contains("reader") && context.chain.depth == 1'
    )
    rules = rules.replace(
        'resource == Scope::"pay:write")\nwhen { principal in Group::"finance" }',
        'resource == Scope::"pay:write")\nwhen { context.chain.depth == 2 }',
    )
    more = 'id = "a"\nsays = "s"\n[assertion.never]\ntogether = true\nscopes = ["pay:read", "pay:write"]\n'
    files = {"assertions/a.toml": f"[[assertion]]\n{more}"}
    (verdict,) = prove(load_company(tmp_path, rules=rules, files=files))
    assert verdict.outcome == "not proved"
    assert "chains of different shapes" in verdict.reason


def test_a_fact_called_id_is_not_the_name(tmp_path: Path) -> None:
    sources = SOURCES.replace('department = "string"', 'department = "string"\nid = "string"')
    rules = RULES.replace("principal.risk < 50", 'principal.id == "x"').replace(
        'contains("reader")', 'contains("reader") && principal.id == "x"'
    )
    for unless, outcome in (('principal == User::"x"', "violated"), ('principal.id == "x"', "holds")):
        files = {
            "sources.toml": sources,
            "assertions/a.toml": ASSERTIONS.format(scope="pay:read", more=f"unless = '{unless}'"),
        }
        (verdict,) = prove(load_company(tmp_path, rules=rules, files=files))
        assert verdict.outcome == outcome


def test_an_entity_that_is_spelled_out_may_be_the_principal(tmp_path: Path) -> None:
    """`User::"alice" in Group::"vip"` is true where alice asks and is in it, so that it must not count as false."""
    rules = RULES.replace("principal.risk < 50", 'User::"alice" in Group::"vip"').replace(
        'contains("reader")', 'contains("reader") && User::"alice" in Group::"vip"'
    )
    unless = "unless = 'principal in Group::\"other\"'"
    assert verdict_of(tmp_path, unless, rules=rules).outcome != "holds"
