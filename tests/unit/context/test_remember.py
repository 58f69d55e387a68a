"""What tokens said then counts now as long as its age lets it, and nothing else of then does."""

from __future__ import annotations

import pytest

from mintwarden.context.assemble import SourceAnswer, TokenFacts
from mintwarden.context.remember import remember
from mintwarden.model.catalogue import Catalogue
from mintwarden.model.facts import Facts, Reading
from tests.unit.context.test_assemble import ALICE, BOT, NOW, STRING, answer, built, catalogue, fact, source

LATER = NOW + 60_000


def company(**settings: object) -> Catalogue:
    return catalogue(
        source("claims", ("User", "Agent"), fact("repo", STRING), kind="token", **settings),
        source("directory", ("User",), fact("department", STRING)),
    )


def facts(cat: Catalogue, tokens: dict[str, TokenFacts] | None = None, department: str = "finance") -> Facts:
    documents: dict[str, dict[str, SourceAnswer]] = {"User:alice": {"directory": answer({"department": department})}}
    return built(cat, documents, tokens, actors=(BOT,))


SAID = {"User:alice": TokenFacts({"repo": "a/b"}, NOW), "Agent:bot": TokenFacts({"repo": "bot/x"}, NOW)}


def test_what_tokens_said_is_remembered_and_everything_else_is_of_now():
    cat = company()
    found = remember(facts(cat, department="sales"), facts(cat, SAID), cat, LATER)
    assert dict(found.subject.attrs) == {"department": "sales", "repo": "a/b"}
    assert dict(found.actors[0].attrs) == {"repo": "bot/x"}
    assert found.readings["subject/claims"] == Reading("present", NOW, 0)
    assert found.readings["actor:0/claims"].state == "present"
    assert found.subject.uid == ALICE


def test_what_is_too_old_by_now_is_stale():
    cat = company(max_age=59_999)
    found = remember(facts(cat), facts(cat, SAID), cat, LATER)
    assert "repo" not in found.subject.attrs
    assert found.readings["subject/claims"] == Reading("stale", NOW, 59_999)


def test_what_no_token_said_then_stays_missing():
    cat = company()
    found = remember(facts(cat), facts(cat), cat, LATER)
    assert found.readings["subject/claims"].state == "missing"
    assert "repo" not in found.subject.attrs


@pytest.mark.parametrize(("missing", "state"), [("refuse", "missing"), ("absent", "present")])
def test_what_was_not_recorded_is_missing_unless_its_absence_is_harmless(missing: str, state: str):
    cat = company(missing=missing)
    recorded = facts(cat, SAID)
    kept = Facts(
        subject=type(recorded.subject)(ALICE, {}, frozenset()),
        actors=recorded.actors,
        context=recorded.context,
        readings=recorded.readings,
    )
    found = remember(facts(cat), kept, cat, LATER)
    assert found.readings["subject/claims"].state == state
    assert "repo" not in found.subject.attrs


def test_without_such_sources_nothing_is_touched():
    cat = catalogue(source("directory", ("User",), fact("department", STRING)))
    now = facts(cat)
    assert remember(now, now, cat, LATER) is now
