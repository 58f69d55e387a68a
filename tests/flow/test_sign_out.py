"""Signing out at the running service: by a client, by the person, by the provider; what ends, and who is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.sign_in import Upstreams, sign_ins
from mintwarden.mint.sign import b64
from tests.flow.browser import ISSUER, PREFIX, Browser, Form
from tests.flow.company import Company, running
from tests.flow.test_sign_in import entries, sign_in, signing_in
from tests.flow.upstream import EVENT, Upstream
from tests.unit.authn.loopback import Loopback, answer

AFTER = "https://app.example.com/bye"
COOKIE = PREFIX + "mintwarden"
TOLD = "/signin/backchannel-logout/corp"


class Stage:
    """The company, its provider, and the client `web` with somewhere to be told."""

    def __init__(self, company: Company, corp: Upstream, client: Loopback) -> None:
        self.company, self.corp, self.client = company, corp, client
        self.told: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self.answers = [answer()]
        client.routes["/told"] = self._told

    async def _told(self, _path: str, _head: bytes, body: bytes) -> bytes:
        self.told.put_nowait(dict(parse_qsl(body.decode())))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def signed_in(self) -> Browser:
        """A browser in which alice is signed in, and in which `web` was given something."""
        browser = Browser(self.company)
        await sign_in(browser, self.corp)
        config = load_config(self.company.folder / "mintwarden.toml", environ={})
        async with foundation(config) as base:
            await sign_ins(base, Upstreams(base)).sessions.remember_client(self.session(browser), "web")
        return browser

    def session(self, browser: Browser) -> str:
        return browser.cookies[COOKIE].partition(".")[0]

    async def lives(self, cookie: str) -> bool:
        """Is somebody signed in with that cookie."""
        config = load_config(self.company.folder / "mintwarden.toml", environ={})
        async with foundation(config) as base:
            sessions = sign_ins(base, Upstreams(base)).sessions
            return await sessions.current({"mintwarden": cookie}, base.clock.now()) is not None

    async def revoked(self, session: str) -> bool:
        config = load_config(self.company.folder / "mintwarden.toml", environ={})
        async with foundation(config) as base:
            return bool(await base.store.revocations.revoked([("session", session)]))

    async def hint(self, session: str, *, typ: str = "JWT", **changes: Any) -> str:
        """An ID token of ours, as `web` has one; it expired an hour ago."""
        config = load_config(self.company.folder / "mintwarden.toml", environ={})
        async with foundation(config) as base:
            signer = base.ring.signer_for("ES256")
            now = base.clock.now() // 1000
            claims = {"iss": ISSUER, "sub": "alice", "aud": "web", "iat": now - 7200, "exp": now - 3600, "sid": session}
            header = b64(json.dumps({"alg": "ES256", "kid": signer.kid, "typ": typ}).encode())
            signed = header + b"." + b64(json.dumps(claims | changes).encode())
            return (signed + b"." + b64(await signer.sign(signed))).decode()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with Loopback({}) as client:

        def more(bundle: Path) -> None:
            web = bundle / "clients/web.toml"
            text = f'post_logout_redirect_uris = ["{AFTER}"]\nbackchannel_logout_uri = "{client.url}/told"\n'
            web.write_text(web.read_text().replace("[client.ceilings]", f"{text}[client.ceilings]"))

        async with signing_in(tmp_path, edit=more) as (company, corp):
            yield Stage(company, corp, client)


async def test_a_client_signs_its_person_out_everywhere(stage: Stage) -> None:
    browser = await stage.signed_in()
    cookie, session = browser.cookies[COOKIE], stage.session(browser)
    query = {"id_token_hint": await stage.hint(session), "post_logout_redirect_uri": AFTER, "state": "a b&c=d"}
    left = await browser.get("/logout", query)
    assert left.status_code == 303
    assert left.headers["location"].startswith(f"{AFTER}?state=")
    assert parse_qs(urlsplit(left.headers["location"]).query) == {"state": ["a b&c=d"]}
    assert COOKIE not in browser.cookies
    assert not await stage.lives(cookie)
    assert await stage.revoked(session)
    form = await asyncio.wait_for(stage.told.get(), 10)
    keys = KeySet.import_key_set((await stage.company.http.get("/jwks.json")).json())
    token = jwt.decode(form["logout_token"], keys, algorithms=["ES256"])
    assert token.header["typ"] == "logout+jwt"
    claims = token.claims
    assert claims["events"] == {EVENT: {}}
    assert (claims["iss"], claims["aud"], claims["sub"], claims["sid"]) == (ISSUER, "web", "alice", session)
    assert 0 < claims["exp"] - claims["iat"] <= 120
    assert "nonce" not in claims
    assert claims["jti"]
    for _ in range(100):
        found = [detail for detail, _ in await entries(stage.company)]
        if len(found) == 2:
            break
    assert found[1] == {"what": "sign_out", "provider": "corp", "reason": "signed out"}


async def test_without_a_hint_the_person_is_asked(stage: Stage) -> None:
    browser = await stage.signed_in()
    cookie = browser.cookies[COOKIE]
    page = await browser.get("/logout", {"client_id": "web", "post_logout_redirect_uri": AFTER}, accept_language="de")
    assert page.status_code == 200
    assert '<html lang="de">' in page.text
    assert "form-action 'self' https://app.example.com;" in page.headers["content-security-policy"]
    assert await stage.lives(cookie)
    left = await browser.post("/logout", Form(page.text).fields)
    assert (left.status_code, left.headers["location"]) == (303, AFTER)
    assert not await stage.lives(cookie)
    again = await browser.get("/logout")
    assert again.status_code == 200
    assert "signed out" in again.text


async def test_a_hint_at_somebody_else_is_told_and_spares_no_question(stage: Stage) -> None:
    browser, other = await stage.signed_in(), await stage.signed_in()
    session = stage.session(browser)
    said = "asked to sign out somebody else"
    for hint in ("alice", session, ""):
        page = await browser.get("/logout", {"client_id": "web", "logout_hint": hint}, accept_language="en")
        assert 'name="csrf"' in page.text, "a hint proves nothing"
        assert "signed in as alice" in page.text
        assert said not in page.text
    for hint in ("bob", stage.session(other), "<script>alert(1)</script>", "x" * 5_000, "User:alice"):
        page = await browser.get("/logout", {"client_id": "web", "logout_hint": hint}, accept_language="en")
        assert said in page.text
        assert "<script" not in page.text
    led = await Browser(stage.company).post("/logout", {"logout_hint": "bob"}, origin="https://app.example.com")
    assert "bob" not in led.headers["location"]
    assert said in (await browser.get(led.headers["location"], accept_language="en")).text
    assert await stage.lives(browser.cookies[COOKIE])
    assert await stage.lives(other.cookies[COOKIE])


async def test_logout_cross_site_request_forgery(stage: Stage) -> None:
    """Another site cannot sign a person out behind their back, nor with a form that it took from elsewhere."""
    browser, other = await stage.signed_in(), await stage.signed_in()
    cookie = browser.cookies[COOKIE]
    page = await browser.get("/logout")
    fields = Form(page.text).fields
    theirs = Form((await other.get("/logout")).text).fields
    for form, origin in (
        (fields, "https://evil.example"),
        (fields, "null"),
        (fields | {"csrf": "x" * 43}, ISSUER),
        (theirs, ISSUER),
        (fields | {"logout": theirs["logout"]}, ISSUER),
    ):
        answered = await browser.post("/logout", form, origin=origin)
        assert answered.status_code == 400
    # A form of another site's comes without the cookie, and leads to the question.
    bare = Browser(stage.company)
    led = await bare.post("/logout", {"client_id": "web"}, origin="https://evil.example")
    assert led.status_code == 303
    asked = await browser.get(led.headers["location"])
    assert 'name="csrf"' in asked.text
    assert await stage.lives(cookie)


async def test_a_client_may_post_its_request(stage: Stage) -> None:
    browser = await stage.signed_in()
    form = {"id_token_hint": await stage.hint(stage.session(browser)), "post_logout_redirect_uri": AFTER}
    led = await Browser(stage.company).post("/logout", form, origin="https://app.example.com")
    assert led.status_code == 303
    assert "id_token" not in led.headers["location"]
    left = await browser.get(led.headers["location"])
    assert left.headers["location"] == AFTER


@pytest.mark.parametrize(
    "where",
    [
        "https://app.example.com/bye/",
        "https://app.example.com/bye?x=1",
        "https://app.example.com:8443/bye",
        "https://app.example.com.evil.example/bye",
        "https://evil.example",
        "//app.example.com/bye",
        "javascript:alert(1)",
    ],
)
async def test_open_redirect_by_logout(stage: Stage, where: str) -> None:
    browser = await stage.signed_in()
    hint = await stage.hint(stage.session(browser))
    for query in ({"id_token_hint": hint}, {"client_id": "web"}, {}):
        answered = await browser.get("/logout", query | {"post_logout_redirect_uri": where})
        assert answered.status_code == 400
    assert await stage.lives(browser.cookies[COOKIE])


async def test_a_hint_that_is_none_leads_to_the_question(stage: Stage) -> None:
    browser, other = await stage.signed_in(), await stage.signed_in()
    session = stage.session(browser)
    good = await stage.hint(session)
    hints = [
        await stage.hint(session, typ="at+jwt"),
        await stage.hint(session, typ="logout+jwt"),
        await stage.hint(session, iss="https://evil.example"),
        await stage.hint(stage.session(other)),
        good[:-8] + "AAAAAAAA",
        "x.y.z",
        stage.corp.logout_token(sid=session),
    ]
    for hint in hints:
        asked = await browser.get("/logout", {"id_token_hint": hint})
        assert asked.status_code == 200
        assert 'name="csrf"' in asked.text
    mixed = await browser.get("/logout", {"id_token_hint": good, "client_id": "batch"})
    assert mixed.status_code == 400
    assert await stage.lives(browser.cookies[COOKIE])


async def test_a_client_that_fails_is_told_again_and_no_redirect_followed(stage: Stage) -> None:
    stage.answers = [answer("302 Found", location=f"{stage.client.url}/elsewhere"), answer("204 No Content", b"")]
    browser = await stage.signed_in()
    await browser.get("/logout", {"id_token_hint": await stage.hint(stage.session(browser))})
    first = await asyncio.wait_for(stage.told.get(), 10)
    second = await asyncio.wait_for(stage.told.get(), 10)
    assert first["logout_token"] != second["logout_token"]
    assert {path for path, _, _ in stage.client.seen} == {"/told"}


async def test_a_provider_ends_the_sessions_that_it_began(stage: Stage) -> None:
    one, two = await stage.signed_in(), await stage.signed_in()
    stage.corp.claims = {"sid": "another"}
    three = await stage.signed_in()
    stage.corp.subject = "bob"
    bobs = await stage.signed_in()
    post = stage.company.http.post
    ended = await post(TOLD, data={"logout_token": stage.corp.logout_token(sid="upstream-session", sub=None)})
    assert (ended.status_code, ended.headers["cache-control"]) == (200, "no-store")
    alive = [await stage.lives(browser.cookies[COOKIE]) for browser in (one, two, three, bobs)]
    assert alive == [False, False, True, True]
    stage.corp.subject = "alice"
    token = stage.corp.logout_token()
    assert (await post(TOLD, data={"logout_token": token})).status_code == 200
    assert [await stage.lives(browser.cookies[COOKIE]) for browser in (three, bobs)] == [False, True]
    told = [await asyncio.wait_for(stage.told.get(), 10) for _ in range(3)]
    assert len({form["logout_token"] for form in told}) == 3


async def test_logout_token_replay_and_forgery(stage: Stage) -> None:
    browser = await stage.signed_in()
    post = stage.company.http.post
    for forged in (
        stage.corp.logout_token(aud="another"),
        stage.corp.logout_token(iss=ISSUER),
        stage.corp.logout_token()[:-8] + "AAAAAAAA",
        await stage.hint(stage.session(browser)),
        "",
    ):
        refused = await post(TOLD, data={"logout_token": forged})
        assert refused.status_code == 400
        assert refused.json()["error"] == "invalid_request"
    assert (await post("/signin/backchannel-logout/nobody", data={"logout_token": "x"})).status_code == 404
    assert (await stage.company.http.get(TOLD)).status_code == 405
    assert await stage.lives(browser.cookies[COOKIE])
    # A session there and a person that do not belong together end nothing.
    mixed = stage.corp.logout_token(sid="upstream-session", sub="bob")
    assert (await post(TOLD, data={"logout_token": mixed})).status_code == 200
    assert await stage.lives(browser.cookies[COOKIE])
    token = stage.corp.logout_token()
    assert (await post(TOLD, data={"logout_token": token})).status_code == 200
    replayed = await post(TOLD, data={"logout_token": token})
    assert replayed.status_code == 400
    assert not await stage.lives(browser.cookies[COOKIE])


async def test_discovery_says_so(stage: Stage) -> None:
    document = (await stage.company.http.get("/.well-known/openid-configuration")).json()
    assert document["end_session_endpoint"] == f"{ISSUER}/logout"
    assert document["backchannel_logout_session_supported"] is True


async def test_nobody_signs_in_where_nobody_may(tmp_path: Path) -> None:
    async with running(tmp_path) as company:
        browser = Browser(company)
        assert (await browser.get("/signin", {"i": await browser.begin()})).status_code == 404
        document = (await company.http.get("/.well-known/openid-configuration")).json()
        assert "end_session_endpoint" not in document
