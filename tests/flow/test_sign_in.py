"""Signing in and out at the running service: providers, sessions, the ledger, and whom an end is told."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.authn.sign_in import Demand
from mintwarden.model.values import EntityUid
from tests.flow.browser import NOTHING, PREFIX, Browser, Form
from tests.flow.company import Company, running
from tests.flow.upstream import SECRET, Upstream, provider_file, upstream

CALLBACK = "/signin/callback/corp"


def now() -> int:
    return int(time.time())


@contextlib.asynccontextmanager
async def signing_in(
    folder: Path, *, head: str = "", more: bool = False, edit: Callable[[Path], None] = lambda _bundle: None
) -> AsyncIterator[tuple[Company, Upstream]]:
    """The company with its provider, and with `more` a second one."""
    async with upstream(now) as corp:

        def furnished(bundle: Path) -> None:
            (bundle / "providers").mkdir()
            named = {"subject_prefix": "corp/"} if more else {}
            (bundle / "providers/corp.toml").write_text(provider_file(corp.issuer, **named))
            if more:
                text = provider_file(
                    "https://partner.example", id="partner", name="Partner", domains=[], subject_prefix="p/"
                )
                (bundle / "providers/partner.toml").write_text(text)
            edit(bundle)
            (bundle / "issuers/login.toml").unlink()  # it would name people as the provider does

        (folder / "secret").write_text(SECRET + "\n")
        config = '[upstreams.corp]\nsecret_file = "secret"'
        async with running(folder, more=config, registration=head, edit=furnished) as company:
            yield company, corp


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[tuple[Company, Upstream]]:
    async with signing_in(tmp_path) as desk:
        yield desk


async def sign_in(browser: Browser, corp: Upstream, demand: Demand = NOTHING) -> Any:
    """Through the provider to the interaction's own path; the last answer."""
    handle = await browser.begin(demand)
    there = await browser.get("/signin", {"i": handle})
    assert there.status_code == 303, there.text
    return await browser.get(CALLBACK, corp.authorize(there.headers["location"]))


