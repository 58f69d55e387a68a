"""All pages of one request speak the language that it asks for, then the browser's; each page, in each language."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import ECKey
from markupsafe import escape

from mintwarden.web.pages.languages import read_catalogues
from tests.flow.authorizing import BACK, Asking, Desk, client, desk
from tests.flow.browser import ISSUER, Browser, Form
from tests.flow.company import public
from tests.flow.test_strangers import OPEN

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORDS = read_catalogues()
LANGUAGES = sorted(WORDS)
PASSKEYS = '\n[passkeys]\nenabled = true\nacr = "phr"\namr = ["hwk", "user", "mfa"]\n'
KEY = ECKey.generate_key("P-256")
KEYED = "https://keyed.example.com/back"


def edit(bundle: Path) -> None:
    """Passkeys beside the provider, so that there is something to choose; and a client that signs its requests."""
    head = bundle / "bundle.toml"
    head.write_text(head.read_text() + PASSKEYS)
    client(bundle, "keyed", "private_key_jwt", KEYED, more=f"[[client.keys]]\n{public(KEY, 'k')}\n")
    web = bundle / "clients/web.toml"
    web.write_text(
        web.read_text().replace("details =", 'post_logout_redirect_uris = ["https://web.example/bye"]\ndetails =')
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with desk(tmp_path_factory.mktemp("desk"), registration=OPEN, edit=edit) as made:
        yield made


class Foreign(Browser):
    """A browser that asks for a language of its own with everything it does."""

    def __init__(self, at: Desk, speaks: str) -> None:
        super().__init__(at.company)
        self.at = at
        self.speaks = speaks

    def _headers(self, headers: dict[str, str]) -> dict[str, str]:
        return {"accept-language": f"{self.speaks};q=0.9, tlh"} | super()._headers(headers)

    async def signed_in(self) -> None:
        """Somebody signs in, at a page of ours."""
        page = await self.at.through(await self.get("/grants"), self)
        if page.status_code == 200 and "/signin/start" in page.text:
            await self.choosing(page)

    async def choosing(self, page: httpx2.Response) -> httpx2.Response:
        """On from the page with the ways to sign in, by the provider."""
        (link,) = [one for one in Form(page.text).links if one.startswith("/signin/start")]
        return await self.at.through(await self.get(link), self)


def other(language: str) -> str:
    return next(one for one in LANGUAGES if one != language)


def spoken(page: httpx2.Response, *, status: int = 200) -> str:
    """The language that a page says it is in, and is in."""
    assert page.status_code == status, page.text
    (tag,) = re.findall(r'<html lang="([^"]*)">', page.text)
    assert str(escape(WORDS[tag]["footer"])) in page.text
    return str(tag)


def says(page: httpx2.Response, language: str, name: str, **values: str) -> bool:
    return str(escape(WORDS[language][name].format(**values))) in page.text


wished = pytest.mark.parametrize("language", LANGUAGES)


@wished
async def test_from_signing_in_to_the_answer(at: Desk, language: str) -> None:
    browser = Foreign(at, other(language))
    asked = Asking(ui_locales=f"xx {language.upper()}-AT", response_mode="form_post", prompt="consent")
    page = await at.through(await at.request(asked, browser), browser)
    assert spoken(page) == language, "the ways to sign in"
    page = await browser.choosing(page)
    assert at.corp.sent[-1]["ui_locales"].endswith("AT"), "the provider is told what was wished for"
    assert spoken(page) == language, "what is allowed"
    assert says(page, language, "consent_allow")
    page = await at.allow(page, browser)
    assert spoken(page) == language, "on the way to the client"
    assert "code" in Form(page.text).fields
    assert says(page, language, "form_post_title")


@wished
async def test_an_error_on_its_way_to_the_client(at: Desk, language: str) -> None:
    """Of a request that is wrong, one that a person said no to, and one that nobody may be asked about."""
    browser = Foreign(at, other(language))
    wrong = await at.request(Asking(ui_locales=language, response_mode="form_post", scope="nothing"), browser)
    silent = await at.request(Asking(ui_locales=language, response_mode="form_post", prompt="none"), browser)
    await browser.signed_in()
    asked = Asking(ui_locales=language, response_mode="form_post", prompt="consent")
    page = await at.through(await at.request(asked, browser), browser)
    denied = await at.allow(page, browser, decision="deny")
    for answer, error in ((wrong, "invalid_scope"), (silent, "login_required"), (denied, "access_denied")):
        assert spoken(answer) == language, error
        assert Form(answer.text).fields["error"] == error


@wished
async def test_leaving_for_a_client_that_nobody_wrote_down(at: Desk, language: str) -> None:
    back, bye = "https://stranger.example/back", "https://stranger.example/bye"
    metadata = {"redirect_uris": [back], "post_logout_redirect_uris": [bye], "token_endpoint_auth_method": "none"}
    made = (await at.company.http.post("/register", json=metadata)).json()
    browser = Foreign(at, other(language))
    for mode in ("query", "form_post"):
        asked = Asking(made["client_id"], back, ui_locales=language, response_mode=mode, scope="nothing")
        page = await at.request(asked, browser)
        assert spoken(page, status=400) == language
        assert says(
            page, language, "leaving_what", host=back.rpartition("/")[0] if mode == "query" else "stranger.example"
        )
    query = {"client_id": made["client_id"], "post_logout_redirect_uri": bye, "ui_locales": language}
    page = await browser.get("/logout", query)
    assert spoken(page) == language
    assert says(page, language, "leaving_out", host="stranger.example")


@wished
async def test_what_goes_wrong_before_there_is_an_answer(at: Desk, language: str) -> None:
    """On pages of ours: by what the address or the form says, since nothing else is known yet."""
    browser = Foreign(at, other(language))
    for changes in ({"redirect_uri": "https://evil.example/"}, {"client_id": "nobody"}, {"request_uri": "urn:x"}):
        assert spoken(await at.request(Asking(ui_locales=language), browser, **changes), status=400) == language
        posted = await browser.post("/authorize", Asking(ui_locales=language).parameters | changes)
        assert spoken(posted, status=400) == language
    address = f"/authorize?ui_locales={language}"
    headers = {"accept-language": other(language)}
    assert spoken(await at.company.http.put(address, headers=headers), status=405) == language
    text = headers | {"content-type": "text/plain"}
    assert spoken(await at.company.http.post(address, content=b"x", headers=text), status=415) == language
    twice = await browser.get(f"/authorize?ui_locales={language}&ui_locales={language}")
    assert spoken(twice, status=400) == other(language), "what cannot be read says nothing"
    wrong = {"post_logout_redirect_uri": "https://evil.example/", "ui_locales": language}
    assert spoken(await browser.get("/logout", wrong), status=400) == language
    assert spoken(await browser.post("/logout", wrong), status=400) == language
    lost = await browser.post(f"/authorize/continue?ui_locales={language}", {"i": "x"})
    assert spoken(lost, status=400) == other(language), "no client sends anybody there"


@wished
async def test_what_goes_wrong_on_the_way(at: Desk, language: str) -> None:
    """A provider that does not do its part, and a form that is not ours."""
    browser = Foreign(at, other(language))
    asked = Asking(ui_locales=language, prompt="consent")
    page = await at.through(await at.request(asked, browser), browser)
    (link,) = [one for one in Form(page.text).links if one.startswith("/signin/start")]
    there = await browser.get(link)
    refused = at.corp.authorize(there.headers["location"]) | {"error": "access_denied"}
    refused.pop("code")
    failed = await browser.get("/signin/callback/corp", refused)
    assert spoken(failed, status=400) == language
    assert says(failed, language, "error_try")
    unknown = link.replace("provider=corp", "provider=nobody")
    assert unknown != link
    assert spoken(await browser.get(unknown), status=404) == language
    page = await browser.choosing(page)
    fields = Form(page.text).fields | {"decision": "allow"}
    forged = await browser.post("/authorize/continue", fields | {"csrf": "forged"})
    assert spoken(forged, status=400) == language
    elsewhere = await browser.post("/authorize/continue", fields, origin="https://evil.example")
    assert spoken(elsewhere, status=400) == language


@wished
@pytest.mark.parametrize("how", ["pushed", "signed"])
async def test_what_stands_beside_a_pushed_or_signed_request_counts_for_nothing(
    at: Desk, language: str, how: str
) -> None:
    browser = Foreign(at, other(language))

    async def answered(inner: dict[str, str]) -> httpx2.Response:
        asked = Asking("keyed", KEYED, response_mode="form_post", prompt="none", **inner)
        claims = {"iss": "keyed", "aud": ISSUER, "exp": int(at.corp.now()) + 300, **asked.parameters}
        sent = {"request": jwt.encode({"alg": "ES256", "kid": "k"}, claims, KEY, algorithms=["ES256"])}
        if how == "pushed":
            asked = Asking("web", BACK, response_mode="form_post", prompt="none", **inner)
            secret = ("web", at.company.secrets["web"])
            pushed = await at.company.http.post("/par", data=asked.parameters, auth=secret)
            sent = {"request_uri": pushed.json()["request_uri"]}
        return await browser.get("/authorize", {"client_id": asked.client, **sent, "ui_locales": other(language)})

    assert spoken(await answered({"ui_locales": language})) == language
    browser.speaks = language
    assert spoken(await answered({})) == language, "where the request says nothing, the browser does"


@wished
async def test_signing_out(at: Desk, language: str) -> None:
    browser = Foreign(at, other(language))
    await browser.signed_in()
    asked = await browser.get("/logout", {"ui_locales": f"tlh {language}"})
    assert spoken(asked) == language
    assert says(asked, language, "sign_out_title")
    form = Form(asked.text).fields
    led = await browser.post("/logout", {"ui_locales": language}, origin="https://app.example.com")
    assert spoken(await browser.get(led.headers["location"])) == language, "also by way of a redirect"
    done = await browser.post("/logout", form)
    assert spoken(done) == language
    assert says(done, language, "signed_out")
    assert spoken(await browser.post("/logout", form), status=400) == other(language), "nobody remembers that request"


@wished
async def test_pages_of_our_own_follow_the_browser(at: Desk, language: str) -> None:
    """Nobody's request leads there: the page to sign in at, what comes after it, and what is wrong with it."""
    browser = Foreign(at, language)
    page = await at.through(await browser.get("/device", {"user_code": "WDJB-MJHT"}), browser)
    assert spoken(page) == language
    page = await browser.choosing(page)
    assert spoken(page) == language
    wrong = await browser.post("/device", Form(page.text).fields | {"user_code": "WDJB-MJHT"})
    assert spoken(wrong, status=400) == language
    for path in ("/approvals", "/approvals/requests", "/grants"):
        assert spoken(await browser.get(path)) == language, path
    for path in ("/approvals?r=nothing", "/approvals/requests?r=nothing", "/signin/passkey/new?invitation=x"):
        assert spoken(await browser.get(path), status=404 if "passkey" not in path else 400) == language, path
    assert spoken(await browser.get("/signin/passkey/made")) == language
    assert spoken(await browser.get("/nowhere", accept="text/html"), status=404) == language
    assert spoken(await browser.get("/signin?i=nothing"), status=400) == language
    assert spoken(await browser.post("/approvals/decide", {"r": "x"}), status=400) == language


async def test_nobody_knows_what_is_read(at: Desk) -> None:
    browser = Foreign(at, "tlh")
    assert spoken(await at.request(Asking(ui_locales="tlh xx"), browser, client_id="nobody"), status=400) == "en"
    assert spoken(await at.through(await at.request(Asking(ui_locales="tlh xx"), browser), browser)) == "en"
