"""The entry: canonical, complete, and without anything personal."""

from __future__ import annotations

import json
from hashlib import sha256

import msgspec
import pytest
import rfc8785

from mintwarden.ledger import entry as module
from mintwarden.ledger.canonical import canonical_json, read_canonical
from mintwarden.ledger.entry import (
    ClaimMember,
    DecisionEntry,
    FaultMember,
    GovernanceEntry,
    IdentityMember,
    LifetimeMember,
    PrincipalMember,
    ScopeMember,
    UnmetMember,
    decision_entry,
    governance_entry,
)
from mintwarden.ledger.seal import reference, token_digest
from mintwarden.ledger.tree import leaf_hash
from mintwarden.model.caller import Binding
from mintwarden.model.decision import ClaimDecision, Lifetime, Obligation, RuleFault, ScopeDecision
from mintwarden.model.errors import MintwardenError
from mintwarden.model.ids import decision_text
from mintwarden.model.values import EntityUid
from tests.unit.ledger import samples

BLINDING = b"b" * 32
COMMITMENT = b"c" * 32
RAW_ID = next(samples.ids())


def build(decision=None, asked=None, prepared=None) -> bytes:
    return decision_entry(
        decision_id=decision_text(RAW_ID),
        issuer=samples.ISSUER,
        decision=decision or samples.decision(),
        asked=asked or samples.asked(),
        prepared=prepared,
        commitment=COMMITMENT,
        blinding=BLINDING,
    )


def test_every_member_of_a_grant():
    token = samples.prepared(RAW_ID)
    entry = json.loads(build(prepared=token))
    assert entry == {
        "at": samples.NOW,
        "audience": "payments",
        "bundle": "sha256:" + "5a" * 32,
        "claims": [{"name": "department", "origin": "subject.department", "source": "directory"}],
        "client": "payments-batch",
        "environment": "production",
        "evaluator": "compiled",
        "facts": COMMITMENT.hex(),
        "grant": "client_credentials",
        "granted": True,
        "id": decision_text(RAW_ID),
        "issuer": samples.ISSUER,
        "kind": "decision",
        "lifetime": {"bound": "entitlement:tenants", "seconds": 300},
        "method": "private_key_jwt",
        "mode": "enforce",
        "prepared": token_digest(BLINDING, token.digest),
        "purpose": "settlement",
        "scopes": [
            {"granted": True, "route": "payments-read", "scope": "payments:read"},
            {"granted": False, "reason": "no_route", "scope": "payments:settle"},
        ],
        "subject": {"ref": reference(BLINDING, samples.ALICE), "type": "User"},
        "v": 1,
    }


def test_every_member_of_a_refusal_with_actors():
    scope = ScopeDecision(
        scope="payments:refund",
        granted=False,
        route="refund-approved",
        acting=("agent-refund",),
        reason="obligation_unmet",
        determining=("refund-approved",),
        unmet=(Obligation("require_acr", "phr"),),
        facts=("subject/risk",),
        faults=(RuleFault("refund-cap", "forbid"),),
    )
    entry = json.loads(
        build(
            samples.decision(
                scopes=(scope,),
                granted=False,
                claims=(),
                lifetime=None,
                actors=(EntityUid("Agent", "refunds"), EntityUid("User", "bob")),
                binding=Binding(kind="dpop", thumbprint="t" * 43),
            )
        )
    )
    assert entry["actors"] == [
        {"id": "refunds", "type": "Agent"},
        {"ref": reference(BLINDING, EntityUid("User", "bob")), "type": "User"},
    ]
    assert entry["scopes"] == [
        {
            "acting": ["agent-refund"],
            "determining": ["refund-approved"],
            "facts": ["subject/risk"],
            "faults": [{"effect": "forbid", "rule": "refund-cap"}],
            "granted": False,
            "reason": "obligation_unmet",
            "route": "refund-approved",
            "scope": "payments:refund",
            "unmet": [{"name": "require_acr", "value": "phr"}],
        }
    ]
    assert entry["granted"] is False
    assert entry["binding"] == "dpop"
    assert "prepared" not in entry
    assert "lifetime" not in entry


def test_a_fault_beside_a_grant_is_kept():
    scope = ScopeDecision(scope="a", granted=True, route="r", faults=(RuleFault("broken", "permit"),))
    entry = json.loads(build(samples.decision(scopes=(scope,))))
    assert entry["scopes"][0]["faults"] == [{"effect": "permit", "rule": "broken"}]


def test_it_is_canonical_by_another_implementation():
    entry = build(prepared=samples.prepared(RAW_ID))
    assert rfc8785.dumps(json.loads(entry)) == entry
    assert read_canonical(entry)


