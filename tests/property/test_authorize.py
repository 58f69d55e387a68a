"""Invariant 3 at the authorization endpoint: what a person allows is never wider than what was decided before."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from msgspec.structs import replace

from mintwarden.authn.authenticate import visited
from mintwarden.authn.sign_in import Demand, SignIn
from mintwarden.context.assemble import Assembled
from mintwarden.issue.authorization.complete import granted_of
from mintwarden.issue.authorization.preview import Preview, narrowed, preview, scope_box
from mintwarden.issue.authorization.request import AuthorizationRequest, Destination
from mintwarden.issue.confines import Confines
from mintwarden.issue.judge import Judge
from mintwarden.issue.line import Line, Regime
from mintwarden.issue.memory import Memory
from mintwarden.model.asked import Asked
from mintwarden.model.facts import Facts
from mintwarden.model.values import EntityUid
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide
from tests.property.company import FILES, NOW, RULES, SCOPES, truths
from tests.unit.policy.company import load_company

ALICE = EntityUid("User", "alice")
IDENTITY = """[audience]
id = "identity"
kind = "identity"
identifier = "https://tokens.example"
description = "d"
owner = "o"
environments = ["production"]
max_ttl = "15m"
default_ttl = "5m"
[scopes.openid]
meaning = "m"
tier = "low"
[scopes.profile]
meaning = "m"
tier = "low"
"""
MORE = """
@id("sign-in") @owner("o") @reason("r")
permit (principal is User, action == Action::"issue", resource == Scope::"openid") when { principal.risk < 80 };
@id("profile") @owner("o") @reason("r")
permit (principal is User, action == Action::"issue", resource == Scope::"profile")
when { principal in Group::"everyone" };
"""
KNOWN = (*SCOPES, "book:read", "openid", "profile")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    files = FILES | {"audiences/identity.toml": IDENTITY}
    files["clients/app.toml"] = files["clients/app.toml"] + 'identity = "*"\n'
    return load_company(tmp_path_factory.mktemp("company"), rules=RULES + MORE, files=files)


class _Silent:
    def disagreement(self, *_said: Any) -> None:
        raise AssertionError("the two evaluators disagree")


def previewed(bundle: Bundle, request: AuthorizationRequest, sign_in: SignIn, facts: Facts) -> Preview:
    client = bundle.catalogue.clients["app"]

    async def assemble(_asked: Asked, _caller: Any, _now: int) -> Assembled:
        return Assembled(facts, {})

    async def nothing(*_any: Any) -> Any:
        raise AssertionError("nothing is authenticated, recorded or signed for a preview")

    regime = Regime(
        bundle, judge=Judge(bundle, alarm=_Silent(), later=lambda _work: True), authenticate=nothing, assemble=assemble
    )
    memory: Any = Memory.__new__(Memory)
    line: Any = Line(
        issuer="https://tokens.example",
        clock=None,  # type: ignore[arg-type]
        entropy=lambda size: b"\x07" * size,
        memory=memory,
        regime=lambda: regime,
        refresh=nothing,
        signer=nothing,  # type: ignore[arg-type]
        record=nothing,  # type: ignore[arg-type]
        sign=nothing,
    )
    caller = visited(client, sign_in, registered=False, epoch=facts.epoch, at=NOW)
    return asyncio.run(preview(request, client, caller, sign_in, address="", regime=regime, line=line, now=NOW))


subsets = st.lists(st.sampled_from(KNOWN), unique=True)


@given(data=st.data())
def test_3_nothing_is_allowed_beyond_what_was_decided(bundle: Bundle, data: st.DataObject) -> None:
    wanted, chosen = data.draw(subsets), data.draw(subsets)
    by_audience = {
        name: tuple(scope for scope in wanted if bundle.catalogue.scopes[scope].audience == name)
        for name in ("payments", "ledger")
    }
    request = AuthorizationRequest(
        to=Destination(client_id="app", redirect_uri="https://app.example/back"),
        challenge="c" * 43,
        scopes={name: scopes for name, scopes in by_audience.items() if scopes},
        identity=tuple(scope for scope in wanted if scope in ("openid", "profile")),
        demand=Demand(),
        confines=Confines("", "production", "", "", "", None),
    )
    sign_in = SignIn(
        subject=ALICE, provider="corp", authenticated_at=NOW, acr=data.draw(st.sampled_from(["", "phr"])), session="s"
    )
    facts = data.draw(truths(ALICE, (), friendly=data.draw(st.booleans())))
    before = previewed(bundle, request, sign_in, facts)
    left = narrowed(before, {scope_box(scope) for scope in chosen} | {"nonsense", "detail:0"})
    granted = granted_of(
        request,
        bundle.catalogue.clients["app"],
        sign_in,
        grant_id="g",
        scopes=left.scopes,
        identity=left.identity,
        session_ends=NOW + 1_000,
        now=NOW,
    )
    event(f"{len(granted.scopes)} audiences, {len(granted.identity)} identity scopes")
    for audience, scopes in (*granted.scopes.items(), ("identity", granted.identity)):
        if not scopes:
            continue
        question = next(one.asked for one in before.decided if one.asked.audience == audience)
        alone = decide(bundle, replace(question, scopes=scopes), facts, NOW)
        assert alone.granted_scopes == scopes
        assert set(scopes) <= set(wanted)
        assert set(scopes) <= {*chosen, "openid"}
    assert granted.ends <= NOW + 1_000
