"""Why, and why not: the rules and facts behind each scope, and the least that would turn a refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from mintwarden.model.asked import Asked, Parent
from mintwarden.model.caller import Binding
from mintwarden.model.decision import Obligation
from mintwarden.model.facts import Facts, Reading
from mintwarden.model.values import Datetime, Entity, EntityUid, Record
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide
from mintwarden.policy.explain import BECAUSE, explain
from mintwarden.policy.explain_text import explain_json, explain_text, spell_seconds
from mintwarden.policy.explained import Explanation, FactShown, ScopeExplained
from tests.unit.policy import company
from tests.unit.policy.company import BOT, NOW, PAYMENTS, RULES, asked, bot, load_company

MORE_RULES = """
@id("job") @owner("Ops") @reason("jobs run at night") @max_ttl("20m")
permit (principal is Workload, action == Action::"issue", resource == Scope::"pay:read")
when {
  principal.department == "ops" && context.request.time.toTime() < duration("4h")
  && context.request.grant == "client_credentials"
};
@id("strong") @owner("o") @reason("r") @require_binding("any") @require_amr("hwk") @require_auth_age("5m")
@require_purpose("support")
permit (principal is User, action == Action::"issue", resource == Scope::"pay:write")
when { principal.department == "support" };
@id("office") @owner("o") @reason("no tokens for the client outside")
forbid (principal is User, action, resource == Scope::"pay:approve")
when { context.client.id == "outside" || (context.request has tenant && context.request.tenant == "closed") };
@id("ended") @owner("o") @reason("the session is over")
forbid (principal is User, action, resource)
when { context has session && context.session has expires_at && context.session.expires_at < context.request.time };
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_company(tmp_path_factory.mktemp("company"), rules=RULES + MORE_RULES)


def facts(**known: Any) -> Facts:
    return company.facts(**{**known, "context": {"client": Record(id="app"), **known.get("context", {})}})


def explained(bundle: Bundle, asks: Asked, known: Facts, at: int = NOW) -> Explanation:
    return explain(bundle, asks, known, at)


def one(explanation: Explanation) -> ScopeExplained:
    assert len(explanation.scopes) == 1
    return explanation.scopes[0]


def change(explanation: Explanation) -> list[str] | None:
    found = one(explanation).change
    return None if found is None else [what.text for what in found]


def test_a_granted_scope_names_its_rule_and_the_facts_that_carried_it(bundle: Bundle) -> None:
    readings = {"subject/risk": Reading("present", NOW - 90_000, 300_000)}
    whole = explained(bundle, asked(), facts(readings=readings))
    assert (whole.granted, whole.client, whole.subject, whole.owner) == (True, "app", "User:alice", "Owner")
    (rule,) = one(whole).carried
    assert (rule.id, rule.role, rule.owner, rule.reason, rule.file, rule.line) == (
        "read", "subject", "o", "r", "rules/all.cedar", 2,
    )  # fmt: skip
    assert rule.facts == (
        FactShown(
            path="subject.<groups>",
            present=True,
            value=["finance"],
            source="directory",
            state="present",
            age=0,
        ),
        FactShown(path="subject.risk", present=True, value=10, source="risk", state="present", age=90, max_age=300),
    )
    assert (one(whole).reason, one(whole).change, one(whole).route) == (None, None, None)


def test_claims_lifetime_and_binding_have_their_origin(bundle: Bundle) -> None:
    ends = {"subject/groups": {"finance": NOW + 100_000}}
    bound = Binding(kind="dpop", thumbprint="abc")
    whole = explained(bundle, asked(binding=bound), facts(ends=ends))
    (claim,) = whole.claims
    assert (claim.name, claim.value, claim.origin, claim.source, claim.age) == (
        "department", "money", "subject.department", "directory", 0,
    )  # fmt: skip
    assert whole.lifetime == 100
    assert [(b.name, b.seconds, b.decided) for b in whole.bounds] == [
        ("entitlement:groups/finance", 100, True),
        ("default:payments", 300, False),
        ("audience:payments", 900, False),
        ("tier:low", 3600, False),
    ]
    assert whole.binding == "dpop abc"
    assert "bound to dpop abc" in explain_text(whole)
    assert 'department = "money"  from subject.department (directory, 0s old)' in explain_text(whole)


def test_each_actor_shows_what_let_it_act(bundle: Bundle) -> None:
    whole = explained(bundle, asked(actors=(BOT,)), facts(actors=(bot(),)))
    assert whole.actors == ("Agent:bot",)
    assert [(r.id, r.role) for r in one(whole).carried] == [("read", "subject"), ("act", "actor:0")]
    assert [f.path for f in one(whole).carried[1].facts] == ["actor:0.risk"]


