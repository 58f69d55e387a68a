"""Who is granted what otherwise: proved to be alike, or shown by a small example that both bundles have decided."""

from __future__ import annotations

import random
import re
import time
import tomllib
from functools import cache

import pytest

from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.bundle.model import Bundle, ScenarioDocument
from mintwarden.policy.bundle.problem import Problems
from mintwarden.policy.bundle.scenarios import read_scenarios
from mintwarden.policy.cedar.operators import STANDARD, Operators
from mintwarden.policy.cedar.rules import compile_rules
from mintwarden.policy.diff.diff import Diff, diff
from mintwarden.policy.diff.edition import Edition, edition_of
from mintwarden.policy.diff.example import runnable
from mintwarden.policy.diff.meaning import Difference
from mintwarden.review.scenarios import run_scenarios
from tests.unit.policy.diff.editions import COMPANY, RULE, Replaced, company_diff, edition, meridian, with_changes


@cache
def company_of_meridian() -> Edition:
    return edition_of(meridian())


def reformatted(texts: dict[str, str], prefix: str = "") -> dict[str, str]:
    """The same bundle in other files, in another order, with other line ends and names."""
    found: dict[str, str] = {}
    for file, text in texts.items():
        if not file.endswith(".cedar"):
            found[file] = text.replace("\n", "\r\n")
            continue
        rules = re.split(r"(?m)^(?=(?:// lint[^\n]*\n)?@id)", text)[1:]
        random.Random(file).shuffle(rules)
        moved = file.replace("rules/", "rules/all/").replace(".cedar", "-rules.cedar")
        spread = "\n".join(rules).replace(" && ", "  // and\n &&\n\t").replace(" || ", "\n||\n")
        found[moved] = re.sub(r'@id\("', f'@id("{prefix}', spread)
    return found


def test_a_reformatted_reordered_renamed_and_moved_bundle_is_proved_equal():
    before, after = company_of_meridian(), edition_of(reformatted(meridian(), "renamed-"))
    started = time.process_time()
    found = diff(before, after)
    assert time.process_time() - started < 10
    assert found.verdict == "equal"
    assert found.effects == ()
    assert {change.how for change in found.structure} == {"renamed"}
    assert len(found.structure) == len(before.bundle.rules.rules)


def test_the_same_bundle_needs_no_solver():
    found = diff(company_of_meridian(), company_of_meridian())
    assert (found.verdict, found.structure, found.meaning.proved) == ("equal", (), 0)
    assert found.meaning.alike == found.meaning.questions > 400


THRESHOLD = ("rules/payments.cedar", "principal.risk_score < 30", "principal.risk_score < 40")
NEW_RULE = (
    "rules/payments.cedar",
    '@id("payments-create")',
    RULE.format(id="new")
    + ' permit (principal is User, action == Action::"issue", resource == Scope::"payments:refund")\n'
    + 'when { principal has title && principal.title == "Chief" };\n@id("payments-create")',
)


@pytest.mark.parametrize("change", [THRESHOLD, NEW_RULE], ids=["threshold", "new-rule"])
def test_a_change_of_meridian_is_found_in_time(change: Replaced):
    before, after = company_of_meridian(), edition(change, texts=meridian())
    started = time.process_time()
    found = diff(before, after)
    assert time.process_time() - started < 10
    assert found.verdict == "changed"
    assert {(one.scope, one.kind, one.action) for one in found.meaning.differences} <= {
        ("payments:approve", "User", "issue"),
        ("payments:refund", "User", "issue"),
    }
    assert runs(found) == len(found.meaning.differences) > 0


def runs(found: Diff) -> int:
    """Every example is a scenario that passes in the bundle that it is for; how many there are."""
    count = 0
    for one in found.meaning.differences:
        scenario = runnable(found.old, found.new, one)
        if scenario is None:
            assert one.situation.facts.exceptions
            continue
        bundle = found.new if scenario.side == "new" else found.old
        assert [result.differences for result in run_scenarios(bundle, [read(bundle, scenario.text)])] == [()]
        count += 1
    return count


