"""More grants than stand on one page: page by page over real HTTP, and cursors that nobody was given."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.memory import memory_of
from mintwarden.app.sign_in import session_shelf
from mintwarden.authn.sessions import Session
from mintwarden.authn.shelf import Shelf
from mintwarden.authn.sign_in import SignIn
from mintwarden.issue.authorization.consent import KIND as CONSENT
from mintwarden.issue.authorization.consent import Consent
from mintwarden.issue.granted import Granted
from mintwarden.issue.withdrawing import PAGE
from mintwarden.model.values import EntityUid
from tests.flow.authorizing import Desk
from tests.flow.browser import Browser
from tests.flow.withdrawing import forms_of, granted, lasting, signed_in, withdrawing

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANY = 2 * PAGE + 5
HOUR = 3_600_000
PORTALS = (0, PAGE + 1, MANY - 1)
"""Which of them are the portal's: one on each page."""


def made(number: int, now: int, person: str) -> Granted:
    """The lower its number, the longer it lasts."""
    return lasting(number, now, person, "web" if number in PORTALS else "helper")


@contextlib.asynccontextmanager
async def paged(folder: Path) -> AsyncIterator[Desk]:
    async with withdrawing(folder) as found:
        async with foundation(load_config(folder / "mintwarden.toml", environ={})) as base:
            memory, now = memory_of(base), int(time.time() * 1000)
            for person in ("alice", "bob"):
                await base.store.states.add([memory.kept(made(number, now, person)) for number in range(MANY)])
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    """For all who only look."""
    async with paged(tmp_path_factory.mktemp("desk")) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def own(tmp_path: Path) -> AsyncIterator[tuple[Desk, Browser]]:
    """For who takes something back."""
    async with paged(tmp_path) as at:
        yield at, await signed_in(at)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(at: Desk) -> Browser:
    return await signed_in(at)


def names(page: httpx2.Response) -> list[str]:
    return [form["name"] for form in forms_of(page, "grant")]


def link(page: httpx2.Response, rel: str) -> str:
    """Where the page leads to, or nowhere."""
    found = re.search(rf'<a href="([^"]+)" rel="{rel}">', page.text)
    return found[1] if found else ""


async def every(browser: Browser) -> list[str]:
    """The names of all grants, from page to page."""
    found, where = [], "/grants"
    while where:
        page = await browser.get(where)
        found += names(page)
        where = link(page, "next")
    return found


async def test_forward_and_back_nothing_is_left_out_or_comes_twice(at: Desk, browser: Browser) -> None:
    first = await browser.get("/grants", accept_language="en")
    second = await browser.get(link(first, "next"), accept_language="en")
    third = await browser.get(link(second, "next"), accept_language="en")
    assert [len(names(page)) for page in (first, second, third)] == [PAGE, PAGE, MANY - 2 * PAGE]
    assert sorted(names(first) + names(second) + names(third)) == sorted(f"alice-{n}" for n in range(MANY))
    assert set(names(first)) == {f"alice-{n}" for n in range(PAGE)}, "what lasts longest comes first"
    for page, number in ((first, PAGE), (second, PAGE), (third, MANY - 2 * PAGE)):
        assert f"Grants shown here: {number}. There are more on other pages" in page.text
        assert "Where you are signed in" in page.text
    assert (link(first, "prev"), link(third, "next")) == ("", "")
    back = await browser.get(link(third, "prev"))
    assert names(back) == names(second)
    assert names(await browser.get(link(back, "next"))) == names(third)
    start = await browser.get(link(back, "prev"))
    assert names(start) == names(first)
    assert link(start, "prev") == ""
    assert "script" not in first.text


async def test_cursors_that_nobody_was_given(at: Desk, browser: Browser) -> None:
    """Another person's, forged, turned the other way, cut, too long, and twice."""
    first = await browser.get("/grants")
    where = link(first, "next")
    bobs = await signed_in(at, "bob")
    at.corp.subject = "alice"
    cursor = where.partition("after=")[2]
    hostile = (
        (bobs, where),
        (browser, link(await bobs.get("/grants"), "next")),
        (browser, where.replace("after=", "before=")),
        (browser, where[:-1]),
        (browser, where[:-5] + ("A" if where[-5] != "A" else "B") + where[-4:]),  # the last letter may have spare bits
        (browser, f"{where}%00"),
        (browser, "/grants?after=AAAA"),
        (browser, "/grants?before=%27%20OR%201=1--"),
        (browser, f"/grants?after={cursor * 100}"),
        (browser, f"/grants?after={'A' * 201}"),
        (browser, "/grants?after=%C3%A4"),
    )
    for who, address in hostile:
        page = await who.get(address)
        assert page.status_code == 400, address
        assert "-1" not in page.text
        assert "go back to where you came from" in page.text
    assert (await browser.get(where)).status_code == 200


