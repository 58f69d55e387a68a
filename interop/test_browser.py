"""A real Chromium in front of our pages: signing in at npm oidc-provider, with a passkey, and out again.

axe-core, from npm, judges each page for those who do not see it or do not use a mouse.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from joserfc.jwk import RSAKey
from playwright.sync_api import Browser, BrowserContext, Page

from interop.browsing import CHROMIUM, HERE, Application, Site, apart, by_keyboard, invited, judged, serving, unlocked
from interop.conftest import free_port
from interop.deployment import Process
from mintwarden.app.foundation import foundation
from mintwarden.authn.sign_in import Demand
from tests.flow.authorizing import LOOPBACK, Asking, client

PROVIDER = """
[provider]
id = "{id}"
name = "{name}"
issuer = "{issuer}"
client_id = "{id}"
authentication = "{method}"
subject_prefix = "{id}/"
max_age = "1h"
"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (on Debian: apt-get install chromium)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Our server, and the provider."""
    folder = tmp_path_factory.mktemp("browser")
    ours, theirs = f"http://localhost:{(port := free_port())}", f"http://localhost:{(their_port := free_port())}"
    secret, page = secrets.token_urlsafe(16), free_port()

    def furnished(bundle: Path) -> None:
        (bundle / "providers").mkdir()
        for name, shown, method in (("op", "Provider", "client_secret_basic"), ("op-key", "Keys", "private_key_jwt")):
            text = PROVIDER.format(id=name, name=shown, issuer=theirs, method=method)
            (bundle / f"providers/{name}.toml").write_text(text)
        client(bundle, "native", "none", LOOPBACK, kind="native", title="Payments <b>app</b>")
        origin, file = f"http://127.0.0.1:{page}", bundle / "clients/map.toml"
        client(bundle, "map", "none", f"{origin}/signed-in")
        file.write_text(file.read_text().replace("redirect_uris", f'origins = ["{origin}"]\nredirect_uris', 1))

    (folder / "secret").write_text(secret)
    (folder / "secret").chmod(0o600)
    keys = [RSAKey.generate_key(2048).as_dict(private=True) | {"use": "sig", "alg": "RS256", "kid": "rsa"}]
    shared = {
        "response_types": ["code"],
        "grant_types": ["authorization_code"],
        "backchannel_logout_session_required": True,
    }
    clients = [
        {
            "client_id": "op",
            "client_secret": secret,
            "redirect_uris": [f"{ours}/signin/callback/op"],
            "backchannel_logout_uri": f"{ours}/signin/backchannel-logout/op",
            **shared,
        },
        {
            "client_id": "op-key",
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "ES256",
            "jwks_uri": f"{ours}/jwks.json",
            "redirect_uris": [f"{ours}/signin/callback/op-key"],
            **shared,
        },
    ]
    settings = folder / "provider.json"
    settings.write_text(json.dumps({"issuer": theirs, "port": their_port, "keys": keys, "clients": clients}))
    provider = Process("node", str(HERE / "provider.mjs"), str(settings), folder=HERE)
    try:
        provider.wait_until(lambda: any("ready" in line for line in provider.output), "the provider is ready")
        upstream = '[upstreams.op]\nsecret_file = "secret"'
        with serving(folder, furnished, port=port, more=upstream, people=("op/alice",)):
            yield Site(folder, ours, theirs, page)
    finally:
        provider.stop()


def at_the_provider(page: Page, person: str) -> None:
    """Sign in at oidc-provider's development pages."""
    page.fill("input[name=login]", person)
    page.fill("input[name=password]", "anything")
    page.click("button[type=submit]")


@pytest.mark.parametrize(("name", "provider"), [("Provider", "op"), ("Keys", "op-key")])
def test_a_person_signs_in_at_another_peoples_provider(
    site: Site, context: BrowserContext, page: Page, name: str, provider: str
) -> None:
    page.goto(site.begin(context))
    assert page.title() == "Sign in"
    assert "Payments & <more>" in page.inner_text("main")
    assert judged(page) == []
    by_keyboard(page, f"Continue with {name}")
    page.wait_for_url(f"{site.theirs}/**")
    at_the_provider(page, "alice")
    page.wait_for_url(f"{site.ours}/healthz")
    found = site.signed_in(context)
    assert found is not None
    assert (found.subject.id, found.provider) == (f"{provider}/alice", provider)
    assert found.authenticated_at > 0
    assert bool(found.upstream_session) is (provider == "op")  # told to clients that want to hear of its end


