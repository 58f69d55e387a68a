"""A real Chromium on every page that people answer on: by keyboard, narrow, enlarged, in the dark, in both languages.

axe-core judges each page in each of these; nothing may reach over the edge, and the console has to stay silent.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage

from interop.browsing import CHROMIUM, Application, Site, apart, by_keyboard, invited, judged, serving, unlocked
from interop.conftest import free_port
from mintwarden.app.foundation import foundation
from mintwarden.authn.ports import ClientSecret
from mintwarden.authn.secrets import generate_secret, hash_secret
from tests.flow.authorizing import LOOPBACK, RULES, Asking, client
from tests.flow.company import ACCESS_TOKEN, CLIENT, EXCHANGE, PAYMENTS
from tests.flow.test_ciba import CLIENT as CALL_CENTRE
from tests.flow.test_demanded_approvals import RULES as BUTLER_RULES
from tests.flow.test_demanded_approvals import SOURCE
from tests.flow.test_device_code import CLIENT as DEVICE

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (on Debian: apt-get install chromium)")

PEOPLE = ("alice", "dave")
SECRETS = {name: generate_secret(secrets.token_bytes) for name in ("butler", "callcentre")}


def furnished(bundle: Path) -> None:
    """Something that asks in each way there is."""
    client(bundle, "native", "none", LOOPBACK, kind="native", title="Payments <b>app</b>")
    client(bundle, "robot", "none", LOOPBACK, kind="agent", title="The robot")
    (bundle / "clients/tv.toml").write_text(DEVICE.format(id="tv", name="The tv", kind="native"))
    (bundle / "clients/callcentre.toml").write_text(CALL_CENTRE.format(id="callcentre", kind="web", more=""))
    butler = CLIENT.format(
        id="butler",
        kind="agent",
        method="client_secret_basic",
        grants='"token_exchange"',
        more='serves = ["payments"]',
        ceilings='payments = "*"',
    )
    (bundle / "clients/butler.toml").write_text(butler)
    sources = bundle / "sources.toml"
    sources.write_text(f'{sources.read_text()}{SOURCE}acr = ["phr"]\n')


ROBOT = """
@id("robot-reads") @owner("Payments") @reason("it reads for people")
permit (principal == Agent::"robot", action == Action::"act", resource == Scope::"payments:read");
@id("robot-signs-in") @owner("Token Governance") @reason("it works for people")
permit (principal == Agent::"robot", action == Action::"act", resource in Audience::"identity");
"""
PURPOSES = "".join(f'[purposes.{name}]\nmeaning = "The rent"\n' for name in ("wide", "narrow", "large"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Our server, where people sign in with passkeys."""
    folder, port = tmp_path_factory.mktemp("pages"), free_port()
    rules = RULES + BUTLER_RULES + ROBOT
    with serving(folder, furnished, port=port, rules=rules, head=PURPOSES, people=PEOPLE) as ours:
        made = Site(folder, ours, "", 0)
        apart(lambda: given(made))
        yield made


async def given(site: Site) -> None:
    """Clients have their secrets."""
    async with foundation(site.config) as base:
        rows = [
            ClientSecret(client_id=n, scheme="hmac-sha256", digest=hash_secret(base.pepper, s), created_at=0)
            for n, s in SECRETS.items()
        ]
        await base.store.credentials.add_secrets(rows)


class Look(NamedTuple):
    """How somebody reads: `options` of the browser, texts enlarged or not, and what a few things are called there."""

    name: str
    options: dict[str, Any]
    enlarged: bool
    queue: str
    yes: str
    no: str
    allow: str
    go_on: str


ENGLISH = ("What others need your approval for", "Approve", "Do not approve", "Allow", "Continue")
GERMAN = ("Wofür andere Ihre Zustimmung brauchen", "Zustimmen", "Nicht zustimmen", "Erlauben", "Weiter")
NARROW, SMALL = {"width": 320, "height": 640}, {"width": 640, "height": 640}
LOOKS = (
    Look("wide", {"locale": "en-US", "color_scheme": "light"}, False, *ENGLISH),
    Look("narrow", {"locale": "de-DE", "color_scheme": "dark", "viewport": NARROW}, False, *GERMAN),
    Look("large", {"locale": "en-GB", "color_scheme": "dark", "viewport": SMALL}, True, *ENGLISH),
)


