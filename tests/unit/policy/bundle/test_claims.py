"""Registered claims are the mint's alone."""

from __future__ import annotations

import pytest

from mintwarden.policy.bundle.claims import REGISTERED


@pytest.mark.parametrize("name", sorted(REGISTERED))
def test_a_registered_claim_cannot_be_derived(name, refused):
    claim = f'\n[claims.{name}]\ntype = "string"\nsource = "directory"\nfrom = "subject.department"\n'
    problems = refused(("claims.toml", "", claim))
    assert [p.message for p in problems] == [f"claim `{name}` is registered ({REGISTERED[name]}) and cannot be derived"]


def test_the_claims_that_the_issue_names_are_registered():
    assert {"iss", "sub", "aud", "exp", "act", "cnf", "scope", "client_id", "may_act", "ledger_leaf"} <= set(REGISTERED)


def test_a_claim_may_come_from_what_the_request_states(loaded):
    claim = '\n[claims.purpose]\ntype = "string"\nsource = "request"\nfrom = "context.request.purpose"\n'
    assert loaded(("claims.toml", "", claim)).catalogue.claims["purpose"].origin == "context.request.purpose"


def test_a_derivation_becomes_the_claims_expression(loaded):
    bundle = loaded()
    assert bundle.catalogue.claims["can_write"].expression.startswith("scopes.exists")
    assert bundle.catalogue.claims["can_write"].origin == ""
    assert bundle.derivations["can_write"].reads == frozenset()