def test_a_provider_that_knows_the_person_asks_again_when_told_to(
    site: Site, context: BrowserContext, page: Page
) -> None:
    page.goto(site.begin(context, Demand(domain_hint="op")))
    at_the_provider(page, "alice")
    page.wait_for_url(f"{site.ours}/healthz")
    first = site.signed_in(context)
    page.goto(site.begin(context, Demand(domain_hint="op")))
    assert page.url == f"{site.ours}/healthz"  # nobody was asked anything
    page.goto(site.begin(context, Demand(domain_hint="op", again=True)))
    assert page.url.startswith(site.theirs)
    at_the_provider(page, "alice")
    page.wait_for_url(f"{site.ours}/healthz")
    second = site.signed_in(context)
    assert first is not None
    assert second is not None
    assert second.session == first.session
    assert second.authenticated_at >= first.authenticated_at


def test_who_refuses_there_gets_a_page_here(site: Site, context: BrowserContext, page: Page) -> None:
    page.goto(site.begin(context, Demand(domain_hint="op")))
    page.click("text=[ Cancel ]")
    page.wait_for_url(f"{site.ours}/signin/callback/op?**")
    assert page.title() == "This did not work"
    assert "access_denied" in page.inner_text("main")
    assert judged(page) == []
    by_keyboard(page, "Try again")
    page.wait_for_url(f"{site.theirs}/**")


def test_the_provider_ends_the_session(site: Site, context: BrowserContext, page: Page) -> None:
    page.goto(site.begin(context, Demand(domain_hint="op")))
    at_the_provider(page, "alice")
    page.wait_for_url(f"{site.ours}/healthz")
    assert site.signed_in(context) is not None
    page.goto(f"{site.theirs}/session/end")
    page.click("button[value=yes]")
    page.wait_for_load_state()
    assert site.signed_in(context) is None


def test_passkeys(site: Site, context: BrowserContext, page: Page) -> None:
    """Made by invitation, signed in with, signed out, with the keyboard alone."""
    session, authenticator = unlocked(page)
    link = invited(site.folder, "dana")
    assert link.startswith(f"{site.ours}/signin/passkey/new?invitation=")
    page.goto(link)
    assert "dana" in page.inner_text("main")
    assert judged(page) == []
    page.fill("#label", "Laptop")
    by_keyboard(page, "Make a passkey")
    page.wait_for_url(f"{site.ours}/signin/passkey/made")
    assert judged(page) == []
    assert len(session.send("WebAuthn.getCredentials", {"authenticatorId": authenticator})["credentials"]) == 1
    page.goto(site.begin(context))
    by_keyboard(page, "Sign in with a passkey")
    page.wait_for_url(f"{site.ours}/healthz")
    found = site.signed_in(context)
    assert found is not None
    assert (found.subject.id, found.provider, found.acr) == ("dana", "passkey", "phr")
    # The device is not unlocked: nobody is verified, and nobody is signed in.
    session.send("WebAuthn.setUserVerified", {"authenticatorId": authenticator, "isUserVerified": False})
    other = site.begin(context)
    page.goto(other)
    page.click("text=Sign in with a passkey")
    page.get_by_role("status").filter(has_text="The passkey was not accepted").wait_for()
    assert page.url == other
    page.goto(link)
    assert page.title() == "This did not work"
    page.goto(f"{site.ours}/logout")
    assert judged(page) == []
    by_keyboard(page, "Sign out")
    page.get_by_role("heading", name="You are signed out").wait_for()
    assert judged(page) == []
    assert site.signed_in(context) is None