class Reader:
    """Somebody at their browser. `silent` is what the console said, which has to stay empty."""

    def __init__(self, site: Site, context: BrowserContext, look: Look) -> None:
        self.site = site
        self.look = look
        self.context = context
        self.page = context.new_page()
        self.page.set_default_timeout(30_000)
        self.silent: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.silent.append(str(error)))
        if look.enlarged:
            sizes = {"standard": 32, "fixed": 26}
            context.new_cdp_session(self.page).send("Page.setFontSizes", {"fontSizes": sizes})

    def _heard(self, message: ConsoleMessage) -> None:
        if "Failed to load resource" not in message.text:  # said of every page that is an error
            self.silent.append(message.text)

    def sees(self, *told: str) -> None:
        """A page of ours that says so, as it should be for everybody."""
        page = self.page
        page.wait_for_load_state()
        words = page.inner_text("body")
        assert all(one in words for one in told), (told, words)
        assert page.get_attribute("html", "lang") == self.look.options["locale"][:2]
        size = "32px" if self.look.enlarged else "16px"
        assert page.evaluate("getComputedStyle(document.documentElement).fontSize") == size
        assert judged(page) == [], page.title()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{page.title()} is too wide"
        assert self.silent == []

    def goes(self, where: str, *told: str) -> None:
        self.page.goto(f"{self.site.ours}{where}")
        self.sees(*told)

    def presses(self, name: str, *told: str) -> None:
        """By the tabulator and Enter alone."""
        with self.page.expect_navigation():
            by_keyboard(self.page, name)
        self.sees(*told)


@pytest.fixture(scope="module")
def passes(site: Site, chromium: Browser) -> dict[str, Any]:
    """What the browsers of people who are signed in keep; each made a passkey, and came with it to what waits."""
    found: dict[str, Any] = {}
    for person in PEOPLE:
        context = chromium.new_context()
        page = context.new_page()
        unlocked(page)
        page.goto(invited(site.folder, person))
        by_keyboard(page, "Make a passkey")
        page.wait_for_url(f"{site.ours}/signin/passkey/made")
        page.goto(f"{site.ours}/approvals/requests")
        by_keyboard(page, "Sign in with a passkey")
        page.get_by_role("heading", name="What others need your approval for").wait_for()
        found[person] = context.storage_state()
        context.close()
    return found


@pytest.fixture(params=LOOKS, ids=[look.name for look in LOOKS])
def look(request: pytest.FixtureRequest) -> Look:
    found: Look = request.param
    return found


@pytest.fixture
def readers(site: Site, chromium: Browser, passes: dict[str, Any], look: Look) -> Iterator[dict[str, Reader]]:
    """Everybody, reading so."""
    contexts = {person: chromium.new_context(storage_state=passes[person], **look.options) for person in PEOPLE}
    yield {person: Reader(site, context, look) for person, context in contexts.items()}
    for context in contexts.values():
        context.close()


def allowed(reader: Reader, application: Application, scope: str) -> str:
    """The access token that the application gets once the person allowed it."""
    asked = Asking("native", application.redirect, scope=scope, prompt="consent")
    reader.goes(f"/authorize?{urlencode(asked.parameters)}", "Payments <b>app</b>")
    reader.page.get_by_role("button", name=reader.look.allow, exact=True).press("Enter")
    reader.page.wait_for_url(f"{application.redirect}**")
    form = {
        "grant_type": "authorization_code",
        "client_id": "native",
        "code": application.heard[-1]["code"],
        "redirect_uri": application.redirect,
        "code_verifier": asked.verifier,
        "resource": PAYMENTS,
    }
    return str(httpx2.post(f"{reader.site.ours}/token", data=form).json()["access_token"])


def butler(site: Site, path: str, token: str, purpose: str) -> httpx2.Response:
    """What it is answered there: it wants to pay for whoever the token is of."""
    form = {
        "grant_type": EXCHANGE,
        "subject_token": token,
        "subject_token_type": ACCESS_TOKEN,
        "scope": "payments:write",
        "resource": PAYMENTS,
        "purpose": purpose,
    }
    if path != "/token":
        form["binding_message"] = "Rent-of-May-" * 5 + "<script>alert(1)</script>"
    return httpx2.post(f"{site.ours}{path}", data=form, auth=("butler", SECRETS["butler"]))


def state(site: Site, token: str, purpose: str) -> str:
    """How its request stands."""
    return str(butler(site, "/approval-requests", token, purpose).json()["approval_requests"][0]["state"])