def test_the_nearest_route_shows_what_did_not_hold_and_the_values_seen(bundle: Bundle) -> None:
    whole = explained(bundle, asked(), facts(risk=60, groups=("finance", "staff")))
    told = one(whole)
    assert (told.granted, told.reason, told.because) == (False, "no_route", "no rule permits it")
    assert told.route is not None
    assert told.route.rule.id == "read"
    assert [(c.text, c.truth) for c in told.route.conditions] == [
        ("principal is User", "true"),
        ('principal in Group::"finance"', "true"),
        ("principal.risk < 50", "false"),
    ]
    assert [(f.path, f.value, f.source) for f in told.route.conditions[2].facts] == [("subject.risk", 60, "risk")]


# -- the smallest change, per reason ---------------------------------------------------------------------------------


def test_no_route(bundle: Bundle) -> None:
    assert change(explained(bundle, asked(), facts(risk=60))) == ['subject.entitlements gains "reader"']
    assert change(explained(bundle, asked(), facts(groups=()))) == ['subject joins Group::"finance"']


def test_a_guardrail(bundle: Bundle) -> None:
    whole = explained(bundle, asked(), facts(risk=95))
    assert [(r.id, r.effect) for r in one(whole).deciding] == [("freeze", "forbid")]
    assert [f.value for f in one(whole).deciding[0].facts] == [95]
    assert change(whole) == ["subject.risk = 49"]


def test_a_guardrail_that_cannot_be_evaluated(bundle: Bundle) -> None:
    whole = explained(bundle, asked(), facts(attrs={"risk": "high", "entitlements": frozenset({"reader"})}))
    assert one(whole).reason == "forbid_failed"
    assert [rule.id for rule in one(whole).faults] == ["freeze", "read"]
    assert change(whole) == ["subject.risk = 90"]
    assert "could not be evaluated: freeze (rules/all.cedar:17, o)" in explain_text(whole)


def test_unmet_obligations(bundle: Bundle) -> None:
    whole = explained(bundle, asked("pay:write"), facts())
    route = one(whole).route
    assert route is not None
    assert route.unmet == (Obligation("require_acr", "phr"),)
    assert change(whole) == ['request.acr = "phr"']
    support = facts(groups=(), attrs={"department": "support"})
    assert change(explained(bundle, asked("pay:write"), support)) == [
        'request.amr = ["hwk"]',
        "request.auth_age = 0",
        'request.binding = "dpop"',
        'request.purpose = "support"',
    ]
    assert change(explained(bundle, asked("pay:write", amr=("pwd",), purpose="support"), support)) == [
        'request.amr = ["hwk", "pwd"]',
        "request.auth_age = 0",
        'request.binding = "dpop"',
    ]


def test_an_approval_and_a_claim_that_must_not_be_absent(bundle: Bundle) -> None:
    whole = explained(bundle, asked("pay:approve"), facts())
    assert change(whole) == ['subject.approvals gains "manager:pay:approve"', "subject.manager is present"]
    approved = facts(attrs={"approvals": frozenset({"manager:pay:approve"})})
    whole = explained(bundle, asked("pay:approve"), approved)
    assert (one(whole).reason, [f.path for f in one(whole).lacking]) == ("claim_absent", ["manager"])
    assert change(whole) == ["subject.manager is present"]


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        (Reading("stale", NOW - 900_000, 300_000), "fact_stale"),
        (Reading("missing"), "fact_missing"),
        (Reading("failing", detail="no answer"), "source_failing"),
    ],
)
def test_a_source_without_an_answer(bundle: Bundle, reading: Reading, reason: str) -> None:
    whole = explained(bundle, asked(), facts(readings={"subject/risk": reading}))
    assert one(whole).reason == reason
    assert [(f.path, f.source, f.state) for f in one(whole).lacking] == [("subject/risk", "risk", reading.state)]
    assert change(whole) == ["subject/risk is known and fresh"]


def test_a_source_whose_facts_are_gone_with_it(bundle: Bundle) -> None:
    known = facts(readings={"subject/risk": Reading("stale", NOW - 900_000, 300_000)})
    attrs = {name: value for name, value in known.subject.attrs.items() if name != "risk"}
    known = msgspec.structs.replace(known, subject=Entity(known.subject.uid, attrs, known.subject.ancestors))
    assert change(explained(bundle, asked(), known)) == ["subject.risk = 49"]


