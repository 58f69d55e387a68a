"""Which refusals mean that somebody is gone or barred."""

from __future__ import annotations

from typing import Any

import pytest

from mintwarden.model.decision import Decision, RefusalReason, ScopeDecision
from mintwarden.model.facts import Facts, Reading
from mintwarden.model.values import Entity, EntityUid, Record
from mintwarden.policy.bundle.load import load_bundle
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.lost import is_lost
from tools.findings import ROOT

ALICE = EntityUid("User", "alice")


@pytest.fixture(scope="module")
def meridian() -> Bundle:
    return load_bundle(ROOT / "examples" / "meridian")


def refusal(*scopes: ScopeDecision) -> Decision:
    return Decision(bundle="b", decided_at=0, audience="a", subject=ALICE, actors=(), scopes=scopes, granted=False)


def scope(reason: RefusalReason, *, determining: tuple[str, ...] = (), facts: tuple[str, ...] = ()) -> ScopeDecision:
    return ScopeDecision(scope="s", granted=False, reason=reason, determining=determining, facts=facts)


def facts(**readings: str) -> Facts:
    stated: dict[str, Any] = {f"subject/{name}": Reading(state) for name, state in readings.items()}  # type: ignore[arg-type]
    return Facts(subject=Entity(ALICE, {}), context=Record({}), readings=stated)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("guard-inactive-person", True),
        ("guard-contract-ended", True),
        ("guard-session-revoked", True),
        ("guard-incident-freeze", False),  # it also looks at who is a responder
        ("guard-frozen-audience", False),
        ("guard-isolate-environments", False),
        ("guard-that-a-later-version-took-away", False),
    ],
)
def test_only_guardrails_about_the_account_bar_it(meridian: Bundle, rule: str, expected: bool) -> None:
    decision = refusal(scope("forbidden", determining=(rule,)))
    assert is_lost(decision, facts(), meridian.catalogue, meridian.rules.rules) is expected


@pytest.mark.parametrize(
    ("source", "state", "expected"),
    [
        ("directory", "missing", True),
        ("directory", "failing", False),
        ("directory", "stale", False),
        ("risk", "missing", False),
        ("no-such", "missing", False),
    ],
)
def test_only_a_source_of_groups_says_that_somebody_is_gone(
    meridian: Bundle, source: str, state: str, expected: bool
) -> None:
    decision = refusal(scope("fact_missing", facts=(f"subject/{source}",)))
    assert is_lost(decision, facts(**{source: state}), meridian.catalogue, meridian.rules.rules) is expected


def test_every_scope_has_to_be_lost(meridian: Bundle) -> None:
    barred = scope("forbidden", determining=("guard-inactive-person",))

    def lost(*scopes: ScopeDecision) -> bool:
        return is_lost(refusal(*scopes), facts(), meridian.catalogue, meridian.rules.rules)

    assert lost(barred, barred)
    assert not lost(barred, scope("no_route"))
    assert not lost(barred, scope("obligation_unmet"))
    assert not lost()