def test_what_others_need_an_approval_for(
    site: Site, readers: dict[str, Reader], look: Look, application: Application
) -> None:
    """The queue, one request of it, and the answer; a form that somebody else made counts for nothing."""
    token = allowed(readers["alice"], application, "openid payments:read payments:write")
    assert state(site, token, look.name) == "pending"
    dave = readers["dave"]
    dave.goes("/approvals/requests", look.queue, "Make payments", "User:alice")
    dave.presses("butler: Make payments", "Agent:butler", "<script>alert(1)</script>", "127.0.0.1", look.name)
    where = dave.page.url
    policy = dave.page.request.get(where).headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'")
    assert "script-src" not in policy
    # Another site's page has no cookie of ours, and a token of its own making is none.
    fields = dave.page.evaluate("Object.fromEntries(new FormData(document.querySelector('form')))")
    forged = dave.page.request.post(
        f"{site.ours}/approvals/requests/decide",
        form={**fields, "decision": "allow"},
        headers={"origin": "https://evil.example"},
    )
    assert forged.status == 400
    dave.page.evaluate("document.querySelector('[name=csrf]').value = 'A'.repeat(43)")
    with dave.page.expect_navigation():
        by_keyboard(dave.page, look.yes)
    dave.sees("the form did not come from our own page")
    assert state(site, token, look.name) == "pending"
    dave.page.goto(where)
    answer, status = (look.no, 400) if look is LOOKS[1] else (look.yes, 200)
    dave.presses(answer, "butler", look.queue)
    dave.goes(where.removeprefix(site.ours), "butler")
    assert dave.page.get_by_role("status").count() == 1, "it was answered already"
    assert dave.page.get_by_role("button").count() == 0
    dave.goes("/approvals/requests", look.queue)
    assert dave.page.get_by_role("listitem").count() == 0
    assert butler(site, "/token", token, look.name).status_code == status


def test_every_other_page(site: Site, readers: dict[str, Reader], look: Look, application: Application) -> None:
    """Consent, a device, a question from elsewhere, what was allowed, what went wrong, and the way out."""
    alice = readers["alice"]
    details = json.dumps([{"type": "take", "amount": 7, "what": "gold-" * 30}])
    wanted = "openid profile offline_access payments:read payments:write vault:open vault:burn ledger:read"
    asked = Asking("native", application.redirect, scope=wanted, authorization_details=details, prompt="consent")
    alice.goes(f"/authorize?{urlencode(asked.parameters)}", "Read the ledger", "Burn the vault", "gold-gold")
    robot = Asking("robot", application.redirect, budget="5", max_depth="1", prompt="consent")
    alice.goes(f"/authorize?{urlencode(robot.parameters)}", "The robot", "Budget", "5")
    form = {"client_id": "tv", "scope": "openid payments:read"}
    device = httpx2.post(f"{site.ours}/device_authorization", data=form).json()
    alice.goes("/device")
    alice.page.keyboard.type("BBBB-BBBB")  # whoever comes can type at once
    alice.page.keyboard.press("Enter")
    alice.page.get_by_role("alert").wait_for()
    alice.sees()
    alice.page.fill("#user_code", device["user_code"])
    alice.presses(look.go_on, device["user_code"], "127.0.0.1")
    alice.presses(look.allow, "The tv")
    question = {"scope": "openid payments:read", "login_hint": "alice", "binding_message": "Order 4711"}
    asker = ("callcentre", SECRETS["callcentre"])
    assert httpx2.post(f"{site.ours}/bc-authorize", data=question, auth=asker).status_code == 200
    alice.goes("/approvals")
    alice.presses("The callcentre: Order 4711", "Order 4711", "127.0.0.1")
    alice.presses(look.allow, "The callcentre")
    alice.goes("/grants", "The callcentre", "The tv")
    alice.goes("/authorize?client_id=nobody", "the client is unknown")
    alice.goes("/signin/passkey/new?invitation=old")
    alice.goes("/nothing/here")
    alice.goes("/logout", "alice")


def test_without_scripts(site: Site, chromium: Browser, passes: dict[str, Any], application: Application) -> None:
    """An answer by form waits for a press of its button; a passkey says what it lacks."""
    context = chromium.new_context(storage_state=passes["alice"], java_script_enabled=False)
    try:
        page = context.new_page()
        asked = Asking("native", application.redirect, response_mode="form_post", prompt="consent")
        page.goto(f"{site.ours}/authorize?{urlencode(asked.parameters)}")
        page.get_by_role("button", name="Allow", exact=True).press("Enter")
        page.get_by_role("button", name="Go on to 127.0.0.1").press("Enter")
        page.wait_for_url(f"{application.redirect}**")
        assert application.heard[-1]["state"] == asked.state
        page.goto(site.begin(context))
        assert "Passkeys need scripts" in page.inner_text("main")
    finally:
        context.close()