def test_an_actor(bundle: Bundle) -> None:
    whole = explained(bundle, asked(actors=(BOT,)), facts(actors=(bot(50),)))
    told = one(whole)
    assert (told.reason, told.route and told.route.rule.role) == ("actor_not_permitted", "actor:0")
    assert change(whole) == ["actor:0.risk = 19"]
    other = Entity(EntityUid("Agent", "second"), Record({"risk": 70}))
    two = asked(actors=(BOT, other.uid))
    whole = explained(bundle, two, facts(actors=(bot(10), other)))
    assert change(whole) == ["actor:1.risk = 19"]


def test_a_client_that_may_not_hide(bundle: Bundle) -> None:
    whole = explained(bundle, asked(impersonate=True), facts(actors=(bot(50),)))
    assert one(whole).reason == "actor_not_permitted"
    assert change(whole) == ["actor:0.risk = 19"]


def test_another_time_and_another_grant(bundle: Bundle) -> None:
    job = Entity(EntityUid("Workload", "job"), Record({"department": "ops"}))
    known = facts()
    seen = known.context["request"]
    assert isinstance(seen, Record)
    request = Record({**seen, "grant": "password", "auth_age": 60})
    known = msgspec.structs.replace(known, subject=job, context=Record({"request": request}))
    whole = explained(bundle, asked(subject=job.uid, grant="password", authenticated_at=NOW - 60_000), known)
    assert change(whole) == [
        'request.grant = "client_credentials"',
        'request.time = datetime("2026-11-18T03:59:59.999Z")',
    ]


def test_the_environment_and_the_tenant(tmp_path: Path) -> None:
    tenancy = '[[tenancy]]\nparameter = "tenant"\nmember_of = "subject.tenants"\nrequired = true\n[scopes."pay:read"]'
    text = PAYMENTS.replace('[scopes."pay:read"]', tenancy)
    bundle = load_company(tmp_path, files={"audiences/payments.toml": text})
    assert change(explained(bundle, asked(environment="staging", tenant="t1"), facts())) == [
        'request.environment = "production"'
    ]
    assert change(explained(bundle, asked(), facts())) == ['request.tenant = "t1"']
    assert change(explained(bundle, asked(tenant="t9"), facts())) == ['subject.tenants gains "t9"']
    nowhere = facts(attrs={"tenants": frozenset()})
    assert change(explained(bundle, asked(), nowhere)) == ['subject.tenants gains "any"', 'request.tenant = "any"']


def test_what_no_fact_can_change(bundle: Bundle) -> None:
    parent = Parent(token_id="t", scopes=("pay:write",), expires_at=NOW + 60_000)
    for asks, reason in (
        (asked(parent=parent), "wider_than_parent"),
        (asked("nope"), "unknown_scope"),
        (asked(audience="nowhere"), "unknown_scope"),
        (asked(client_id="nobody"), "unknown_scope"),
        (asked("old:use"), "unknown_scope"),
    ):
        whole = explained(bundle, asks, facts())
        assert (one(whole).reason, one(whole).change) == (reason, None)
        assert one(whole).because == BECAUSE[one(whole).reason or "no_route"]


def test_who_is_asking_is_not_a_fact_to_be_changed(bundle: Bundle) -> None:
    context = {"client": Record(id="outside"), "request": Record(tenant="open", amr=frozenset())}
    whole = explained(bundle, asked("pay:approve"), facts(context=context))
    assert one(whole).reason == "forbidden"
    assert one(whole).change is None


def test_no_time_left(bundle: Bundle) -> None:
    whole = explained(bundle, asked(lifetime=900), facts(ends={"subject/groups": {"finance": NOW}}))
    assert one(whole).reason == "no_lifetime"
    assert change(whole) == ["subject/groups finance ends later, or never"]
    assert change(explained(bundle, asked(lifetime=0), facts())) is None


def test_a_context_fact(bundle: Bundle) -> None:
    session = {"session": Record(expires_at=Datetime(NOW - 5))}
    whole = explained(bundle, asked(), facts(context=session))
    assert one(whole).reason == "forbidden"
    assert [(f.path, f.source) for f in one(whole).deciding[0].facts] == [
        ("context.request.time", "request"),
        ("context.session", "session"),
        ("context.session.expires_at", "session"),
    ]
    assert change(whole) == ['context.session.expires_at = datetime("2026-11-18T11:11:40Z")']