def read(bundle: Bundle, text: str) -> ScenarioDocument:
    """The scenario as the bundle's loader reads it."""
    draft = Draft(Problems(), {"tests/x.toml": tomllib.loads(text)})
    (document,) = read_scenarios(draft, bundle.catalogue, {"tests/x.toml": text})
    draft.problems.refuse_if_any()
    return document


def only(*changes: Replaced) -> Difference:
    found = company_diff(*changes)
    assert found.verdict == "changed"
    runs(found)
    granted = [one for one in found.meaning.differences if one.way == "granted"]
    (one,) = granted or found.meaning.differences
    return one


def test_a_threshold_that_rises_permits_more_and_the_example_stands_on_it():
    one = only(("rules/all.cedar", "principal.risk < 50", "principal.risk < 60"))
    assert (one.scope, one.kind, one.action, one.way, one.only) == ("pay:read", "User", "issue", "granted", "new")
    assert one.situation.facts.subject.attrs["risk"] == 50
    assert (one.old.granted, one.old.reason, one.new.route) == (False, "no_route", "read")


def test_a_threshold_that_falls_permits_less():
    one = only(("rules/all.cedar", "principal.risk < 50", "principal.risk < 40"))
    assert (one.only, one.old.granted, one.new.granted) == ("old", True, False)
    assert one.situation.facts.subject.attrs["risk"] == 40


def test_nothing_in_an_example_could_be_left_out():
    one = only(("rules/all.cedar", "principal.risk < 50", "principal.risk < 60"))
    facts = one.situation.facts
    present = {key for key, reading in facts.readings.items() if reading.state == "present"}
    assert present == {"subject/directory", "subject/risk", "subject/entitlements"}  # both rules' sources must be known
    assert {str(group) for group in facts.subject.ancestors} == {'Group::"finance"'}
    assert facts.subject.attrs["entitlements"] == frozenset()
    assert "manager" not in facts.subject.attrs
    asked = one.situation.asked
    assert (asked.purpose, asked.tenant, asked.acr, asked.binding, asked.address, asked.amr) == (
        "",
        "",
        "",
        None,
        "",
        (),
    )


def test_a_rule_that_another_makes_pointless_changes_nothing():
    extra = f'{RULE.format(id="calmer")} permit (principal is User, action == Action::"issue", resource == Scope::"pay:read") when {{ principal in Group::"finance" && principal.risk < 40 }};\n'
    found = company_diff(("rules/all.cedar", '@id("read-held")', f'{extra}@id("read-held")'))
    assert found.verdict == "equal"
    assert found.meaning.proved > 0
    assert [change.how for change in found.structure] == ["added"]


def test_a_rule_written_otherwise_is_proved_equal():
    found = company_diff(("rules/all.cedar", "principal.risk > 90", "!(principal.risk < 91)"))
    assert found.verdict == "equal"
    assert found.meaning.proved == 12  # four scopes, for users, once for each of the three actions


def test_a_new_source_that_a_rule_needs_is_told_with_it():
    found = company_diff(
        (
            "sources.toml",
            "[sources.session]",
            '[sources.desk]\nkind = "store"\nabout = ["User"]\ndescription = "d"\n[sources.desk.facts]\nfloor = "long"\n[sources.session]',
        ),
        ("rules/all.cedar", "principal.risk < 50", "principal.risk < 50 && principal.floor > 3"),
    )
    assert [effect.text for effect in found.effects] == ["source of desk: none -> known"]
    assert {(one.scope, one.only) for one in found.meaning.differences} == {("pay:read", "old")}


