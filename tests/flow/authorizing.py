"""The small company with clients that people come to it with, a provider that they sign in at, and their browser."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import secrets
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
from msgspec import Struct

from tests.flow.browser import ISSUER, Browser, Form
from tests.flow.company import Company, running
from tests.flow.upstream import SECRET, Upstream, provider_file, upstream

BACK = "https://portal.example.com/signed-in"
OTHER = "https://other.example.com/back"
OWN = "https://own.example.com/back"
SIGNED = "https://signer.example.com/back"
APP = "com.example.app:/back"
LOOPBACK = "http://127.0.0.1/callback"
MOST_HOPS = 30
"""Redirects on the way from a request to its answer: far more than any takes."""

IDENTITY = f"""
[audience]
id = "identity"
kind = "identity"
identifier = "{ISSUER}"
description = "Who you are"
owner = "Token Governance"
environments = ["production"]
max_ttl = "10m"
default_ttl = "5m"
[claims]
department = ["profile"]
[scopes.openid]
meaning = "Sign you in"
tier = "low"
[scopes.profile]
meaning = "See your department"
tier = "low"
[scopes.offline_access]
meaning = "Renew access while you are away"
tier = "low"
"""

VAULT = """
[audience]
id = "vault"
identifier = "https://api.example.com/vault"
description = "The vault"
owner = "Payments"
environments = ["production"]
max_ttl = "5m"
default_ttl = "5m"
[scopes."vault:open"]
meaning = "Open the vault"
tier = "high"
[scopes."vault:carry"]
meaning = "Carry something away"
tier = "high"
[scopes."vault:burn"]
meaning = "Burn the vault"
tier = "high"
[details."take"]
meaning = "Take something out of the vault"
tier = "high"
[details."take".fields]
amount = { type = "long", required = true, narrows = "at_most" }
what = "string"
"""

RULES = """
@id("helper-signs-in") @owner("Token Governance") @reason("the agent works for people")
permit (principal == Agent::"helper", action == Action::"act", resource in Audience::"identity");
@id("vault-opens") @owner("Payments") @reason("with a strong sign-in") @require_acr("phr")
permit (principal is User, action == Action::"issue", resource == Scope::"vault:open");
@id("vault-take") @owner("Payments") @reason("a little")
permit (principal is User, action == Action::"issue", resource == Detail::"take")
when { context.detail.amount <= 100 };
@id("vault-burns") @owner("Payments") @reason("nobody yet")
permit (principal is User, action == Action::"issue", resource == Scope::"vault:burn")
when { principal in Group::"arsonists" };
@id("vault-carry") @owner("Payments") @reason("by a key") @require_binding("dpop")
permit (principal is User, action == Action::"issue", resource == Scope::"vault:carry");
@id("anybody-signs-in") @owner("Token Governance") @reason("whoever works here may sign in")
permit (principal is User, action == Action::"issue", resource in Audience::"identity")
when { principal in Group::"finance" };
"""

CLIENT = """
[client]
id = "{id}"
name = "{name}"
kind = "{kind}"
owner = "Payments"
environments = ["production"]
authentication = ["{method}"]
grants = ["authorization_code", "refresh_token"]
redirect_uris = [{redirects}]
details = ["take"]
[client.ceilings]
identity = "*"
payments = "*"
ledger = "*"
vault = "*"
[client.authorization]
{authorization}
"""


def client(
    bundle: Path,
    name: str,
    method: str,
    *redirects: str,
    kind: str = "web",
    authorization: str = "",
    title: str = "",
    more: str = "",
) -> None:
    """Write the file of a client that people come with."""
    text = CLIENT.format(
        id=name,
        name=title or name.title(),
        kind=kind,
        method=method,
        redirects=", ".join(f'"{uri}"' for uri in redirects),
        authorization=authorization,
    )
    (bundle / "clients" / f"{name}.toml").write_text(text + more)


class Desk(Struct, frozen=True, kw_only=True):
    """Everything a test needs. Where no browser is named, it is the usual one.

    `chooses`: people sign in at the provider where there are other ways as well.
    """

    company: Company
    corp: Upstream
    browser: Browser
    chooses: bool = False

    def another(self) -> Browser:
        """A browser that nobody has used yet."""
        return Browser(self.company)

    async def request(self, asked: Asking, browser: Browser | None = None, **changes: str) -> httpx2.Response:
        """One request to `/authorize`."""
        return await (browser or self.browser).get("/authorize", asked.parameters | changes)

    async def to_the_provider(self, answer: httpx2.Response, browser: Browser) -> httpx2.Response:
        """On from the answer that leads to signing in, to the one that leads to the provider."""
        answer = await browser.get(answer.headers["location"])
        start = self._start(answer)
        return await browser.get(start) if start else answer

    def _start(self, answer: httpx2.Response) -> str:
        """On a page with several ways to sign in, the one to the provider; empty for any other answer."""
        if not self.chooses or answer.status_code != 200:
            return ""
        return next((link for link in Form(answer.text).links if link.startswith("/signin/start?")), "")

    async def through(self, answer: httpx2.Response, browser: Browser | None = None) -> httpx2.Response:
        """On from an answer through everything of ours and of the provider's, to a page or to the client."""
        browser, hops = browser or self.browser, 0
        while answer.status_code == 303 or self._start(answer):
            if start := self._start(answer):
                answer = await browser.get(start)
            hops += 1
            assert hops < MOST_HOPS, "it leads in a circle"
            where = answer.headers["location"]
            if where.startswith(self.corp.issuer):
                answer = await browser.get("/signin/callback/corp", self.corp.authorize(where))
            elif where.startswith("/"):
                answer = await browser.get(where)
            else:
                break
        return answer

    async def allow(
        self, page: httpx2.Response, browser: Browser | None = None, *without: str, decision: str = "allow"
    ) -> httpx2.Response:
        """Answer the page that asks, with all boxes checked but those of `without`."""
        assert page.status_code == 200, page.text
        fields = Form(page.text).fields
        sent = {name: value for name, value in fields.items() if name.removeprefix("scope:") not in without}
        sent.pop("decision", None)
        return await (browser or self.browser).post("/authorize/continue", sent | {"decision": decision})

    async def code(self, asked: Asking, browser: Browser | None = None, **changes: str) -> str:
        """A code, whatever it takes."""
        answer = await self.through(await self.request(asked, browser, **changes), browser)
        if answer.status_code == 200:
            answer = await self.allow(answer, browser)
        found = response(answer, asked.parameters["redirect_uri"])
        assert "code" in found, found
        return found["code"]

    async def redeem(self, asked: Asking, code: str, **changes: Any) -> httpx2.Response:
        """The code for tokens."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": asked.parameters["redirect_uri"],
            "code_verifier": asked.verifier,
        } | changes
        headers = form.pop("headers", None)
        if asked.client in self.company.secrets:
            form = {name: value for name, value in form.items() if value is not None}
            auth = (asked.client, self.company.secrets[asked.client])
            return await self.company.http.post("/token", data=form, auth=auth, headers=headers)
        form = {"client_id": asked.client} | {name: value for name, value in form.items() if value is not None}
        return await self.company.http.post("/token", data=form, headers=headers)


class Asking:
    """What a client remembers of its request."""

    def __init__(self, client: str = "web", redirect: str = BACK, **parameters: str) -> None:
        self.client = client
        self.verifier = secrets.token_urlsafe(48)
        digest = hashlib.sha256(self.verifier.encode()).digest()
        self.state = secrets.token_urlsafe(8)
        self.parameters: dict[str, str] = {
            "response_type": "code",
            "client_id": client,
            "redirect_uri": redirect,
            "scope": "openid payments:read",
            "state": self.state,
            "nonce": "n-1",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        } | parameters

    def without(self, *names: str) -> Asking:
        """The same without some parameters."""
        for name in names:
            self.parameters.pop(name)
        return self


def response(answer: httpx2.Response, back: str = BACK) -> dict[str, str]:
    """The parameters of an authorization response in the query, which must have gone to `back`."""
    assert answer.status_code == 303, answer.text
    location = answer.headers["location"]
    assert location.startswith(f"{back}?"), location
    return dict(parse_qsl(urlsplit(location).query))


@contextlib.asynccontextmanager
async def desk(
    folder: Path,
    *,
    rules: str = "",
    edit: Callable[[Path], None] = lambda _bundle: None,
    config: str = "",
    **more: Any,
) -> AsyncIterator[Desk]:
    """The company, running."""
    async with upstream(lambda: int(time.time())) as corp:

        def write(bundle: Path) -> None:
            (bundle / "providers").mkdir()
            (bundle / "providers/corp.toml").write_text(provider_file(corp.issuer))
            (bundle / "issuers/login.toml").unlink()
            (bundle / "audiences/identity.toml").write_text(IDENTITY)
            (bundle / "audiences/vault.toml").write_text(VAULT)
            client(bundle, "web", "client_secret_basic", BACK, title="Portal", authorization='remember = "0s"')
            client(bundle, "helper", "client_secret_basic", OTHER, kind="agent")
            implicit = 'consent = "implicit"\nuserinfo_algorithm = "ES256"\nresponse_algorithm = "ES256"'
            client(bundle, "api", "client_secret_basic", OWN, authorization=implicit)
            client(bundle, "native", "none", LOOPBACK, APP, kind="native", authorization='consent = "implicit"')
            signing = (bundle / "clients/signer.toml").read_text().partition("[[client.keys]]")[2]
            keys = f"[[client.keys]]{signing}"
            client(bundle, "signer", "private_key_jwt", SIGNED, authorization="pushed = true\nsigned = true", more=keys)
            edit(bundle)

        (folder / "secret").write_text(SECRET + "\n")
        config = f'[upstreams.corp]\nsecret_file = "secret"\n{config}'
        async with running(folder, more=config, rules=RULES + rules, edit=write, **more) as company:
            yield Desk(company=company, corp=corp, browser=Browser(company))
