"""A person comes with an application: the request, signing in, being asked, the code, the tokens (OAuth 2.1, OIDC)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.flow.authorizing import Asking, Desk, desk, response
from tests.flow.browser import ISSUER


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path) as found:
        yield found


async def id_token(at: Desk, compact: str) -> dict[str, Any]:
    keys = KeySet.import_key_set((await at.company.http.get("/jwks.json")).json())
    return dict(jwt.decode(compact, keys, algorithms=["ES256"]).claims)


async def test_a_person_signs_in_allows_and_the_client_gets_tokens(at: Desk) -> None:
    asked = Asking()
    answer = await at.request(asked)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/signin?i=")
    page = await at.through(answer)
    assert "Portal asks for access" in page.text
    assert "Read payments" in page.text
    back = response(await at.allow(page))
    assert back.keys() == {"code", "state", "iss"}
    assert (back["state"], back["iss"]) == (asked.state, ISSUER)
    tokens = (await at.redeem(asked, back["code"])).json()
    assert tokens["scope"] == "payments:read"
    claims = await at.company.claims(tokens["access_token"])
    assert (claims["sub"], claims["client_id"], claims["acr"]) == ("alice", "web", "phr")
    told = await id_token(at, tokens["id_token"])
    assert (told["sub"], told["aud"], told["nonce"], told["sid"]) == ("alice", "web", "n-1", claims["sid"])
    again = await at.company.ask("web", grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert again.status_code == 200, again.text
