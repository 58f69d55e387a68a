"""Registered claims are the mint's alone."""

from __future__ import annotations

import pytest

from mintwarden.mint.prepare import CONFINES as MINTED_CONFINES
from mintwarden.mint.prepare import PROTOCOL_CLAIMS
from mintwarden.policy.bundle.claims import CONFINES, REGISTERED


@pytest.mark.parametrize("name", sorted(REGISTERED))
def test_a_registered_claim_cannot_be_derived(name, refused):
    claim = f'\n[claims."{name}"]\ntype = "string"\nsource = "directory"\nfrom = "subject.department"\n'
    problems = refused(("claims.toml", "", claim))
    assert [p.message for p in problems] == [f"claim `{name}` is registered ({REGISTERED[name]}) and cannot be derived"]


def test_the_claims_that_the_issue_names_are_registered():
    assert {"iss", "sub", "aud", "exp", "act", "cnf", "scope", "client_id", "may_act", "ledger_leaf"} <= set(REGISTERED)


def test_what_the_mint_would_refuse_is_refused_here():
    assert set(REGISTERED) >= PROTOCOL_CLAIMS
    assert CONFINES == MINTED_CONFINES


@pytest.mark.parametrize("name", CONFINES)
def test_a_confine_comes_from_the_request_and_nowhere_else(name, refused):
    claim = f'\n[claims.{name}]\ntype = "string"\nsource = "directory"\nfrom = "subject.department"\n'
    drop = ("claims.toml", "[claims.tenant]", "[claims.tenant_was]") if name == "tenant" else ("claims.toml", "", "")
    problems = refused(drop, ("claims.toml", "", claim))
    assert any(f"claim `{name}` is what the request was confined to" in problem.message for problem in problems)


def test_a_claim_may_come_from_what_the_request_states(loaded):
    claim = '\n[claims.purpose]\ntype = "string"\nsource = "request"\nfrom = "context.request.purpose"\n'
    assert loaded(("claims.toml", "", claim)).catalogue.claims["purpose"].origin == "context.request.purpose"


def test_a_derivation_becomes_the_claims_expression(loaded):
    bundle = loaded()
    assert bundle.catalogue.claims["can_write"].expression.startswith("scopes.exists")
    assert bundle.catalogue.claims["can_write"].origin == ""
    assert bundle.derivations["can_write"].reads == frozenset()
