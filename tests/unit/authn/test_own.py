"""Our own access tokens as evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec import Struct

from mintwarden.authn.jose import JoseError, decode_json, parse
from mintwarden.authn.own import OwnTokens
from mintwarden.model.caller import Binding, Evidence
from mintwarden.model.values import EntityUid
from tests.hostile.tokens.forge import ISSUER, LEAF, NOW_S, TARGETS, jwk

NOW = NOW_S * 1000
OWN = TARGETS[1]


class Key(Struct, frozen=True):
    algorithm: str
    jwk: Mapping[str, Any]


class Keys:
    def __init__(self) -> None:
        self.keys = {"own": Key("ES256", jwk("own"))}

    def public_key(self, kid: str) -> Key | None:
        return self.keys.get(kid)


def verified(compact: str, keys: Keys | None = None, now: int = NOW) -> Evidence:
    token = parse(compact)
    return OwnTokens(issuer=ISSUER, keys=keys or Keys()).verify(token, decode_json(token.payload), now)


def test_a_bare_token():
    assert verified(OWN.good()) == Evidence(
        principal=EntityUid("User", "alice"),
        issuer=ISSUER,
        own=True,
        token_id=OWN.claims["jti"],
        client_id="svc",
        audiences=("https://api.example",),
        scopes=("payments:read",),
        issued_at=NOW - 5000,
        expires_at=NOW + 300_000,
        key="own",
    )


@pytest.mark.parametrize("lineage", ["x", [""], [1], ["x"] * 17, {}])
def test_what_a_token_came_of_is_understood_or_the_token_is_not(lineage: Any):
    with pytest.raises(JoseError, match="lineage"):
        verified(OWN.good(lineage=lineage))


def test_what_a_token_came_of():
    found = verified(OWN.good(lineage=["b", "a"], grant_id="g"))
    assert (found.lineage, found.grant_id, found.key) == (("b", "a"), "g", "own")


def test_a_full_token():
    act = {"sub": "mcp", "sub_type": "Workload", "act": {"sub": "bot", "sub_type": "Agent"}}
    evidence = verified(
        OWN.good(
            act=act,
            may_act=[{"sub": "x", "sub_type": "Agent"}],
            cnf={"x5t#S256": LEAF},
            scope="a b",
            acr="phr",
            amr=["mfa", "pwd"],
            auth_time=NOW_S - 60,
            sid="s1",
            tenant="t",
            workspace="w",
            project="p",
            purpose="fraud-review",
            environment="production",
            department="an ordinary claim",
        )
    )
    assert evidence.actors == (EntityUid("Workload", "mcp"), EntityUid("Agent", "bot"))
    assert evidence.may_act == (EntityUid("Agent", "x"),)
    assert evidence.binding == Binding(kind="mtls", thumbprint=LEAF)
    assert (evidence.scopes, evidence.acr, evidence.amr) == (("a", "b"), "phr", ("mfa", "pwd"))
    assert (evidence.authenticated_at, evidence.session) == (NOW - 60_000, "s1")
    assert (evidence.tenant, evidence.workspace, evidence.project) == ("t", "w", "p")
    assert (evidence.purpose, evidence.environment) == ("fraud-review", "production")
    assert evidence.facts == {}


def test_one_may_act_and_no_scope():
    evidence = verified(OWN.good(may_act={"sub": "x", "sub_type": "Agent"}, scope=...))
    assert evidence.may_act == (EntityUid("Agent", "x"),)
    assert evidence.scopes == ()


def test_it_ends_when_it_says():
    assert verified(OWN.good(), now=NOW + 299_999).own
    with pytest.raises(JoseError, match="expired"):
        verified(OWN.good(), now=NOW + 300_000)


def test_a_key_that_is_gone_or_replaced_is_no_longer_used():
    keys = Keys()
    own = OwnTokens(issuer=ISSUER, keys=keys)
    token = parse(OWN.good())
    claims = decode_json(token.payload)
    assert own.verify(token, claims, NOW).own
    keys.keys["own"] = Key("ES256", jwk("own"))
    assert own.verify(token, claims, NOW).own
    keys.keys["own"] = Key("ES256", jwk("stranger"))
    with pytest.raises(JoseError, match="signature"):
        own.verify(token, claims, NOW)
    del keys.keys["own"]
    with pytest.raises(JoseError, match="no key"):
        own.verify(token, claims, NOW)


def test_a_key_verifies_with_its_one_algorithm():
    keys = Keys()
    keys.keys["own"] = Key("PS256", jwk("own"))
    with pytest.raises(JoseError):
        verified(OWN.good(), keys)
