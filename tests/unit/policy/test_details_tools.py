"""Authorization details under lint, proof, comparison and judgement of risk: nothing overlooks them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

import pytest

from mintwarden.policy.approve.risk import risk
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.decide import decide
from mintwarden.policy.diff.diff import diff
from mintwarden.policy.diff.edition import edition_of
from mintwarden.policy.lint.lint import lint
from mintwarden.policy.prove.prove import Verdict, prove
from mintwarden.policy.prove.scenario import scenario_text
from mintwarden.review.mutants import run_mutants
from mintwarden.review.scenarios import run_scenarios
from mintwarden.review.watch import watch_scenarios
from tests.unit.policy.company import BUNDLE, CLAIMS, LEGACY, RULES, SOURCES
from tests.unit.policy.detailed import DETAIL_RULES, FILES

TEXTS: Mapping[str, str] = {
    "bundle.toml": BUNDLE,
    "sources.toml": SOURCES,
    "claims.toml": CLAIMS,
    "audiences/legacy.toml": LEGACY,
    "rules/all.cedar": RULES + DETAIL_RULES,
    **FILES,
}
Change = tuple[str, str, str]


def changed(*changes: Change) -> dict[str, str]:
    texts = dict(TEXTS)
    for file, old, new in changes:
        assert old in texts.get(file, "")
        texts[file] = texts[file].replace(old, new, 1) if old else texts.get(file, "") + new
    return texts


# -- lint -------------------------------------------------------------------------------------------------------------


def found(*changes: Change) -> list[tuple[str, str]]:
    texts = changed(*changes)
    findings = lint(build_bundle(texts), texts, datetime.date(2026, 11, 24))
    return [(one.id, one.message) for one in findings if one.id not in ("source-without-age-limit", "fact-unread")]


def named(kind: str, *changes: Change) -> list[str]:
    return [message for name, message in found(*changes) if name == kind]


def test_a_type_that_no_client_may_ask_for() -> None:
    assert named("detail-unasked") == []
    (message,) = named("detail-unasked", ("clients/app.toml", '"payment", ', ""))
    assert message == "no client may ask for authorization detail `payment`"


def test_a_rule_about_a_detail_applies_and_is_not_pointless() -> None:
    assert named("rule-never-applies") == []
    assert named("rule-pointless") == []
    never = (
        "rules/all.cedar",
        'resource == Detail::"statement");',
        'resource == Detail::"statement") when { resource.tier == "high" };',
    )
    assert named("rule-never-applies", never) == ["rule `statements` can never apply"]


@pytest.mark.parametrize(
    ("more", "pointless"),
    [
        ('@id("x") @owner("o") @reason("r") forbid (principal, action, resource);', ["freeze", "no-strangers"]),
        (
            '@id("x") @owner("o") @reason("r") forbid (principal, action, resource in Audience::"payments");',
            ["no-strangers"],
        ),
        ('@id("x") @owner("o") @reason("r") forbid (principal, action, resource is Scope);', []),
        ('@id("x") @owner("o") @reason("r") forbid (principal, action, resource == Detail::"payment");', ["no-strangers"]),
        ('@id("x") @owner("o") @reason("r") forbid (principal, action, resource == Detail::"statement");', []),
        ('@id("x") @owner("o") @reason("r") permit (principal, action, resource in Audience::"payments");',
         ["act", "approve", "read", "read-held", "write"]),
    ],
)  # fmt: skip
def test_what_makes_a_rule_about_details_pointless(more: str, pointless: list[str]) -> None:
    told = named("rule-pointless", ("rules/all.cedar", "", more))
    assert sorted(message.split("`")[1] for message in told) == pointless


def test_a_forbid_that_blocks_a_type() -> None:
    more = '@id("x") @owner("o") @reason("r") forbid (principal, action, resource == Detail::"payment");'
    assert "rule `x` refuses authorization detail `payment`, always and to everyone" in named(
        "forbid-blocks-everything", ("rules/all.cedar", "", more)
    )


# -- proof ------------------------------------------------------------------------------------------------------------


def assertion(never: str) -> Change:
    return "assertions/all.toml", "", f'[[assertion]]\nid = "a"\nsays = "s"\n[assertion.never]\n{never}\n'


def proved(never: str, *changes: Change) -> Verdict:
    texts = dict(changed(*changes))
    texts["assertions/all.toml"] = assertion(never)[2]
    (verdict,) = prove(build_bundle(texts))
    return verdict


def test_an_assertion_about_a_tier_or_an_audience_is_about_its_details() -> None:
    held = 'types = ["Workload"]\naudiences = ["payments"]'
    assert proved(held).outcome == "holds"
    opened = ("rules/all.cedar", 'permit (principal is User, action == Action::"issue", resource == Detail::"statement");',
              'permit (principal, action == Action::"issue", resource == Detail::"statement");')  # fmt: skip
    assert proved(held, opened).outcome == "violated"


def test_rules_over_fields_are_proved_and_a_counterexample_runs() -> None:
    strangers = 'types = ["User"]\nscopes = ["payment"]\nunless = \'principal in Group::"finance"\''
    assert proved(strangers).outcome == "holds"
    looser = ("rules/all.cedar", 'context.detail.amount.lessThanOrEqual(decimal("1000.0")) && context.detail.currency == "EUR"',
              'context.detail.currency == "EUR" || (context.detail has creditor && context.detail.creditor.account == "X")')  # fmt: skip
    texts = dict(changed(looser))
    texts["assertions/all.toml"] = assertion(strangers)[2]
    bundle = build_bundle(texts)
    (verdict,) = prove(bundle)
    assert verdict.outcome == "violated"
    (example,) = verdict.examples
    assert decide(bundle, *example).details[0].granted
    texts["tests/example.toml"] = scenario_text(bundle.catalogue, "example", "w", verdict.examples)
    assert [result.differences for result in run_scenarios(build_bundle(texts))] == [()]


def test_a_detail_that_can_never_be_well_formed_is_never_granted() -> None:
    rule, other = 'resource == Detail::"statement");', 'resource == Detail::"payment")\n'
    more = '@id("s") @owner("o") @reason("r")\npermit (principal is Agent, action, resource == Detail::"statement");'
    impossible = ("rules/all.cedar", rule, f'{other}when {{ context.detail.currency == "GBP" }};\n{more}')
    verdict = proved('types = ["User"]\nscopes = ["payment"]\nunless = \'principal in Group::"finance"\'', impossible)
    assert (verdict.outcome, verdict.left_open) == ("holds", ())


# -- comparison -------------------------------------------------------------------------------------------------------


def verdict(*changes: Change) -> tuple[str, list[str], list[str]]:
    told = diff(edition_of(dict(TEXTS)), edition_of(changed(*changes)))
    return told.verdict, [effect.text for effect in told.effects], [f"{c.kind} {c.id}" for c in told.structure]


def test_the_same_is_equal() -> None:
    assert verdict() == ("equal", [], [])


def test_another_rule_about_a_detail_is_not_proved_to_be_the_same() -> None:
    outcome, effects, structure = verdict(("rules/all.cedar", 'decimal("100.0")', 'decimal("200.0")'))
    assert outcome == "not proved"
    rules = "freeze, no-strangers, pay, pay-large"
    assert effects == [f"rules of authorization detail payment (issue): {rules} -> {rules} (may differ)"]
    assert structure == ["rule pay"]


def test_other_fields_other_types_and_other_clients_change_tokens() -> None:
    for change in (
        ("audiences/payments.toml", 'narrows = "at_most", required', "required"),
        ("audiences/payments.toml", 'note = "string"\n', ""),
        ("clients/app.toml", '"payment", ', ""),
    ):
        assert verdict(change)[0] == "changed"


# -- risk -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("audiences/payments.toml", 'narrows = "at_most", required', "required"), "authorization detail `payment` is changed"),
        (("audiences/payments.toml", 'accounts = { type', 'more = "string"\naccounts = { type'), "authorization detail `statement` is changed"),
        (("rules/all.cedar", 'decimal("100.0")', 'decimal("200.0")'), "rule `pay` is changed and is about the high-tier scope `payment`"),
        (("rules/all.cedar", '"XX*"', '"YY*"'), "guardrail `no-strangers` is changed"),
    ],
)  # fmt: skip
def test_what_may_lift_a_protection_of_details_is_of_higher_risk(change: Change, reason: str) -> None:
    old, new = build_bundle(dict(TEXTS)), build_bundle(changed(change))
    assert reason in [str(one) for one in risk(old, new).reasons]


def test_who_may_have_one_of_a_high_tier_from_now_on() -> None:
    old = build_bundle(changed(("clients/app.toml", '"payment", ', "")))
    reasons = [str(one) for one in risk(old, build_bundle(dict(TEXTS))).reasons]
    assert reasons == ["client `app` may have the high-tier authorization detail `payment` from now on"]


def test_its_words_and_a_low_one_that_is_new_are_ordinary() -> None:
    old = build_bundle(dict(TEXTS))
    words = build_bundle(changed(("audiences/payments.toml", "Start one payment", "Start a payment")))
    assert risk(old, words).level == "ordinary"
    more = '[details."more"]\nmeaning = "m"\ntier = "low"\n'
    permit = '@id("m") @owner("o") @reason("r") permit (principal is User, action, resource == Detail::"more");'
    new = build_bundle(changed(("audiences/payments.toml", "", more), ("rules/all.cedar", "", permit)))
    assert risk(old, new).level == "ordinary"


# -- mutants ----------------------------------------------------------------------------------------------------------

SCENARIOS = """
[[scenario]]
id = "{id}"
why = "w"
[scenario.given]
client = "app"
grant = "token_exchange"
subject = 'User::"alice"'
actors = ['Agent::"bot"']
audience = "payments"
now = "2026-11-24T09:00:00Z"
details = [{{ type = "payment", actions = ["initiate"], amount = "{amount}", currency = "EUR" }}]
[scenario.given.facts."User:alice".directory]
facts = {{ department = "money", tenants = [] }}
groups = ["finance"]
[scenario.given.facts."User:alice".risk]
facts = {{ risk = 1 }}
[scenario.given.facts."User:alice".entitlements]
facts = {{ entitlements = [] }}
[scenario.given.facts."Agent:bot".directory]
facts = {{ department = "bots", tenants = [] }}
[scenario.given.facts."Agent:bot".risk]
facts = {{ risk = 1 }}
[scenario.expect]
{expect}
"""


def test_mutants_of_rules_over_fields_are_noticed() -> None:
    texts = dict(TEXTS)
    texts["tests/all.toml"] = "".join(
        (
            SCENARIOS.format(id="under", amount="49.99", expect='granted = ["payment"]'),
            SCENARIOS.format(
                id="over", amount="50.00", expect='granted = []\nrefused = { payment = "actor_not_permitted" }'
            ),
        )
    )
    bundle = build_bundle(texts)
    assert [result.differences for result in run_scenarios(bundle)] == [(), ()]
    told = [one for one in run_mutants(bundle, tuple(watch_scenarios(bundle))) if one.mutant.original.id == "act-pay"]
    assert [one.mutant.what for one in told if not one.killed_by] == [
        '`@max_ttl("20s")`',
        '`@max_ttl("20s")` (to `21s`)',
    ]
    assert {one.killed_by for one in told} == {"under", "over", ""}
