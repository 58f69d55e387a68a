"""An API asks for more, its client brings it: scopes (RFC 6750, MCP) and a stronger sign-in (RFC 9470), end to end."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mintwarden.consumer import Guard, KeyCache, Proofs, ProtectedResource, TokenVerifier
from tests.flow.authorizing import Asking, Desk, desk
from tests.flow.browser import Browser
from tests.flow.company import PAYMENTS

ISSUER = "https://tokens.example.com"
WEAK = {"acr": "pwd", "amr": ["pwd"]}


def api(at: Desk) -> httpx2.AsyncClient:
    """The payments API: reading takes one scope, writing both, and `/payout` a strong sign-in."""

    async def fetch(url: str) -> bytes:
        return (await at.company.http.get(url.removeprefix(ISSUER))).content

    async def application(scope: Any, _receive: Any, send: Any) -> None:
        if scope["path"].endswith("/payout"):
            guard.demand_sign_in(scope, acr_values=("phr",))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    def needed(scope: Any) -> tuple[str, ...]:
        return ("payments:read",) if scope["method"] == "GET" else ("payments:read", "payments:write")

    resource = ProtectedResource(
        resource=PAYMENTS, authorization_servers=(ISSUER,), scopes=("payments:read", "payments:write")
    )
    verifier = TokenVerifier(issuer=ISSUER, audience=PAYMENTS, keys=KeyCache(ISSUER, fetch=fetch), proofs=Proofs())
    guard = Guard(application, resource=resource, verifier=verifier, needed=needed)
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=guard), base_url="https://api.example.com")


async def token(at: Desk, browser: Browser, **parameters: str) -> str:
    asked = Asking(**parameters)
    answer = await at.redeem(asked, await at.code(asked, browser), resource=PAYMENTS)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def told(answer: httpx2.Response, name: str) -> str:
    found = re.search(f'{name}="([^"]*)"', answer.headers["www-authenticate"])
    assert found is not None, answer.headers["www-authenticate"]
    return found[1]


@pytest.mark.parametrize("more", ["scope", "sign-in"])
async def test_what_an_api_asks_for_is_brought_by_its_client(tmp_path: Path, more: str) -> None:
    """The challenge says all that is needed; with exactly that the client comes back, and is let in."""
    async with desk(tmp_path) as at:
        browser, payments = Browser(at.company), api(at)
        at.corp.claims = dict(WEAK) if more == "sign-in" else {}
        weak = {"authorization": f"Bearer {await token(at, browser)}"}
        assert (await payments.get("/payments", headers=weak)).status_code == 200
        at.corp.claims = {}  # from now on people can do better, if they are asked to
        if more == "scope":
            refused = await payments.post("/payments", headers=weak)
            assert (refused.status_code, told(refused, "error")) == (403, "insufficient_scope")
            better = await token(at, browser, scope=told(refused, "scope"))
            answer = await payments.post("/payments", headers={"authorization": f"Bearer {better}"})
        else:
            refused = await payments.get("/payments/payout", headers=weak)
            assert (refused.status_code, told(refused, "error")) == (401, "insufficient_user_authentication")
            better = await token(at, browser, acr_values=told(refused, "acr_values"))
            answer = await payments.get("/payments/payout", headers={"authorization": f"Bearer {better}"})
            assert at.corp.sent[-1]["acr_values"] == "mfa", "the person was asked for a stronger sign-in"
        assert answer.status_code == 200, answer.headers
        claims = await at.company.claims(better)
        assert (claims["acr"], "auth_time" in claims) == ("phr", True)


async def test_a_level_that_is_wished_for_is_tried_for_once(tmp_path: Path) -> None:
    """Who cannot reach it goes on as they are, and the token says so; without a word nobody is sent anywhere."""
    async with desk(tmp_path) as at:
        browser = Browser(at.company)
        at.corp.claims = dict(WEAK)
        await token(at, browser)
        silent = await at.request(Asking(acr_values="phr", prompt="none"), browser)
        assert "error=consent_required" in silent.headers["location"], "and not for want of a sign-in"
        assert len(at.corp.sent) == 1
        claims = await at.company.claims(await token(at, browser, acr_values="phr"))
        assert (claims.get("acr", ""), len(at.corp.sent)) == ("", 2)
        at.corp.claims = {}
        claims = await at.company.claims(await token(at, browser, acr_values="phr"))
        assert (claims["acr"], len(at.corp.sent)) == ("phr", 3)
        await token(at, browser, acr_values="phr")
        assert len(at.corp.sent) == 3, "whoever is signed in so is not asked again"
