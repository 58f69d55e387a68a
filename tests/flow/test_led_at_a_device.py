"""At a device, what the policy gives in part for want of a better sign-in: the person is led to it once, as by codes."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
import pytest_asyncio

from tests.flow.authorizing import Desk, desk
from tests.flow.browser import Browser
from tests.flow.governed import change
from tests.flow.test_device_code import begin, decide, enter, error, poll, with_devices
from tests.flow.test_led_to_sign_in import PURPOSE, RULES, VAULT, WEAK, given, more, weakly

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOTH = "vault:look vault:open"


def edit(bundle: Path) -> None:
    more(bundle)
    with_devices(bundle)
    for name in ("tv", "radio"):
        change(bundle, f"clients/{name}.toml", 'payments = "*"', 'payments = "*"\nvault = "*"')


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with desk(tmp_path_factory.mktemp("desk"), rules=RULES, edit=edit, registration=PURPOSE) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def browser(at: Desk) -> AsyncIterator[Browser]:
    """Where alice is signed in, weakly and just now. The provider can do better from now on."""
    yield await weakly(at)
    at.corp.claims, at.corp.subject = {}, "alice"


async def shown(at: Desk, browser: Browser, scope: str, client: str = "tv") -> tuple[str, httpx2.Response]:
    """The device's code, and what its person comes to who has typed theirs in."""
    said = (await begin(at, client, scope=scope, resource=VAULT)).json()
    answer = await enter(at, browser, said["user_code"])
    return said["device_code"], await at.through(answer, browser)


async def granted(at: Desk, browser: Browser, scope: str, client: str = "tv") -> str:
    """What a device comes to have, whatever it takes."""
    code, page = await shown(at, browser, scope, client)
    assert page.status_code == 200, page.text
    assert (await decide(browser, page)).status_code == 200
    answer = await poll(at, code, client)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["scope"])


async def test_one_request_is_enough_where_the_sign_in_is_too_weak_for_a_part_of_it(at: Desk, browser: Browser) -> None:
    assert await granted(at, browser, BOTH) == BOTH
    assert [sent.get("acr_values") for sent in at.corp.sent] == ["mfa"]
    assert await granted(at, browser, BOTH) == BOTH
    assert len(at.corp.sent) == 1, "whoever is signed in so is led nowhere"


async def test_whoever_stays_weak_goes_on_with_less_and_is_left_alone_for_a_while(at: Desk, browser: Browser) -> None:
    at.corp.claims = dict(WEAK)
    for client, scope in itertools.product(("tv", "radio"), (BOTH, f"{BOTH} vault:burn")):
        assert await granted(at, browser, scope, client) == "vault:look"
    assert await given(at, browser, BOTH) == "vault:look", "nor by a client with codes"
    assert len(at.corp.sent) == 1
    _, page = await shown(at, browser, BOTH)
    assert "Open the vault: you would have to sign in with a stronger method" in page.text


async def test_whoever_the_provider_refuses_goes_on_with_less(at: Desk, browser: Browser) -> None:
    said = (await begin(at, scope=BOTH, resource=VAULT)).json()
    answer = await enter(at, browser, said["user_code"])
    there = await browser.get(answer.headers["location"])
    state = dict(parse_qsl(urlsplit(there.headers["location"]).query))["state"]
    refusal = {"error": "access_denied", "state": state, "iss": at.corp.issuer}
    page = await at.through(await browser.get("/signin/callback/corp", refusal), browser)
    assert (await decide(browser, page)).status_code == 200
    assert (await poll(at, said["device_code"])).json()["scope"] == "vault:look"


async def test_where_nothing_is_granted_a_part_is_had_though_the_rest_is_refused(at: Desk, browser: Browser) -> None:
    assert await granted(at, browser, "vault:open vault:burn") == "vault:open"
    assert len(at.corp.sent) == 1


async def test_where_nothing_comes_of_it_either_that_is_said(at: Desk, browser: Browser) -> None:
    at.corp.claims = dict(WEAK)
    code, page = await shown(at, browser, "vault:open vault:burn")
    assert (page.status_code, "refused by policy" in page.text) == (403, True)
    assert len(at.corp.sent) == 1
    assert error(await poll(at, code)) == (400, "authorization_pending")


@pytest.mark.parametrize("scope", ["vault:hide", "vault:count", "vault:lend", "vault:burn"])
async def test_nobody_is_led_where_no_sign_in_of_theirs_would_do(at: Desk, browser: Browser, scope: str) -> None:
    assert await granted(at, browser, f"vault:look {scope}") == "vault:look"
    assert at.corp.sent == []


async def test_another_person_in_the_middle_has_nothing_of_the_request(at: Desk, browser: Browser) -> None:
    """It is for whoever typed its code in; nor does signing in better give them what that one was shown."""
    at.corp.subject = "bob"
    code, page = await shown(at, browser, BOTH)
    assert (page.status_code, "there is no such request" in page.text) == (404, True)
    assert error(await poll(at, code)) == (400, "authorization_pending")


async def test_whoever_goes_back_and_types_the_code_anew_goes_on_with_less(at: Desk, browser: Browser) -> None:
    """Led once, also where they left the provider's page without a word; and nothing more for that."""
    said = (await begin(at, scope=BOTH, resource=VAULT)).json()
    led = await enter(at, browser, said["user_code"])
    assert led.headers["location"].startswith("/signin?i=")
    page = await enter(at, browser, said["user_code"])
    assert page.status_code == 200, page.text
    assert (await decide(browser, page)).status_code == 200
    assert (await poll(at, said["device_code"])).json()["scope"] == "vault:look"
    assert at.corp.sent == []


async def test_what_was_shown_to_a_strong_sign_in_is_not_given_to_a_weak_one(at: Desk, browser: Browser) -> None:
    code, page = await shown(at, browser, BOTH)
    at.corp.claims = dict(WEAK)
    await given(at, browser, "vault:look", prompt="login")
    assert (await decide(browser, page)).status_code >= 400
    assert error(await poll(at, code)) == (400, "authorization_pending")