def test_a_mapping_that_is_being_replaced_shows_what_the_rules_would_say(bundle: Bundle) -> None:
    whole = explained(bundle, asked("old:use", audience="legacy"), facts(groups=("everyone",)))
    told = one(whole)
    assert (told.granted, told.reason, told.mapped) == (True, None, ("legacy:everyone",))
    would = told.would
    assert would is not None
    assert (would.granted, would.reason, would.carried) == (False, "no_route", ())
    assert [c.text for c in would.change or ()] == ['subject joins Group::"finance"']
    text = explain_text(whole)
    assert text.startswith("granted under observe at")
    assert "old:use granted by the mapping of the older system (legacy:everyone)" in text
    assert "issued under observe: the rules would have refused it: no rule permits it" in text


def test_what_the_mapping_withholds_and_the_rules_would_give(bundle: Bundle) -> None:
    whole = explained(bundle, asked("old:use", audience="legacy"), facts(groups=("finance",)))
    told = one(whole)
    assert (told.granted, told.reason, told.mapped) == (False, "not_mapped", ("legacy:everyone",))
    assert told.would is not None
    assert [rule.id for rule in told.would.carried] == ["old"]
    text = explain_text(whole)
    assert "it gives it by legacy:everyone" in text
    assert "issued under observe: the rules would have granted it" in text


def test_what_a_guardrail_keeps_from_the_mapping(bundle: Bundle) -> None:
    known = facts(risk=95, groups=("everyone",), readings={"subject/directory": Reading("stale", NOW - 1)})
    told = one(explained(bundle, asked("old:use", audience="legacy"), known))
    assert (told.granted, told.reason) == (False, "forbidden")
    assert [rule.id for rule in told.deciding] == ["freeze"]
    assert told.would is not None
    assert told.would.reason == "fact_stale"


def test_a_recorded_decision_is_explained_as_it_was_recorded(bundle: Bundle) -> None:
    recorded = decide(bundle.on_cedar(), asked(), facts(), NOW)
    whole = explain(bundle, asked(), facts(), NOW, recorded)
    assert whole.evaluator == "cedar"
    assert "(answered by Cedar alone)" in explain_text(whole)


def test_a_kind_of_principal_that_no_rule_speaks_of(bundle: Bundle) -> None:
    agent = EntityUid("Agent", "lone")
    known = msgspec.structs.replace(facts(), subject=Entity(agent, Record({"department": "bots", "risk": 0})))
    whole = explained(bundle, asked(subject=agent), known)
    assert (one(whole).reason, one(whole).route, one(whole).change) == ("no_route", None, None)
    assert "there is no rule that could permit it to such a principal" in explain_text(whole)


# -- text and JSON ---------------------------------------------------------------------------------------------------

PAGE = """\
refused at 2026-11-18T11:06:40Z
  subject    User:alice
  actor      Agent:bot
  client     app
  audience   payments
  policy     small, owned by Owner (owner@example)
  bundle     BUNDLE

pay:write refused: a rule permits it, but demands more than the request brings
  m (risk tier high)
  nearest rule write (rules/all.cedar:8, o)
    yes   principal is User
    yes   principal in Group::"finance"
    NO    demands require_acr phr
  it would be granted if
    request.acr = "phr"

pay:read refused: an actor may not act with it
  m (risk tier low)
  nearest rule act (rules/all.cedar:14, o) for actor:0
    yes   principal is Agent
    NO    principal.risk < 20
            actor:0.risk = 50  (risk, 0s old)
  it would be granted if
    actor:0.risk = 19
"""


def test_the_page(bundle: Bundle) -> None:
    whole = explained(bundle, asked("pay:write", "pay:read", actors=(BOT,)), facts(actors=(bot(50),)))
    # The agent's risk stands in the way of both: `pay:write` is refused for its own reason first.
    text = explain_text(whole).replace(bundle.digest, "BUNDLE")
    assert text == PAGE.replace('    request.acr = "phr"\n', '    actor:0.risk = 19\n    request.acr = "phr"\n', 1)


def test_json_holds_the_same(bundle: Bundle) -> None:
    for asks, known in ((asked(), facts()), (asked("pay:write", "nope"), facts(groups=()))):
        whole = explained(bundle, asks, known)
        assert msgspec.json.decode(explain_json(whole), type=Explanation) == whole


def test_nothing_in_a_name_can_draw_on_the_terminal(bundle: Bundle) -> None:
    whole = explained(bundle, asked("pay:\x1b[31m\u202ered"), facts())
    assert "\x1b" not in explain_text(whole)
    assert "\u202e" not in explain_text(whole)
    assert "\\u{1b}" in explain_text(whole)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (90, "1m30s"), (3600, "1h"), (90_061, "1d1h"), (-5, "-5s")])
def test_spans_of_time(seconds: int, text: str) -> None:
    assert spell_seconds(seconds) == text
