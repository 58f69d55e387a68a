"""What holds for whom, and when."""

from __future__ import annotations

import datetime

import msgspec
import pytest

from mintwarden.ledger.entry import decision_entry
from mintwarden.model.decision import Decision, ScopeDecision
from mintwarden.model.facts import Reading
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide
from tests.unit.policy.company import NOW, RULES, asked, facts
from tests.unit.policy.test_mode_changes import CANARY, HOUR, at, bundle, downgrade

QUESTION = asked("old:use", audience="legacy")
OUTSIDE = facts(groups=("everyone",))
"""The mapping gives it, the rules do not."""


def one(decision: Decision) -> ScopeDecision:
    (scope,) = decision.scopes
    return scope


@pytest.mark.parametrize("evaluator", ["compiled", "cedar"])
def test_a_downgrade_ends_to_the_millisecond_and_nothing_has_to_happen(evaluator: str) -> None:
    observed = bundle("observe", downgrade(NOW + HOUR))
    judged = observed if evaluator == "compiled" else observed.on_cedar()
    # What the mapping gives meanwhile does not outlive it either.
    last = decide(judged, QUESTION, OUTSIDE, NOW + HOUR - 1_000)
    assert (last.granted, last.mode, last.stage) == (True, "observe", "downgrade")
    assert last.lifetime is not None
    assert (last.lifetime.seconds, last.lifetime.bounded_by) == (1, "downgrade:legacy")
    none = decide(judged, QUESTION, OUTSIDE, NOW + HOUR - 1)
    assert (none.granted, none.mode, one(none).reason) == (False, "observe", "no_lifetime")
    after = decide(judged, QUESTION, OUTSIDE, NOW + HOUR)
    assert (after.granted, after.mode, after.stage, one(after).reason) == (False, "enforce", "returned", "no_route")


def test_a_downgrade_may_end_in_a_canary() -> None:
    observed = bundle("observe", CANARY + downgrade(NOW + HOUR, "canary"))
    after = decide(observed, QUESTION, OUTSIDE, NOW + HOUR)
    assert (after.mode, after.stage) == ("enforce", "returned")
    other = decide(
        bundle("observe", "[canary]\nshare = 0\n" + downgrade(NOW + HOUR, "canary")), QUESTION, OUTSIDE, NOW + HOUR
    )
    assert (other.granted, other.mode, other.stage) == (True, "observe", "returned")


@pytest.mark.parametrize("evaluator", ["compiled", "cedar"])
def test_an_observed_guardrail_counts_again_to_the_millisecond(evaluator: str) -> None:
    until = f'@mode("observe") @observe_until("{at(NOW + HOUR)}")'
    rules = RULES.replace('@id("freeze")', f'@id("freeze") {until}').replace(
        "principal.risk < 50", "principal.risk < 99"
    )
    enforced = bundle("enforce", rules=rules)
    judged = enforced if evaluator == "compiled" else enforced.on_cedar()
    risky = facts(risk=95)
    before = one(decide(judged, asked(), risky, NOW + HOUR - 1))
    assert before.granted
    assert before.would is not None
    assert (before.would.reason, before.would.determining) == ("forbidden", ("freeze",))
    after = one(decide(judged, asked(), risky, NOW + HOUR))
    assert (after.granted, after.reason, after.would) == (False, "forbidden", None)


def test_an_observed_permit_does_not_begin_to_count_by_itself() -> None:
    rules = RULES.replace('@id("old")', f'@id("old") @mode("observe") @observe_until("{at(NOW)}")')
    later = one(decide(bundle("enforce", rules=rules), QUESTION, facts(), NOW + 1000 * HOUR))
    assert (later.granted, later.would is not None and later.would.granted) == (False, True)


def test_a_day_is_meant_to_its_end() -> None:
    rule = bundle(
        "enforce", rules=RULES.replace('@id("old")', '@id("old") @mode("observe") @observe_until("2026-12-31")')
    )
    midnight = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)
    assert rule.rules.rules["old"].observed_until == int(midnight.timestamp() * 1000)


