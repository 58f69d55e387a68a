"""An audience that is only observed: the old mapping must not become a way round guardrails, actors or impersonation."""

from __future__ import annotations

import pytest

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
