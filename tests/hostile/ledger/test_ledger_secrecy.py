"""The log is public: what it must not tell anyone who reads it."""

from __future__ import annotations

from pathlib import Path

from mintwarden.ledger.entry import decision_entry
from mintwarden.model.ids import decision_text
from mintwarden.policy.decide import decide
from tests.unit.policy.company import NOW, asked, facts, load_company


def test_an_entitlement_that_leaves_no_time_stays_sealed(tmp_path: Path) -> None:
    bundle = load_company(tmp_path)
    question = asked()
    known = facts(
        risk=60,
        attrs={"entitlements": frozenset({"reader"})},
        ends={"subject/entitlements": {"reader": NOW + 500}},
    )
    decision = decide(bundle, question, known, NOW)
    assert decision.scopes[0].reason == "no_lifetime"
    assert decision.scopes[0].determining == ("entitlement:entitlements/reader",)
    entry = decision_entry(
        decision_id=decision_text(bytes(16)),
        issuer="https://tokens.example",
        decision=decision,
        asked=question,
        prepared=None,
        commitment=b"c" * 32,
        blinding=b"b" * 32,
    )
    assert b'"determining":["entitlement:entitlements"]' in entry
    assert b"entitlements/reader" not in entry
