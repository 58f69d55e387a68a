"""One subject's answer: the best way, what it takes, why; and for actors."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from mintwarden.model.decision import Obligation
from mintwarden.model.exception import ExceptionGrant
from mintwarden.model.ids import entity_key
from mintwarden.model.values import EntityUid
from mintwarden.review.reach.acting import Acting
from mintwarden.review.reach.question import Question
from mintwarden.review.reach.reach import Found, Reach, World
from tests.unit.policy.company import ALICE, BUNDLE, NOW
from tests.unit.review.reach.firm import RULES, agent, client, firm, issuer, person, said, workload

BOT = EntityUid("Agent", "bot")
WORLD = {"Agent:bot": agent(), "Workload:api": workload(), "Workload:app": workload(), "Workload:web": workload()}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return firm(tmp_path_factory.mktemp("firm"))


def best(bundle, scope, answers, uid=ALICE, world=None, **fixed) -> Found | None:
    return Reach(bundle, Question(scope=scope, at=NOW, **fixed), world or World(WORLD)).best(uid, answers)


def test_the_best_way_lasts_longest_and_says_by_whom_and_why(bundle):
    line = best(bundle, "pay:read", person()).line
    assert (line.client, line.grant, line.actors) == ("web", "token_exchange", ())
    assert (line.route, line.acting, line.needs) == ("read", ("web-hides",), ())
    assert (line.lifetime, line.bounded_by) == (300, "default:payments")
    assert {fact.path: fact.value for fact in line.facts} == {"subject.<groups>": ["finance"], "subject.risk": 10}
    assert {fact.source for fact in line.facts} == {"directory", "risk"}


def test_each_client_has_its_line_when_asked_for(bundle):
    found = Reach(bundle, Question(scope="pay:read", at=NOW), World(WORLD)).each_client(ALICE, person())
    assert [(one.line.client, one.line.lifetime) for one in found] == [("bot", 30), ("web", 300)]


def test_who_is_refused_in_every_way_has_no_line(bundle):
    assert best(bundle, "pay:read", person(groups=())) is None
    assert best(bundle, "pay:read", person(risk=60)) is None
    assert best(bundle, "pay:read", {}) is None


def test_what_a_step_up_would_give_is_listed_as_such(bundle):
    line = best(bundle, "pay:write", person()).line
    assert line.needs == (Obligation("require_acr", "phr"),)
    assert line.lifetime == 60


def test_what_is_held_fixed_is_no_longer_needed(bundle):
    assert best(bundle, "pay:write", person(), acr="phr").line.needs == ()
    assert best(bundle, "pay:write", person(), acr="pwd") is None


def test_an_approval_is_needed_until_it_is_given_and_a_purpose_is_just_stated(bundle):
    line = best(bundle, "pay:approve", person()).line
    assert (line.needs, line.purpose) == ((Obligation("require_approval", "manager"),), "support")
    given = best(bundle, "pay:approve", person(approvals=["manager:pay:approve"])).line
    assert (given.needs, given.purpose) == ((), "support")


def test_a_claim_that_must_not_be_absent_refuses(bundle):
    answers = {**person(), "directory": said({"department": "money", "tenants": []}, ["finance"])}
    assert best(bundle, "pay:approve", answers) is None


def test_a_program_asks_for_itself(bundle):
    line = best(bundle, "pay:read", workload(), EntityUid("Workload", "app")).line
    assert (line.client, line.grant, line.route) == ("app", "client_credentials", "app-itself")
    assert best(bundle, "pay:read", workload(), EntityUid("Workload", "web")) is None


def test_a_token_of_ours_is_exchanged_where_a_rule_wants_the_chain(bundle):
    line = best(bundle, "book:read", person()).line
    assert (line.client, line.via, line.actors) == ("api", ("pay:read",), ("Workload:api", "Agent:bot"))
    assert (line.route, line.acting) == ("book", ("api-acts", "bot-behind-api"))
    assert best(bundle, "book:read", person(), hops=0) is None
    assert best(bundle, "book:read", person(groups=())) is None, "the earlier token would not be issued"


def test_an_observed_audience_is_answered_by_its_mapping_with_what_the_rules_say(bundle):
    line = best(bundle, "old:use", person(groups=["everyone"])).line
    assert (line.mode, line.route, line.would) == ("observe", "legacy:everyone", "no_route")


def test_an_exception_is_a_way_where_the_tier_takes_any(bundle, tmp_path):
    grant = ExceptionGrant(
        id="0199", principal=ALICE, scope="pay:read", audience="payments", tier="low", starts_at=NOW - 1,
        expires_at=NOW + 100_000, approvals=1,
    )  # fmt: skip
    world = World(WORLD, exceptions=(grant,))
    assert best(bundle, "pay:read", person(groups=()), world=world) is None
    head = BUNDLE.replace('max_ttl = "1h"', 'max_ttl = "1h"\nexception_max = "1h"\nexception_approvals = 1')
    head += """[[approvers]]
