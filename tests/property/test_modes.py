"""Observing and enforcing: what is issued, and what is recorded beside it, on random questions."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from hypothesis import event, given
from hypothesis import strategies as st

from mintwarden.context.project import project
from mintwarden.ledger.document import decision_document, read_document
from mintwarden.model.asked import Asked, Parent
from mintwarden.model.decision import Decision
from mintwarden.model.facts import Facts
from mintwarden.model.values import EntityUid
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide, decide_by_rules
from mintwarden.policy.modes import PLACES, ROUTES, in_canary, lender, position, said_of
from mintwarden.policy.plan import ACT, ISSUE
from tests.property.company import FILES, NOW, RULES, first_asked, scope_lists, truths
from tests.unit.policy.company import BUNDLE, CLAIMS, LEGACY, SOURCES

ALICE = EntityUid("User", "alice")
BOT, TOOL = EntityUid("Agent", "bot"), EntityUid("Workload", "tool")
CHAINS = [(), (BOT,), (TOOL, BOT)]
HIDE = """
@id("hide") @owner("o") @reason("r")
permit (principal is Agent, action == Action::"impersonate", resource == Scope::"pay:read")
when { principal.department == "bots" };
"""
MAPPING = """
[[tenancy]]
parameter = "tenant"
member_of = "subject.tenants"
required = false
[legacy]
everyone = ["pay:read", "pay:write"]
finance = ["pay:read"]
[legacy_roles."subject.entitlements"]
writer = ["pay:write", "pay:approve"]
[legacy_clients]
bot = ["pay:approve"]
[canary]
share = 0.5
groups = ["strangers"]
"""


@cache
def company(mode: str = "observe", rules: str = RULES + HIDE) -> Bundle:
    payments = FILES["audiences/payments.toml"]
    files = {
        **FILES,
        "bundle.toml": BUNDLE,
        "sources.toml": SOURCES,
        "claims.toml": CLAIMS,
        "audiences/legacy.toml": LEGACY.replace(
            '[scopes."old:use"]', '[legacy_clients]\nbot = ["old:use"]\n[scopes."old:use"]'
        ),
        "audiences/payments.toml": payments.replace("[claims]", MAPPING + "[claims]").replace(
            'disclose = "challenge"', f'disclose = "challenge"\nmode = "{mode}"'
        ),
        "rules/all.cedar": rules + '@id("old") @owner("o") @reason("r") permit (principal is User, '
        'action == Action::"issue", resource == Scope::"old:use") when { principal in Group::"finance" };',
    }
    return build_bundle(files)


def observing(rules: str, *names: str) -> str:
    """The rules, some of them only observed."""
    for name in names:
        assert f'@id("{name}")' in rules
        rules = rules.replace(f'@id("{name}")', f'@id("{name}") @mode("observe")')
    return rules


@st.composite
def cases(draw: st.DrawFn) -> tuple[Asked, Facts]:
    actors = draw(st.sampled_from(CHAINS))
    asked = first_asked(
        draw(scope_lists),
        actors=actors,
        impersonate=len(actors) == 1 and draw(st.booleans()),
        acr=draw(st.sampled_from(["", "phr"])),
        tenant=draw(st.sampled_from(["", "", "", "t1"])),
        client_id=draw(st.sampled_from(["app", "bot"])),
        audience=draw(st.sampled_from(["payments", "payments", "payments", "legacy"])),
        lifetime=draw(st.none() | st.integers(1, 5_000)),
        subject=EntityUid("User", draw(st.sampled_from(["alice", "bob", "carol", "dave"]))),
        parent=draw(
            st.none()
            | st.builds(
                Parent,
                token_id=st.just("t"),
                scopes=st.none() | scope_lists,
                expires_at=st.integers(NOW, NOW + 600_000),
            )
        ),
    )
    return asked, draw(truths(asked.subject, actors))


def alike(decision: Decision, **changes: Any) -> bytes:
    """A decision's bytes, without what names the bundle."""
    return msgspec.json.encode(msgspec.structs.replace(decision, bundle="", **changes))


@given(case=cases())
def test_what_is_recorded_beside_an_observed_answer_is_what_enforcing_answers(case: tuple[Asked, Facts]) -> None:
    asked, facts = case
    observed = decide(company(), asked, facts, NOW)
    enforced = decide(company("enforce"), asked, facts, NOW)
    if asked.audience == "payments":
        assert tuple(map(said_of, observed.scopes)) == enforced.scopes
        assert (observed.mode, enforced.mode) == ("observe", "enforce")
        event(f"would lose: {any(s.granted and not said_of(s).granted for s in observed.scopes)}")
        event(f"would gain: {any(not s.granted and said_of(s).granted for s in observed.scopes)}")
    assert alike(decide_by_rules(company(), asked, facts, NOW)) == alike(
        decide_by_rules(company("enforce"), asked, facts, NOW)
    )


