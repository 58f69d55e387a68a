"""The change that an explanation proposes, applied and decided again, grants the scope; and nothing less does."""

from __future__ import annotations

import os
from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mintwarden.model.asked import Asked
from mintwarden.model.facts import Facts, Reading
from mintwarden.model.values import Datetime, Entity, EntityUid, Record
from mintwarden.policy.amend import Amendment, Situation, amend
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide
from mintwarden.policy.explain import explain
from mintwarden.policy.explain_text import explain_text
from mintwarden.policy.plan import SourceIndex
from mintwarden.policy.turn import is_clear, scope_of, turn
from tests.unit.policy import company
from tests.unit.policy.company import BOT, NOW, RULES, asked, load_company

CASES = 2_000 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 150
SCOPES = ("pay:read", "pay:write", "pay:approve")
MORE_RULES = """
@id("busy") @owner("o") @reason("r")
forbid (principal is User, action, resource == Scope::"pay:write")
when { principal.tenants.containsAny(["t2", "t3"]) && !(principal in Group::"ops") };
@id("wide") @owner("o") @reason("r") @require_amr("hwk") @require_purpose("support")
permit (principal is User, action == Action::"issue", resource in Audience::"payments")
when { (principal.risk <= 5 || principal.department like "sec*") && context.request.environment == "production" }
unless { context has session && context.session has expires_at && context.session.expires_at < context.request.time };
@id("second") @owner("o") @reason("r") @require_binding("dpop")
permit (principal is Agent, action == Action::"act", resource == Scope::"pay:write")
when { principal in Group::"agents" && context.chain.depth < 3 };
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_company(tmp_path_factory.mktemp("company"), rules=RULES + MORE_RULES)


def situation(random: Random) -> Situation:
    actors = _actors(random)
    context: dict[str, Record] = {"client": Record(id="app"), "chain": Record(depth=len(actors))}
    if random.random() < 0.3:
        context["session"] = Record(expires_at=Datetime(NOW + random.choice((-1000, 1000))))
    known = company.facts(
        risk=random.choice((0, 10, 30, 60, 91, 95)),
        groups=tuple(group for group in ("finance", "ops", "staff") if random.random() < 0.4),
        attrs=_attributes(random),
        actors=actors,
        context=context,
        readings=_readings(random, len(actors)),
    )
    asks = asked(
        *random.sample(SCOPES, random.randint(1, 3)),
        actors=tuple(actor.uid for actor in actors),
        impersonate=bool(actors) and random.random() < 0.2,
        environment=random.choice(("production", "production", "production", "staging")),
        acr=random.choice(("", "phr")),
        purpose=random.choice(("", "support")),
    )
    return Situation(asks, _seen(asks, known), NOW)


def _seen(asks: Asked, known: Facts) -> Facts:
    """Rules see the request as it is asked."""
    words = {name: getattr(asks, name) for name in ("acr", "purpose") if getattr(asks, name)}
    seen = known.context["request"]
    assert isinstance(seen, Record)
    request = Record({**seen, "environment": asks.environment, **words})
    return Facts(
        subject=known.subject,
        actors=known.actors,
        context=Record({**known.context, "request": request}),
        readings=known.readings,
    )


def _attributes(random: Random) -> dict[str, object]:
    attrs: dict[str, object] = {
        "department": random.choice(("money", "security", "hr")),
        "tenants": frozenset(random.sample(("t1", "t2", "t3"), random.randint(0, 3))),
        "entitlements": frozenset(random.sample(("reader", "writer"), random.randint(0, 2))),
    }
    if random.random() < 0.5:
        attrs["manager"] = "bob"
    if random.random() < 0.3:
        attrs["approvals"] = frozenset({"manager:pay:approve"})
    return attrs


def _actors(random: Random) -> tuple[Entity, ...]:
    groups = frozenset({EntityUid("Group", "agents")}) if random.random() < 0.5 else frozenset()
    return tuple(
        Entity(uid, Record({"department": "bots", "tenants": frozenset(), "risk": random.choice((10, 50))}), groups)
        for uid in (BOT, EntityUid("Agent", "second"))[: random.choice((0, 0, 1, 2))]
    )


def _readings(random: Random, actors: int) -> dict[str, Reading]:
    roles = ("subject", *(f"actor:{index}" for index in range(actors)))
    return {
        f"{role}/risk": random.choice((Reading("stale", NOW - 900_000, 300_000), Reading("missing")))
        for role in roles
        if random.random() < 0.1
    }


def amended(bundle: Bundle, start: Situation, amendments: Iterable[Amendment]) -> Situation:
    sources = SourceIndex(bundle.catalogue)
    for amendment in amendments:
        after = amend(start, amendment, sources)
        assert after is not None
        start = after
    return start


@settings(max_examples=CASES)
@given(st.integers(0, 2**64))
def test_the_smallest_change_turns_the_scope_and_is_no_larger_than_needed(bundle: Bundle, seed: int) -> None:
    start = situation(Random(seed))
    for answer in decide(bundle, *start).scopes:
        if is_clear(answer):
            continue
        amendments = turn(bundle, start, answer.scope)
        assert amendments is not None, answer
        assert amendments
        after = decide(bundle.on_cedar(), *amended(bundle, start, amendments))
        assert is_clear(scope_of(after, answer.scope)), (answer, [a.text for a in amendments])
        for left_out in amendments:
            fewer = amended(bundle, start, (a for a in amendments if a != left_out))
            assert not is_clear(scope_of(decide(bundle, *fewer), answer.scope)), (left_out.text, amendments)


@settings(max_examples=CASES)
@given(st.integers(0, 2**64))
def test_an_explanation_says_what_was_decided_and_the_same_every_time(bundle: Bundle, seed: int) -> None:
    start = situation(Random(seed))
    decision, told = decide(bundle, *start), explain(bundle, *start)
    assert told == explain(bundle, *start, decision)
    assert [(s.scope, s.granted, s.reason) for s in told.scopes] == [
        (s.scope, s.granted, s.reason) for s in decision.scopes
    ]
    assert all(scope.carried or scope.reason for scope in told.scopes)
    page = explain_text(told)
    assert all(scope.scope in page for scope in told.scopes)
