"""What the pages that ask say of an agent: for whom, how much, how far, how long, and what is refused and why."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.flow.authorizing import OTHER, Asking, Desk
from tests.flow.browser import Browser
from tests.flow.company import PAYMENTS
from tests.flow.test_device_code import GRANT, decide, enter
from tests.flow.withdrawing import forms_of, signed_in, withdrawing

pytestmark = pytest.mark.asyncio(loop_scope="module")

RULES = """
@id("vault-purpose") @owner("Payments") @reason("for audits") @require_purpose("audit")
permit (principal is User, action == Action::"issue", resource == Scope::"vault:audit");
@id("vault-approval") @owner("Payments") @reason("four eyes") @require_approval("manager")
permit (principal is User, action == Action::"issue", resource == Scope::"vault:move");
@id("helper-vault") @owner("Payments") @reason("the agent works with it, but for burning")
permit (principal == Agent::"helper", action == Action::"act", resource in Audience::"vault")
unless { resource == Scope::"vault:open" };
"""
APPROVALS = """
[sources.approvals]
kind = "store"
about = ["User"]
max_age = "1h"
missing = "absent"
description = "Who approved what"
[sources.approvals.facts]
approvals = "set<string>"
"""
MORE = """
[scopes."vault:audit"]
meaning = "Audit the vault"
tier = "high"
[scopes."vault:move"]
meaning = "Move the vault"
tier = "high"
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    def more(bundle: Path) -> None:
        vault = bundle / "audiences/vault.toml"
        vault.write_text(vault.read_text().replace('[details."take"]', f'{MORE}[details."take"]', 1))
        sources = bundle / "sources.toml"
        sources.write_text(sources.read_text() + APPROVALS)
        head = bundle / "bundle.toml"
        head.write_text(head.read_text() + '[purposes.audit]\nmeaning = "Looking at what is there"\n')
        robot = (bundle / "clients/tv.toml").read_text().replace('"tv"', '"robot"').replace("The tv", "The robot")
        (bundle / "clients/robot.toml").write_text(robot.replace('kind = "native"', 'kind = "agent"'))

    rules = RULES + RULES_OF_ROBOT
    async with withdrawing(tmp_path_factory.mktemp("desk"), rules=rules, more_edit=more) as found:
        yield found


RULES_OF_ROBOT = """
@id("robot-acts") @owner("Payments") @reason("it works for people")
permit (principal == Agent::"robot", action == Action::"act", resource in Audience::"payments");
"""


@pytest_asyncio.fixture(loop_scope="module")
async def browser(at: Desk) -> Browser:
    return await signed_in(at)


async def asks(at: Desk, browser: Browser, **parameters: str) -> Any:
    asked = Asking("helper", OTHER, prompt="consent", **parameters)
    return asked, await at.through(await at.request(asked, browser), browser)


async def test_it_says_that_an_agent_acts_how_much_and_how_far(at: Desk, browser: Browser) -> None:
    asked, page = await asks(at, browser, budget="40", max_depth="2", environment="production")
    assert "It is an agent" in page.text, (page.headers, page.text)
    for told in ("Budget, in all</dt><dd>40</dd>", "(times)</dt><dd>2</dd>", "Only in</dt><dd>production</dd>"):
        assert told in page.text, told
    assert "Each access lasts 5 minutes at most" in page.text
    answer = await at.allow(page, browser)
    code = dict(pair.split("=", 1) for pair in answer.headers["location"].partition("?")[2].split("&"))["code"]
    tokens = (await at.redeem(asked, code, resource=PAYMENTS)).json()
    claims = await at.company.claims(tokens["access_token"])
    assert (claims["budget"], claims["max_depth"]) == (40, 2)
    mine = await browser.get("/grants", accept_language="en")
    assert "Budget, in all</dt><dd>40</dd>" in mine.text
    (form,) = forms_of(mine, "grant", claims["grant_id"])
    assert (await browser.post("/grants/end", form)).status_code == 303


async def test_of_a_persons_own_program_it_says_none_of_that(at: Desk, browser: Browser) -> None:
    page = await at.through(await at.request(Asking(prompt="consent"), browser), browser)
    for told in ("agent", "Budget", "handed on"):
        assert told not in page.text, told


async def test_it_says_what_is_refused_and_why(at: Desk, browser: Browser) -> None:
    wanted = "openid vault:audit vault:move vault:burn vault:carry"
    _, page = await asks(at, browser, scope=wanted, resource="https://api.example.com/vault")
    section = page.text.partition('id="refused"')[2]
    for meaning, why in (
        ("Audit the vault", "the application does not say a purpose that it is allowed for"),
        ("Move the vault", "somebody has to approve it first"),
        ("Burn the vault", "the policy does not allow it"),
    ):
        assert f"<li>{meaning}: {why}</li>" in section, section
    german = await browser.get(page.url.raw_path.decode(), accept_language="de")
    assert "die Anwendung nennt keinen Zweck" in german.text


async def test_what_an_agent_may_not_act_with(at: Desk) -> None:
    at.corp.claims = {"acr": "mfa"}
    strong = await signed_in(at)
    at.corp.claims = {}
    _, page = await asks(at, strong, scope="openid vault:open", resource="https://api.example.com/vault")
    assert "<li>Open the vault: this agent may not do it for you</li>" in page.text, (page.headers, page.text)


async def test_a_device_that_is_an_agent(at: Desk, browser: Browser) -> None:
    """Limits that it asks for are shown, and in each token."""
    asked = {"client_id": "robot", "scope": "payments:read", "budget": "7", "max_depth": "0"}
    said = (await at.company.http.post("/device_authorization", data=asked)).json()
    page = await enter(at, browser, said["user_code"])
    for told in ("It is an agent", "Budget, in all</dt><dd>7</dd>", "(times)</dt><dd>0</dd>"):
        assert told in page.text, told
    await decide(browser, page)
    form = {"grant_type": GRANT, "device_code": said["device_code"], "client_id": "robot", "resource": PAYMENTS}
    tokens = (await at.company.http.post("/token", data=form)).json()
    claims = await at.company.claims(tokens["access_token"])
    assert (claims["budget"], claims["max_depth"]) == (7, 0)
    assert claims["act"]["sub"] == "robot"
    again = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": "robot"}
    spent = await at.company.http.post("/token", data=again)
    assert (spent.status_code, spent.json()["error"]) == (400, "invalid_request"), "all of it was handed out"


@pytest.mark.parametrize("limits", [{"budget": "0"}, {"budget": "-1"}, {"max_depth": "x"}, {"budget": "1e9"}])
async def test_malformed_limits_are_refused_when_a_device_begins(at: Desk, limits: dict[str, str]) -> None:
    asked = {"client_id": "robot", "scope": "payments:read", **limits}
    refused = await at.company.http.post("/device_authorization", data=asked)
    assert (refused.status_code, json.loads(refused.text)["error"]) == (400, "invalid_request")
