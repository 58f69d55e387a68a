"""Attacks by programs that pass for a client, a browser or a level of sign-in, each by its name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
import pytest_asyncio

from mintwarden.authn.interactions import cookie_of, secret_digest
from tests.flow.authorizing import APP, LOOPBACK, Asking, Desk, client, desk, response
from tests.flow.browser import PREFIX, Browser

pytestmark = pytest.mark.asyncio(loop_scope="module")

SPA = "https://spa.example.com/back"
TRAP = "https://sign-in.example.net/company"
REGISTRATION = """
[open_registration]
to = "anyone"
prefix = "self-"
kind = "web"
owner = "Payments"
environments = ["production"]
authentication = ["none"]
grants = ["authorization_code"]
redirects = ["https"]
per_hour = 1000
most = 100
[open_registration.ceilings]
payments = ["payments:read"]
"""


def _clients(bundle: Path) -> None:
    client(bundle, "tool", "none", LOOPBACK, APP, kind="native")
    client(bundle, "spa", "none", SPA)
    corp = bundle / "providers/corp.toml"
    corp.write_text(corp.read_text().replace('mfa = "phr"', 'mfa = "phr"\npwd = "pwd"'))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with desk(tmp_path_factory.mktemp("desk"), edit=_clients, registration=REGISTRATION) as found:
        yield found


@pytest.fixture
def browser(at: Desk) -> Browser:
    at.corp.claims = {}
    at.corp.subject = "alice"
    return at.another()


async def _goes_on(at: Desk, browser: Browser, asked: Asking) -> httpx2.Response:
    return await at.through(await at.request(asked, browser), browser)


@pytest.mark.parametrize("redirect", ["http://127.0.0.1:40000/callback", APP])
async def test_a_program_passing_for_a_native_client_that_was_allowed_before(
    at: Desk, browser: Browser, redirect: str
) -> None:
    """RFC 8252 section 8.6: a public client id and a loopback port are anybody's, so nothing is remembered for them."""
    await at.code(Asking("tool", "http://127.0.0.1:39999/callback"), browser)
    page = await _goes_on(at, browser, Asking("tool", redirect))
    assert page.status_code == 200, "the person is asked each time"
    silent = await _goes_on(at, browser, Asking("tool", redirect, prompt="none"))
    assert dict(parse_qsl(urlsplit(silent.headers["location"]).query))["error"] == "consent_required"


async def test_a_public_client_with_a_host_of_its_own_is_told_apart(at: Desk, browser: Browser) -> None:
    await at.code(Asking("spa", SPA), browser)
    assert "code" in response(await _goes_on(at, browser, Asking("spa", SPA)), SPA)


async def test_downgrade_of_an_essential_level_by_the_step_up_of_a_rule(at: Desk, browser: Browser) -> None:
    """A rule that demands one level does not make a sign-in enough that the client itself demands another of."""
    at.corp.claims = {"acr": "pwd", "amr": ["pwd"]}
    first = await _goes_on(at, browser, Asking())
    assert first.status_code == 200
    essential = '{"id_token":{"acr":{"essential":true,"values":["pwd"]}}}'
    answer = await at.request(Asking(scope="vault:open", claims=essential), browser)
    at.corp.claims = {}  # whoever is sent to sign in as the rule demands, does
    assert response(await at.through(answer, browser))["error"] == "unmet_authentication_requirements"


@pytest.mark.parametrize("path", ["/signin", "/signin/start", "/authorize/continue"])
async def test_interaction_hijack_by_who_learned_its_handle(at: Desk, browser: Browser, path: str) -> None:
    """The cookie's name follows from the handle in the address: a cookie of that name is no proof of anything."""
    answer = await at.request(Asking(), browser)
    handle = dict(parse_qsl(urlsplit(answer.headers["location"]).query))["i"]
    real = browser.cookies[PREFIX + cookie_of(handle)]
    thief = at.another()
    for forged in ("1", handle, secret_digest(real), real[:-1]):
        thief.cookies[PREFIX + cookie_of(handle)] = forged
        refused = await thief.get(path, {"i": handle, "provider": "corp"})
        assert (refused.status_code, "location" in refused.headers) == (400, False), forged
    assert (await browser.get("/signin", {"i": handle})).status_code == 303, "its own browser goes on"


@pytest.mark.parametrize("wrong", [{"response_type": "token"}, {"code_challenge": ""}, {"scope": "nothing:known"}])
@pytest.mark.parametrize("mode", ["query", "fragment", "form_post"])
async def test_open_redirect_by_who_registered_themselves(
    at: Desk, browser: Browser, wrong: dict[str, str], mode: str
) -> None:
    """RFC 9700 section 4.11.2: a link that begins with our name does not end at a stranger's by itself."""
    said = {"redirect_uris": [TRAP], "token_endpoint_auth_method": "none", "client_name": "Company"}
    made = (await at.company.http.post("/register", json=said)).json()
    asked = Asking(made["client_id"], TRAP, scope="payments:read", response_mode=mode)
    page = await at.request(asked, browser, **wrong)
    assert (page.status_code, "location" in page.headers) == (400, False)
    assert "https://sign-in.example.net" in page.text or "sign-in.example.net" in page.text, "the person is told whose"
    assert "<script" not in page.text
    # What a client asks in silence is answered in silence, and whoever is of the bundle is known.
    silent = await at.request(asked, browser, prompt="none")
    assert silent.status_code == (200 if mode == "form_post" else 303)
    known = await at.request(Asking(), browser, **wrong)
    assert known.status_code == 303
