"""The log is public: what it must not tell anyone who reads it."""

from __future__ import annotations

import json
from pathlib import Path

from mintwarden.ledger.entry import decision_entry
from mintwarden.ledger.seal import token_digest
from mintwarden.mint.prepare import prepare
from mintwarden.model.ids import decision_text
from mintwarden.model.token import PreparedToken
from mintwarden.model.values import Entity, EntityUid
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide
from tests.unit.policy.company import NOW, asked, facts, load_company

ISSUER = "https://tokens.example"


class Key:
    kid = "a published key"
    algorithm = "ES256"


def token_of(bundle: Bundle, person: str) -> tuple[PreparedToken, bytes]:
    """The token that is issued for a person, and the entry that is published about it."""
    subject, name = EntityUid("User", person), decision_text(bytes(16))
    question, known = asked(subject=subject), facts()
    known = known.__class__(
        subject=Entity(subject, known.subject.attrs, known.subject.ancestors),
        context=known.context,
        readings=known.readings,
    )
    decision = decide(bundle, question, known, NOW)
    catalogue = bundle.catalogue
    prepared = prepare(
        decision,
        question,
        catalogue.clients["app"],
        catalogue.audiences["payments"],
        issuer=ISSUER,
        key=Key(),
        now=NOW,
        decision_id=name,
    )
    entry = decision_entry(
        decision_id=name,
        issuer=ISSUER,
        decision=decision,
        asked=question,
        prepared=prepared,
        commitment=b"c" * 32,
        blinding=b"b" * 32,
    )
    return prepared, entry


def test_nobody_finds_a_person_by_trying_names(tmp_path: Path) -> None:
    """All of a token but its subject is public or easily guessed: its digest must not stand in the log unblinded."""
    bundle = load_company(tmp_path)
    secret, published = token_of(bundle, "alice")
    guesses = {token_of(bundle, name)[0].digest.hex() for name in ("bob", "carol", "alice")}
    assert secret.digest.hex() in guesses
    assert json.loads(published)["prepared"] not in guesses
    assert json.loads(published)["prepared"] == token_digest(b"b" * 32, secret.digest)


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
        issuer=ISSUER,
        decision=decision,
        asked=question,
        prepared=None,
        commitment=b"c" * 32,
        blinding=b"b" * 32,
    )
    assert b'"determining":["entitlement:entitlements"]' in entry
    assert b"entitlements/reader" not in entry
