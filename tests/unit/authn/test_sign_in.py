"""When a present sign-in is enough."""

from __future__ import annotations

from mintwarden.authn.sign_in import Demand, SignIn, meets
from mintwarden.model.values import EntityUid

NOW = 1_795_000_000_000
ALICE = EntityUid("User", "alice")
SIGNED_IN = SignIn(subject=ALICE, provider="corporate", authenticated_at=NOW - 60_000, acr="mfa")


def test_without_a_demand_any_is() -> None:
    assert meets(SIGNED_IN, Demand(), NOW)


def test_not_one_that_is_too_old() -> None:
    assert meets(SIGNED_IN, Demand(max_age=60), NOW)
    assert not meets(SIGNED_IN, Demand(max_age=59), NOW)
    assert not meets(SIGNED_IN, Demand(max_age=0), NOW)


def test_not_one_of_a_level_that_was_essential() -> None:
    assert meets(SIGNED_IN, Demand(acr_values=("phr", "mfa"), essential=True), NOW)
    assert not meets(SIGNED_IN, Demand(acr_values=("phr",), essential=True), NOW)
    assert meets(SIGNED_IN, Demand(acr_values=("phr",)), NOW), "a preference is none of its business"


def test_not_another_persons() -> None:
    assert meets(SIGNED_IN, Demand(subject=ALICE), NOW)
    assert not meets(SIGNED_IN, Demand(subject=EntityUid("User", "bob")), NOW)
