"""Wycheproof's JWS vectors: every valid one of our algorithms is accepted, every invalid one refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mintwarden.authn.jose import JoseError, VerificationKey, check_signature, load_key, parse

VECTORS = Path(__file__).parents[2] / "vectors" / "wycheproof" / "json_web_signature_test.json"
OURS = frozenset({"ES256", "ES384", "PS256", "EdDSA", "RS256"})


def cases() -> list[Any]:
    groups = json.loads(VECTORS.read_text())["testGroups"]
    return [
        pytest.param(group.get("public", group["private"]), test, id=f"{test['tcId']}-{test['comment']}")
        for group in groups
        for test in group["tests"]
    ]


def accepts(jwk: dict[str, Any], compact: str) -> bool:
    try:
        key: VerificationKey = load_key(jwk)
        return check_signature(parse(compact), key)
    except JoseError:
        return False


@pytest.mark.parametrize(("jwk", "test"), cases())
def test_vector(jwk: dict[str, Any], test: dict[str, Any]):
    jws = test["jws"]
    compact = jws if isinstance(jws, str) else json.dumps(jws)
    expected = test["result"] == "valid"
    if expected and jwk.get("alg") not in OURS:
        expected = False  # the key is for an algorithm that we do not speak
    elif expected and parse(compact).algorithm not in OURS:
        expected = False  # Wycheproof forgives that header and key name different algorithms; we do not
    assert accepts(jwk, compact) is expected


def test_enough_of_it_is_ours():
    valid = [c for c in cases() if c.values[1]["result"] == "valid" and accepts(c.values[0], c.values[1]["jws"])]
    assert len(cases()) == 401
    assert len(valid) >= 15
