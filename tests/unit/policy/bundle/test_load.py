"""The loader's answer is complete, and quick for large bundles."""

from __future__ import annotations

import shutil
import time

import pytest

from mintwarden.policy.bundle.load import load_bundle
from mintwarden.policy.bundle.problem import BundleRefused
from mintwarden.policy.cedar.operators import STANDARD
from mintwarden.policy.cedar.rules import compile_rules
from tests.unit.policy.bundle.conftest import STARTER

AUDIENCE = """[audience]
id = "a{0}"
identifier = "https://api.example.com/a{0}"
description = "One of many."
owner = "Team {0}"
environments = ["production"]
max_ttl = "15m"
"""
SCOPE = '[scopes."a{0}:s{1}"]\nmeaning = "One of many."\ntier = "low"\n'
RULE = """@id("a{0}-{1}")
@owner("Team {0}")
@reason("people of the department may read")
permit (principal is User, action == Action::"issue", resource == Scope::"a{0}:s{2}")
when {{ principal.department == "d{1}" && principal in Group::"g{1}" && context.request.amr.contains("mfa") }};
"""


def test_the_starter_bundle_loads():
    bundle = load_bundle(STARTER)
    catalogue = bundle.catalogue
    assert (catalogue.name, catalogue.owner, catalogue.max_actors) == ("starter", "Token Governance", 2)
    assert set(catalogue.scopes) == {"orders:read", "orders:write"}
    assert [(tier.id, tier.rank, tier.verify_share) for tier in catalogue.tiers.values()] == [
        ("low", 0, 0.0),
        ("high", 1, 0.05),
    ]
    assert catalogue.audiences["orders"].claims == {
        "tenant": (),
        "can_write": (),
        "department": ("orders:write",),
    }
    assert catalogue.sources["directory"].max_age == 24 * 3600 * 1000
    assert list(bundle.derivations) == ["can_write"]
    assert len(bundle.scenarios) == 4
    assert bundle.approvals.required == 0
    assert bundle.evaluator == "compiled"


def test_a_bundle_has_a_twin_on_cedar():
    bundle = load_bundle(STARTER)
    twin = bundle.on_cedar()
    assert twin.evaluator == "cedar"
    assert twin.digest == bundle.digest
    assert twin.on_compiled() is bundle
    assert bundle.on_compiled() is bundle
    assert bundle.on_cedar() is twin


def test_a_bundle_can_be_given_other_rules():
    bundle = load_bundle(STARTER)
    rules = compile_rules([], scopes={"orders:read": "orders"}, operators=STANDARD)
    assert bundle.with_rules(rules).rules is rules
    assert bundle.with_rules(rules).plans is not bundle.plans


def test_the_starter_of_the_package_is_the_one_that_is_tested():
    assert (STARTER / "bundle.toml").is_file()


def test_a_file_that_cannot_be_read_does_not_drag_others_in(refused):
    problems = refused(("sources.toml", "[sources.directory]", "[sources.directory"))
    assert {problem.file for problem in problems} == {"sources.toml"}


def test_problems_before_the_rules_do_not_hide_those_in_them(refused):
    problems = refused(("sources.toml", "max_age", "maxage"), ("rules/orders.cedar", "@require_amr", "@require_arm"))
    assert {problem.file for problem in problems} == {"sources.toml", "rules/orders.cedar"}


def test_nothing_is_a_bundle(tmp_path):
    with pytest.raises(BundleRefused) as caught:
        load_bundle(tmp_path)
    assert {problem.file for problem in caught.value.problems} >= {"bundle.toml", "audiences"}


def test_ten_thousand_rules_load_without_ado(tmp_path):
    root = tmp_path / "large"
    shutil.copytree(STARTER, root)
    for audience in range(100):
        scopes = "".join(SCOPE.format(audience, scope) for scope in range(10))
        (root / f"audiences/a{audience}.toml").write_text(AUDIENCE.format(audience) + scopes)
        rules = "".join(RULE.format(audience, rule, rule % 10) for rule in range(100))
        (root / f"rules/a{audience}.cedar").write_text(rules)
    before = time.process_time()
    bundle = load_bundle(root)
    # Some two seconds in truth; what this holds is that nothing in it is quadratic.
    assert time.process_time() - before < 15
    assert len(bundle.rules.rules) == 10_005
