"""Authorization details are decided like scopes, with their fields in view."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from mintwarden.ledger.document import decision_document, read_document
from mintwarden.model.asked import Asked, Parent, RegisteredClient
from mintwarden.model.decision import Obligation, ScopeDecision
from mintwarden.model.detail import Detail
from mintwarden.model.facts import Facts, Reading
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide
from mintwarden.policy.explain import explain
from mintwarden.policy.explain_text import explain_text
from tests.unit.policy.company import BOT, BUNDLE, CLIENT, NOW, PAYMENTS, RULES, asked, bot, facts
from tests.unit.policy.detailed import DETAIL_RULES, DETAILS, load_detailed, payment, statement


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_detailed(tmp_path_factory.mktemp("detailed"))


def asking(*details: Detail, scopes: tuple[str, ...] = (), **changes: Any) -> Asked:
    return msgspec.structs.replace(asked(**changes), scopes=scopes, details=details)


def one(bundle: Bundle, detail: Detail, held: Facts | None = None, **changes: Any) -> ScopeDecision:
    """The answer for one detail, after both evaluators have given it."""
    question = asking(detail, **changes)
    decision = decide(bundle, question, held or facts(), NOW)
    cedar = decide(bundle.on_cedar(), question, held or facts(), NOW)
    assert msgspec.structs.replace(cedar, evaluator="compiled") == decision
    assert decision.granted is decision.details[0].granted
    return decision.details[0]


def test_a_rule_over_its_fields_grants_a_detail(bundle: Bundle) -> None:
    assert one(bundle, payment("100.00")) == ScopeDecision(scope="payment", granted=True, route="pay")
    assert one(bundle, payment("100.01")).reason == "obligation_unmet"
    assert one(bundle, payment("100.01")).unmet == (Obligation("require_acr", "phr"),)
    assert one(bundle, payment("100.01"), acr="phr").route == "pay-large"
    assert one(bundle, payment("1000.01"), acr="phr").reason == "no_route"
    assert one(bundle, payment("500.00", currency="USD"), acr="phr").reason == "no_route"


def test_a_permit_for_the_audience_or_for_a_scope_grants_no_detail(tmp_path: Path) -> None:
    wide = RULES + DETAIL_RULES.replace(
        '@id("statements")',
        '@id("all") @owner("o") @reason("r") permit (principal, action, resource in Audience::"payments");\n'
        '@id("statements")',
    ).replace('resource == Detail::"statement");', 'resource == Detail::"statement") when { principal.risk > 95 };')
    bundle = load_detailed(tmp_path, rules=wide)
    assert one(bundle, statement()).reason == "no_route"
    assert decide(bundle, asked("pay:write", acr="phr"), facts(), NOW).granted


def test_guardrails_of_the_type_of_the_audience_and_of_everything_hold(bundle: Bundle, tmp_path: Path) -> None:
    stranger = payment(creditor={"account": "XX99"})
    assert (one(bundle, stranger).reason, one(bundle, stranger).determining) == ("forbidden", ("no-strangers",))
    assert one(bundle, payment(), facts(risk=91)).determining == ("freeze",)
    for resource in ("resource", 'resource in Audience::"payments"', "resource is Detail"):
        guard = (
            f'@id("g") @owner("o") @reason("r") forbid (principal, action, {resource}) when {{ resource.rank > 0 }};'
        )
        guarded = load_detailed(
            tmp_path / resource.replace('"', "").replace(":", ""), rules=RULES + DETAIL_RULES + guard
        )
        assert one(guarded, payment()).determining == ("g",)
        assert one(guarded, statement()).granted


def test_a_guardrail_of_scopes_alone_is_none_of_details(tmp_path: Path) -> None:
    guard = '@id("g") @owner("o") @reason("r") forbid (principal, action, resource is Scope);'
    bundle = load_detailed(tmp_path, rules=RULES + DETAIL_RULES + guard)
    assert one(bundle, payment()).granted
    assert not decide(bundle, asked(), facts(), NOW).granted


def test_what_the_rules_read_must_be_known(bundle: Bundle) -> None:
    stale = facts(readings={"subject/directory": Reading("stale", 1)})
    assert (one(bundle, payment(), stale).reason, one(bundle, payment(), stale).facts) == (
        "fact_stale",
        ("subject/directory",),
    )


def test_the_tier_and_the_route_of_each_detail_bound_the_lifetime(bundle: Bundle) -> None:
    decision = decide(bundle, asking(payment("10.0"), payment("500.0"), acr="phr"), facts(), NOW)
    assert [detail.route for detail in decision.details] == ["pay", "pay-large"]
    assert decision.lifetime is not None
    assert dict(decision.lifetime.bounds)["tier:high"] == 600
    assert (decision.lifetime.seconds, decision.lifetime.bounded_by) == (40, "route:pay-large")
    small = decide(bundle, asking(payment("10.0"), statement()), facts(), NOW)
    assert small.lifetime is not None
    assert (small.lifetime.seconds, small.lifetime.bounded_by) == (90, "route:pay")


def test_scopes_and_details_are_granted_side_by_side(bundle: Bundle) -> None:
    decision = decide(bundle, asking(payment("5000.0"), statement(), scopes=("pay:read", "pay:write")), facts(), NOW)
    assert decision.granted
    assert decision.granted_scopes == ("pay:read",)
    assert [detail.granted for detail in decision.details] == [False, True]


def test_a_token_of_details_alone_has_the_claims_of_every_token_and_no_others(bundle: Bundle) -> None:
    decision = decide(bundle, asking(statement()), facts(), NOW)
    assert [claim.name for claim in decision.claims] == ["department"]


def test_a_claim_that_no_token_may_lack_is_lacking_for_details_too(tmp_path: Path) -> None:
    wanting = PAYMENTS.replace('manager = ["pay:approve"]', 'manager = "*"') + DETAILS
    bundle = load_detailed(tmp_path, files={"audiences/payments.toml": wanting})
    assert (one(bundle, statement()).reason, one(bundle, statement()).determining) == ("claim_absent", ("manager",))
    assert one(bundle, statement(), facts(attrs={"manager": "m"})).granted


def test_each_actor_must_be_permitted_to_act_with_it(bundle: Bundle) -> None:
    chain: dict[str, Any] = {"actors": (BOT,)}
    assert one(bundle, payment("49.99"), facts(actors=(bot(),)), **chain).acting == ("act-pay",)
    assert one(bundle, payment("50.00"), facts(actors=(bot(),)), **chain).reason == "actor_not_permitted"
    # The permit for agents in the whole audience is for its scopes.
    assert one(bundle, statement(), facts(actors=(bot(),)), **chain).reason == "actor_not_permitted"


def test_a_client_stays_hidden_only_where_it_may_for_every_detail(tmp_path: Path) -> None:
    hiding = (
        '@id("hide") @owner("o") @reason("r") '
        'permit (principal, action == Action::"impersonate", resource == Scope::"pay:read");\n'
        '@id("hide-small") @owner("o") @reason("r") '
        'permit (principal, action == Action::"impersonate", resource == Detail::"payment")\n'
        'when { context.detail.amount.lessThan(decimal("20.0")) };'
    )
    bundle = load_detailed(tmp_path, rules=RULES + DETAIL_RULES + hiding)
    held = facts(actors=(bot(),))
    more: dict[str, Any] = {"actors": (BOT,), "impersonate": True}
    small = decide(bundle, asking(payment("19.0"), scopes=("pay:read",), **more), held, NOW)
    assert (small.granted, small.actors, small.details[0].acting) == (True, (), ("hide-small",))
    larger = decide(bundle, asking(payment("21.0"), scopes=("pay:read",), **more), held, NOW)
    assert (larger.granted, larger.actors, larger.details[0].acting) == (True, (BOT,), ("act-pay",))


def test_a_type_that_the_client_may_not_have_is_beyond_its_ceiling(tmp_path: Path) -> None:
    bundle = load_detailed(tmp_path, files={"clients/app.toml": CLIENT})
    assert one(bundle, payment()).reason == "client_ceiling"


def test_a_client_that_nobody_wrote_down_has_no_detail(tmp_path: Path) -> None:
    admitting = BUNDLE + (
        '[registration]\nprefix = "reg-"\nkinds = ["service"]\nenvironments = ["production"]\nowners = ["o"]\n'
        'authentication = ["private_key_jwt"]\ngrants = ["token_exchange"]\n[registration.ceilings]\n'
        'payments = ["pay:read"]\n'
    )
    bundle = load_detailed(tmp_path, files={"bundle.toml": admitting})
    client = RegisteredClient(
        id="reg-1",
        kind="service",
        owner="o",
        principal="Workload",
        environments=("production",),
        ceilings={"payments": ("pay:read",)},
        details=("payment",),
    )
    assert one(bundle, payment(), client_id="reg-1", registered=client).reason == "client_ceiling"


@pytest.mark.parametrize(
    "detail",
    [
        Detail(type="nothing"),
        Detail(type="payment"),
        payment(more=1),
        payment(parts="1"),
        payment(locations=["https://elsewhere.example"]),
        payment(creditor={"account": "DE01", "iban": "DE01"}),
    ],
)
def test_a_bundle_decides_about_no_field_that_it_does_not_declare(bundle: Bundle, detail: Detail) -> None:
    assert one(bundle, detail).reason == "unknown_detail"


def test_what_refuses_the_whole_refuses_its_details(bundle: Bundle) -> None:
    decision = decide(bundle, asking(payment(), environment="staging"), facts(), NOW)
    assert [detail.reason for detail in decision.details] == ["environment"]
    assert not decision.granted
    nowhere = decide(bundle, asking(payment(), audience="nowhere"), facts(), NOW)
    assert [detail.reason for detail in nowhere.details] == ["unknown_scope"]


def test_while_an_audience_observes_its_details_are_not_mapped(tmp_path: Path) -> None:
    observing = PAYMENTS.replace('disclose = "challenge"', 'mode = "observe"').replace(
        '[scopes."pay:read"]', '[legacy]\neveryone = ["pay:read"]\n[scopes."pay:read"]', 1
    )
    bundle = load_detailed(tmp_path, files={"audiences/payments.toml": observing + DETAILS})
    held = facts(groups=("finance", "everyone"))
    decision = decide(bundle, asking(payment(), scopes=("pay:read",)), held, NOW)
    assert decision.granted_scopes == ("pay:read",)
    assert decision.details[0].reason == "not_mapped"
    assert decision.details[0].would == ScopeDecision(scope="payment", granted=True, route="pay")


def test_a_rule_that_is_only_observed_grants_nothing_and_is_told(tmp_path: Path) -> None:
    observed = DETAIL_RULES.replace('@id("pay") ', '@id("pay") @mode("observe") ')
    bundle = load_detailed(tmp_path, rules=RULES + observed)
    answer = decide(bundle, asking(payment()), facts(), NOW).details[0]
    assert answer.reason == "obligation_unmet"
    assert answer.would is not None
    assert answer.would.route == "pay"


def test_the_sealed_document_gives_the_question_back_byte_for_byte(bundle: Bundle) -> None:
    question = asking(payment(creditor={"name": "Zoë", "account": "DE01"}, locations=["https://api.example/payments"]))
    question = msgspec.structs.replace(
        question, parent=Parent(token_id="t", scopes=(), expires_at=NOW + 60_000, details=question.details)
    )
    held = facts()
    decision = decide(bundle, question, held, NOW)
    document = decision_document(question, held, decision)
    again = read_document(document)
    assert again.asked == question
    assert decide(bundle, again.asked, again.facts, NOW) == decision
    assert decision_document(again.asked, again.facts, decision) == document


def test_a_document_from_before_details_is_still_the_same(bundle: Bundle) -> None:
    document = decision_document(asked(), facts(), decide(bundle, asked(), facts(), NOW))
    assert b"details" not in document


def test_an_explanation_tells_why_and_what_would_turn_it(bundle: Bundle) -> None:
    text = explain_text(explain(bundle, asking(payment("500.0"), statement(), scopes=("pay:read",)), facts(), NOW))
    assert "authorization detail payment refused: a rule permits it, but demands more than the request brings" in text
    assert "Start one payment (risk tier high)" in text
    assert 'it would be granted if\n    request.acr = "phr"' in text
    assert "authorization detail statement granted" in text
    beyond = explain_text(explain(bundle, asking(payment("5000.0")), facts(), NOW))
    assert 'context.detail.amount = "5000.0"' in beyond
    assert "no change of facts or of the request was found" in beyond
    refused = explain(bundle, asking(payment("10.0")), facts(groups=()), NOW)
    assert refused.details[0].change is not None
    assert [change.text for change in refused.details[0].change] == ['subject joins Group::"finance"']
