from __future__ import annotations

import pytest

from mintwarden.app.activation import refuse_failing
from mintwarden.policy.bundle.load import build_bundle, load_bundle
from mintwarden.policy.bundle.problem import BundleRefused
from tests.unit.policy.planted import load_with_wrong_less
from tools.findings import ROOT

STARTER = ROOT / "src/mintwarden/app/starter/bundle"


def changed(old: str, new: str) -> dict[str, str]:
    texts = {path.relative_to(STARTER).as_posix(): path.read_text() for path in STARTER.rglob("*") if path.is_file()}
    assert old in texts["tests/orders.toml"]
    return {**texts, "tests/orders.toml": texts["tests/orders.toml"].replace(old, new)}


def test_a_bundle_that_does_what_it_says():
    refuse_failing(load_bundle(STARTER))


def test_a_scenario_that_comes_out_otherwise():
    bundle = build_bundle(changed("lifetime = 300", "lifetime = 301"))
    with pytest.raises(BundleRefused) as refused:
        refuse_failing(bundle)
    (problem,) = refused.value.problems
    assert problem.file == "tests/orders.toml"
    assert problem.line > 1
    assert problem.message.startswith("scenario `export-at-night` comes out otherwise: lifetime: expected 301")


def test_every_scenario_that_fails_is_named():
    bundle = build_bundle(changed('granted = ["orders:read"]', 'granted = ["orders:write"]'))
    with pytest.raises(BundleRefused) as refused:
        refuse_failing(bundle)
    assert [problem.message.split("`")[1] for problem in refused.value.problems] == ["export-at-night", "desk-at-risk"]


def test_compiled_rules_that_cedar_disagrees_with_do_not_govern():
    """The starter's export may read until four at night; the planted `<` is always true."""
    with pytest.raises(BundleRefused) as refused:
        refuse_failing(load_with_wrong_less(STARTER))
    assert "scenario `export-by-day`" in str(refused.value.problems[0])