def test_an_actor_that_may_do_more_is_found_with_a_chain():
    found = company_diff(("rules/all.cedar", "principal.risk < 20", "principal.risk < 30"))
    runs(found)
    assert [one.scope for one in found.meaning.differences] == ["pay:approve", "pay:read", "pay:write"]
    one = found.meaning.differences[0]
    assert (one.kind, one.action, one.only, one.situation.facts.actors[0].attrs["risk"]) == ("Agent", "act", "new", 20)


IMPERSONATES = f'{RULE.format(id="alone")} permit (principal == Workload::"app", action == Action::"impersonate", resource == Scope::"pay:read");\n'
ACTS = f'{RULE.format(id="app-acts")} permit (principal == Workload::"app", action == Action::"act", resource == Scope::"pay:read");\n'


def test_a_client_that_may_stay_hidden_is_found():
    texts = with_changes(COMPANY, ("rules/all.cedar", '@id("old")', f'{ACTS}@id("old")'))
    hiding = with_changes(texts, ("rules/all.cedar", '@id("old")', f'{IMPERSONATES}@id("old")'))
    found = diff(edition_of(texts), edition_of(hiding))
    (one,) = found.meaning.differences
    assert (one.way, one.only, one.action, one.kind) == ("hidden", "new", "impersonate", "Workload")
    assert (len(one.old.actors), one.new.actors) == (1, ())
    assert runs(found) == 1


def test_a_client_that_is_new_is_found_with_what_it_may_get():
    texts = {**COMPANY, "clients/other.toml": COMPANY["clients/app.toml"].replace('id = "app"', 'id = "other"')}
    found = diff(edition(), edition_of(texts))
    assert [effect.text for effect in found.effects] == ["client of other: none -> known"]
    assert {(one.scope, one.only, one.situation.asked.client_id) for one in found.meaning.differences} == {
        (scope, "new", "other") for scope in ("old:use", "pay:approve", "pay:read", "pay:write")
    }
    assert {one.old.reason for one in found.meaning.differences} == {"unknown client"}
    assert runs(found) >= 3


def test_a_scope_that_is_gone_is_found():
    texts = with_changes(
        COMPANY,
        ("audiences/payments.toml", '[scopes."pay:write"]\nmeaning = "m"\ntier = "high"\n', ""),
        ("clients/app.toml", '"pay:write", ', ""),
        (
            "rules/all.cedar",
            COMPANY["rules/all.cedar"].partition('@id("write")')[1]
            + COMPANY["rules/all.cedar"].partition('@id("write")')[2].partition('@id("approve")')[0],
            "",
        ),
    )
    found = diff(edition(), edition_of(texts))
    assert [(one.scope, one.only, one.new.reason) for one in found.meaning.differences] == [
        ("pay:write", "old", "unknown_scope")
    ]
    assert runs(found) == 1


GATES = {
    "binding": ("audiences/payments.toml", 'disclose = "challenge"', 'disclose = "challenge"\nbinding = "dpop"', "old"),
    "environment": ("clients/app.toml", 'environments = ["production"]', 'environments = ["production", "staging"]', "none"),
    "ceiling": ("clients/app.toml", '"pay:read", "pay:write"', '"pay:read"', "old"),
    "tenancy": ("audiences/payments.toml", "[claims]", '[[tenancy]]\nparameter = "tenant"\nmember_of = "subject.tenants"\n[claims]', "old"),
    "demand": ("rules/all.cedar", ' @require_acr("phr")', "", "new"),
    "optional": ("sources.toml", 'description = "d"\n[sources.entitlements.facts]', 'stale = "absent"\nmissing = "absent"\ndescription = "d"\n[sources.entitlements.facts]', "refused"),
}  # fmt: skip


@pytest.mark.parametrize("name", ["binding", "environment", "ceiling", "tenancy", "demand"])
def test_what_stands_before_and_beside_the_rules_is_compared(name: str):
    file, old, new, side = GATES[name]
    found = company_diff((file, old, new))
    assert found.verdict == "changed"
    assert {one.only for one in found.meaning.differences} == ({side} - {"none"})
    runs(found)


