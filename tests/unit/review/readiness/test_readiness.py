"""Who would lose what, counted in bounded memory; what mends it; and the verdict by the audience's own criteria."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from msgspec.structs import replace

from mintwarden.ledger.document import decision_document, read_document
from mintwarden.ledger.entry import DecisionEntry, PrincipalMember, ScopeMember
from mintwarden.ledger.ports import StoredEntry
from mintwarden.ledger.reveal import Revealed
from mintwarden.model.catalogue import Audience
from mintwarden.model.facts import Facts
from mintwarden.model.modes import Explained, Readiness
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide
from mintwarden.review.readiness.mend import Mended, mend
from mintwarden.review.readiness.report import DAY, Report, report
from mintwarden.review.readiness.tally import Tally
from tests.unit.policy.company import NOW, asked, facts
from tests.unit.policy.test_mode_changes import bundle

LOST = ScopeMember(
    granted=True, route="legacy:everyone", scope="old:use", would=ScopeMember(granted=False, reason="no_route")
)
GAINED = ScopeMember(granted=False, reason="not_mapped", scope="old:use", would=ScopeMember(granted=True, route="old"))
BOTH = ScopeMember(granted=True, route="legacy:x", scope="old:use", would=ScopeMember(granted=True, route="old"))


def put(tally: Tally, *scopes: ScopeMember, at: int = NOW, person: int = 1, client: str = "app", **more: Any) -> None:
    members: dict[str, Any] = {"audience": "legacy", "mode": "observe", **more}
    subject = PrincipalMember(ref="r" * 32, type="User")
    number = tally.decisions + tally.enforced
    stored = StoredEntry(
        position=number,
        index=number,
        decision_id=hashlib.sha256(str(number).encode()).digest()[:16],
        leaf_hash=b"",
        entry=b"",
        sealed=None,
        key_id=person,
    )
    tally.put(DecisionEntry(at=at, client=client, scopes=scopes, subject=subject, **members), stored)


def audience(**criteria: Any) -> Audience:
    found = bundle("observe").catalogue.audiences["legacy"]
    return replace(found, readiness=Readiness(**{"days": 1, "min_decisions": 1, **criteria}))


def verdict(tally: Tally, *mended: Mended, now: int = NOW + 1, **criteria: Any) -> Report:
    losses = list(tally.losses.values())
    known = [*mended, *[Mended()] * (len(losses) - len(mended))]
    told = [(loss, one, f"person {loss.caller.person}") for loss, one in zip(losses, known, strict=True)]
    return report(audience(**criteria), tally, told, since=0, until=now)


def met(found: Report) -> dict[str, bool]:
    return {one.name: one.met for one in found.criteria}


def test_losses_are_told_apart_by_caller_and_scope() -> None:
    tally = Tally("legacy")
    put(tally, LOST, at=NOW - 5)
    put(tally, LOST, at=NOW - 2)
    put(tally, LOST, person=2)
    put(tally, LOST, client="other")
    assert [(k[0].client, k[0].person, loss.count) for k, loss in tally.losses.items()] == [
        ("app", 1, 2),
        ("app", 2, 1),
        ("other", 1, 1),
    ]
    first = next(iter(tally.losses.values()))
    assert (first.first, first.last, first.reason, first.leaf) == (NOW - 5, NOW - 2, "no_route", 1)


def test_other_audiences_and_plain_enforcing_are_none_of_it() -> None:
    tally = Tally("legacy")
    put(tally, LOST, audience="other")
    put(tally, replace(LOST, would=None), mode="enforce")
    put(tally, replace(LOST, would=None), mode="enforce", stage="returned")
    assert (tally.decisions, tally.enforced, tally.first) == (0, 0, 0)


def test_the_canary_is_counted_beside() -> None:
    tally = Tally("legacy")
    put(tally, ScopeMember(granted=False, reason="no_route", scope="old:use"), mode="enforce", stage="canary")
    put(tally, BOTH, stage="canary")
    assert (tally.decisions, tally.enforced, tally.refused) == (1, 1, 1)


def test_a_flood_of_callers_is_counted_and_there_is_no_verdict() -> None:
    tally = Tally("legacy", most=10)
    for person in range(1, 30):
        put(tally, LOST, person=person)
    assert (len(tally.losses), tally.others) == (10, 19)
    found = verdict(tally, *[Mended(is_mended=True)] * 10)
    assert not found.ready
    assert met(found)["told_apart"] is False


def test_trend_and_gains() -> None:
    tally = Tally("legacy")
    put(tally, LOST, at=NOW - DAY)
    put(tally, GAINED)
    put(tally, GAINED)
    put(tally, BOTH)
    found = verdict(tally)
    assert [(day.decisions, day.would_lose, day.would_gain) for day in found.trend] == [(1, 1, 0), (3, 0, 2)]
    assert [(gain.client, gain.scope, gain.count) for gain in found.gaining] == [("app", "old:use", 2)]


@pytest.mark.parametrize(
    ("criteria", "ready"),
    [
        ({}, False),
        ({"unexplained": 1}, True),
        ({"unexplained": 1, "max_would_break": 0}, False),
        ({"explained": (Explained(reason="r", until=NOW + 2, client="app"),)}, True),
        ({"explained": (Explained(reason="r", until=NOW + 2, client="app", scope="old:use"),)}, True),
        ({"explained": (Explained(reason="r", until=NOW + 1, client="app"),)}, False),
        ({"explained": (Explained(reason="r", until=NOW + 2, client="other"),)}, False),
        ({"explained": (Explained(reason="r", until=NOW + 2, scope="other"),)}, False),
        ({"explained": (Explained(reason="r", until=NOW + 2, scope="old:use"),), "max_would_break": 0}, False),
    ],
)
def test_the_verdict_is_by_the_criteria(criteria: dict[str, Any], ready: bool) -> None:
    tally = Tally("legacy")
    put(tally, LOST)
    assert verdict(tally, **criteria).ready is ready


def test_too_short_and_too_few_is_not_ready() -> None:
    tally = Tally("legacy")
    put(tally, BOTH, at=NOW - DAY)
    assert met(verdict(tally, days=2, min_decisions=2)) == {"days": True, "min_decisions": False, "unexplained": True}
    assert met(verdict(tally, days=3))["days"] is False
    assert met(verdict(Tally("legacy"), min_decisions=0))["days"] is False


def test_an_entry_that_was_changed_is_not_ready() -> None:
    tally = Tally("legacy")
    put(tally, BOTH)
    tally.unread = 1
    assert met(verdict(tally))["read"] is False


# -- what mends it -----------------------------------------------------------------------------------------------------


def revealed(judged: Bundle, known: Facts, question: Any = None) -> Revealed:
    question = question or asked("old:use", audience="legacy")
    decision = decide(judged, question, known, NOW)
    sealed = read_document(decision_document(question, known, decision))
    return Revealed(entry={"at": NOW, "bundle": judged.digest}, state="open", decision=sealed)


def test_the_smallest_change_is_told() -> None:
    observed = bundle("observe")
    found = mend(observed, revealed(observed, facts(groups=("everyone",))), None, "old:use")
    assert (found.is_mended, found.change) == (False, ('subject joins Group::"finance"',))


def test_rules_that_were_mended_mend_it() -> None:
    from tests.unit.policy.company import RULES

    observed = bundle("observe")
    mended = bundle(
        "observe", rules=RULES.replace('Scope::"old:use")\nwhen { principal in Group::"finance" }', 'Scope::"old:use")')
    )
    found = mend(mended, revealed(observed, facts(groups=("everyone",))), None, "old:use")
    assert found.is_mended


def test_what_became_known_of_the_caller_mends_it_and_another_sign_in_does_not() -> None:
    observed = bundle("observe")
    lost = revealed(observed, facts(groups=("everyone",)))
    assert mend(observed, lost, revealed(observed, facts(groups=("everyone", "finance"))), "old:use").is_mended
    write = asked("pay:write", acr="")
    signed_in = asked("pay:write", acr="phr")
    before, after = revealed(observed, facts(), write), revealed(observed, facts(), signed_in)
    assert not mend(observed, before, after, "pay:write").is_mended


def test_an_erased_subject_is_said_to_be() -> None:
    gone = Revealed(entry={"at": NOW, "bundle": ""}, state="erased")
    assert "erased" in mend(bundle("observe"), gone, None, "old:use").note
