"""An audience that is only observed: the old mapping must not become a way round guardrails, actors or impersonation."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from mintwarden.ledger.entry import DecisionEntry
from mintwarden.model.decision import Decision, ScopeDecision
from mintwarden.model.facts import Reading
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide
from tests.unit.policy.company import BOT, CLIENT, LEGACY, NOW, RULES, asked, bot, facts, load_company

QUARANTINE = """
@id("quarantine") @owner("o") @reason("r")
forbid (principal is Agent, action == Action::"act", resource)
when { principal.risk > 70 };
@id("old-act") @owner("o") @reason("r")
permit (principal is Agent, action == Action::"act", resource == Scope::"old:use");
@id("old-hidden") @owner("o") @reason("r")
permit (principal is Agent, action == Action::"impersonate", resource == Scope::"old:use");
"""
TWO_SCOPES = LEGACY.replace('everyone = ["old:use"]', 'everyone = ["old:use", "old:admin"]')
FILES = {
    "audiences/legacy.toml": TWO_SCOPES + '[scopes."old:admin"]\nmeaning = "m"\ntier = "low"\n',
    "clients/app.toml": CLIENT.replace('legacy = ["old:use"]', 'legacy = ["old:use", "old:admin"]'),
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_company(tmp_path_factory.mktemp("observed"), rules=RULES + QUARANTINE, files=FILES)


def by_scope(decision: Decision) -> dict[str, ScopeDecision]:
    return {scope.scope: scope for scope in decision.scopes}


@pytest.mark.parametrize("bundle_of", ["compiled", "cedar"])
def test_the_old_mapping_lifts_no_guardrail_on_an_actor(bundle: Bundle, bundle_of: str) -> None:
    judged = bundle if bundle_of == "compiled" else bundle.on_cedar()
    question = asked("old:use", audience="legacy", actors=(BOT,))
    good = decide(judged, question, facts(groups=("everyone",), actors=(bot(),)), NOW)
    assert (good.granted, by_scope(good)["old:use"].route, good.actors) == (True, "legacy:everyone", (BOT,))
    bad = decide(judged, question, facts(groups=("everyone",), actors=(bot(risk=90),)), NOW)
    assert (bad.granted, by_scope(bad)["old:use"].reason) == (False, "forbidden")
    assert by_scope(bad)["old:use"].determining == ("quarantine",)


def test_the_old_mapping_lifts_no_guardrail_on_a_later_actor(bundle: Bundle) -> None:
    """The first actor has no route, which may be lifted; the second is forbidden, which may not."""
    question = asked("old:admin", audience="legacy", actors=(BOT, BOT))
    chain = facts(groups=("everyone",), actors=(bot(), bot(risk=90)))
    assert by_scope(decide(bundle, question, chain, NOW))["old:admin"].reason == "forbidden"


def test_the_old_mapping_lifts_no_unknown_fact_of_an_actor(bundle: Bundle) -> None:
    question = asked("old:use", audience="legacy", actors=(BOT,))
    stale = facts(groups=("everyone",), actors=(bot(),), readings={"actor:0/risk": Reading("stale")})
    assert by_scope(decide(bundle, question, stale, NOW))["old:use"].reason == "fact_stale"


def test_the_old_mapping_hides_no_client(bundle: Bundle) -> None:
    """`old:use` may be had without showing the client, `old:admin` comes of the mapping: so the client shows."""
    both = asked("old:use", "old:admin", audience="legacy", impersonate=True)
    known = facts(groups=("finance", "everyone"), actors=(bot(),))
    alone = decide(bundle, asked("old:use", audience="legacy", impersonate=True), known, NOW)
    assert (alone.granted_scopes, alone.actors) == (("old:use",), ())
    decision = decide(bundle, both, known, NOW)
    assert decision.granted_scopes == ("old:use", "old:admin")
    assert decision.actors == (BOT,)


def test_a_group_that_nobody_has_and_a_group_by_a_route_s_name_give_nothing(tmp_path: Path) -> None:
    """A mapping may name what there is not; a caller may be in groups that are called like routes."""
    odd = LEGACY.replace('everyone = ["old:use"]', '"legacy:everyone" = ["old:use"]\n"no-such-group" = ["old:use"]')
    judged = load_company(tmp_path, files={"audiences/legacy.toml": odd})
    question = asked("old:use", audience="legacy")
    for groups in ((), ("everyone",), ("legacy-client:app",), ("no-such",)):
        assert by_scope(decide(judged, question, facts(groups=groups), NOW))["old:use"].reason == "not_mapped"
    named = by_scope(decide(judged, question, facts(groups=("legacy:everyone",)), NOW))["old:use"]
    assert (named.granted, named.route) == (True, "legacy:legacy:everyone")


def test_a_role_is_an_element_of_the_fact_and_nothing_like_it(tmp_path: Path) -> None:
    roles = '[legacy_roles."subject.entitlements"]\nadmin = ["old:use"]\n[scopes."old:use"]'
    judged = load_company(tmp_path, files={"audiences/legacy.toml": LEGACY.replace('[scopes."old:use"]', roles)})
    question = asked("old:use", audience="legacy")

    def answer(held: object, **more: object) -> ScopeDecision:
        known = facts(groups=(), attrs={"entitlements": held}, **more)  # type: ignore[arg-type]
        return by_scope(decide(judged, question, known, NOW))["old:use"]

    assert answer(frozenset({"admin"})).route == "legacy-role:subject.entitlements/admin"
    for held in (frozenset({"administrator"}), frozenset({"Admin"}), "admin", frozenset[str]()):
        assert answer(held).reason == "not_mapped"
    ending = decide(
        judged,
        question,
        facts(
            groups=(),
            attrs={"entitlements": frozenset({"admin"})},
            ends={"subject/entitlements": {"admin": NOW + 7_000}},
        ),
        NOW,
    )
    assert ending.lifetime is not None
    assert (ending.lifetime.seconds, ending.lifetime.bounded_by) == (7, "entitlement:entitlements/admin")


def test_a_mapping_by_client_gives_what_the_client_may_have_and_no_more(tmp_path: Path) -> None:
    by_client = LEGACY.replace("[legacy]\neveryone =", "[legacy_clients]\napp =")
    judged = load_company(tmp_path, files={"audiences/legacy.toml": by_client})
    program = asked("old:use", audience="legacy", grant="client_credentials")
    found = by_scope(decide(judged, program, facts(groups=()), NOW))["old:use"]
    assert (found.granted, found.route) == (True, "legacy-client:app")
    bare = CLIENT.replace('legacy = ["old:use"]\n', "")
    without = load_company(tmp_path / "bare", files={"audiences/legacy.toml": by_client, "clients/app.toml": bare})
    assert by_scope(decide(without, program, facts(groups=()), NOW))["old:use"].reason == "client_ceiling"


def test_an_entry_of_before_is_still_read() -> None:
    """Then the reason of the rules' refusal stood beside a grant, and nothing else did."""
    old = (
        b'{"at":1,"audience":"legacy","granted":true,"kind":"decision","mode":"observe","scopes":[{"granted":true,'
        b'"reason":"no_route","route":"legacy:everyone","scope":"old:use"}],"v":1}'
    )
    entry = msgspec.json.decode(old, type=DecisionEntry)
    assert (entry.scopes[0].reason, entry.scopes[0].would, entry.stage) == ("no_route", None, "")
    assert msgspec.json.encode(entry) == old
