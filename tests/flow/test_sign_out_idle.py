"""Signing out of a session that nobody visited for a while, and that is gone: what was given in it ends all the same."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.flow.authorizing import Asking, Desk, desk
from tests.flow.browser import Browser, Form
from tests.flow.test_signals_in import active, idle_out, renewed, tokens

TOLD = "/signin/backchannel-logout/corp"
AWAY = "openid payments:read offline_access"
"""What is allowed for while the person is away, too."""


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path) as company:
        yield company


async def tell(at: Desk, **changes: Any) -> None:
    """The provider tells of a logout."""
    answer = await at.company.http.post(TOLD, data={"logout_token": at.corp.logout_token(**changes)})
    assert answer.status_code == 200, answer.text


async def goes_on(at: Desk, given: dict[str, Any]) -> bool:
    """Is a token of it good, and can another one be had."""
    answer = await renewed(at, given)
    if answer.status_code == 200:
        given |= answer.json()
        assert await active(at, given)
        return True
    assert answer.json()["error"] == "invalid_grant"
    assert not await active(at, given)
    return False


def claims_of(given: dict[str, Any]) -> dict[str, Any]:
    body = given["id_token"].split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))))


async def leave(at: Desk, browser: Browser, given: dict[str, Any], **more: str) -> httpx2.Response:
    """Its client signs the person out."""
    return await browser.get("/logout", {"id_token_hint": given["id_token"]} | more)


@pytest.mark.parametrize(
    "named",
    [
        pytest.param({}, id="the person"),
        pytest.param({"sub": None, "sid": "upstream-session"}, id="the session"),
        pytest.param({"sid": "upstream-session"}, id="both"),
    ],
)
async def test_a_provider_ends_what_was_given_in_a_session_that_is_no_more(at: Desk, named: dict[str, Any]) -> None:
    given, away = await tokens(at), await tokens(at, scope=AWAY)
    at.corp.claims = {"sid": "another"}
    other = await tokens(at, at.another())
    await idle_out(at)
    # Neither another person's logout, nor another session's, nor a session and a person that do not belong together.
    await tell(at, sub="bob")
    await tell(at, sub=None, sid="a third")
    await tell(at, sub="bob", sid="upstream-session")
    # Nor one before any of it was given.
    await tell(at, **named, iat=int(time.time()) - 90)
    assert await goes_on(at, given)
    await tell(at, **named)
    assert not await goes_on(at, given)
    assert await goes_on(at, other) is ("sid" in named)
    assert await goes_on(at, away), "what was allowed for while the person is away"


async def test_a_logout_reaches_a_person_whom_the_provider_calls_otherwise(tmp_path: Path) -> None:
    """Who somebody is here stands in another claim than `sub`, which a logout token does not have."""

    def edit(bundle: Path) -> None:
        file = bundle / "providers/corp.toml"
        file.write_text(file.read_text().replace("[provider]\n", '[provider]\nsubject = "employee"\n', 1))

    async with desk(tmp_path, edit=edit) as at:
        at.corp.subject, at.corp.claims = "0001", {"employee": "alice"}
        given = await tokens(at)
        await idle_out(at)
        await tell(at, sub="alice")
        assert await goes_on(at, given)
        await tell(at, sub="0001")
        assert not await goes_on(at, given)


async def test_a_logout_ends_what_an_earlier_sign_in_of_a_session_gave(at: Desk) -> None:
    """The session went on by another sign-in, and goes on; what hung on the one before does not."""
    given = await tokens(at)
    at.corp.claims = {"sid": "another"}
    asked = Asking(prompt="login")
    later = dict((await at.redeem(asked, await at.code(asked))).json())
    assert claims_of(later)["sid"] == claims_of(given)["sid"]
    await tell(at, sub=None, sid="upstream-session")
    assert not await goes_on(at, given)
    assert await goes_on(at, later)


async def test_a_client_ends_what_was_given_in_a_session_that_is_no_more(at: Desk) -> None:
    given, away = await tokens(at), await tokens(at, scope=AWAY)
    other = at.another()
    another = await tokens(at, other)
    await idle_out(at)
    left = await leave(at, at.browser, given)
    assert (left.status_code, "signed out" in left.text) == (200, True)
    assert not await goes_on(at, given)
    assert await goes_on(at, another), "it was given in another session"
    assert await goes_on(at, away), "what was allowed for while the person is away"
    # Whoever has signed in since is asked about that session, and ends both.
    await tokens(at, other)
    page = await leave(at, other, another)
    assert await goes_on(at, another)
    assert (await other.post("/logout", Form(page.text).fields)).status_code == 200
    assert not await goes_on(at, another)


async def test_a_hint_ends_nothing_of_a_session_in_another_browser(at: Desk) -> None:
    """Whoever has an ID token ends nothing while the session is kept; nor does one that is none, when it is not."""
    given = await tokens(at)
    assert (await leave(at, at.another(), given)).status_code == 200
    assert await goes_on(at, given)
    await idle_out(at)
    head, body, signature = given["id_token"].split(".")
    for forged in (f"{head}.{body}.{'A' * len(signature)}", given["access_token"], given["refresh_token"], ""):
        assert (await leave(at, at.another(), {"id_token": forged})).status_code == 200
    mixed = await leave(at, at.another(), given, client_id="helper")
    assert mixed.status_code == 400
    assert await goes_on(at, given)
