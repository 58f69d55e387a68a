"""Changes between observing and enforcing: what is told of them, and which may not be."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import cast

import pytest
from msgspec.structs import replace

from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.mode_changes import ModeChange, mode_changes, returned_between
from tests.unit.policy.company import BUNDLE, CLAIMS, CLIENT, LEGACY, NOW, PAYMENTS, RULES, SOURCES

HOUR = 3_600_000


def at(millis: int) -> str:
    return datetime.datetime.fromtimestamp(millis / 1000, datetime.UTC).isoformat()


def downgrade(until: int, returns: str = "enforce") -> str:
    return f'[downgrade]\nreason = "TICKET-1"\nuntil = "{at(until)}"\nreturns = "{returns}"\n'


def bundle(mode: str, more: str = "", *, name: str = "legacy", rules: str = RULES, modes: str = "") -> Bundle:
    """One whose old audience is in a mode."""
    legacy = LEGACY.replace('"observe"', f'"{mode}"').replace('id = "legacy"', f'id = "{name}"')
    return build_bundle(
        {
            "bundle.toml": BUNDLE + modes,
            "sources.toml": SOURCES,
            "claims.toml": CLAIMS,
            "audiences/payments.toml": PAYMENTS,
            "audiences/legacy.toml": legacy.replace("[legacy]", more + "[legacy]"),
            "clients/app.toml": CLIENT.replace("legacy =", f"{name} ="),
            "rules/all.cedar": rules,
        }
    )


def one(old: Bundle, new: Bundle, now: int = NOW) -> ModeChange:
    (change,) = mode_changes(old, new, now)
    return change


def shared(bundle_: Bundle, **changes: tuple[str, tuple[str, ...]]) -> Bundle:
    """The bundle with other identifiers for some audiences: the first, and those that it also has."""
    audiences = dict(bundle_.catalogue.audiences)
    for name, (identifier, also) in changes.items():
        audiences[name] = replace(audiences[name], identifier=identifier, also=also)
    return cast(
        "Bundle", SimpleNamespace(catalogue=replace(bundle_.catalogue, audiences=audiences), rules=bundle_.rules)
    )


def test_no_other_audience_takes_over_what_resource_servers_know_as_one_that_enforces() -> None:
    """Otherwise a name is moved to an audience that observes, for good, and nothing is called a downgrade."""
    old = bundle("enforce")
    known = old.catalogue.audiences["legacy"].identifier
    for name in ("legacy", "other"):
        new = bundle("observe", name=name)
        for own, also in ((known, ()), ("https://new.example", (known,))):
            (change,) = mode_changes(old, shared(new, **{name: (own, also)}), NOW)
            assert (change.id, change.before, change.is_downgrade) == (name, "enforce", True)
            assert change.problems, (name, own)
    observed = bundle("observe")
    payments = observed.catalogue.audiences["payments"].identifier
    moved = shared(observed, payments=("https://moved.example", ()), legacy=(known, (payments,)))
    (change,) = mode_changes(observed, moved, NOW)
    assert (change.id, change.before, change.after) == ("legacy", "enforce", "observe")
    assert change.problems


CANARY = "[canary]\nshare = 0.2\nclients = ['app']\n"


def test_the_first_bundle_and_the_same_one_change_nothing() -> None:
    assert mode_changes(None, bundle("observe"), NOW) == ()
    assert mode_changes(bundle("observe"), bundle("observe"), NOW) == ()


@pytest.mark.parametrize(("before", "after"), [("observe", "canary"), ("canary", "enforce"), ("observe", "enforce")])
def test_enforcing_more_is_told_and_needs_nothing(before: str, after: str) -> None:
    change = one(bundle(before, CANARY), bundle(after, CANARY))
    assert (change.before, change.after, change.is_downgrade, change.problems) == (before, after, False, ())
    assert change.detail == {"audience": "legacy", "before": before, "after": after}


@pytest.mark.parametrize(("before", "after"), [("enforce", "canary"), ("canary", "observe"), ("enforce", "observe")])
def test_enforcing_less_without_a_limit_is_refused(before: str, after: str) -> None:
    change = one(bundle(before, CANARY), bundle(after, CANARY))
    assert change.is_downgrade
    assert change.problems == (
        "audience `legacy` would enforce less than it does: `[downgrade]` must say why and until when",
    )


def test_enforcing_less_for_a_while_is_a_downgrade() -> None:
    change = one(bundle("enforce"), bundle("observe", downgrade(NOW + HOUR)))
    assert (change.is_downgrade, change.problems) == (True, ())
    assert change.detail == {
        "audience": "legacy",
        "before": "enforce",
        "after": "observe",
        "downgrade": True,
        "until": NOW + HOUR,
        "returns": "enforce",
        "reason": "TICKET-1",
    }


def test_a_limit_in_the_past_is_refused() -> None:
    (problem,) = one(bundle("enforce"), bundle("observe", downgrade(NOW))).problems
    assert "over before it begins" in problem


def test_a_limit_too_far_away_is_refused() -> None:
    (problem,) = one(bundle("enforce"), bundle("observe", downgrade(NOW + 25 * HOUR))).problems
    assert "longer than 1d" in problem
    shorter = bundle("observe", downgrade(NOW + 2 * HOUR), modes='[modes]\ndowngrade_max = "1h"\n')
    (problem,) = one(bundle("enforce"), shorter).problems
    assert "longer than 1h" in problem


def test_a_canary_is_not_made_smaller() -> None:
    smaller = bundle("canary", "[canary]\nshare = 0.1\nclients = ['app']\n")
    assert one(bundle("canary", CANARY), smaller).is_downgrade
    salted = bundle("canary", CANARY + 'salt = "x"\n')
    assert one(bundle("canary", CANARY), salted).is_downgrade
    larger = bundle("canary", CANARY.replace("0.2", "0.3"))
    assert not one(bundle("canary", CANARY), larger).is_downgrade


def test_a_downgrade_returns_to_no_less_than_held() -> None:
    (problem,) = one(bundle("enforce"), bundle("observe", CANARY + downgrade(NOW + HOUR, "canary"))).problems
    assert "would return to less" in problem
    assert one(bundle("canary", CANARY), bundle("observe", CANARY + downgrade(NOW + HOUR, "canary"))).problems == ()


def test_a_downgrade_does_not_become_the_usual_state() -> None:
    """Neither by leaving its limit out in the next version, nor by moving it away step by step without a quorum."""
    observed = bundle("observe", downgrade(NOW + HOUR))
    assert one(observed, bundle("observe")).problems
    longer = one(observed, bundle("observe", downgrade(NOW + 2 * HOUR)))
    assert (longer.is_downgrade, longer.problems) == (True, ())
    shorter = one(observed, bundle("observe", downgrade(NOW + HOUR // 2)))
    assert (shorter.is_downgrade, shorter.problems) == (False, ())
    assert mode_changes(observed, observed, NOW) == ()


def test_once_it_is_over_leaving_the_limit_behind_changes_nothing() -> None:
    observed = bundle("observe", downgrade(NOW + HOUR))
    assert mode_changes(observed, observed, NOW + HOUR) == ()
    back = one(observed, bundle("enforce"), NOW + HOUR)
    assert (back.before, back.after, back.is_downgrade, back.problems) == ("enforce", "enforce", False, ())
    assert one(observed, bundle("observe"), NOW + HOUR).problems


def test_another_name_for_the_same_server_is_no_way_round() -> None:
    assert one(bundle("enforce"), bundle("observe", name="renamed")).problems


def test_an_audience_of_which_nothing_was_known_may_begin_by_observing() -> None:
    old = bundle("enforce")
    other = build_bundle(
        {
            "bundle.toml": BUNDLE,
            "sources.toml": SOURCES,
            "claims.toml": CLAIMS,
            "audiences/payments.toml": PAYMENTS,
            "clients/app.toml": CLIENT.replace('legacy = ["old:use"]\n', ""),
            "rules/all.cedar": RULES.partition('@id("old")')[0],
        }
    )
    change = one(other, bundle("observe"))
    assert (change.before, change.after, change.is_downgrade, change.problems) == ("", "observe", False, ())
    assert mode_changes(other, old, NOW) == ()


# -- rules -------------------------------------------------------------------------------------------------------------


def freeze(annotations: str) -> Bundle:
    return bundle("enforce", rules=RULES.replace('@id("freeze")', f'@id("freeze") {annotations}'))


def test_a_guardrail_that_counted_is_observed_for_a_while_only() -> None:
    usual = bundle("enforce")
    assert one(usual, freeze('@mode("observe")')).problems
    limited = one(usual, freeze(f'@mode("observe") @observe_until("{at(NOW + HOUR)}")'))
    assert (limited.is_downgrade, limited.problems, limited.until) == (True, (), NOW + HOUR)
    assert limited.detail["rule"] == "freeze"
    assert one(usual, freeze(f'@mode("observe") @observe_until("{at(NOW + 30 * HOUR)}")')).problems
    longer = one(
        freeze(f'@mode("observe") @observe_until("{at(NOW + HOUR)}")'),
        freeze(f'@mode("observe") @observe_until("{at(NOW + 2 * HOUR)}")'),
    )
    assert longer.is_downgrade


def test_a_permit_that_is_only_observed_is_no_downgrade() -> None:
    tried = bundle("enforce", rules=RULES.replace('@id("write")', '@id("write") @mode("observe")'))
    change = one(bundle("enforce"), tried)
    assert (change.before, change.after, change.is_downgrade, change.problems) == ("enforce", "observe", False, ())


def test_a_new_guardrail_may_begin_by_being_observed() -> None:
    without = bundle("enforce", rules=RULES.replace('@id("freeze")', '@id("freeze-later")'))
    changes = mode_changes(without, freeze('@mode("observe")'), NOW)
    assert [(c.id, c.before, c.after, c.is_downgrade, c.problems) for c in changes] == [
        ("freeze", "", "observe", False, ())
    ]


def test_what_came_back_by_itself_is_told_once() -> None:
    observed = bundle(
        "observe",
        downgrade(NOW + HOUR),
        rules=RULES.replace('@id("freeze")', f'@id("freeze") @mode("observe") @observe_until("{at(NOW + 2 * HOUR)}")'),
    )
    assert returned_between(observed, NOW, NOW + HOUR - 1) == ()
    (first,) = returned_between(observed, NOW, NOW + HOUR)
    assert (first.id, first.before, first.after, first.until) == ("legacy", "observe", "enforce", NOW + HOUR)
    (second,) = returned_between(observed, NOW + HOUR, NOW + 3 * HOUR)
    assert (second.what, second.id) == ("rule", "freeze")
