"""Against leading people to better sign-ins: to wear them out, to go on as somebody else, to get more than was decided."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
import pytest_asyncio

from tests.flow.authorizing import BACK, OWN, Asking, Desk, desk, response
from tests.flow.browser import Browser, Form
from tests.flow.test_led_to_sign_in import PURPOSE, RULES, VAULT, WEAK, given, more, redeemed, signed_in, wanting

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOTH = "vault:look vault:open"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with desk(tmp_path_factory.mktemp("desk"), rules=RULES, edit=more, registration=PURPOSE) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def browser(at: Desk) -> AsyncIterator[Browser]:
    """Where alice is signed in, and weakly. What the provider does from now on is a test's to say."""
    at.corp.claims, at.corp.subject = dict(WEAK), "alice"
    browser = at.another()
    await signed_in(at, browser)
    at.corp.sent.clear()
    yield browser
    at.corp.claims, at.corp.subject = {}, "alice"


async def handle_of(at: Desk, browser: Browser, asked: Asking) -> tuple[str, httpx2.Response]:
    """The request's handle, and the way to the provider that its person is led to."""
    answer = await at.request(asked, browser)
    where = answer.headers["location"]
    assert where.startswith("/signin?i="), where
    return dict(parse_qsl(urlsplit(where).query))["i"], await browser.get(where)


async def test_a_client_that_asks_for_ever_does_not_have_its_person_sign_in_for_ever(
    at: Desk, browser: Browser
) -> None:
    for _ in range(6):
        assert await given(at, browser, BOTH) == "vault:look"
    for _ in range(3):
        page = await at.through(await at.request(Asking(scope=BOTH), browser), browser)
        assert page.status_code == 200, "another client, too"
    assert len(at.corp.sent) == 1


async def test_a_level_more_each_time_is_not_another_way_to_do_so(at: Desk, browser: Browser) -> None:
    """What is lacking names the rule's demand: other words around the same scope change nothing."""
    for more_asked in ("vault:look", "vault:look vault:hide", "vault:look vault:burn vault:hide", "vault:look openid"):
        asked = wanting(f"vault:open {more_asked}")
        back = response(await at.through(await at.request(asked, browser), browser), OWN)
        assert "vault:open" not in await redeemed(at, asked, back)
    assert len(at.corp.sent) == 1


async def test_another_person_in_the_middle_is_a_new_request_with_a_turn_of_their_own(
    at: Desk, browser: Browser
) -> None:
    """Nothing of who was led is theirs: neither that it was tried, nor the handle, nor what comes of it."""
    asked = wanting(BOTH)
    handle, there = await handle_of(at, browser, asked)
    at.corp.subject = "bob"  # weakly, too
    back = await browser.get("/signin/callback/corp", at.corp.authorize(there.headers["location"]))
    anew = await browser.get(back.headers["location"])
    led = dict(parse_qsl(urlsplit(anew.headers["location"]).query))
    assert led["i"] != handle, "it is his own request, and he has not been led anywhere yet"
    gone = await browser.get("/authorize/continue", {"i": handle})
    assert (gone.status_code, "location" in gone.headers) == (400, False)
    answer = response(await at.through(anew, browser), OWN)
    answered = await at.redeem(asked, answer["code"], resource=VAULT)
    claims = await at.company.claims(answered.json()["access_token"])
    assert (claims["sub"], claims["scope"]) == ("bob", "vault:look")
    assert len(at.corp.sent) == 2


async def test_another_person_whom_the_client_did_not_mean_gets_nothing_for_them(at: Desk, browser: Browser) -> None:
    """Where the client says who it must be, a stronger sign-in of somebody else is none."""
    whom = '{"id_token":{"sub":{"value":"alice"}}}'
    asked = wanting(BOTH, claims=whom)
    _, there = await handle_of(at, browser, asked)
    at.corp.subject, at.corp.claims = "bob", {}
    back = await browser.get("/signin/callback/corp", at.corp.authorize(there.headers["location"]))
    answer = response(await at.through(await browser.get(back.headers["location"]), browser), OWN)
    assert answer["error"] == "login_required"
    assert len(at.corp.sent) == 2, "he was asked for once, by the request that became his, and that was the end"


async def test_going_on_without_signing_in_gives_no_more_than_before(at: Desk, browser: Browser) -> None:
    asked = wanting(BOTH)
    handle, _ = await handle_of(at, browser, asked)
    back = response(await browser.get("/authorize/continue", {"i": handle}), OWN)
    assert await redeemed(at, asked, back) == "vault:look"
    again = await browser.get("/authorize/continue", {"i": handle})
    assert again.status_code == 400, "and the request was answered"


async def test_what_a_page_offered_to_a_strong_sign_in_is_not_given_to_a_weak_one(at: Desk) -> None:
    """No widening by a stale page: what is allowed on it is decided by how the person is signed in by then."""
    browser = at.another()
    at.corp.claims = {}
    await signed_in(at, browser)
    asked = Asking(scope=BOTH)
    page = await at.through(await at.request(asked, browser), browser)
    assert "scope:vault:open" in Form(page.text).fields
    at.corp.claims = dict(WEAK)
    await signed_in(at, browser, prompt="login")
    at.corp.claims = {}
    sent = len(at.corp.sent)
    back = response(await at.allow(page, browser), BACK)
    assert await redeemed(at, asked, back) == "vault:look"
    assert len(at.corp.sent) == sent, "and nobody is led away from what they were asked"


async def test_a_scope_that_a_page_did_not_offer_is_not_had_by_adding_it(at: Desk, browser: Browser) -> None:
    asked = Asking(scope=BOTH)
    page = await at.through(await at.request(asked, browser), browser)
    fields = Form(page.text).fields
    assert "scope:vault:open" not in fields
    said = fields | {"decision": "allow", "scope:vault:open": "on"}
    back = response(await browser.post("/authorize/continue", said), BACK)
    assert await redeemed(at, asked, back) == "vault:look"


async def test_a_session_that_ends_on_the_way_ends_in_signing_in_and_not_in_a_circle(
    at: Desk, browser: Browser
) -> None:
    """The sign-in was one more than was needed; without a session it is needed, and its refusal is an error again."""
    _, there = await handle_of(at, browser, wanting(BOTH))
    browser.cookies = {name: value for name, value in browser.cookies.items() if not name.endswith("mintwarden")}
    refused = await browser.get("/signin/callback/corp", refusal(at, there))
    again = await browser.get(refused.headers["location"])
    there = await browser.get(again.headers["location"])
    page = await browser.get("/signin/callback/corp", refusal(at, there))
    assert (page.status_code, "location" in page.headers) == (400, False)


async def test_another_browser_cannot_give_up_for_the_person(at: Desk, browser: Browser) -> None:
    """Somebody else's answer ends neither the request nor the sign-in that its person is at."""
    _, there = await handle_of(at, browser, wanting(BOTH))
    thief = at.another()
    refused = await thief.get("/signin/callback/corp", refusal(at, there))
    assert (refused.status_code, "location" in refused.headers) == (400, False)


def refusal(at: Desk, there: httpx2.Response) -> dict[str, str]:
    """What a provider says of somebody who did not sign in."""
    state = dict(parse_qsl(urlsplit(there.headers["location"]).query))["state"]
    return {"error": "access_denied", "state": state, "iss": at.corp.issuer}
