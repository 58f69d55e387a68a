"""Which sign-in would give more, out of what is refused, what the client demands and which ways there are."""

from __future__ import annotations

from msgspec.structs import replace

from mintwarden.authn.sign_in import Demand
from mintwarden.authn.ways import Way
from mintwarden.issue.authorization.step_up import Better, better_sign_in, demanded, was_tried
from mintwarden.model.decision import Obligation, ScopeDecision

CORP = Way(id="corp", levels=frozenset({"mfa", "phr"}), methods=frozenset({"otp"}))
PASSKEY = Way(id="passkey", levels=frozenset({"phrh"}), methods=frozenset({"hwk", "user"}), sure=True)
WAYS = (CORP, PASSKEY)


def refused(**unmet: str) -> ScopeDecision:
    """A scope that lacks that of a sign-in."""
    obligations = tuple(Obligation(f"require_{name}", value) for name, value in unmet.items())
    return ScopeDecision(scope="a", granted=False, reason="obligation_unmet", unmet=obligations)


def better(*answers: ScopeDecision, demand: Demand | None = None) -> Better:
    found = better_sign_in(answers, demand or Demand(), WAYS)
    assert found is not None
    return found


def test_nothing_is_sought_where_nothing_is_lacking_or_no_way_leads_there() -> None:
    assert better_sign_in([], Demand(), WAYS) is None
    assert better_sign_in([refused(acr="nowhere")], Demand(), WAYS) is None
    assert better_sign_in([refused(acr="phr")], Demand(), ()) is None
    assert better_sign_in([refused(acr="phr", amr="hwk")], Demand(), WAYS) is None


def test_only_ways_that_can_give_all_of_it() -> None:
    assert better(refused(acr="phr phrh")).ways == ("corp", "passkey")
    assert better(refused(acr="phrh")).ways == ("passkey",)
    assert better(refused(acr="phr", amr="otp")).ways == ("corp",)
    assert better(refused(auth_age="5m")).ways == ("corp", "passkey")


def test_a_provider_cannot_be_told_how_somebody_signs_in_there() -> None:
    assert better(refused(amr="hwk")).ways == ("passkey",)
    assert better_sign_in([refused(amr="otp")], Demand(), WAYS) is None


def test_one_sign_in_for_several_and_the_first_counts_where_they_exclude_each_other() -> None:
    both = better(refused(acr="phr phrh"), refused(acr="phrh", auth_age="15m"), refused(auth_age="5m"))
    assert (both.levels, both.max_age, both.ways, both.lacking) == (("phrh",), 300, ("passkey",), "phr phrh")
    apart = better(refused(acr="nowhere"), refused(acr="mfa"), refused(acr="phrh"))
    assert (apart.levels, apart.ways, apart.lacking) == (("mfa",), ("corp",), "mfa")


def test_what_the_client_insists_on_stands() -> None:
    essential = Demand(acr_values=("phr", "mfa"), essential=True, max_age=60)
    assert better_sign_in([refused(acr="phrh")], essential, WAYS) is None
    found = better(refused(acr="phrh phr", auth_age="5m"), demand=essential)
    assert found.levels == ("phr",)
    told = demanded(essential, found, voluntary=True)
    assert (told.acr_values, told.essential, told.max_age, told.ways) == (("phr",), True, 60, ("corp",))
    aged = demanded(essential, better(refused(auth_age="30s"), demand=essential), voluntary=False)
    assert (aged.acr_values, aged.essential, aged.max_age, aged.voluntary) == (("phr", "mfa"), True, 30, False)


def test_what_the_client_merely_wishes_for_gives_way() -> None:
    wishes = Demand(acr_values=("mfa",), again=True, choose=True)
    told = demanded(wishes, better(refused(acr="phrh"), demand=wishes), voluntary=True)
    assert (told.acr_values, told.essential, told.again, told.choose) == (("phrh",), True, False, False)
    kept = demanded(wishes, better(refused(auth_age="5m"), demand=wishes), voluntary=True)
    assert (kept.acr_values, kept.essential, kept.max_age) == (("mfa",), False, 300)


def test_what_was_tried_already() -> None:
    strong, new = better(refused(acr="phr phrh")), better(refused(auth_age="5m"))
    assert was_tried(Demand(acr_values=("phr",)), strong)
    assert not was_tried(Demand(acr_values=("phr", "mfa")), strong), "which it may have been enough to reach"
    assert not was_tried(Demand(), strong)
    assert was_tried(Demand(max_age=300), new)
    assert was_tried(Demand(again=True), new)
    assert not was_tried(Demand(max_age=301), new)
    assert not was_tried(Demand(), new)
    assert not was_tried(Demand(again=True), replace(new, methods=frozenset({"hwk"})))
