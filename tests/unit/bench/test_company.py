from __future__ import annotations

import random

import pytest

from bench.company import SCOPES, SOURCES, Size, document, facts, principals, write_bundle
from bench.requests import Key
from mintwarden.policy.bundle.load import load_bundle


def written(root, size, verify="off"):
    key = Key.generate("k0")
    write_bundle(
        root, issuer="http://127.0.0.1:1", size=size, client_jwks=[key.jwk], subject_jwk=key.jwk, verify=verify
    )
    return load_bundle(root)


@pytest.mark.parametrize(
    ("size", "rules", "scopes"),
    [
        (Size(clients=1, rules=10, actors=False), 10, 5),
        (Size(clients=2), 15, 5),
        (Size(clients=1, rules=1_000, actors=False), 1_000, 500),
        (Size(clients=1, rules=400), 399, 133),
    ],
)
def test_a_company_has_the_rules_that_its_size_says_and_passes_every_check(tmp_path, size, rules, scopes):
    bundle = written(tmp_path / "bundle", size)
    assert len(bundle.rules.rules) == rules
    assert len(bundle.catalogue.scopes) == scopes
    assert len(bundle.catalogue.clients) == size.clients


def test_the_measured_scopes_have_the_same_rules_whatever_the_size(tmp_path):
    small = written(tmp_path / "small", Size(clients=1, rules=10, actors=False))
    large = written(tmp_path / "large", Size(clients=1, rules=1_000, actors=False))
    for scope in SCOPES:
        texts = [[rule.text for rule in b.rules.slice("issue", scope).rules] for b in (small, large)]
        assert texts[0] == texts[1]
        assert len(texts[0]) == 2


def test_the_tier_says_whether_cedar_is_asked_again(tmp_path):
    bundle = written(tmp_path / "bundle", Size(clients=1), verify="always")
    assert bundle.catalogue.tiers["standard"].verify == "always"


def test_everybody_has_facts_of_their_own_from_every_source():
    size = Size(clients=20, subjects=30)
    found = list(facts(size))
    assert [entity for entity, _, _ in found[:: len(SOURCES)]] == list(principals(size))
    assert len({repr(said) for _, _, said in found}) == len(found)


@pytest.mark.parametrize("entity", ["User:u1", "Workload:c1"])
def test_changed_facts_still_permit(entity):
    chance = random.Random(1)
    for _ in range(200):
        said = {source: document(entity, source, chance) for source in SOURCES}
        assert "bench-operators" in said["directory"]["groups"]
        assert said["directory"]["facts"]["level"] >= 2
        assert "bench-access" in said["entitlements"]["facts"]["entitlements"]
        assert said["posture"]["facts"]["risk"] < 70
