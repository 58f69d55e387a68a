"""The example company is what the documentation says: large enough, and each of its stories is a scenario."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from pathlib import Path

import pytest

from mintwarden.app.demo.stage import meridian
from mintwarden.policy.bundle.load import build_bundle, load_bundle
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.bundle.problem import Problems
from mintwarden.policy.bundle.read import read_bundle
from mintwarden.review.check import check, check_loaded

FILES = {
    "administration", "broad-groups", "batch-accounts", "tenancy", "agents", "chain", "third-party", "duties", "environments", "incidents",
    "step-up", "legacy", "people", "services", "freshness", "smallest", "details", "identity",
    "card-network", "transactions",
}  # fmt: skip

GUARDS = sorted(
    re.findall(r'^@id\("(guard-[^"]+)"\)', (meridian() / "rules/guardrails.cedar").read_text(), re.MULTILINE)
)


@lru_cache(maxsize=1)
def bundle() -> Bundle:
    return load_bundle(meridian())


def test_it_is_the_bundle_of_the_repository() -> None:
    assert meridian() == Path(__file__).parents[2] / "examples" / "meridian"


def test_it_is_good_and_every_scenario_comes_out_as_written() -> None:
    report = check(meridian())
    assert report.problems == ()
    assert report.failed == ()
    assert report.exit_code == 0


def test_it_is_as_large_as_it_says() -> None:
    catalogue = bundle().catalogue
    assert len(catalogue.audiences) >= 8
    assert len(catalogue.scopes) >= 45
    assert list(catalogue.tiers) == ["low", "moderate", "high", "critical"]
    assert Counter(scope.tier for scope in catalogue.scopes.values()).keys() == catalogue.tiers.keys()
    assert len(catalogue.claims) >= 20
    assert len(catalogue.clients) >= 12
    assert len(bundle().rules.rules) >= 50
    assert len(bundle().scenarios) >= 80


def test_every_way_to_authenticate_and_every_kind_of_client_is_there() -> None:
    clients = bundle().catalogue.clients.values()
    methods = {method for client in clients for method in client.methods}
    assert methods == {
        "client_secret_basic", "client_secret_post", "private_key_jwt", "self_signed_tls_client_auth", "none",
        "spiffe_jwt", "spiffe_x509", "tls_client_auth",
    }  # fmt: skip
    kinds = {client.kind for client in clients}
    assert kinds == {"web", "native", "service", "batch", "ci", "tool", "agent", "mcp", "third_party"}


def test_each_story_has_its_file_of_scenarios() -> None:
    found = {Path(scenario.file).stem for scenario in bundle().scenarios}
    assert found == FILES


def test_one_audience_is_observed() -> None:
    observed = {audience.id for audience in bundle().catalogue.audiences.values() if audience.mode == "observe"}
    assert observed == {"backoffice"}


def test_every_kind_of_audience_is_there() -> None:
    kinds = {audience.kind for audience in bundle().catalogue.audiences.values()}
    assert kinds == {"api", "identity", "domain", "transaction"}


def test_what_cannot_be_undone_is_verified_always() -> None:
    assert bundle().catalogue.tiers["critical"].verify == "always"


@pytest.mark.parametrize("guard", GUARDS)
def test_without_any_one_guardrail_a_scenario_fails(guard: str) -> None:
    texts = dict(read_bundle(meridian(), Problems()))
    file = "rules/guardrails.cedar"
    rules = [rule for rule in re.split(r"(?=^@id\()", texts[file], flags=re.MULTILINE) if f'"{guard}"' not in rule]
    assert check_loaded(build_bundle({**texts, file: "".join(rules)})).failed