name = "A"
user = "a"
keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBERERERERERERERERERERERERERERERERERERERERER"]
"""
    files = {"bundle.toml": head}
    line = best(firm(tmp_path, files=files), "pay:read", person(groups=()), world=world).line
    assert (line.route, line.lifetime <= 100) == ("exception:0199", True)


def test_only_a_subject_whom_an_issuer_may_name_comes_from_outside(bundle):
    assert best(bundle, "pay:read", person(), EntityUid("Workload", "stranger")) is None


def test_a_client_with_networks_asks_from_them(tmp_path):
    office = 'context.request has address && context.request.address.isInRange(ip("10.0.0.0/8"))'
    rules = RULES.replace("principal.risk < 50", office)
    near, far = (
        firm(
            tmp_path / name, rules=rules, files={"clients/web.toml": client("web", "web", f'addresses = ["{network}"]')}
        )
        for name, network in (("near", "10.9.0.0/16"), ("far", "192.0.2.0/24"))
    )
    assert best(near, "pay:read", person(), client="web").line.address == "10.9.0.0"
    assert best(far, "pay:read", person(), client="web") is None
    assert best(near, "pay:read", person(), client="web", address="192.0.2.7") is None, "it may not call from there"


def acting(bundle, scope, actor, answers, documents=WORLD):
    witnesses = [(ALICE, person())]
    return Acting(bundle, Question(scope=scope, at=NOW), World(documents), witnesses).best(actor, answers)


def test_who_may_act_is_shown_for_a_subject(bundle):
    line = acting(bundle, "pay:read", BOT, agent()).line
    assert (line.role, line.principal, line.subject) == ("actor", "Agent:bot", "User:alice")
    assert (line.acting, line.lifetime) == (("bot-acts",), 30)
    assert acting(bundle, "pay:read", BOT, agent(risk=30)) is None


def test_an_agent_of_a_trusted_issuer_acts_through_any_client(bundle):
    line = acting(bundle, "pay:read", EntityUid("Agent", "helper"), agent()).line
    assert (line.client, line.actors) == ("app", ("Agent:helper",))
    assert acting(bundle, "pay:read", EntityUid("Workload", "helper"), workload()) is None, "no issuer may name it"


def test_who_only_ever_stays_hidden_does_not_act(bundle):
    assert acting(bundle, "pay:read", EntityUid("Workload", "web"), workload()) is None


def test_who_gets_it_when_somebody_acts(bundle):
    helper = EntityUid("Agent", "helper")
    world = World({**WORLD, entity_key(helper): agent()})
    found = Reach(bundle, Question(scope="pay:write", at=NOW), world, actor=helper).best(ALICE, person())
    assert found.line.actors == ("Agent:helper",)
    assert found.line.needs == (Obligation("require_acr", "phr"),)


def test_a_refusal_that_was_about_one_subject_is_not_remembered_for_another(tmp_path):
    rules = RULES.replace("when { principal.risk < 20 };", 'when { context.subject.id != "alice" };')
    reach = Reach(firm(tmp_path, rules=rules), Question(scope="pay:read", at=NOW, client="bot"), World(WORLD))
    assert reach.best(ALICE, person()) is None
    assert reach.best(EntityUid("User", "bob"), person()) is not None


def test_a_client_that_was_registered_is_a_way_like_any_other(tmp_path):
    bounds = """
[registration]
prefix = "reg-"
kinds = ["web"]
environments = ["production"]
owners = ["o"]
grants = ["token_exchange"]
authentication = ["client_secret_basic"]
[registration.ceilings]
payments = ["pay:read"]
"""
    rules = RULES.replace('principal == Workload::"web"', 'principal == Workload::"reg-1"')
    apart = issuer("agents", "Agent", '["subject", "actor"]', 'subject_prefix = "ext/"')
    bundle = firm(tmp_path, rules=rules, files={"bundle.toml": BUNDLE + bounds, "issuers/agents.toml": apart})
    made = replace(bundle.catalogue.clients["web"], id="reg-1", ceilings={"payments": ("pay:read", "pay:write")})
    world = World(WORLD | {"Workload:reg-1": workload()}, clients=(made,))
    assert best(bundle, "pay:read", person(), world=world).line.client == "reg-1"
    assert best(bundle, "pay:read", person(), client="reg-1") is None
    assert best(bundle, "pay:write", person(), world=world, client="reg-1") is None, "beyond what may be registered"
