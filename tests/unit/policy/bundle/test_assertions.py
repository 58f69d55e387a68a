"""`assertions/*.toml`: what is read, and every mistake with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from mintwarden.policy.bundle.problem import BundleRefused
from tests.unit.policy.company import load_company

HEAD = '[[assertion]]\nid = "a"\nsays = "never"\n[assertion.never]\n'


def load(root: Path, text: str):
    return load_company(root, files={"assertions/a.toml": text}).assertions


def test_selectors_narrow_down_and_leave_the_rest_open(tmp_path):
    (one,) = load(tmp_path, HEAD + 'tiers = ["high"]\naudiences = ["payments"]\n')
    assert (one.id, one.file, one.line, one.says) == ("a", "assertions/a.toml", 1, "never")
    assert one.scopes == ("pay:write", "pay:approve")
    assert one.types == ("User", "Workload", "Agent")
    assert (one.about, one.together, one.when, one.unless) == ("subject", False, None, None)


def test_a_bundle_needs_no_assertions(tmp_path):
    assert load_company(tmp_path).assertions == ()


def test_assertions_are_part_of_the_digest(tmp_path):
    plain = load_company(tmp_path / "one")
    other = load_company(tmp_path / "two", files={"assertions/a.toml": HEAD + 'tiers = ["high"]\n'})
    assert plain.digest != other.digest


@pytest.mark.parametrize(
    ("never", "message"),
    [
        ('scopes = ["pay:raed"]', "unknown scope `pay:raed`"),
        ('tiers = ["highest"]', "unknown tier `highest`"),
        ('audiences = ["payment"]', "unknown audience `payment`"),
        ('clients = ["nobody"]', "unknown client `nobody`"),
        ('environments = ["moon"]', "unknown environment `moon`"),
        ('scopes = ["pay:read"]\ntiers = ["high"]', "the assertion is about no scope"),
        ('scopes = ["pay:read"]\ntogether = true', "`together` needs two scopes"),
        ('about = "client"', "unknown value `client` for `about`"),
        ('types = ["Group"]', "unknown value `Group` for `types`"),
        ("when = 'principal.'", "is no condition"),
        ("when = 'true }; permit (principal, action, resource) when { true'", "is more than one condition"),
        ("when = 'true } unless { false'", "is more than one condition"),
        ("types = ['User']\nunless = 'principal.salary > 1'", "salary"),
        ("types = ['User']\nunless = 'principal.manager == \"m\"'", "manager"),
        ("unless = 'principal.entitlements.contains(\"x\")'", "entitlements"),
        ("since = 1", "unknown key `since`"),
    ],
)
def test_a_mistake_is_refused(tmp_path, never, message):
    with pytest.raises(BundleRefused) as refused:
        load(tmp_path, f"{HEAD}{never}\n")
    assert any(message in problem.message for problem in refused.value.problems), refused.value.problems
    assert {problem.file for problem in refused.value.problems} == {"assertions/a.toml"}


def test_an_id_stands_once(tmp_path):
    with pytest.raises(BundleRefused, match="declared twice"):
        load(tmp_path, (HEAD + 'tiers = ["high"]\n') * 2)