CANARIES = (
    ("[canary]\nshare = 0.2\nclients = ['app']\n", facts(groups=()), "enforce"),
    ("[canary]\nclients = ['app']\n", facts(groups=()), "enforce"),
    ("[canary]\ngroups = ['everyone']\n", facts(groups=("everyone",)), "enforce"),
    ("[canary]\ngroups = ['everyone']\n", facts(groups=("finance",)), "observe"),
    ("[canary]\nshare = 1\n", facts(groups=()), "enforce"),
    ("[canary]\nshare = 1e-9\n", facts(groups=()), "observe"),
)


@pytest.mark.parametrize(("canary", "known", "mode"), CANARIES)
def test_who_is_in_a_canary(canary: str, known: object, mode: str) -> None:
    decision = decide(bundle("canary", canary), QUESTION, known, NOW)  # type: ignore[arg-type]
    assert (decision.mode, decision.stage) == (mode, "canary")


@pytest.mark.parametrize("state", ["stale", "failing"])
def test_a_canary_of_groups_enforces_where_groups_are_unknown(state: str) -> None:
    known = facts(groups=(), readings={"subject/directory": Reading(state)})  # type: ignore[arg-type]
    assert decide(bundle("canary", "[canary]\ngroups = ['everyone']\n"), QUESTION, known, NOW).mode == "enforce"


def test_an_unconnected_source_that_only_permits_read_does_not_stop_the_mapping() -> None:
    rules = RULES.replace('principal in Group::"finance" };\n', 'principal.entitlements.contains("x") };\n')
    unknown = facts(groups=("everyone",), readings={"subject/entitlements": Reading("missing")})
    found = one(decide(bundle("observe", rules=rules), QUESTION, unknown, NOW))
    assert found.granted
    assert found.would is not None
    assert (found.would.reason, found.would.facts) == ("fact_missing", ("subject/entitlements",))


def test_groups_that_are_not_known_are_said_not_to_be() -> None:
    unknown = facts(groups=(), readings={"subject/directory": Reading("stale")})
    found = one(decide(bundle("observe"), QUESTION, unknown, NOW))
    assert (found.granted, found.reason, found.facts) == (False, "fact_stale", ("subject/directory",))


def entry(judged: Bundle, **known: object) -> dict[str, object]:
    decision = decide(judged, QUESTION, facts(**known), NOW)  # type: ignore[arg-type]
    written = decision_entry(
        decision_id="0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee",
        issuer="https://tokens.example",
        decision=decision,
        asked=QUESTION,
        prepared=None,
        commitment=bytes(32),
        blinding=bytes(32),
    )
    found: dict[str, object] = msgspec.json.decode(written)
    return found


def test_the_entry_holds_what_the_rules_would_have_said() -> None:
    observed = entry(bundle("observe"), groups=("everyone",))
    assert observed["scopes"] == [
        {
            "granted": True,
            "route": "legacy:everyone",
            "scope": "old:use",
            "would": {"granted": False, "reason": "no_route"},
        }
    ]
    assert (observed["mode"], "stage" in observed) == ("observe", False)
    both = entry(bundle("canary", "[canary]\nshare = 1e-9\n"), groups=("everyone", "finance"))
    assert both["stage"] == "canary"
    assert both["scopes"] == [
        {"granted": True, "route": "legacy:everyone", "scope": "old:use", "would": {"granted": True, "route": "old"}}
    ]


def test_the_entry_of_a_plain_decision_is_as_it_was() -> None:
    """Nothing was added to it: its bytes are those of before there were modes."""
    plain = entry(bundle("enforce"), groups=("finance",))
    assert plain["scopes"] == [{"granted": True, "route": "old", "scope": "old:use"}]
    assert "stage" not in plain
