"""Whatever the inputs: an exception is one more permit for one principal and one scope while it lasts, nothing more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cedarpy
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from msgspec.structs import replace

from mintwarden.ledger.document import decision_document, read_document
from mintwarden.model.asked import Asked, Parent
from mintwarden.model.exception import ROUTE, ExceptionGrant
from mintwarden.model.facts import Facts
from mintwarden.model.values import EntityUid, Record
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.cedar.operators import World
from mintwarden.policy.cedar.oracle import entities_json, request_json
from mintwarden.policy.decide import decide
from mintwarden.policy.exceptions import cedar_text, end_of
from mintwarden.policy.explain import explain
from mintwarden.policy.explain_text import explain_text
from mintwarden.policy.plan import ISSUE
from tests.property.company import FILES, NOW, RULES, first_asked, scope_lists, truths
from tests.unit.policy.company import BUNDLE, PAYMENTS, bot, load_company
from tests.unit.policy.company import facts as made

ALICE = EntityUid("User", "alice")
BOT = EntityUid("Agent", "bot")
CHAINS = [(), (BOT,), (EntityUid("Workload", "tool"), BOT)]
KEYS = ("QREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREQ",)
APPROVERS = "".join(
    f'[[approvers]]\nname = "{name}"\nuser = "{name}"\nkeys = ["ssh-ed25519 {key}"]\n'
    for name, key in (
        ("ann", "AAAAC3NzaC1lZDI1NTE5AAAAIBERERERERERERERERERERERERERERERERERERERERER"),
        ("ben", "AAAAC3NzaC1lZDI1NTE5AAAAICIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIi"),
    )
)
HEAD = BUNDLE.replace(
    '[tiers.low]\ndescription = "d"', '[tiers.low]\ndescription = "d"\nexception_max = "7d"\nexception_approvals = 1'
).replace(
    '[tiers.high]\ndescription = "d"', '[tiers.high]\ndescription = "d"\nexception_max = "1d"\nexception_approvals = 2'
)
DAY = 86_400_000
NEVER_LIFTED = {
    "forbidden",
    "forbid_failed",
    "fact_missing",
    "fact_stale",
    "source_failing",
    "tenancy",
    "wider_than_parent",
    "client_ceiling",
    "unknown_scope",
    "environment",
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    files = {**FILES, "bundle.toml": HEAD + APPROVERS}
    return load_company(tmp_path_factory.mktemp("company"), rules=RULES, files=files)


@st.composite
def grants(draw: st.DrawFn, principals: tuple[EntityUid, ...]) -> ExceptionGrant:
    """One that nearly always counts, or one that misses by a little in something."""
    scope = draw(st.sampled_from(["pay:read", "pay:write", "pay:approve", "old:use"]))
    starts = NOW + draw(st.sampled_from([-3_600_000, -1, 0, 1, 5_000]))
    return ExceptionGrant(
        id=draw(st.sampled_from(["0199-a", "0199-b", "0199-c"])),
        principal=draw(st.sampled_from([*principals, EntityUid("User", "mallory")])),
        action=draw(st.sampled_from(["issue", "issue", "act"])),
        scope=scope,
        audience=draw(st.sampled_from(["legacy" if scope == "old:use" else "payments"] * 9 + ["ledger"])),
        tier=draw(st.sampled_from(["low" if scope in ("pay:read", "old:use") else "high"] * 9 + ["other"])),
        starts_at=starts,
        expires_at=starts + draw(st.sampled_from([0, 999, 1_000, 3_600_000, 3_601_000, DAY, 2 * DAY])),
        approvals=draw(st.sampled_from([2, 2, 2, 1, 0])),
        client=draw(st.sampled_from(["", "", "app", "bot"])),
        environment=draw(st.sampled_from(["", "", "production", "staging"])),
        waives=draw(st.sampled_from([(), (), ("require_acr",)])),
    )


@st.composite
def cases(draw: st.DrawFn, chains: list[tuple[EntityUid, ...]] = CHAINS) -> tuple[Asked, Facts]:
    """A question, what is true, and a few exceptions."""
    asked = first_asked(
        draw(scope_lists),
        actors=draw(st.sampled_from(chains)),
        acr=draw(st.sampled_from(["", "phr"])),
        audience=draw(st.sampled_from(["payments", "payments", "payments", "legacy"])),
        impersonate=False,
        parent=draw(
            st.none()
            | st.builds(
                Parent, token_id=st.just("t"), scopes=st.none() | scope_lists, expires_at=st.just(NOW + 600_000)
            )
        ),
    )
    facts = draw(truths(asked.subject, asked.actors, friendly=draw(st.booleans())))
    context = Record({**facts.context, "client": Record({"id": asked.client_id})})
    principals = (asked.subject, *asked.actors)
    held = tuple(draw(st.lists(grants(principals), max_size=3)))
    return asked, replace(facts, context=context, exceptions=held)


def bare(facts: Facts) -> Facts:
    return replace(facts, exceptions=())


def used(route: str) -> str:
    return route.removeprefix(ROUTE) if route.startswith(ROUTE) else ""


@given(case=cases())
def test_only_what_lacks_a_route_is_lifted_and_only_for_whom_it_names(bundle: Bundle, case: tuple[Asked, Facts]):
    asked, facts = case
    before, after = decide(bundle, asked, bare(facts), NOW), decide(bundle, asked, facts, NOW)
    by_id: dict[str, list[ExceptionGrant]] = {}
    for grant in facts.exceptions:
        by_id.setdefault(grant.id, []).append(grant)
    for without, with_ in zip(before.scopes, after.scopes, strict=True):
        if without.granted and before.granted:
            assert with_.granted, "an exception takes nothing away"
            assert with_.route == without.route, "nor is one used where a rule permits"
        if without.reason in NEVER_LIFTED:
            assert not with_.granted
        routes = [(with_.route, asked.subject, "issue")] if with_.granted else []
        routes += [(route, actor, "act") for route, actor in zip(with_.acting, asked.actors, strict=False)]
        for route, principal, action in routes:
            if not used(route):
                continue
            event("an exception granted")
            tier = bundle.catalogue.tiers[bundle.catalogue.scopes[with_.scope].tier]
            assert any(
                grant.principal == principal
                and grant.action == action
                and grant.scope == with_.scope
                and grant.audience == asked.audience
                and grant.tier == tier.id
                and grant.starts_at <= NOW < grant.expires_at
                and grant.starts_at + tier.exception_max * 1000 > NOW
                and grant.approvals >= tier.exception_approvals
                and grant.client in ("", asked.client_id)
                and grant.environment in ("", asked.environment)
                for grant in by_id[used(route)]
            )
            assert after.lifetime is not None
            ends = dict(after.lifetime.bounds)[route]
            assert 1 <= after.lifetime.seconds <= ends
            assert NOW + after.lifetime.seconds * 1000 <= max(g.expires_at for g in by_id[used(route)])


@given(case=cases())
def test_cedar_decides_the_same_with_exceptions(bundle: Bundle, case: tuple[Asked, Facts]):
    asked, facts = case
    compiled, cedar = decide(bundle, asked, facts, NOW), decide(bundle.on_cedar(), asked, facts, NOW)
    assert replace(cedar, evaluator="compiled") == compiled


@given(case=cases(chains=[()]))
def test_it_is_cedars_answer_over_the_rules_and_the_exceptions_as_policies(bundle: Bundle, case: tuple[Asked, Facts]):
    asked, facts = case
    decision = decide(bundle, asked, facts, NOW)
    rules = "\n".join(rule.text for rule in bundle.rules.rules.values())
    policies = [
        cedar_text(grant, end_of(grant, bundle.plans.scope(grant.scope).tier))
        for grant in facts.exceptions
        if grant.scope in bundle.catalogue.scopes
    ]
    for answer in decision.scopes:
        if answer.reason in NEVER_LIFTED - {"forbidden"} or decision.mode != "enforce":
            continue
        world = World(facts.subject, ISSUE, bundle.plans.scope(answer.scope).resource, facts.context)
        said = cedarpy.is_authorized(
            request_json(world),
            "\n".join([rules, *policies]),
            json.dumps(entities_json(world.principal, world.resource)),
        )
        event(f"{said.allowed} {answer.reason}")
        # What is ours beyond Cedar's answer: obligations, claims that a scope cannot do without, and time.
        ours = answer.granted or answer.reason in ("obligation_unmet", "claim_absent", "no_lifetime")
        assert said.allowed == ours, (answer, said.diagnostics.reasons)


@pytest.mark.parametrize(
    ("after_start", "granted"),
    [(-1, False), (0, True), (3_599_000, True), (3_599_001, False), (3_600_000, False), (3_600_001, False)],
)
def test_it_begins_and_ends_to_the_millisecond(bundle: Bundle, after_start: int, granted: bool):
    """A token lives for a whole second at least: the last moment of a grant is one second before the end."""
    decision = decide(bundle, *strangers(grant()), NOW + after_start)
    assert decision.granted is granted
    if decision.lifetime is not None:
        assert decision.decided_at + decision.lifetime.seconds * 1000 <= NOW + 3_600_000


def grant(**changes: Any) -> ExceptionGrant:
    """An exception for somebody whom no rule lets read payments."""
    settings: dict[str, Any] = {
        "id": "0199-x",
        "principal": ALICE,
        "scope": "pay:read",
        "audience": "payments",
        "tier": "low",
        "starts_at": NOW,
        "expires_at": NOW + 3_600_000,
        "approvals": 2,
        **changes,
    }
    return ExceptionGrant(**settings)


def strangers(*held: ExceptionGrant, scopes: tuple[str, ...] = ("pay:read",), **changes: Any) -> tuple[Asked, Facts]:
    """Somebody of no group and no entitlement asks."""
    known = made(groups=(), context={"client": Record({"id": "app"})})
    return first_asked(scopes, **changes), replace(known, exceptions=held)


def test_the_end_bounds_the_token_and_is_named(bundle: Bundle):
    decision = decide(bundle, *strangers(grant(expires_at=NOW + 20_500)), NOW)
    assert decision.lifetime is not None
    assert (decision.lifetime.seconds, decision.lifetime.bounded_by) == (20, "exception:0199-x")


def test_a_token_with_other_scopes_is_not_lost_with_the_exception(bundle: Bundle):
    asked, facts = strangers(grant(scope="pay:approve", tier="high"), scopes=("pay:read", "pay:approve"))
    facts = replace(facts, subject=facts.subject._replace(ancestors=frozenset({EntityUid("Group", "finance")})))
    decision = decide(bundle, asked, facts, NOW + 3_599_500)
    assert decision.granted_scopes == ("pay:read",)


def test_what_every_rule_demands_the_exception_demands_too(bundle: Bundle):
    """Each rule for `pay:write` wants `phr` and gives 300 seconds."""
    held = grant(scope="pay:write", tier="high")
    (answer,) = decide(bundle, *strangers(held, scopes=("pay:write",)), NOW).scopes
    assert (answer.reason, answer.determining) == ("obligation_unmet", ("exception:0199-x",))
    assert [one.name for one in answer.unmet] == ["require_acr"]
    met = decide(bundle, *strangers(held, scopes=("pay:write",), acr="phr"), NOW)
    assert met.granted_scopes == ("pay:write",)
    assert met.lifetime is not None
    assert dict(met.lifetime.bounds)["route:exception:0199-x"] == 300
    waived = grant(scope="pay:write", tier="high", waives=("require_acr",))
    assert decide(bundle, *strangers(waived, scopes=("pay:write",)), NOW).granted


@pytest.mark.parametrize(
    "changes",
    [
        {"expires_at": NOW + 30 * DAY, "starts_at": NOW - 7 * DAY},
        {"approvals": 0},
        {"tier": "high"},
        {"audience": "ledger"},
        {"principal": EntityUid("User", "Alice")},
        {"principal": EntityUid("Agent", "alice")},
        {"action": "act"},
        {"client": "bot"},
        {"environment": "staging"},
        {"scope": "pay:reader"},
        {"starts_at": NOW + 1},
    ],
    ids=str,
)
def test_what_does_not_fit_grants_nothing(bundle: Bundle, changes: dict[str, Any]):
    assert not decide(bundle, *strangers(grant(**changes)), NOW).granted
    assert not decide(bundle.on_cedar(), *strangers(grant(**changes)), NOW).granted


def test_the_explanation_names_it(bundle: Bundle):
    asked, facts = strangers(grant())
    explanation = explain(bundle, asked, facts, NOW)
    (shown,) = explanation.scopes[0].exceptions
    assert (shown.id, shown.principal, shown.role, shown.approvals) == ("0199-x", "User:alice", "subject", 2)
    assert shown.expires_at == "2026-11-18T12:06:40Z"
    page = explain_text(explanation)
    assert "permitted by exception 0199-x, which no rule does" in page
    assert "for User:alice from 2026-11-18T11:06:40Z until 2026-11-18T12:06:40Z, 2 approvals" in page
    alone = replace(shown, approvals=1)
    text = explain_text(replace(explanation, scopes=(replace(explanation.scopes[0], exceptions=(alone,)),)))
    assert "until 2026-11-18T12:06:40Z, 1 approval\n" in text


def test_the_explanation_of_one_that_demands_too_much(bundle: Bundle):
    asked, facts = strangers(grant(scope="pay:write", tier="high"), scopes=("pay:write",))
    explanation = explain(bundle, asked, facts, NOW)
    (shown,) = explanation.scopes[0].exceptions
    assert [(one.name, one.value) for one in shown.unmet] == [("require_acr", "phr")]
    page = explain_text(explanation)
    assert "would be permitted by exception 0199-x, which no rule does" in page
    assert "NO    demands require_acr phr" in page


TENANCY = '[[tenancy]]\nparameter = "tenant"\nmember_of = "subject.tenants"\nrequired = true\n'


@pytest.mark.parametrize(
    ("audience", "changes", "reason"),
    [
        (PAYMENTS, {"environment": "staging"}, "environment"),
        (PAYMENTS.replace("[claims]", 'binding = "dpop"\n[claims]'), {}, "obligation_unmet"),
        (PAYMENTS.replace("[scopes.", f"{TENANCY}[scopes.", 1), {"tenant": "t2"}, "tenancy"),
        (PAYMENTS, {"parent": Parent(token_id="t", scopes=(), expires_at=NOW + DAY)}, "wider_than_parent"),
        (PAYMENTS, {"client_id": "nobody"}, "unknown_scope"),
    ],
    ids=["environment", "binding", "tenancy", "parent", "client"],
)
def test_what_refuses_every_scope_refuses_an_exception(
    tmp_path: Path, audience: str, changes: dict[str, Any], reason: str
):
    files = {"bundle.toml": HEAD + APPROVERS, "audiences/payments.toml": audience}
    bundle = load_company(tmp_path, files=files)
    (answer,) = decide(bundle, *strangers(grant(), **changes), NOW).scopes
    assert (answer.granted, answer.reason) == (False, reason)


def test_a_claim_that_a_scope_cannot_do_without_and_a_guardrail_stay(bundle: Bundle):
    held = grant(scope="pay:approve", tier="high")
    (answer,) = decide(bundle, *strangers(held, scopes=("pay:approve",)), NOW).scopes
    assert (answer.reason, answer.determining) == ("claim_absent", ("manager",))
    asked, facts = strangers(grant())
    at_risk = replace(facts, subject=facts.subject._replace(attrs={**facts.subject.attrs, "risk": 91}))
    (answer,) = decide(bundle, asked, at_risk, NOW).scopes
    assert (answer.reason, answer.determining) == ("forbidden", ("freeze",))


def test_an_actor_may_be_excepted_without_the_subject(bundle: Bundle):
    asked = first_asked(("pay:read",), actors=(BOT,))
    known = made(actors=(bot()._replace(attrs={"department": "other", "tenants": frozenset(), "risk": 1}),))
    assert [s.reason for s in decide(bundle, asked, known, NOW).scopes] == ["actor_not_permitted"]
    held = grant(principal=BOT, action="act")
    (answer,) = decide(bundle, asked, replace(known, exceptions=(held,)), NOW).scopes
    assert (answer.route, answer.acting) == ("read", ("exception:0199-x",))
    for_issue = replace(known, exceptions=(grant(principal=BOT),))
    assert not decide(bundle, asked, for_issue, NOW).granted


@given(case=cases())
def test_a_sealed_document_holds_them_and_is_as_before_without(bundle: Bundle, case: tuple[Asked, Facts]):
    asked, facts = case
    decision = decide(bundle, asked, facts, NOW)
    read = read_document(decision_document(asked, facts, decision))
    assert read.facts.exceptions == facts.exceptions
    assert decide(bundle, read.asked, read.facts, NOW) == decision
    without = decision_document(asked, bare(facts), decision)
    assert len(json.loads(without)["facts"]) == 6
    assert read_document(without).facts == bare(facts)