def test_nothing_personal_stands_in_it():
    claims = (ClaimDecision("email", "alice@example.com", "subject.email", "directory"),)
    text = build(samples.decision(claims=claims)).decode()
    for personal in ("alice", "treasury", "tenant-seven", "10.20.0.7"):
        assert personal not in text


def test_a_workload_stands_in_clear():
    entry = json.loads(build(samples.decision(EntityUid("Workload", "payments-batch"))))
    assert entry["subject"] == {"id": "payments-batch", "type": "Workload"}


def test_the_leaf_hash_is_that_of_rfc_6962():
    assert leaf_hash(b"entry") == sha256(b"\x00entry").digest()


@pytest.mark.parametrize(
    "decision",
    [
        samples.decision(decided_at=2**53),
        samples.decision(decided_at=-1),
        samples.decision(lifetime=Lifetime(2**53, "audience:payments", ())),
        samples.decision(bundle="\ud800"),
        samples.decision(bundle="x" * 70_000),
    ],
    ids=["late", "early", "endless", "surrogate", "long"],
)
def test_what_has_no_canonical_form_is_refused(decision):
    with pytest.raises(MintwardenError, match="no canonical form"):
        build(decision)


@pytest.mark.parametrize(
    "struct",
    [
        ClaimMember,
        DecisionEntry,
        FaultMember,
        GovernanceEntry,
        IdentityMember,
        LifetimeMember,
        PrincipalMember,
        ScopeMember,
        UnmetMember,
    ],
)
def test_members_are_defined_in_the_order_they_are_written(struct):
    names = struct.__struct_encode_fields__
    assert list(names) == sorted(names)


def test_every_struct_of_the_module_is_in_that_list():
    found = {name for name, kind in vars(module).items() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)}
    imported = {"Asked", "Decision", "ClaimDecision", "Lifetime", "ScopeDecision", "PreparedToken", "Struct"}
    assert found - imported == {
        "ClaimMember",
        "DecisionEntry",
        "FaultMember",
        "GovernanceEntry",
        "IdentityMember",
        "LifetimeMember",
        "PrincipalMember",
        "ScopeMember",
        "UnmetMember",
    }


def govern(**changes) -> bytes:
    return governance_entry(
        **{
            "kind": "policy_activation",
            "entry_id": RAW_ID,
            "issuer": samples.ISSUER,
            "at": samples.NOW,
            "actor": EntityUid("Workload", "deployer"),
            "detail": {"bundle": "sha256:00", "previous": None, "rules": 50},
            **changes,
        }
    )


def test_an_act_that_governs():
    entry = govern()
    assert json.loads(entry) == {
        "actor": {"id": "deployer", "type": "Workload"},
        "at": samples.NOW,
        "detail": {"bundle": "sha256:00", "previous": None, "rules": 50},
        "id": decision_text(RAW_ID),
        "issuer": samples.ISSUER,
        "kind": "policy_activation",
        "v": 1,
    }
    assert rfc8785.dumps(json.loads(entry)) == entry


def test_a_person_who_governs_is_a_reference():
    entry = json.loads(govern(actor=samples.ALICE, commitment=COMMITMENT, blinding=BLINDING))
    assert entry["actor"] == {"ref": reference(BLINDING, samples.ALICE), "type": "User"}
    assert entry["facts"] == COMMITMENT.hex()


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "lunch"},
        {"actor": samples.ALICE},
        {"detail": {"share": 0.5}},
        {"detail": {"clé": 1}},
        {"detail": {"many": 2**53}},
        {"detail": {"when": object()}},
        {"detail": {"deep": json.loads("[" * 40 + "]" * 40)}},
        {"at": 2**60},
    ],
    ids=["kind", "person", "float", "name", "integer", "object", "depth", "time"],
)
def test_an_act_without_canonical_form_is_refused(changes):
    with pytest.raises(MintwardenError, match="no canonical form"):
        govern(**changes)


@pytest.mark.parametrize(
    "data",
    [b'{"b":1,"a":2}', b'{"a":1, "b":2}', b'{"a":1,"a":1}', b'{"a":1.0}', b'{"a":"\\u0041"}', b"{", b'{"a":1e3}'],
)
def test_reading_refuses_other_forms(data):
    with pytest.raises(ValueError):
        read_canonical(data)


def test_plain_values():
    assert canonical_json({"b": [True, None, -1], "a": '\x1f"\\/\x7fé'}) == (
        b'{"a":"\\u001f\\"\\\\/\x7f\xc3\xa9","b":[true,null,-1]}'
    )
