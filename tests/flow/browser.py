"""A browser that does what a person's would with our pages, over real HTTP: cookies, forms, redirects to us."""

from __future__ import annotations

import html.parser
import secrets
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx2

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.authn.interactions import KIND, Interaction, cookie_of, secret_digest
from mintwarden.authn.shelf import Shelf
from mintwarden.authn.sign_in import Demand
from tests.flow.company import Company

ISSUER = "https://tokens.example.com"
PREFIX = "__Host-"
NOTHING = Demand()


class Form(html.parser.HTMLParser):
    """The hidden fields of a page's form, and its links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        named = dict(attrs)
        if tag == "input" and named.get("name"):
            self.fields[named["name"]] = named.get("value") or ""
        if tag == "a":
            self.links.append(named["href"])


class Forms(html.parser.HTMLParser):
    """All forms of a page: the hidden fields of each, in the order of the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.all: list[dict[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        named = dict(attrs)
        if tag == "form":
            self.all.append({})
        if tag == "input" and named.get("name") and self.all:
            self.all[-1][named["name"]] = named.get("value") or ""


class Browser:
    """One browser. Requests to the issuer go to where the service really listens."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.cookies: dict[str, str] = {}

    async def get(self, path: str, query: dict[str, str] | None = None, **headers: str) -> httpx2.Response:
        address = path.removeprefix(ISSUER) + (f"?{urlencode(query)}" if query else "")
        return self._kept(await self.company.http.get(address, headers=self._headers(headers)))

    async def post(self, path: str, form: dict[str, str], **headers: str) -> httpx2.Response:
        headers.setdefault("origin", ISSUER)
        answer = await self.company.http.post(path, data=form, headers=self._headers(headers))
        return self._kept(answer)

    async def call(self, path: str, content: Any, **headers: str) -> httpx2.Response:
        """What a script of ours posts."""
        headers.setdefault("origin", ISSUER)
        return self._kept(await self.company.http.post(path, json=content, headers=self._headers(headers)))

    async def begin(self, demand: Demand = NOTHING, return_path: str = "/after?x=1", life: int = 600_000) -> str:
        """Something that this browser signs in for, as an endpoint of ours would have begun it; its handle."""
        handle = secrets.token_urlsafe(32)
        config = load_config(self.company.folder / "mintwarden.toml", environ={})
        async with foundation(config) as base:
            shelf = Shelf(KIND, Interaction, states=base.store.states, seal=base.master)
            interaction = Interaction(
                demand=demand, browser=secret_digest("1"), return_path=return_path, began_at=base.clock.now()
            )
            await shelf.add(handle, interaction, ends=base.clock.now() + life)
        self.cookies[PREFIX + cookie_of(handle)] = "1"
        return handle

    def _headers(self, headers: dict[str, str]) -> dict[str, str]:
        cookie = {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        return (cookie if self.cookies else {}) | {name.replace("_", "-"): value for name, value in headers.items()}

    def _kept(self, answer: httpx2.Response) -> httpx2.Response:
        for line in answer.headers.get_list("set-cookie"):
            pair, *attributes = [part.strip() for part in line.split(";")]
            name, _, value = pair.partition("=")
            assert {"Path=/", "HttpOnly", "SameSite=Lax", "Secure"} <= set(attributes), line
            assert name.startswith(PREFIX), line
            if "Max-Age=0" in attributes:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return answer


def query_of(address: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in urlsplit(address).query.split("&"))
