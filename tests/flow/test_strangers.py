"""Clients that registered themselves, with people: details, where they go after signing out, and who is told of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from msgspec import Struct

from tests.flow.authorizing import Asking, Desk, desk
from tests.flow.browser import Browser, Form
from tests.unit.authn.loopback import Loopback, answer

OPEN = """
[open_registration]
to = "anyone"
prefix = "self-"
kind = "third_party"
owner = "Payments"
environments = ["production"]
authentication = ["none"]
grants = ["authorization_code", "refresh_token"]
redirects = ["https", "loopback"]
post_logout_redirects = true
backchannel_logout = true
details = ["take"]
per_hour = 1000
[open_registration.ceilings]
identity = "*"
payments = "*"
vault = []
"""


class Stage(Struct, frozen=True):
    """The desk, a stranger's site, and the logout tokens that it was sent."""

    at: Desk
    site: Loopback
    told: asyncio.Queue[str]

    def metadata(self, **changes: Any) -> dict[str, Any]:
        said = {
            "client_name": "Stranger",
            "redirect_uris": [f"{self.site.url}/back"],
            "post_logout_redirect_uris": [f"{self.site.url}/bye"],
            "backchannel_logout_uri": f"{self.site.url}/told",
            "backchannel_logout_session_required": True,
            "authorization_details_types": ["take", "give"],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
        }
        return {name: value for name, value in (said | changes).items() if value is not ...}

    async def registered(self) -> dict[str, Any]:
        answered = await self.at.company.http.post("/register", json=self.metadata())
        assert answered.status_code == 201, answered.text
        return dict(answered.json())

    async def tokens(self, client: str, browser: Browser) -> Any:
        details = json.dumps([{"type": "take", "amount": 7}])
        asked = Asking(client, f"{self.site.url}/back", scope="openid payments:read", authorization_details=details)
        code = await self.at.code(asked, browser)
        redeemed = await self.at.redeem(asked, code, resource="https://api.example.com/vault")
        assert redeemed.status_code == 200, redeemed.text
        return redeemed.json()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    told: asyncio.Queue[str] = asyncio.Queue()

    async def hear(_path: str, _head: bytes, body: bytes) -> bytes:
        told.put_nowait(dict(parse_qsl(body.decode()))["logout_token"])
        return answer()

    async with Loopback({"/told": hear}) as site, desk(tmp_path, registration=OPEN) as at:
        yield Stage(at, site, told)


async def test_a_client_that_registered_itself_is_told_and_sent_to(stage: Stage) -> None:
    client = await stage.registered()
    assert client["authorization_details_types"] == ["take"], "cut to what the bundle lets it have"
    assert client["post_logout_redirect_uris"] == [f"{stage.site.url}/bye"]
    assert client["backchannel_logout_uri"] == f"{stage.site.url}/told"
    assert client["backchannel_logout_session_required"] is True
    browser = Browser(stage.at.company)
    tokens = await stage.tokens(client["client_id"], browser)
    assert tokens["authorization_details"] == [{"type": "take", "amount": 7}]
    query = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": f"{stage.site.url}/bye", "state": "s"}
    left = await browser.get("/logout", query)
    assert (left.status_code, left.headers["location"]) == (303, f"{stage.site.url}/bye?state=s")
    assert await asyncio.wait_for(stage.told.get(), 10)


async def test_open_redirect_by_logout_to_a_stranger(stage: Stage) -> None:
    """Anybody may register a client: a link that begins with our name does not end at it by itself."""
    client = await stage.registered()
    where = f"{stage.site.url}/bye"
    link = {"client_id": client["client_id"], "post_logout_redirect_uri": where}
    nobody = Browser(stage.at.company)
    page = await nobody.get("/logout", link, accept_language="en")
    assert page.status_code == 200
    assert "location" not in page.headers
    assert "We do not know it" in page.text
    assert Form(page.text).links == [where]
    led = await nobody.post("/logout", link, origin="https://evil.example")
    assert "We do not know it" in (await nobody.get(led.headers["location"], accept_language="en")).text
    browser = Browser(stage.at.company)
    await stage.tokens(client["client_id"], browser)
    asked = await browser.get("/logout", link)
    assert 'name="csrf"' in asked.text, "whoever is signed in is asked"
    left = await browser.post("/logout", Form(asked.text).fields)
    assert (left.status_code, left.headers["location"]) == (303, where)
    other = {**link, "post_logout_redirect_uri": "https://evil.example/"}
    assert (await nobody.get(f"/logout?{urlencode(other)}")).status_code == 400


async def test_a_stranger_that_says_that_it_pushes_is_kept_to_it(stage: Stage) -> None:
    """RFC 9126 section 6: who copies its address into another request gets no code for it."""
    http = stage.at.company.http
    for said, told in ((True, True), (False, False), (..., False)):
        answered = await http.post("/register", json=stage.metadata(require_pushed_authorization_requests=said))
        client = answered.json()
        assert (answered.status_code, client["require_pushed_authorization_requests"]) == (201, told)
        browser = Browser(stage.at.company)
        asked = Asking(client["client_id"], f"{stage.site.url}/back")
        answer = await stage.at.request(asked, browser)
        if told:
            assert answer.status_code == 400, "a stranger's answer is shown on a page first"
            assert "error=invalid_request&error_description=this+client" in Form(answer.text).links[0]
        else:
            assert answer.headers["location"].startswith("/signin?")
        short = (await http.post("/par", data=asked.parameters)).json()["request_uri"]
        answer = await browser.get("/authorize", {"client_id": client["client_id"], "request_uri": short})
        assert answer.headers["location"].startswith("/signin?"), "what is pushed goes on"
    wrong = await http.post("/register", json=stage.metadata(require_pushed_authorization_requests="yes"))
    assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_client_metadata")
