"""Attacks on the page where people take back what they allowed, each by its name."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from msgspec.structs import replace

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.authn.sessions import COOKIE
from mintwarden.issue.memory import Memory
from mintwarden.model.values import EntityUid
from tests.flow.authorizing import OTHER, Desk
from tests.flow.browser import ISSUER, PREFIX, Browser
from tests.flow.withdrawing import forms_of, granted, live, signed_in, withdrawing
from tests.unit.web.test_pages import MARKUP, Tags

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with withdrawing(tmp_path_factory.mktemp("desk")) as found:
        yield found


async def with_grant(at: Desk, person: str = "alice") -> tuple[Browser, str, dict[str, str]]:
    """Somebody's browser, an access token that came of what they allowed, and the form that takes it back."""
    browser = await signed_in(at, person)
    tokens = await granted(at, browser, prompt="consent")
    grant = (await at.company.claims(tokens["access_token"]))["grant_id"]
    (form,) = forms_of(await browser.get("/grants"), "grant", grant)
    return browser, tokens["access_token"], form


async def test_another_persons_grant(at: Desk) -> None:
    """Its id is no secret: it is in every token. Nobody else takes it back, nor learns whether it is one."""
    _, token, theirs = await with_grant(at)
    bob, _, own = await with_grant(at, "bob")
    for form in (theirs, own | {"name": theirs["name"]}, theirs | {"csrf": own["csrf"]}):
        assert (await bob.post("/grants/end", form)).status_code == 400
    assert await live(at.company, token) == [True]
    assert theirs["name"] not in (await bob.get("/grants")).text


async def test_another_persons_session(at: Desk) -> None:
    alice, bob = await signed_in(at), await signed_in(at, "bob")
    name = alice.cookies[PREFIX + COOKIE].partition(".")[0]
    page = await bob.get("/grants")
    for form in forms_of(page, "client") + forms_of(page, "sessions") + forms_of(page, "grant"):
        assert (await bob.post("/grants/end", form | {"what": "session", "name": name})).status_code == 400
    assert (await alice.get("/grants")).status_code == 200


async def test_cross_site_request_forgery(at: Desk) -> None:
    browser, token, form = await with_grant(at)
    for wrong, origin in (
        (form, "https://evil.example"),
        (form, "null"),
        (form | {"csrf": ""}, ISSUER),
        (form | {"csrf": "x" * 43}, ISSUER),
        (form | {"csrf": "\u00fc" * 43}, ISSUER),
        (form | {"what": "client", "name": "web"}, ISSUER),
        (form | {"what": "sessions", "name": ""}, ISSUER),
        (form | {"seen": "x"}, ISSUER),
        ({name: value for name, value in form.items() if name != "csrf"}, ISSUER),
    ):
        assert (await browser.post("/grants/end", wrong, origin=origin)).status_code == 400
    assert (await browser.get("/grants/end", form)).status_code == 405, "a link changes nothing"
    bare = at.another()
    assert (await bare.post("/grants/end", form, origin="https://evil.example")).status_code == 400
    assert await live(at.company, token) == [True]


async def test_a_form_that_is_sent_again(at: Desk) -> None:
    browser, _, form = await with_grant(at)
    assert (await browser.post("/grants/end", form)).status_code == 303
    assert (await browser.post("/grants/end", form)).status_code == 404
    tokens = await granted(at, browser, prompt="consent")
    (everything,) = forms_of(await browser.get("/grants"), "client", "web")
    assert (await browser.post("/grants/end", everything)).status_code == 303
    assert await live(at.company, tokens["access_token"]) == [False]
    anew = await granted(at, browser)
    assert (await browser.post("/grants/end", everything)).status_code == 400, "it is about what was there then"
    assert await live(at.company, anew["access_token"]) == [True]


async def test_a_form_of_a_session_that_is_over(at: Desk) -> None:
    browser, token, form = await with_grant(at)
    cookies = dict(browser.cookies)
    elsewhere = await signed_in(at)
    (others,) = forms_of(await elsewhere.get("/grants"), "sessions")
    assert (await elsewhere.post("/grants/end", others)).status_code == 303
    browser.cookies = cookies
    assert (await browser.post("/grants/end", form)).status_code == 400
    assert (await elsewhere.post("/grants/end", form)).status_code == 400, "a form is of one session alone"
    assert await live(at.company, token) == [False], "it ended with its session"


async def test_a_form_of_whoever_sat_there_before(at: Desk) -> None:
    """Another person signs in in the same browser: the page that is still open does nothing in their name."""
    browser, token, form = await with_grant(at)
    browser.cookies = {}
    await at.through(await browser.get("/grants"), browser)
    bobs = await signed_in(at, "bob")
    assert (await bobs.post("/grants/end", form)).status_code == 400
    assert await live(at.company, token) == [True]


async def test_a_client_that_hides_among_its_own_grants(at: Desk) -> None:
    """It had the person allow it again and again: all of it is taken back, what others have is still seen."""
    browser = await signed_in(at)
    other = await granted(at, browser, "helper", OTHER, prompt="consent")
    tokens = await granted(at, browser, prompt="consent")
    async with foundation(load_config(at.company.folder / "mintwarden.toml", environ={})) as base:
        memory = Memory(states=base.store.states, seal=base.master, revocations=base.store.revocations)
        grants = await memory.of(EntityUid("User", "alice"), base.clock.now())
        known = next(one for one in grants if one.client_id == "web")
        many = [replace(known, grant_id=secrets.token_urlsafe(18)) for _ in range(1_100)]
        await memory.states.add([memory.kept(one) for one in many])
    page = await browser.get("/grants")
    assert len(page.content) < 500_000
    (everything,) = forms_of(page, "client", "web")
    assert forms_of(page, "client", "helper")
    assert (await browser.post("/grants/end", everything)).status_code == 303
    assert await live(at.company, tokens["access_token"], other["access_token"]) == [False, True]
    assert not forms_of(await browser.get("/grants"), "client", "web")


async def test_what_can_be_ended_is_a_closed_list(at: Desk) -> None:
    browser, _, form = await with_grant(at)
    for what in ("", "key", "subject", "__class__", "grant\nweb", "clients"):
        assert (await browser.post("/grants/end", form | {"what": what})).status_code == 400
    page = await browser.get("/grants", {"ended": "<script>alert(1)</script>"})
    assert 'role="status"' not in page.text
    assert "<script" not in page.text


async def test_markup_in_what_clients_call_themselves(tmp_path: Path) -> None:
    """In its name, its owner's, the catalogue's words and in what a detail says: all of it stays text."""
    said = MARKUP.replace('"', "'")

    async with withdrawing(tmp_path, titles=said) as made:
        browser = await signed_in(made)
        await granted(made, browser)
        details = '[{"type": "take", "amount": 7, "what": "<script>alert(2)</script>"}]'
        await granted(made, browser, "helper", OTHER, scope="openid payments:read", authorization_details=details)
        page = await browser.get("/grants")
        found = Tags(page.content)
        assert found.named("script") == found.named("img") == []
        assert page.text.count("&lt;script&gt;") >= 2
        assert all(not name.startswith("on") and name != "style" for _, attrs in found.tags for name in attrs)