async def entries(company: Company) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Every sign-in and sign-out of the ledger, with its actor."""
    config = load_config(company.folder / "mintwarden.toml", environ={})
    async with foundation(config) as base:
        count = await base.store.entries.sequenced()
        stored = [json.loads(entry.entry) for entry in await base.store.entries.by_index(0, count)]
    return [(entry["detail"], entry["actor"]) for entry in stored if entry["kind"] == "sign_in"]


async def test_a_person_signs_in_at_the_only_provider(desk: tuple[Company, Upstream]) -> None:
    company, corp = desk
    browser = Browser(company)
    back = await sign_in(browser, corp)
    assert (back.status_code, back.headers["location"]) == (303, "/after?x=1")
    assert "no-store" in back.headers["cache-control"]
    cookie = browser.cookies[PREFIX + "mintwarden"]
    config = load_config(company.folder / "mintwarden.toml", environ={})
    assert cookie.split(".")[1].encode() not in (company.folder / "mintwarden.db").read_bytes()
    async with foundation(config) as base:
        from mintwarden.app.sign_in import Upstreams, sign_ins

        sessions = sign_ins(base, Upstreams(base)).sessions
        found = await sessions.current({"mintwarden": cookie}, base.clock.now())
        assert found is not None
        assert (found.subject, found.provider, found.acr, found.amr) == (
            EntityUid("User", "alice"),
            "corp",
            "phr",
            ("mfa",),
        )
        assert found.session == cookie.split(".")[0]


async def test_whoever_was_refused_at_the_provider_tries_again(desk: tuple[Company, Upstream]) -> None:
    company, corp = desk
    browser = Browser(company)
    handle = await browser.begin(NOTHING)
    there = await browser.get("/signin", {"i": handle})
    refused = corp.authorize(there.headers["location"]) | {"error": "access_denied"}
    refused.pop("code")
    page = await browser.get(CALLBACK, refused)
    assert page.status_code == 400
    assert "did not sign you in: `access_denied`" in page.text
    where = f"/signin?i={handle}"
    assert f'<a class="button" href="{where}">Try again</a>' in page.text
    there = await browser.get(where)
    assert (await browser.get(CALLBACK, corp.authorize(there.headers["location"]))).headers["location"] == "/after?x=1"
    stale = await browser.get(CALLBACK, refused)  # an attempt counts once, and nobody is led on from it
    assert (stale.status_code, "Try again" in stale.text) == (400, False)


async def test_each_sign_in_is_in_the_ledger_without_the_person(desk: tuple[Company, Upstream]) -> None:
    company, corp = desk
    await sign_in(Browser(company), corp)
    await company.http.get("/ledger/checkpoint")
    for _ in range(100):
        found = await entries(company)
        if found:
            break
    ((detail, actor),) = found
    assert detail == {"what": "sign_in", "provider": "corp", "acr": "phr", "amr": ["mfa"]}
    assert "alice" not in json.dumps(actor)


async def test_the_ways_are_shown_where_there_are_several(tmp_path: Path) -> None:
    async with signing_in(tmp_path, more=True) as (company, corp):
        browser = Browser(company)
        handle = await browser.begin(Demand(client_name="<b>Payments</b>"))
        page = await browser.get("/signin", {"i": handle}, accept_language="de")
        assert page.status_code == 200
        assert "&lt;b&gt;Payments&lt;/b&gt;" in page.text
        assert '<html lang="de">' in page.text
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        links = Form(page.text).links
        assert len(links) == 2
        there = await browser.get(links[0])
        back = await browser.get(CALLBACK, corp.authorize(there.headers["location"]))
        assert back.headers["location"] == "/after?x=1"
        # By domain, by hint.
        for demand in (
            Demand(login_hint="Alice@EXAMPLE.com"),
            Demand(domain_hint="corp"),
            Demand(domain_hint="example.com"),
        ):
            at_once = await browser.get("/signin", {"i": await browser.begin(demand)})
            assert at_once.headers["location"].startswith(f"{corp.issuer}/authorize?")
        unknown = await browser.get("/signin", {"i": await browser.begin(Demand(login_hint="bob@elsewhere.example"))})
        assert unknown.status_code == 200


async def test_login_cross_site_request_forgery(desk: tuple[Company, Upstream]) -> None:
    """An attacker's own answer is brought to another browser: nobody is signed in there, least of all the attacker."""
    company, corp = desk
    attacker, victim = Browser(company), Browser(company)
    handle = await attacker.begin()
    there = await attacker.get("/signin", {"i": handle})
    returned = corp.authorize(there.headers["location"])
    for path, query in (
        (CALLBACK, returned),
        ("/signin", {"i": handle}),
        ("/signin/start", {"i": handle, "provider": "corp"}),
    ):
        answer = await victim.get(path, query)
        assert answer.status_code == 400
        assert answer.headers["content-type"].startswith("text/html")
    assert victim.cookies == {}
    assert returned["code"] in corp.codes  # it was not even redeemed


async def test_session_fixation(desk: tuple[Company, Upstream]) -> None:
    """A handle that was planted before is worth nothing after a sign-in, whoever's it was."""
    company, corp = desk
    attacker, victim = Browser(company), Browser(company)
    corp.subject = "mallory"
    await sign_in(attacker, corp)
    victim.cookies[PREFIX + "mintwarden"] = attacker.cookies[PREFIX + "mintwarden"]
    corp.subject = "alice"
    await sign_in(victim, corp)
    planted, own = attacker.cookies[PREFIX + "mintwarden"], victim.cookies[PREFIX + "mintwarden"]
    assert planted.split(".")[0] != own.split(".")[0]
    before = own
    await sign_in(victim, corp)
    after = victim.cookies[PREFIX + "mintwarden"]
    assert before.split(".")[0] == after.split(".")[0]  # the same session goes on
    assert before != after


async def test_wrong_handles_get_a_page(desk: tuple[Company, Upstream]) -> None:
    company, _ = desk
    browser = Browser(company)
    for path in ("/signin", "/signin?i=x", "/signin/start?i=x&provider=corp", CALLBACK, f"{CALLBACK}?state=x&code=y"):
        answer = await browser.get(path)
        assert answer.status_code == 400, path
        assert "text/html" in answer.headers["content-type"]
    assert (await browser.get("/signin/callback/nobody?state=x")).status_code == 404
    assert (await browser.post("/signin", {})).status_code == 405
    assert (await browser.get("/assets/style.css")).headers["content-type"] == "text/css; charset=utf-8"
    assert (await browser.get("/assets/../render.py")).status_code == 404
