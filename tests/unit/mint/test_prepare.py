from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintwarden.mint.prepare import CONFINES, PROTOCOL_CLAIMS
from mintwarden.model.caller import Binding
from mintwarden.model.decision import ClaimDecision
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid
from tests.unit.mint.sample import DECISION_ID, ISSUER, NOW, SIGNER, asked, audience, decision, prepared


def claims(**changes):
    return json.loads(prepared(**changes).payload)


def test_a_plain_token_says_only_what_is_there():
    assert claims() == {
        "iss": ISSUER,
        "sub": "alice",
        "aud": "https://api.meridian.example/payments",
        "client_id": "portal",
        "iat": NOW // 1000,
        "exp": NOW // 1000 + 300,
        "jti": DECISION_ID,
        "scope": "payments:read payments:export",
        "sub_type": "User",
    }


def test_an_audience_of_several_servers_names_them_all():
    several = audience(also=("https://eu.meridian.example/payments",))
    named = claims(audience=several)["aud"]
    assert named == ["https://api.meridian.example/payments", "https://eu.meridian.example/payments"]


def test_the_header_names_type_algorithm_and_key():
    assert json.loads(prepared().header) == {"alg": "ES256", "typ": "at+jwt", "kid": "key-1"}


def test_the_digest_covers_header_and_payload():
    token = prepared()
    assert token.digest == hashlib.sha256(token.header + b"." + token.payload).digest()
    assert (token.issued_at, token.expires_at) == (NOW // 1000, NOW // 1000 + 300)


def test_the_chain_is_nested_with_the_present_actor_outermost():
    tool, agent = EntityUid("Workload", "mcp-tools"), EntityUid("Agent", "refunds")
    assert claims(decision=decision(actors=(tool, agent)))["act"] == {
        "sub": "mcp-tools",
        "sub_type": "Workload",
        "act": {"sub": "refunds", "sub_type": "Agent"},
    }


def test_sign_in_and_confines_are_carried():
    said = claims(
        asked=asked(
            authenticated_at=NOW - 60_000,
            acr="phr",
            amr=("pwd", "hwk"),
            session="s1",
            device="laptop-7",
            tenant="t1",
            workspace="w1",
            project="p1",
            purpose="fraud-review",
            environment="production",
        )
    )
    assert (
        said.items()
        >= {
            "auth_time": NOW // 1000 - 60,
            "acr": "phr",
            "sid": "s1",
            "device": "laptop-7",
            "tenant": "t1",
            "workspace": "w1",
            "project": "p1",
            "purpose": "fraud-review",
            "environment": "production",
        }.items()
    )
    assert said["amr"] == ["pwd", "hwk"]


@pytest.mark.parametrize(("kind", "member", "token_type"), [("dpop", "jkt", "DPoP"), ("mtls", "x5t#S256", "Bearer")])
def test_a_binding_becomes_cnf(kind: str, member: str, token_type: str):
    token = prepared(decision=decision(binding=Binding(kind=kind, thumbprint="abc")))
    assert json.loads(token.payload)["cnf"] == {member: "abc"}
    assert token.token_type == token_type


def test_an_unknown_binding_is_refused():
    with pytest.raises(MintwardenError, match="cannot be bound"):
        prepared(decision=decision(binding=Binding(kind="magic", thumbprint="abc")))


def test_derived_claims_are_added():
    derived = (
        ClaimDecision("department", "risk", "subject.department", "directory"),
        ClaimDecision("limit", 5, "o", "s"),
    )
    assert claims(decision=decision(claims=derived)).items() >= {"department": "risk", "limit": 5}.items()


@pytest.mark.parametrize("name", sorted(PROTOCOL_CLAIMS))
def test_a_derived_claim_never_overrides_a_protocol_claim(name: str):
    with pytest.raises(MintwardenError, match="may not be derived") as caught:
        prepared(decision=decision(claims=(ClaimDecision(name, "x", "o", "s"),)))
    assert caught.value.kind is ErrorKind.INTERNAL


@pytest.mark.parametrize("name", CONFINES)
def test_a_derived_claim_may_repeat_a_confine_but_not_change_it(name: str):
    same = decision(claims=(ClaimDecision(name, "here", "context.request", "request"),))
    assert claims(decision=same, asked=asked(**{name: "here"}))[name] == "here"
    with pytest.raises(MintwardenError, match="may not be derived"):
        prepared(decision=same, asked=asked(**{name: "there"}))


def test_a_refusal_cannot_become_a_token():
    with pytest.raises(MintwardenError, match="refusal"):
        prepared(decision=decision(granted=False))
    with pytest.raises(MintwardenError, match="refusal"):
        prepared(decision=decision(lifetime=None))


def test_the_key_must_be_of_the_audiences_algorithm():
    with pytest.raises(MintwardenError, match="audience's algorithm"):
        prepared(audience=audience(algorithm="PS256"), key=SIGNER)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(TEXT, TEXT, TEXT)
def test_whatever_stands_in_a_name_stays_one_json_string(subject: str, purpose: str, value: str):
    said = claims(
        decision=decision(subject=EntityUid("User", subject), claims=(ClaimDecision("note", value, "o", "s"),)),
        asked=asked(purpose=purpose),
    )
    assert (said["sub"], said.get("purpose", ""), said["note"]) == (subject, purpose, value)
    assert json.loads(prepared().payload)["scope"] == "payments:read payments:export"


def test_the_same_inputs_give_the_same_bytes():
    first, second = prepared(), prepared()
    assert (first.header, first.payload, first.digest) == (second.header, second.payload, second.digest)