def test_a_tenancy_that_is_only_optional_bounds_lives_all_the_same():
    found = company_diff(
        (
            "audiences/payments.toml",
            "[claims]",
            '[[tenancy]]\nparameter = "tenant"\nmember_of = "subject.tenants"\nrequired = false\n[claims]',
        )
    )
    assert "tenancy of audience payments" in found.effects[0].text


# -- lifetimes --------------------------------------------------------------------------------------------------------


def test_a_shorter_route_is_told_in_seconds():
    one = only(("rules/all.cedar", '@max_ttl("60s")', '@max_ttl("50s")'))
    assert (one.way, one.only, one.old.seconds, one.new.seconds) == ("lifetime", "old", 60, 50)


def test_a_longer_route_beside_another_is_found_where_it_counts():
    extra = f'{RULE.format(id="long")} @max_ttl("300s") permit (principal is User, action == Action::"issue", resource == Scope::"pay:read") when {{ principal.entitlements.contains("long") && principal.entitlements.contains("reader") }};\n'
    one = only(("rules/all.cedar", '@id("write")', f'{extra}@id("write")'))
    assert (one.way, one.old.seconds, one.new.seconds) == ("lifetime", 120, 300)
    assert one.situation.facts.subject.attrs["entitlements"] == frozenset({"long", "reader"})


def test_a_route_that_leans_on_another_membership_is_found_by_its_end():
    """Of two routes that last equally long the first by id counts: a token ends with what that one leans on."""
    extra = f'{RULE.format(id="{}")} permit (principal is User, action == Action::"issue", resource == Scope::"pay:approve") when {{{{ principal.entitlements.contains("approver") }}}};\n'
    texts = with_changes(COMPANY, ("rules/all.cedar", ' @require_approval("manager")', ""))
    one, other = (
        with_changes(texts, ("rules/all.cedar", '@id("act")', f'{extra.format(name)}@id("act")'))
        for name in ("approve-too", "also")
    )
    found = diff(edition_of(one), edition_of(other))
    (shown,) = found.meaning.differences
    assert (shown.way, shown.scope) == ("lifetime", "pay:approve")
    assert "entitlement:" in shown.old.bounded_by + shown.new.bounded_by
    assert runs(found) == 1
    renamed = with_changes(one, ("rules/all.cedar", '"approve-too"', '"approve-two"'))
    assert diff(edition_of(one), edition_of(renamed)).verdict == "equal"


# -- beyond rules -----------------------------------------------------------------------------------------------------


def test_a_guardrail_that_only_an_exception_could_show_is_found_with_one():
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILlE+K52GMvGRTG/ICE+3KQZ2FjvjP0mkri9lNmwmbnp"
    head = COMPANY["bundle.toml"].replace(
        'verify = "off"', 'verify = "off"\nexception_max = "1d"\nexception_approvals = 1'
    )
    texts = {
        **COMPANY,
        "bundle.toml": f'{head}[[approvers]]\nname = "I"\ncontact = "c"\nuser = "i"\nkeys = ["{key}"]\n',
    }
    guard = f'{RULE.format(id="guard")} forbid (principal is Workload, action == Action::"issue", resource == Scope::"pay:read");\n'
    found = diff(
        edition_of(texts), edition_of(with_changes(texts, ("rules/all.cedar", '@id("old")', f'{guard}@id("old")')))
    )
    (one,) = found.meaning.differences
    assert (one.way, one.only, one.kind, one.new.reason) == ("beyond", "old", "Workload", "forbidden")
    assert one.old.route.startswith("exception:")
    assert runnable(found.old, found.new, one) is None


def test_a_guardrail_over_an_older_systems_mapping_is_found():
    guard = f'{RULE.format(id="guard")} forbid (principal is Workload, action == Action::"issue", resource == Scope::"old:use");\n'
    changes = ("rules/all.cedar", '@id("old")', f'{guard}@id("old")')
    found = company_diff(changes)
    (one,) = found.meaning.differences
    assert (one.way, one.only, one.old.route) == ("beyond", "old", "legacy:everyone")
    assert runs(found) == 1