async def test_one_of_the_last_page_is_taken_back_and_nobody_takes_another_persons(own: tuple[Desk, Browser]) -> None:
    _, browser = own
    second = await browser.get(link(await browser.get("/grants"), "next"))
    third = await browser.get(link(second, "next"))
    (form,) = forms_of(third, "grant", f"alice-{MANY - 2}")
    assert (await browser.post("/grants/end", form)).status_code == 303
    assert f"alice-{MANY - 2}" not in names(await browser.get(link(second, "next")))
    assert (await browser.post("/grants/end", form)).status_code == 404, "it is taken back already"
    forged = await browser.post("/grants/end", form | {"name": f"bob-{MANY - 2}"})
    assert forged.status_code == 400


async def test_everything_of_a_client_is_taken_back_from_every_page(own: tuple[Desk, Browser]) -> None:
    at, browser = own
    before = await every(browser)
    (stale,) = forms_of(await browser.get("/grants"), "client", "web")
    new = await granted(at, browser)
    assert new["access_token"]
    refused = await browser.post("/grants/end", stale)
    assert refused.status_code == 400
    assert "what you allowed has changed since you looked" in refused.text
    (form,) = forms_of(await browser.get("/grants"), "client", "web")
    assert (await browser.post("/grants/end", form)).status_code == 303
    left = await every(browser)
    assert left == [name for name in before if name not in {f"alice-{number}" for number in PORTALS}]


async def test_a_page_that_has_emptied_leads_to_the_first(own: tuple[Desk, Browser]) -> None:
    _, browser = own
    second = await browser.get(link(await browser.get("/grants"), "next"))
    where = link(second, "next")
    third = await browser.get(where)
    for form in forms_of(third, "grant"):
        assert (await browser.post("/grants/end", form)).status_code == 303
    empty = await browser.get(where)
    assert (empty.status_code, names(empty), link(empty, "prev")) == (200, [], "/grants")


async def test_sessions_and_what_is_remembered_of_clients_are_bounded_too(at: Desk) -> None:
    """More than anybody has: the page stays a page, and signing out everywhere else ends all of them."""
    now = int(time.time() * 1000)
    async with foundation(load_config(at.company.folder / "mintwarden.toml", environ={})) as base:
        shelf = session_shelf(base)
        began = [
            Session(
                sign_in=SignIn(
                    subject=EntityUid("User", "zoe"),
                    provider="corp",
                    authenticated_at=now,
                    acr="",
                    amr=(),
                    session=f"s{number}",
                ),
                digest="",
                began_at=now - 1_000_000 + number,
                ends_at=now + HOUR,
            )
            for number in range(PAGE + 20)
        ]
        states = [shelf.state(one.sign_in.session, one, ends=one.ends_at, owner="User:zoe") for one in began]
        assert await base.store.states.add(states)
        consents = Shelf(CONSENT, Consent, states=base.store.states, seal=base.master)
        remembered = [
            Consent(
                client_id=f"app{number}",
                scopes=("payments:read",),
                confines=(),
                grants=(),
                given_at=now - number,
                ends=now + HOUR,
            )
            for number in range(PAGE + 20)
        ]
        assert await base.store.states.add(
            [consents.state(f"zoe {one.client_id}", one, ends=one.ends, owner="User:zoe") for one in remembered]
        )
    browser = await signed_in(at, "zoe")
    at.corp.subject = "alice"
    page = await browser.get("/grants", accept_language="en")
    assert page.status_code == 200, page.text
    assert len(forms_of(page, "session")) == PAGE - 1, "all but the present one have a form"
    assert "There are more, which began earlier" in page.text
    assert {form["name"] for form in forms_of(page, "client")} == {f"app{number}" for number in range(PAGE)}
    (others,) = forms_of(page, "sessions")
    assert (await browser.post("/grants/end", others)).status_code == 303
    assert forms_of(await browser.get("/grants"), "session") == []
