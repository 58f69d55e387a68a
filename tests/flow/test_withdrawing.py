"""What a person allowed, seen and taken back by them, by the client and by an operator, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.flow.authorizing import OTHER, Asking, Desk
from tests.flow.browser import ISSUER, Browser
from tests.flow.company import PAYMENTS
from tests.flow.test_admin_clients import fresh
from tests.flow.test_ciba import GRANT as CIBA
from tests.flow.test_device_code import GRANT as DEVICE
from tests.flow.test_device_code import acts, decide, enter
from tests.flow.withdrawing import exchanged, forms_of, granted, live, signed_in, withdrawing
from tests.unit.web.test_pages import Tags

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with withdrawing(tmp_path_factory.mktemp("desk")) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def browser(at: Desk) -> AsyncIterator[Browser]:
    """Alice's, who has nothing that holds when it is over."""
    found = await signed_in(at)
    yield found
    page = await found.get("/grants")
    for form in forms_of(page, "grant"):
        assert (await found.post("/grants/end", form)).status_code == 303


@pytest_asyncio.fixture(loop_scope="module")
async def alone(tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk for what ends more than grants: who begins anew in the very second of it begins before its end."""
    async with withdrawing(tmp_path) as found:
        yield found


async def refreshed(at: Desk, token: str, client: str = "web") -> int:
    answer = await at.company.ask(client, grant_type="refresh_token", refresh_token=token, resource=PAYMENTS)
    return answer.status_code


async def claims(at: Desk, tokens: dict[str, Any]) -> dict[str, Any]:
    return await at.company.claims(tokens["access_token"])


async def test_the_page_says_what_was_allowed_in_the_catalogues_words(at: Desk, browser: Browser) -> None:
    details = json.dumps([{"type": "take", "amount": 7, "what": "gold"}])
    asked = {"scope": "openid payments:read offline_access", "authorization_details": details}
    await granted(at, browser, **asked)
    page = await browser.get("/grants", accept_language="en")
    for told in ("Portal", "It belongs to Payments", "Sign you in", "Read payments", "Renew access while you are away"):
        assert told in page.text, told
    for told in (
        "Take something out of the vault",
        "gold",
        "<dd>7</dd>",
        "<dd>this session</dd>",
        "Ends at the latest",
    ):
        assert told in page.text, told
    assert "You are not asked again" in page.text
    assert "earlier if you sign out" not in page.text, "it was allowed to outlive the session"
    found = Tags(page.content)
    ids = [attrs["id"] for _, attrs in found.tags if attrs.get("id")]
    assert len(ids) == len(set(ids))
    about = [button.get("aria-describedby", "").split() for button in found.named("button")]
    assert all(names and set(names) <= set(ids) for names in about), "each button says what it is about"
    german = await browser.get("/grants", accept_language="de")
    assert "Was Sie erlaubt haben" in german.text
    assert "script-src" not in page.headers["content-security-policy"]
    assert "form-action 'self';" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"


async def test_one_grant_taken_back_ends_everything_that_came_of_it(at: Desk, browser: Browser) -> None:
    first = await granted(at, browser, prompt="consent")
    second = await granted(at, browser, prompt="consent")
    below = await exchanged(at.company, first["access_token"])
    deeper = await exchanged(at.company, below)
    assert await live(at.company, first["access_token"], below, deeper, second["access_token"]) == [True] * 4
    grant = (await claims(at, first))["grant_id"]
    (form,) = forms_of(await browser.get("/grants"), "grant", grant)
    done = await browser.post("/grants/end", form)
    assert (done.status_code, done.headers["location"]) == (303, "/grants?ended=grant")
    page = await browser.get(done.headers["location"])
    assert 'role="status"' in page.text
    assert forms_of(page, "grant", grant) == []
    gone = [first["access_token"], below, deeper, second["access_token"]]
    assert await live(at.company, *gone) == [False, False, False, True]
    assert await refreshed(at, first["refresh_token"]) == 400
    assert await refreshed(at, second["refresh_token"]) == 200
    act = (await acts(at, "revocation"))[-1]["detail"]
    assert act == {"about": "grant", "grant": grant, "reason": "withdrawn by the person"}


async def test_everything_of_a_client(at: Desk, browser: Browser) -> None:
    first = await granted(at, browser)
    second = await granted(at, browser)  # nobody is asked: it is remembered
    agents = await granted(at, browser, "helper", OTHER)
    (form,) = forms_of(await browser.get("/grants"), "client", "web")
    assert (await browser.post("/grants/end", form)).status_code == 303
    tokens = (first["access_token"], second["access_token"], agents["access_token"])
    assert await live(at.company, *tokens) == [False, False, True]
    said = (await acts(at, "consent"))[-1]["detail"]
    assert (said["what"], said["client"]) == ("withdrawn", "web")
    assert set(said["grants"]) == {(await claims(at, one))["grant_id"] for one in (first, second)}
    silent = await at.request(Asking(prompt="none"), browser)
    assert "error=consent_required" in silent.headers["location"], "it is not remembered any more"
    assert await live(at.company, (await granted(at, browser))["access_token"]) == [True], "and may be allowed anew"


async def test_an_agent_acts_no_more_for_whoever_takes_everything_back(alone: Desk) -> None:
    at = alone
    browser = await signed_in(at)
    agents = await granted(at, browser, "helper", OTHER, scope="openid payments:read offline_access")
    page = await browser.get("/grants", accept_language="en")
    assert "It is an agent" in page.text
    assert "<dd>helper</dd>" in page.text
    (form,) = forms_of(page, "client", "helper")
    assert (await browser.post("/grants/end", form)).status_code == 303
    assert await live(at.company, agents["access_token"]) == [False]
    assert await refreshed(at, agents["refresh_token"], "helper") == 400
    assert [one["detail"]["about"] for one in await acts(at, "revocation")][-2:] == ["grant", "link"]


async def test_sessions_elsewhere_are_signed_out(at: Desk, browser: Browser) -> None:
    one, two, bobs = await signed_in(at), await signed_in(at), await signed_in(at, "bob")
    at.corp.subject = "alice"
    tokens = await granted(at, one)
    page = await browser.get("/grants", accept_language="en")
    assert "another session of yours (Corp)" in page.text
    names = {who: who.cookies["__Host-mintwarden"].partition(".")[0] for who in (browser, one, two, bobs)}
    assert forms_of(page, "session", names[browser]) == forms_of(page, "session", names[bobs]) == []
    (form,) = forms_of(page, "session", names[one])
    assert (await browser.post("/grants/end", form)).headers["location"] == "/grants?ended=session"
    assert await live(at.company, tokens["access_token"]) == [False]
    assert (await one.get("/grants")).status_code == 303
    assert (await two.get("/grants")).status_code == 200
    (others,) = forms_of(await browser.get("/grants"), "sessions")
    assert (await browser.post("/grants/end", others)).headers["location"] == "/grants?ended=sessions"
    assert [(await who.get("/grants")).status_code for who in (two, bobs, browser)] == [303, 200, 200]
    assert forms_of(await browser.get("/grants"), "sessions") == [], "there is nowhere else"


async def device(at: Desk, browser: Browser) -> tuple[dict[str, Any], str]:
    asked = {"client_id": "tv", "scope": "openid payments:read"}
    said = (await at.company.http.post("/device_authorization", data=asked)).json()
    await decide(browser, await enter(at, browser, said["user_code"]))
    form = {"grant_type": DEVICE, "device_code": said["device_code"], "client_id": "tv", "resource": PAYMENTS}
    return form, "tv"


async def asked_elsewhere(at: Desk, browser: Browser) -> tuple[dict[str, Any], str]:
    auth = ("callcentre", at.company.secrets["callcentre"])
    asked = {"scope": "openid payments:read", "login_hint": "alice"}
    name = (await at.company.http.post("/bc-authorize", data=asked, auth=auth)).json()["auth_req_id"]
    await decide(browser, await browser.get("/approvals", {"r": name.partition(".")[0]}))
    return {"grant_type": CIBA, "auth_req_id": name, "resource": PAYMENTS}, "callcentre"


async def token_of(at: Desk, form: dict[str, Any], client: str) -> Any:
    if client == "tv":
        return await at.company.http.post("/token", data=form)
    return await at.company.ask(client, **form)


@pytest.mark.parametrize("way", [device, asked_elsewhere])
async def test_what_was_allowed_elsewhere_is_taken_back(at: Desk, browser: Browser, way: Any) -> None:
    """Before its client came for the token, and after it."""
    for collected in (False, True):
        form, client = await way(at, browser)
        answer = await token_of(at, form, client) if collected else None
        page = await browser.get("/grants")
        (one,) = forms_of(page, "grant")
        assert (await browser.post("/grants/end", one)).status_code == 303
        if answer is not None:
            below = await exchanged_or_none(at, answer.json()["access_token"])
            assert await live(at.company, answer.json()["access_token"]) == [False]
            assert below is None
        else:
            refused = await token_of(at, form, client)
            assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")


async def exchanged_or_none(at: Desk, token: str) -> str | None:
    try:
        return await exchanged(at.company, token)
    except AssertionError:
        return None


async def test_a_client_without_refresh_tokens_is_seen_as_well(at: Desk, browser: Browser) -> None:
    form, client = await asked_elsewhere(at, browser)
    token = (await token_of(at, form, client)).json()
    assert "refresh_token" not in token
    (one,) = forms_of(await browser.get("/grants"), "grant")
    assert one["name"] == (await claims(at, token))["grant_id"]


# -- each link of a delegation, by each of those who may end it ---------------------------------------------


async def operator_ends(at: Desk, **body: Any) -> None:
    form = {"grant_type": "client_credentials", "scope": "mintwarden:tokens.revoke"}
    headers = {"authorization": f"Bearer {await at.company.token('operator', **form)}", **fresh()}
    made = await at.company.http.post("/admin/v1/revocations", json={"reason": "r", **body}, headers=headers)
    assert made.status_code == 200, made.text


async def client_ends(at: Desk, client: str, token: str) -> None:
    auth = (client, at.company.secrets[client])
    assert (await at.company.http.post("/revoke", data={"token": token}, auth=auth)).status_code == 200


async def listed(at: Desk, scope: str = "mintwarden:tokens.revoke", **query: str) -> Any:
    form = {"grant_type": "client_credentials", "scope": scope}
    headers = {"authorization": f"Bearer {await at.company.token('operator', **form)}"}
    return await at.company.http.get("/admin/v1/grants", params=query, headers=headers)


async def test_an_operator_lists_what_a_person_allowed(at: Desk, browser: Browser) -> None:
    details = json.dumps([{"type": "take", "amount": 7, "what": "gold"}])
    agents = await granted(at, browser, "helper", OTHER)
    tokens = await granted(at, browser, scope="openid payments:read", authorization_details=details)
    grant = (await claims(at, tokens))["grant_id"]
    answered = await listed(at, subject="User:alice")
    assert answered.status_code == 200, answered.text
    newest, oldest = sorted(answered.json()["grants"], key=lambda one: one["client"], reverse=True)
    assert (newest["grant"], newest["client"], newest["actors"]) == (grant, "web", [])
    assert (newest["scopes"], newest["details"], newest["offline"]) == (["payments:read", "openid"], ["take"], False)
    assert (oldest["grant"], oldest["actors"]) == ((await claims(at, agents))["grant_id"], ["Agent:helper"])
    assert "gold" not in answered.text, "what a detail says is between the person and the client"
    assert (await listed(at, subject="User:bob")).json() == {"grants": [], "cursor": ""}
    await operator_ends(at, grant=grant)
    assert [one["grant"] for one in (await listed(at, subject="User:alice")).json()["grants"]] == [oldest["grant"]]
    for query, scope, status in (
        ({}, "mintwarden:tokens.revoke", 400),
        ({"subject": "alice"}, "mintwarden:tokens.revoke", 400),
        ({"subject": "User:alice"}, "mintwarden:clients.read", 403),
    ):
        assert (await listed(at, scope, **query)).status_code == status
    record = (await acts(at, "administration"))[-1]
    assert "alice" not in json.dumps(record), "whose it was is not in the open"


@pytest.mark.parametrize("who", ["person", "client", "operator"])
async def test_a_grant_and_all_below_it_ended_by_each(at: Desk, browser: Browser, who: str) -> None:
    """The family of refresh tokens, its access tokens, and two exchanges below."""
    tokens = await granted(at, browser, "helper", OTHER)
    below = await exchanged(at.company, tokens["access_token"])
    deeper = await exchanged(at.company, below)
    grant = (await claims(at, tokens))["grant_id"]
    if who == "person":
        (form,) = forms_of(await browser.get("/grants"), "grant", grant)
        assert (await browser.post("/grants/end", form)).status_code == 303
    elif who == "client":
        await client_ends(at, "helper", tokens["refresh_token"])
    else:
        await operator_ends(at, grant=grant)
    assert await live(at.company, tokens["access_token"], below, deeper) == [False] * 3
    assert await refreshed(at, tokens["refresh_token"], "helper") == 400
    assert forms_of(await browser.get("/grants"), "grant", grant) == []
    silent = await at.request(Asking("helper", OTHER, prompt="none"), browser)
    assert "error=consent_required" in silent.headers["location"], "what was allowed with it is not remembered either"


@pytest.mark.parametrize("who", ["client", "operator"])
@pytest.mark.parametrize("link", [0, 1, 2])
async def test_one_link_of_a_chain_and_what_hangs_below_it(at: Desk, browser: Browser, who: str, link: int) -> None:
    tokens = await granted(at, browser, "helper", OTHER)
    chain = [tokens["access_token"]]
    for _ in range(2):
        chain.append(await exchanged(at.company, chain[-1]))
    if who == "client":
        await client_ends(at, "helper" if link == 0 else "batch", chain[link])
    else:
        await operator_ends(at, token=(await at.company.claims(chain[link]))["jti"])
    assert await live(at.company, *chain) == [number < link for number in range(3)]
    assert await refreshed(at, tokens["refresh_token"], "helper") == 200, "the grant is another link"


@pytest.mark.parametrize("about", ["client", "subject", "actor", "session", "link"])
async def test_an_operator_ends_what_grants_have_in_common(alone: Desk, about: str) -> None:
    at = alone
    browser = await signed_in(at)
    tokens = await granted(at, browser, "helper", OTHER)
    said = await claims(at, tokens)
    body = {
        "client": {"client": "helper"},
        "subject": {"subject": "User:alice"},
        "actor": {"actor": "Agent:helper"},
        "session": {"session": said["sid"]},
        "link": {"subject": "User:alice", "actor": "Agent:helper"},
    }[about]
    await operator_ends(at, **body)
    assert await live(at.company, tokens["access_token"]) == [False]
    assert await refreshed(at, tokens["refresh_token"], "helper") == 400
    page = await at.through(await browser.get("/grants"), browser)
    assert forms_of(page, "grant", said["grant_id"]) == []


async def test_whoever_is_not_signed_in_signs_in_first(at: Desk) -> None:
    stranger = at.another()
    sent = await stranger.get("/grants")
    assert (sent.status_code, sent.headers["location"].partition("?")[0]) == (303, "/signin")
    ended = await stranger.post("/grants/end", {"what": "grant", "name": "x", "seen": "", "csrf": "x"})
    assert ended.status_code == 400
    assert (await stranger.get("/grants/end")).status_code == 405
    assert ISSUER not in sent.headers["location"]