@pytest.mark.parametrize("mode", ["query", "form_post"])
def test_the_whole_way_of_an_application(site: Site, page: Page, application: Application, mode: str) -> None:
    """Asked for at `/authorize`, signed in, allowed by keyboard, and back at the application with a code."""
    asked = Asking("native", application.redirect, response_mode=mode, prompt="consent")
    page.goto(f"{site.ours}/authorize?{urlencode(asked.parameters)}")
    page.click("text=Continue with Provider")
    at_the_provider(page, "alice")
    page.get_by_role("heading", name="Payments <b>app</b>").wait_for()
    assert judged(page) == []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") != "BODY"
    page.get_by_role("button", name="Allow", exact=True).press("Enter")
    page.wait_for_url(f"{application.redirect}**")
    (heard,) = application.heard
    assert (heard["state"], heard["iss"]) == (asked.state, site.ours)
    form = {
        "grant_type": "authorization_code",
        "client_id": "native",
        "code": heard["code"],
        "redirect_uri": application.redirect,
        "code_verifier": asked.verifier,
    }
    tokens = httpx2.post(f"{site.ours}/token", data=form).json()
    assert tokens["scope"] == "payments:read"
    assert is_good(site, tokens["access_token"])
    # What was allowed is seen and taken back, by keyboard.
    page.goto(f"{site.ours}/grants")
    assert page.title() == "What you allowed"
    assert page.get_by_role("heading", name="Payments <b>app</b>").count() == 1
    assert judged(page) == []
    page.get_by_role("button", name="Withdraw this").first.press("Enter")
    page.get_by_role("status").filter(has_text="nothing that came of it is good any more").wait_for()
    assert judged(page) == []
    assert not is_good(site, tokens["access_token"])
    page.goto(f"{site.ours}/logout?{urlencode({'id_token_hint': tokens['id_token']})}")
    assert page.title() == "You are signed out"


def is_good(site: Site, token: str) -> bool:
    """Would user info or an exchange believe the token: is nothing of it revoked."""

    async def look() -> bool:
        async with foundation(site.config) as base:
            body = token.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
            return not await base.store.revocations.revoked([("grant", claims["grant_id"])])

    return apart(look)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_in_german_and_in_the_dark(site: Site, chromium: Browser, scheme: Any) -> None:
    context = chromium.new_context(locale="de-AT", color_scheme=scheme)
    try:
        page = context.new_page()
        page.goto(site.begin(context))
        assert page.title() == "Anmelden"
        assert page.get_attribute("html", "lang") == "de"
        assert judged(page) == []
    finally:
        context.close()


ASKED = """async ([where, method]) => {
  const body = new URLSearchParams({grant_type: 'authorization_code', client_id: 'map', code: 'x', redirect_uri: 'x'});
  try {
    const headers = {DPoP: 'proof'};
    const answer = await fetch(where, {method, headers, ...(method === 'POST' ? {body} : {})});
    return [answer.status, answer.type, await answer.text()];
  } catch (error) {
    return [0, error.name, ''];
  }
}"""


class Blank(BaseHTTPRequestHandler):
    """A page with nothing on it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.mark.parametrize("known", [True, False])
def test_the_page_of_a_client_reads_what_we_answer_and_no_other_page(
    site: Site, context: BrowserContext, known: bool
) -> None:
    """With a proof in a header, so that the browser asks first."""
    server = ThreadingHTTPServer(("127.0.0.1", site.page if known else 0), Blank)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/")
        read, told, other = (
            page.evaluate(ASKED, [f"{site.ours}/{path}", method])
            for path, method in (("token", "POST"), ("userinfo", "GET"), ("introspect", "POST"))
        )
    finally:
        server.shutdown()
        server.server_close()
    if known:
        assert (read[0], read[1], json.loads(read[2])["error"]) == (400, "cors", "invalid_dpop_proof")
        assert told[:2] == [401, "cors"]
    else:
        assert (read, told) == ([0, "TypeError", ""], [0, "TypeError", ""])
    assert other == [0, "TypeError", ""], "nothing for pages, whosever they are"


def test_clickjacking(site: Site, context: BrowserContext) -> None:
    """Another site's page cannot put ours into a frame."""
    page = context.new_page()
    where = site.begin(context)
    page.goto(f"{site.theirs}/.well-known/openid-configuration")
    page.set_content(f'<iframe id="ours" src="{where}"></iframe>')
    frame: Callable[[], Any] = lambda: next(f for f in page.frames if f.parent_frame is not None)  # noqa: E731
    frame().wait_for_load_state()
    assert frame().url.startswith("chrome-error:") or "Sign in" not in frame().content()


def test_injected_script(site: Site, context: BrowserContext) -> None:
    """What a page would be made to run does not run."""
    page = context.new_page()
    page.goto(site.begin(context))
    page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = 1\">');"
        "const s = document.createElement('script'); s.textContent = 'window.ran = 2'; document.body.append(s);"
    )
    page.wait_for_timeout(50)
    assert page.evaluate("window.ran") is None
