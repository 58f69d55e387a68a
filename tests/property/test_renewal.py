"""Invariant 3 for renewal: however a grant is refreshed and whatever changes meanwhile, nothing ever widens."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from tests.flow.company import LEDGER, PAYMENTS
from tests.flow.granting import House, house
from tests.flow.test_dpop import proof

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCOPES = ("payments:read", "payments:write", "ledger:read", "openid")
NAMES = {PAYMENTS: "payments", LEDGER: "ledger"}
FIXED = ("sub", "client_id", "grant_id", "auth_time", "acr", "amr", "sid", "environment", "cnf")

grants = st.fixed_dictionaries(
    {
        "payments": st.sampled_from([("payments:read",), ("payments:read", "payments:write")]),
        "ledger": st.sampled_from([(), ("ledger:read",)]),
    }
).map(lambda given: {name: scopes for name, scopes in given.items() if scopes})
moves = st.lists(
    st.one_of(
        st.tuples(st.just("groups"), st.sets(st.sampled_from(["finance", "payers"]))),
        st.tuples(
            st.just("refresh"),
            st.tuples(
                st.lists(st.sampled_from(SCOPES), unique=True, max_size=3),
                st.sampled_from([PAYMENTS, LEDGER, "https://tokens.example.com"]),
            ),
        ),
    ),
    min_size=2,
    max_size=7,
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house(tmp_path_factory.mktemp("house")) as made:
        yield made


@settings(max_examples=25)
@given(allowed=grants, identity=st.booleans(), bound=st.booleans(), steps=moves)
async def test_3_a_refreshed_token_never_widens(
    shared: House, allowed: Any, identity: bool, bound: bool, steps: list[Any]
) -> None:
    here = await shared.with_somebody()
    key = ECKey.generate_key("P-256")
    ends = int(time.time()) + 3_600
    code = await here.code(scopes=allowed, identity=("openid",) if identity else (), ends=ends * 1000)
    first = await here.redeem(code, headers=proof(key) if bound else None)
    assert first.status_code == 200, first.text
    token = first.json()["refresh_token"]
    before = await here.company.claims(first.json()["access_token"])
    for kind, what in steps:
        if kind == "groups":
            await here.put_in(*what)
            continue
        scopes, resource = what
        headers = proof(key) if bound else None
        answer = await here.refresh(token, scope=" ".join(scopes), resource=resource, headers=headers)
        if answer.status_code != 200:
            assert answer.json()["error"] in ("invalid_scope", "invalid_target"), answer.text
            continue
        said = answer.json()
        token = said["refresh_token"]
        claims = await here.company.claims(said["access_token"])
        assert [claims.get(name) for name in FIXED] == [before.get(name) for name in FIXED]
        assert claims["exp"] <= ends
        granted = set(claims["scope"].split())
        assert granted == set(said["scope"].split())
        audience = NAMES.get(str(claims["aud"]))
        if audience is None:
            assert granted <= ({"openid"} if identity else set())
        else:
            assert granted <= set(allowed[audience])
        if scopes:
            assert granted <= set(scopes)
        assert ("id_token" in said) <= identity