@given(case=cases())
def test_what_is_issued_is_the_mapping_within_what_it_may_not_lift(case: tuple[Asked, Facts]) -> None:
    asked, facts = case
    bundle = company()
    audience, client = bundle.catalogue.audiences[asked.audience], bundle.catalogue.clients[asked.client_id]
    decision = decide(bundle, asked, facts, NOW)
    for scope in decision.scopes:
        mapped = lender(audience, scope.scope, asked, facts) if scope.scope in audience.scopes else ""
        if not scope.granted:
            assert scope.reason != "not_mapped" or not mapped
            assert scope.reason not in ("no_route", "obligation_unmet", "actor_not_permitted")
            continue
        assert scope.route == mapped
        assert scope.route.startswith(ROUTES)
        assert scope.scope in client.ceilings[audience.id]
        assert asked.parent is None or asked.parent.scopes is None or scope.scope in asked.parent.scopes
        assert not asked.tenant
        plan = bundle.plans.scope(scope.scope)
        parties = [(facts.subject, ISSUE, "subject")]
        if decision.actors:
            parties += [(actor, ACT, f"actor:{index}") for index, actor in enumerate(facts.actors)]
        for entity, action, role in parties:
            for key in plan.guard_needs(action, entity.uid.type, role):
                assert key.endswith("/approvals") or facts.readings[key].state == "present"
            _, forbids, faulted = plan.slice(action).oracle.evaluate(entity, action, plan.resource, facts.context)
            assert not forbids
            assert all(rule.effect == "permit" for rule in faulted)
    if decision.granted and facts.actors and not decision.actors:
        ruled = decide_by_rules(bundle, asked, facts, NOW)
        assert not ruled.actors
        assert set(decision.granted_scopes) <= set(ruled.granted_scopes)


SETS = [("read-held",), ("calm-agents",), ("freeze", "write"), ("act-payments", "hide", "freeze")]


@given(case=cases(), names=st.sampled_from(SETS), mode=st.sampled_from(["enforce", "observe"]))
def test_an_observed_rule_issues_nothing_and_says_what_it_would(
    case: tuple[Asked, Facts], names: tuple[str, ...], mode: str
) -> None:
    """Issued is what the bundle without the rule issues; beside it stands what the bundle with it would."""
    asked, facts = case
    rules = RULES + HIDE
    without = decide_by_rules(
        company(mode, "\n".join(r for r in _each(rules) if not _is_one(r, names))), asked, facts, NOW
    )
    enforced = decide_by_rules(company(mode, rules), asked, facts, NOW)
    tried = decide_by_rules(company(mode, observing(rules, *names)), asked, facts, NOW)
    assert tuple(map(said_of, tried.scopes)) == enforced.scopes
    assert alike(tried, scopes=tuple(msgspec.structs.replace(s, would=None) for s in tried.scopes)) == alike(without)
    event(f"something beside: {any(s.would for s in tried.scopes)}")
    decision = decide(company(mode, observing(rules, *names)), asked, facts, NOW)
    if mode == "observe" and asked.audience == "payments":
        # The two stand inside each other: the mapping, the rules that count, all rules.
        assert tuple(map(said_of, map(said_of, decision.scopes))) == enforced.scopes


def _each(rules: str) -> list[str]:
    return [f"{rule};" for rule in rules.split(";") if rule.strip()]


def _is_one(rule: str, names: tuple[str, ...]) -> bool:
    return any(f'@id("{name}")' in rule for name in names)


@given(case=cases(), mode=st.sampled_from(["observe", "canary", "enforce"]), names=st.sampled_from([(), *SETS]))
def test_cedar_says_the_same_and_what_was_kept_gives_it_again(
    case: tuple[Asked, Facts], mode: str, names: tuple[str, ...]
) -> None:
    asked, facts = case
    bundle = company(mode, observing(RULES + HIDE, *names))
    decision = decide(bundle, asked, facts, NOW)
    cedar = decide(bundle.on_cedar(), asked, facts, NOW)
    assert alike(cedar, evaluator="compiled") == alike(decision)
    audience = bundle.catalogue.audiences[asked.audience]
    types = tuple(actor.uid.type for actor in facts.actors)
    kept = project(facts, bundle.plans.reads(audience, asked.scopes, asked.subject.type, types))
    sealed = read_document(decision_document(asked, kept, decision))
    assert alike(decide(bundle, sealed.asked, sealed.facts, NOW)) == alike(decision)


@given(case=cases())
def test_a_canary_is_the_one_or_the_other(case: tuple[Asked, Facts]) -> None:
    asked, facts = case
    decision = decide(company("canary"), asked, facts, NOW)
    if asked.audience != "payments":
        return
    other = decide(company(decision.mode), asked, facts, NOW)
    assert decision.stage == "canary"
    assert alike(decision, stage="") == alike(other)
    event(decision.mode)


@given(
    case=cases(), shares=st.lists(st.floats(0, 1), min_size=2, max_size=2).map(sorted), salt=st.sampled_from(["", "s"])
)
def test_a_larger_share_only_adds_callers(case: tuple[Asked, Facts], shares: list[float], salt: str) -> None:
    asked, facts = case
    smaller, larger = (
        in_canary(msgspec.structs.replace(_canary(), share=share, salt=salt), "payments", asked, facts)
        for share in shares
    )
    assert larger or not smaller


def _canary() -> Any:
    canary = company("canary").catalogue.audiences["payments"].canary
    assert canary is not None
    return canary


def test_the_whole_share_is_everybody_and_none_is_nobody() -> None:
    assert all(position("", "a", "c", EntityUid("User", str(n))) < int(1.0 * PLACES) for n in range(1_000))
    inside = sum(position("", "a", "c", EntityUid("User", str(n))) < int(0.1 * PLACES) for n in range(10_000))
    assert 850 < inside < 1_150


def test_places_in_a_canary_never_change() -> None:
    """Worked out by other tools: `printf 'mintwarden-canary\\0\\0payments\\0app\\0User:alice' | sha256sum`."""
    assert position("", "payments", "app", ALICE) == 0xF28D1EF4C097621D
    assert position("2026", "payments", "app", ALICE) == 0x1D8FB9367C75FC1C