def test_where_nothing_but_rules_grants_such_a_guardrail_changes_nothing():
    guard = f'{RULE.format(id="guard")} forbid (principal is Workload, action == Action::"issue", resource == Scope::"pay:read");\n'
    found = company_diff(("rules/all.cedar", '@id("old")', f'{guard}@id("old")'))
    assert found.verdict == "equal"


def test_an_observed_audience_is_compared_as_if_its_rules_decided():
    found = company_diff(
        (
            "rules/all.cedar",
            'Scope::"old:use")\nwhen { principal in Group::"finance" };',
            'Scope::"old:use")\nwhen { principal in Group::"staff" };',
        )
    )
    assert {(one.scope, one.only) for one in found.meaning.differences} == {("old:use", "old"), ("old:use", "new")}


# -- what is not proved -----------------------------------------------------------------------------------------------

OPAQUE = f'{RULE.format(id="opaque")} forbid (principal is User, action, resource == Scope::"pay:read") when {{ principal.tenants == principal.entitlements }};\n'


def test_what_has_no_formula_is_the_same_in_both():
    """The opaque guardrail stands in both: whatever it says, it says to both."""
    texts = with_changes(COMPANY, ("rules/all.cedar", '@id("old")', f'{OPAQUE}@id("old")'))
    found = diff(
        edition_of(texts),
        edition_of(with_changes(texts, ("rules/all.cedar", "principal.risk < 50", "principal.risk <= 49"))),
    )
    assert found.verdict == "equal"
    assert found.meaning.proved > 0


def test_what_has_no_formula_and_is_otherwise_is_not_proved_or_shown():
    """Swapping the sides of an equality that has no formula changes nothing, and nobody can prove that."""
    texts = with_changes(COMPANY, ("rules/all.cedar", '@id("old")', f'{OPAQUE}@id("old")'))
    swapped = with_changes(
        texts,
        (
            "rules/all.cedar",
            "principal.tenants == principal.entitlements",
            "principal.entitlements == principal.tenants",
        ),
    )
    found = diff(edition_of(texts), edition_of(swapped))
    assert found.verdict == "not proved"
    assert "cannot be translated: `principal.tenants == principal.entitlements`" in found.meaning.unproved[0].reason


def test_an_example_that_decide_does_not_confirm_is_shown_to_nobody():
    """Compiled rules with a wrong `<` stand for formulas that say something else than `decide`."""
    wrong = {**STANDARD, "less": STANDARD["less_eq"]}
    one, other = (
        with_operators(edition(*changes), wrong)
        for changes in ((), (("rules/all.cedar", "principal.risk < 50", "principal.risk <= 50"),))
    )
    found = diff(one, other)
    assert found.verdict == "not proved"
    assert {open_.reason for open_ in found.meaning.unproved} == {
        "an example was found that `decide` does not confirm, for a reason that has no formula"
    }


def with_operators(version: Edition, operators: Operators) -> Edition:
    bundle = version.bundle
    scopes = {name: scope.audience for name, scope in bundle.catalogue.scopes.items()}
    files = [("rules/all.cedar", "\n".join(rule.text for rule in bundle.rules.rules.values()))]
    return Edition(bundle.with_rules(compile_rules(files, scopes=scopes, operators=operators)), version.files)


def test_the_answer_is_the_same_every_time():
    change = ("rules/all.cedar", "principal.risk < 50", "principal.risk < 60")
    assert company_diff(change).meaning == company_diff(change).meaning


def test_it_tells_how_far_it_is():
    steps: list[tuple[int, int]] = []
    diff(edition(), edition(), lambda done, of: steps.append((done, of)))
    assert steps[0] == (0, 36)
    assert steps[-1] == (36, 36)
