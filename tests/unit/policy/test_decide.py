"""What is decided, in the order in which it is decided."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from mintwarden.model.asked import Parent
from mintwarden.model.caller import Binding
from mintwarden.model.decision import Decision, Obligation, ScopeDecision
from mintwarden.model.detail import Detail
from mintwarden.model.facts import Reading
from mintwarden.model.values import Datetime, EntityUid, Record
from mintwarden.policy.bundle.load import load_bundle
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide
from mintwarden.policy.lifetime import is_autonomous
from tests.unit.policy.company import (
    ALICE,
    BOT,
    CLAIMS,
    NOW,
    PAYMENTS,
    RULES,
    asked,
    bot,
    facts,
    load_company,
    write_company,
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_company(tmp_path_factory.mktemp("company"))


def one(decision: Decision) -> ScopeDecision:
    assert len(decision.scopes) == 1
    return decision.scopes[0]


def test_a_route_grants_and_the_default_bounds_its_life(bundle: Bundle) -> None:
    decision = decide(bundle, asked(), facts(), NOW)
    assert decision.granted
    assert one(decision) == ScopeDecision(scope="pay:read", granted=True, route="read")
    assert decision.lifetime is not None
    assert (decision.lifetime.seconds, decision.lifetime.bounded_by) == (300, "default:payments")
    assert [(claim.name, claim.value, claim.source) for claim in decision.claims] == [
        ("department", "money", "directory")
    ]


def test_nobody_without_a_route(bundle: Bundle) -> None:
    decision = decide(bundle, asked(), facts(groups=()), NOW)
    assert not decision.granted
    assert one(decision).reason == "no_route"
    assert decision.claims == ()
    assert decision.lifetime is None


def test_a_guardrail_beats_every_route(bundle: Bundle) -> None:
    held = facts(risk=91, attrs={"entitlements": frozenset({"reader"})})
    assert (one(decide(bundle, asked(), held, NOW)).reason, one(decide(bundle, asked(), held, NOW)).determining) == (
        "forbidden",
        ("freeze",),
    )


def test_the_longest_lasting_route_wins(bundle: Bundle) -> None:
    both = facts(attrs={"entitlements": frozenset({"reader"})})
    assert one(decide(bundle, asked(), both, NOW)).route == "read"
    risky = facts(risk=60, attrs={"entitlements": frozenset({"reader"})})
    decision = decide(bundle, asked(lifetime=900), risky, NOW)
    assert (one(decision).route, decision.lifetime and decision.lifetime.bounded_by) == ("read-held", "route:read-held")


def test_a_route_counts_only_while_its_obligations_are_met(bundle: Bundle) -> None:
    refused = one(decide(bundle, asked("pay:write"), facts(), NOW))
    assert (refused.reason, refused.determining) == ("obligation_unmet", ("write",))
    assert refused.unmet == (Obligation("require_acr", "phr"),)
    decision = decide(bundle, asked("pay:write", acr="phr"), facts(), NOW)
    assert decision.lifetime is not None
    assert (decision.granted, decision.lifetime.seconds) == (True, 60)


def test_an_approval_is_for_one_scope(bundle: Bundle) -> None:
    manager = {"manager": "bob"}
    for approvals, granted in (({"manager:pay:write"}, False), ({"manager:pay:approve"}, True)):
        known = facts(
            attrs={"approvals": frozenset(approvals), **manager}, readings={"subject/approvals": Reading("present")}
        )
        assert decide(bundle, asked("pay:approve"), known, NOW).granted is granted


def test_a_claim_that_must_not_be_absent_refuses_its_scopes_only(bundle: Bundle) -> None:
    known = facts(
        attrs={"approvals": frozenset({"manager:pay:approve"})}, readings={"subject/approvals": Reading("present")}
    )
    decision = decide(bundle, asked("pay:read", "pay:approve"), known, NOW)
    assert decision.granted_scopes == ("pay:read",)
    assert (decision.scopes[1].reason, decision.scopes[1].determining) == ("claim_absent", ("manager",))


@pytest.mark.parametrize(
    ("state", "reason"), [("missing", "fact_missing"), ("stale", "fact_stale"), ("failing", "source_failing")]
)
def test_what_is_not_known_refuses_and_says_what(bundle: Bundle, state: str, reason: str) -> None:
    reading = Reading(state, NOW - 600_000, 300_000)  # type: ignore[arg-type]
    refused = one(decide(bundle, asked(), facts(readings={"subject/risk": reading}), NOW))
    assert (refused.reason, refused.facts) == (reason, ("subject/risk",))


def test_a_reading_that_is_not_even_listed_is_missing(bundle: Bundle) -> None:
    known = facts()
    partial = msgspec.structs.replace(known, readings={k: v for k, v in known.readings.items() if "risk" not in k})
    assert one(decide(bundle, asked(), partial, NOW)).reason == "fact_missing"


def test_the_result_with_actors_is_the_intersection(bundle: Bundle) -> None:
    granted = decide(bundle, asked(actors=(BOT,)), facts(actors=(bot(),)), NOW)
    assert (granted.actors, one(granted).acting) == ((BOT,), ("act",))
    assert granted.lifetime is not None
    assert granted.lifetime.bounded_by == "route:act"
    refused = one(decide(bundle, asked(actors=(BOT,)), facts(actors=(bot(risk=30),)), NOW))
    assert refused.reason == "actor_not_permitted"
    assert one(decide(bundle, asked(actors=(BOT,)), facts(groups=(), actors=(bot(),)), NOW)).reason == "no_route"


def test_every_actor_of_the_chain_must_be_permitted(bundle: Bundle) -> None:
    two = EntityUid("Agent", "two")
    assert decide(bundle, asked(actors=(BOT,)), facts(actors=(bot(),)), NOW).granted
    for chain, known in (((BOT, two), (bot(), bot(risk=30))), ((two, BOT), (bot(risk=30), bot()))):
        decision = decide(bundle, asked(actors=chain), facts(actors=known), NOW)
        assert one(decision).reason == "actor_not_permitted", "whoever else in it may do more"


def test_impersonation_only_where_a_rule_permits_it(tmp_path: Path) -> None:
    rule = '@id("hide") @owner("o") @reason("r") permit (principal is Agent, action == Action::"impersonate", '
    rule += 'resource == Scope::"pay:read");'
    bundle = load_company(tmp_path, rules=RULES + rule)
    question = asked(actors=(BOT,), impersonate=True)
    assert decide(bundle, question, facts(actors=(bot(),)), NOW).actors == ()
    two = asked("pay:read", "pay:write", actors=(BOT,), impersonate=True, acr="phr")
    assert decide(bundle, two, facts(actors=(bot(),)), NOW).actors == (BOT,)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"environment": "staging"}, "environment"),
        ({"audience": "nowhere"}, "unknown_scope"),
        ({"client_id": "nobody"}, "unknown_scope"),
        ({"scopes": ("old:use",)}, "unknown_scope"),
        ({"parent": Parent(token_id="t", scopes=("pay:write",), expires_at=NOW + 1000)}, "wider_than_parent"),
        ({"parent": Parent(token_id="t", scopes=None, expires_at=NOW + 999)}, "no_lifetime"),
        (
            {
                "parent": Parent(
                    token_id="t", scopes=None, expires_at=NOW + 9000, binding=Binding(kind="dpop", thumbprint="x")
                )
            },
            "obligation_unmet",
        ),
    ],
)
def test_what_refuses_before_any_rule(bundle: Bundle, change: dict[str, object], reason: str) -> None:
    assert one(decide(bundle, asked(**change), facts(), NOW)).reason == reason


@pytest.mark.parametrize(
    "lacking",
    [
        {},
        {"environment": "staging"},
        {"audience": "nowhere"},
        {"parent": Parent(token_id="t", scopes=(), expires_at=NOW, binding=Binding(kind="dpop", thumbprint="x"))},
    ],
)
def test_that_a_name_is_nowhere_is_why_whatever_else_would_be_lacking(
    bundle: Bundle, lacking: dict[str, object]
) -> None:
    question = asked("pay:nowhere", unresolved=True, details=(Detail(type="nowhere"),), **lacking)
    decision = decide(bundle, question, facts(), NOW)
    assert [(one.scope, one.reason) for one in decision.scopes] == [("pay:nowhere", "unknown_scope")]
    assert [(one.scope, one.reason) for one in decision.details] == [("nowhere", "unknown_detail")]
    assert not decision.granted


def test_of_names_that_there_are_it_says_why_they_were_refused(bundle: Bundle) -> None:
    elsewhere = {"environment": "staging", "unresolved": True}
    held = Parent(token_id="t", scopes=(), expires_at=NOW)
    for more, reason in (({"parent": held}, "wider_than_parent"), ({"client_id": "nobody"}, "client_ceiling")):
        assert one(decide(bundle, asked("pay:read", **elsewhere, **more), facts(), NOW)).reason == reason
    assert decide(bundle, asked("pay:read", unresolved=True), facts(), NOW).granted, "under a version that has it"


def test_tenancy_is_checked_against_the_subjects_own(tmp_path: Path) -> None:
    tenancy = '[[tenancy]]\nparameter = "tenant"\nmember_of = "subject.tenants"\nrequired = true\n'
    text = PAYMENTS.replace("[scopes.", tenancy + "[scopes.", 1)
    bundle = load_company(tmp_path, files={"audiences/payments.toml": text})
    for tenant, granted in (("t1", True), ("t2", False), ("", False)):
        assert decide(bundle, asked(tenant=tenant), facts(), NOW).granted is granted
    stale = facts(readings={"subject/directory": Reading("stale", NOW - 1)})
    refused = one(decide(bundle, asked(tenant="t1"), stale, NOW))
    assert (refused.reason, refused.facts) == ("fact_stale", ("subject/directory",))


def test_an_entitlement_that_ends_ends_the_token(bundle: Bundle) -> None:
    held = facts(
        risk=60,
        attrs={"entitlements": frozenset({"reader", "other"})},
        ends={"subject/entitlements": {"reader": NOW + 45_500, "other": NOW + 1_000}},
    )
    lifetime = decide(bundle, asked(), held, NOW).lifetime
    assert lifetime is not None
    assert (lifetime.seconds, lifetime.bounded_by) == (45, "entitlement:entitlements/reader")


def test_a_claim_lasts_no_longer_than_what_it_says(tmp_path: Path) -> None:
    claims = (
        '[claims.tenants]\ntype = "set<string>"\nsource = "directory"\nfrom = "subject.tenants"\ndescription = "d"\n'
    )
    audience = PAYMENTS.replace("[claims]\n", '[claims]\ntenants = "*"\n')
    files = {"claims.toml": CLAIMS + claims, "audiences/payments.toml": audience}
    bundle = load_company(tmp_path, files=files)
    limited = facts(ends={"subject/tenants": {"t1": NOW + 30_000}})
    lifetime = decide(bundle, asked(), limited, NOW).lifetime
    assert lifetime is not None
    assert (lifetime.seconds, lifetime.bounded_by) == (30, "entitlement:tenants/t1")


def test_a_sign_in_of_the_future_is_not_fresh(tmp_path: Path) -> None:
    rules = RULES.replace('@require_acr("phr")', '@require_auth_age("5m")')
    bundle = load_company(tmp_path, rules=rules)
    for when, granted in ((NOW - 1_000, True), (NOW + 30_000, True), (NOW + 120_000, False), (NOW - 400_000, False)):
        assert decide(bundle, asked("pay:write", authenticated_at=when), facts(), NOW).granted is granted


def test_a_session_that_ends_ends_the_token(bundle: Bundle) -> None:
    session = {"session": Record({"expires_at": Datetime(NOW + 20_000)})}
    lifetime = decide(bundle, asked(), facts(context=session), NOW).lifetime
    assert lifetime is not None
    assert (lifetime.seconds, lifetime.bounded_by) == (20, "session")


def test_a_shorter_life_may_be_asked_for_a_longer_one_is_bounded(bundle: Bundle) -> None:
    short = decide(bundle, asked(lifetime=7), facts(), NOW).lifetime
    long = decide(bundle, asked(lifetime=99_999), facts(), NOW).lifetime
    assert short is not None
    assert long is not None
    assert (short.seconds, short.bounded_by) == (7, "requested")
    assert (long.seconds, long.bounded_by) == (900, "audience:payments")


def test_observing_lets_the_old_mapping_through_and_says_what_enforcing_would(bundle: Bundle) -> None:
    question = asked("old:use", audience="legacy")
    decision = decide(bundle, question, facts(groups=("everyone",)), NOW)
    assert (decision.granted, decision.mode) == (True, "observe")
    assert (one(decision).route, one(decision).reason) == ("legacy:everyone", None)
    would = one(decision).would
    assert would is not None
    assert (would.granted, would.reason) == (False, "no_route")
    outside = one(decide(bundle, question, facts(groups=("strangers",)), NOW))
    assert (outside.granted, outside.reason) == (False, "not_mapped")


def test_observing_lifts_no_guardrail(bundle: Bundle) -> None:
    question = asked("old:use", audience="legacy")
    assert one(decide(bundle, question, facts(risk=95, groups=("everyone",)), NOW)).reason == "forbidden"
    stale = facts(groups=("everyone",), readings={"subject/risk": Reading("stale")})
    assert one(decide(bundle, question, stale, NOW)).reason == "fact_stale"


def test_a_failing_permit_is_no_permit_and_a_failing_forbid_refuses(bundle: Bundle) -> None:
    broken = facts(attrs={"risk": "high"})
    refused = one(decide(bundle, asked(), broken, NOW))
    assert (refused.reason, refused.determining) == ("forbid_failed", ("freeze",))
    assert {(fault.rule, fault.effect) for fault in refused.faults} == {("freeze", "forbid"), ("read", "permit")}


def test_cedar_alone_decides_the_same(bundle: Bundle) -> None:
    cedar = bundle.on_cedar()
    for known in (facts(), facts(risk=91), facts(groups=()), facts(attrs={"risk": "high"})):
        compiled, other = (
            decide(bundle, asked("pay:read", "pay:write"), known, NOW),
            decide(cedar, asked("pay:read", "pay:write"), known, NOW),
        )
        assert other.evaluator == "cedar"
        assert msgspec.structs.replace(other, evaluator="compiled") == compiled


def test_the_subject_stands_as_it_was_asked(bundle: Bundle) -> None:
    assert decide(bundle, asked(), facts(), NOW).subject == ALICE


def test_an_agent_has_what_was_decided_for_as_long_as_its_audience_says(tmp_path: Path) -> None:
    folder = write_company(tmp_path)
    file = folder / "audiences" / "payments.toml"
    file.write_text(file.read_text().replace('max_ttl = "15m"', 'max_ttl = "15m"\nmax_age_of_decision = "20s"'))
    bundle = load_bundle(folder)
    acted = decide(bundle, asked(actors=(BOT,)), facts(actors=(bot(),)), NOW).lifetime
    assert acted is not None
    assert (acted.seconds, acted.bounded_by) == (20, "max_age_of_decision:payments")
    own = decide(bundle, asked(), facts(), NOW).lifetime
    assert own is not None
    assert own.bounded_by == "default:payments"
    assert is_autonomous(asked(), "agent")
    assert is_autonomous(asked(subject=BOT), "service")
    assert not is_autonomous(asked(), "service")
