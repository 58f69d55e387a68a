"""A real Chromium in front of a company of our own: where everything is, who signs in, and what axe-core says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import shutil
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from joserfc.jwk import ECKey
from playwright.sync_api import Browser, BrowserContext, CDPSession, ConsoleMessage, Page, sync_playwright

from interop.deployment import Process, run
from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.sign_in import Upstreams, sign_ins
from mintwarden.authn.interactions import KIND, Interaction, cookie_of, secret_digest
from mintwarden.authn.shelf import Shelf
from mintwarden.authn.sign_in import Demand, SignIn
from tests.flow.authorizing import IDENTITY, RULES, VAULT
from tests.flow.company import furnish, write_company

HERE = Path(__file__).parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
T = TypeVar("T")


def apart(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """`work` in a thread of its own: Playwright keeps an event loop in this one."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()


class Site(NamedTuple):
    """Where everything is. `page`: the port of the page that is the client `map`."""

    folder: Path
    ours: str
    theirs: str
    page: int

    @property
    def config(self) -> Any:
        return load_config(self.folder / "mintwarden.toml", environ={})

    def begin(self, context: BrowserContext, demand: Demand | None = None) -> str:
        """Something that this browser signs in for; the address of the sign-in."""
        handle = secrets.token_urlsafe(32)

        async def add() -> None:
            async with foundation(self.config) as base:
                shelf = Shelf(KIND, Interaction, states=base.store.states, seal=base.master)
                wanted = demand or Demand(client_name="Payments & <more>")
                value = Interaction(demand=wanted, browser=secret_digest("1"), return_path="/healthz")
                await shelf.add(handle, value, ends=base.clock.now() + 600_000)

        apart(add)
        cookie = {"name": cookie_of(handle), "value": "1", "url": self.ours, "httpOnly": True, "sameSite": "Lax"}
        context.add_cookies([cookie])  # type: ignore[list-item]
        return f"{self.ours}/signin?i={handle}"

    def signed_in(self, context: BrowserContext) -> SignIn | None:
        """Who is signed in in this browser."""
        cookies = {str(c["name"]): str(c["value"]) for c in context.cookies(self.ours)}

        async def look() -> SignIn | None:
            async with foundation(self.config) as base:
                return await sign_ins(base, Upstreams(base)).sessions.current(cookies, base.clock.now())

        return apart(look)


@contextlib.contextmanager
def serving(
    folder: Path,
    furnished: Callable[[Path], None],
    *,
    port: int,
    rules: str = RULES,
    more: str = "",
    head: str = "",
    people: Sequence[str] = (),
) -> Iterator[str]:
    """A company of `furnished` with passkeys, served on `localhost`; its address."""

    def edit(bundle: Path) -> None:
        (bundle / "issuers/login.toml").unlink()
        (bundle / "audiences/identity.toml").write_text(IDENTITY)
        (bundle / "audiences/vault.toml").write_text(VAULT)
        furnished(bundle)

    ours = f"http://localhost:{port}"
    config = write_company(
        folder,
        ECKey.generate_key("P-256"),
        ECKey.generate_key("P-256"),
        server=f'port = {port}\nissuer = "{ours}"',
        more=more,
        registration=f"[passkeys]\nenabled = true\n{head}",
        rules=rules,
        edit=edit,
    )
    asyncio.run(furnish(config, people=people))
    server = Process("mintwarden", "serve", "--config", str(config), folder=folder)
    try:
        server.wait_until(lambda: httpx2.get(f"{ours}/readyz").status_code == 200, "the server is ready")
        yield ours
    finally:
        server.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context()
    context.set_default_timeout(30_000)
    yield context
    context.close()


@pytest.fixture
def page(site: Site, context: BrowserContext) -> Iterator[Page]:
    """A page on which nothing is refused by our own policy."""
    page = context.new_page()
    said: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text and page.url.startswith(site.ours):
            said.append(message.text)

    page.on("console", heard)
    yield page
    assert said == []


def judged(page: Page) -> list[str]:
    """What axe-core finds wrong with the page."""
    page.evaluate((HERE / "node_modules/axe-core/axe.min.js").read_text("utf-8"))
    found = page.evaluate("axe.run()")
    return [f"{violation['id']}: {violation['help']}" for violation in found["violations"]]


def unlocked(page: Page) -> tuple[CDPSession, str]:
    """A virtual authenticator in this browser, whose owner is there and verified."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    return session, session.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]


def invited(folder: Path, person: str) -> str:
    """The link by which somebody makes a passkey."""
    words = ("passkeys", "invite", f"User:{person}", "--json", "--config", str(folder / "mintwarden.toml"))
    return str(json.loads(run("mintwarden", *words))["link"])


def by_keyboard(page: Page, name: str) -> None:
    """Reach the control of that name with the tabulator, see it, and press Enter."""
    for _ in range(10):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.textContent.trim()")
        if focused == name:
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"`{name}` cannot be reached by keyboard")


class Application:
    """Where an application on this machine waits for its answer; `heard` is what came, by query or by form."""

    def __init__(self) -> None:
        self.heard: list[dict[str, str]] = []
        application = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(urlsplit(self.path).query)

            def do_POST(self) -> None:
                self.answer(self.rfile.read(int(self.headers["content-length"])).decode())

            def answer(self, parameters: str) -> None:
                if self.path.startswith("/callback"):
                    application.heard.append(dict(parse_qsl(parameters)))
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.end_headers()
                self.wfile.write(b"<title>Welcome back</title>")

            def log_message(self, *_what: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.redirect = f"http://127.0.0.1:{self.server.server_port}/callback"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def application() -> Iterator[Application]:
    found = Application()
    yield found
    found.server.shutdown()
    found.server.server_close()
